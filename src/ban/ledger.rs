//! What is in force, and the one function that changes it.

mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::changes::{Changes, Ended, Recent};
use super::dossier::{Dossier, Dossiers};
use super::event::{Change, Event, Seq, Version};
use super::exempt::{Exemption, Exemptions};
use super::policy::Refusal;
use super::record::{Ban, BanId, Past};
use super::standing::{Standing, Stands};
use super::subject::{Account, Subject};
use super::time::Timestamp;
use super::undo::{Before, Deed, Deeds, Did, WIDEST};
use super::watch::Watch;

pub use snapshot::{BadSnapshot, Ending, Taking};

/// The answer to whoever reported something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// A ban began.
    Banned(Ban),
    /// The ban in force has other terms now.
    Amended {
        /// As it is now.
        ban: Ban,
        /// The end it had.
        before: Option<Timestamp>,
        /// The reason it had.
        before_reason: String,
    },
    /// The ban in force ended.
    Lifted(Ban),
    /// The same ban is in force already; nothing changed.
    Already(Ban),
    /// There is no ban to lift; with the last one there was.
    NotBanned(Subject, Option<Past>),
    /// The rules do not allow it.
    Refused(Refusal),
    /// An exemption began, or has another comment or end now.
    Allowed {
        /// As it is now.
        exemption: Exemption,
        /// The bans it covers, which ended by it.
        lifted: Vec<Ban>,
    },
    /// An exemption ended.
    Unallowed(Exemption),
    /// There is no exemption of exactly this subject.
    NotAllowed(Subject),
    /// The history of a subject counts no more.
    Forgotten {
        /// Whose.
        subject: Subject,
        /// How many bans counted until now.
        bans: u32,
    },
    /// A person or a room hears other news now.
    Watched {
        /// Who.
        subject: Subject,
        /// Which; `None`: what everybody hears who expressed no wish.
        watch: Option<Watch>,
    },
    /// What was done last is taken back.
    Undone {
        /// What that was.
        deed: Box<Deed>,
        /// The ban that stood until now.
        stood: Option<Ban>,
        /// The ban that stands again, or with its earlier terms.
        ban: Option<Ban>,
    },
    /// Somebody else was first with this; nothing changed.
    Overtaken(Box<Deed>),
    /// What was to be taken back is not the last change of the subject any more.
    ChangedSince(Subject),
    /// There is a note more, or less.
    Annotated(Subject),
    /// Its sessions were to be ended.
    Kicked(Subject),
    /// Somebody else changed the subject in between; nothing changed.
    Stale,
    /// There was nothing to do.
    Noted,
}

/// What a folded event asks of the world, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Bring the server in line with what the ledger says of the subject.
    Settle(Subject),
}

/// May somebody log in?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands against it.
    LetIn,
    /// A ban does.
    Refuse {
        /// Which one; number 0 while it is being written down.
        ban: BanId,
        /// What kind of subject it is about.
        by: By,
        /// Public reason.
        reason: String,
        /// Its end.
        until: Option<Timestamp>,
    },
}

/// What stands against a login: the `by` of the hook protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The account is banned.
    Account,
    /// The address is.
    Address,
    /// The network is.
    Network,
    /// This account from this address is.
    Pair,
    /// The account is under attack and this source never logged in to it.
    Guard,
}

impl By {
    /// What a ban of this subject stands by.
    pub fn of(subject: &Subject) -> By {
        match subject {
            Subject::Account(_) => By::Account,
            Subject::Address(_) => By::Address,
            Subject::Network(_) => By::Network,
            Subject::Pair(..) => By::Pair,
            Subject::Guard(_) => By::Guard,
        }
    }

    /// The word for it in the hook protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Account => "account",
            By::Address => "address",
            By::Network => "network",
            By::Pair => "pair",
            By::Guard => "guard",
        }
    }
}

/// What a subject's bans were so far, as far as a rule needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// How many bans count, before memory and decay.
    pub count: u32,
    /// When the last of them ended; `None`: it stands, or there was none.
    pub ended: Option<Timestamp>,
    /// How long the last one was meant to be; `None`: for ever, or there was none.
    pub length: Option<Duration>,
    /// Failures before this count no more: since then there was a ban, an un-ban or a `forget`.
    pub clean: Timestamp,
}

/// What is in force. A pure fold of the log: the same events give the same ledger, anywhere.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    folded: Seq,
    bans: BTreeMap<BanId, Arc<Ban>>,
    dossiers: Dossiers,
    standing: Standing,
    exemptions: Exemptions,
    due: BTreeSet<(Timestamp, BanId)>,
    recent: Recent,
    watches: BTreeMap<Subject, Watch>,
    deeds: Deeds,
}

impl Ledger {
    /// Takes one event of the log. Deterministic: no clock, no chance.
    ///
    /// An event decided on another version of its subject than the one reached here is stale
    /// and changes nothing.
    pub fn fold(&mut self, seq: Seq, event: &Event) -> (Ruling, Vec<Effect>) {
        self.folded = seq;
        if self.version(&event.subject) != event.based_on {
            return (Ruling::Stale, Vec::new());
        }
        let before = Deeds::is_one(event).then(|| self.before(&event.subject));
        let ruling = match &event.change {
            Change::Imposed { reason, until } | Change::ImposedOnExempt { reason, until } => {
                self.impose(seq, event, reason, *until, None)
            }
            Change::ImposedByRule {
                reason,
                until,
                ordinal,
            } => self.impose(seq, event, reason, Some(*until), Some(*ordinal)),
            Change::Amended { reason, until } => self.amend(seq, event, reason, *until),
            Change::Lifted { .. } | Change::Expired => self.lift(seq, event),
            Change::Allowed { comment, until } => self.allow(seq, event, comment, *until),
            Change::Unallowed => match self.exemptions.remove(&event.subject) {
                Some(exemption) => Ruling::Unallowed(exemption),
                None => Ruling::NotAllowed(event.subject.clone()),
            },
            Change::Forgotten => self.forget(event),
            Change::Watched { watch } => self.watch(event, watch.clone()),
            Change::Annotated { .. } => Ruling::Annotated(event.subject.clone()),
            Change::Undone => self.undo(seq, event),
            Change::Kicked { .. } => {
                // It stands in the history, and changes nothing.
                let dossier = self.dossiers.of(&event.subject);
                dossier.trail.push(seq);
                return (Ruling::Kicked(event.subject.clone()), Vec::new());
            }
        };
        let effects = match &ruling {
            Ruling::Banned(_)
            | Ruling::Amended { .. }
            | Ruling::Lifted(_)
            | Ruling::Undone { .. } => {
                vec![Effect::Settle(event.subject.clone())]
            }
            Ruling::Allowed { lifted, .. } => lifted
                .iter()
                .map(|ban| Effect::Settle(ban.subject.clone()))
                .collect(),
            Ruling::Unallowed(_)
            | Ruling::Forgotten { .. }
            | Ruling::Watched { .. }
            | Ruling::Annotated(_) => Vec::new(),
            _ => return (ruling, Vec::new()),
        };
        self.touch(&event.subject, seq, event.at);
        if let (Some(before), Some(did)) = (before, Did::of(&event.change)) {
            self.did(seq, event, &event.subject, did, before);
        }
        (ruling, effects)
    }

    /// Writes down that an event changed a subject.
    fn touch(&mut self, subject: &Subject, seq: Seq, at: Timestamp) {
        let dossier = self.dossiers.of(subject);
        dossier.version = seq;
        dossier.changed = at;
        dossier.trail.push(seq);
    }

    fn impose(
        &mut self,
        seq: Seq,
        event: &Event,
        reason: &str,
        until: Option<Timestamp>,
        ordinal: Option<u32>,
    ) -> Ruling {
        // Allowed after this was decided.
        let insists = matches!(event.change, Change::ImposedOnExempt { .. });
        if let Some(exemption) = self.exemptions.covering(&event.subject, event.at)
            && !insists
        {
            let by = exemption.to_string();
            return Ruling::Refused(Refusal::Allowed(event.subject.clone(), by));
        }
        if let Some(ban) = self.current(&event.subject) {
            if ban.is_in_force(event.at) {
                return Ruling::Already(ban.clone());
            }
            // Its time was over and nobody had written that down yet.
            self.lift(seq, event);
        }
        let id = self.dossiers.next_number(&event.subject);
        let dossier = self.dossiers.of(&event.subject);
        dossier.bans = dossier.bans.saturating_add(1);
        dossier.counted = ordinal.unwrap_or(dossier.counted.saturating_add(1));
        dossier.length = until.map(|end| end.since(event.at));
        dossier.clean = Some(event.at.saturating_add(Duration::from_millis(1)));
        let ban = Ban {
            id,
            subject: event.subject.clone(),
            reason: reason.to_owned(),
            by: event.actor.clone(),
            origin: event.origin.clone(),
            since: event.at,
            until,
            ordinal: dossier.counted,
            version: seq,
        };
        dossier.current = Some(ban.id);
        self.enter(ban.clone());
        Ruling::Banned(ban)
    }

    fn amend(&mut self, seq: Seq, event: &Event, reason: &str, until: Option<Timestamp>) -> Ruling {
        let Some(mut ban) = self.take(&event.subject) else {
            return Ruling::NotBanned(event.subject.clone(), self.last(&event.subject).cloned());
        };
        let before = ban.until;
        let before_reason = std::mem::replace(&mut ban.reason, reason.to_owned());
        ban.until = until;
        ban.by = event.actor.clone();
        ban.version = seq;
        if let Some(dossier) = self.dossiers.get_mut(&event.subject) {
            dossier.length = until.map(|end| end.since(ban.since));
        }
        self.enter(ban.clone());
        Ruling::Amended {
            ban,
            before,
            before_reason,
        }
    }

    fn lift(&mut self, seq: Seq, event: &Event) -> Ruling {
        let Some(ban) = self.take(&event.subject) else {
            return Ruling::NotBanned(event.subject.clone(), self.last(&event.subject).cloned());
        };
        let by_hand = matches!(event.change, Change::Lifted { .. });
        self.close(&ban, seq, event.at, by_hand);
        Ruling::Lifted(ban)
    }

    fn close(&mut self, ban: &Ban, seq: Seq, at: Timestamp, by_hand: bool) {
        self.recent.end(seq, ban);
        let dossier = self.dossiers.of(&ban.subject);
        dossier.current = None;
        dossier.last = Some(Past {
            id: ban.id,
            // A ban ends at its second, whenever that is written down.
            ended: ban.until.map_or(at, |end| end.min(at)),
            seq,
        });
        if by_hand {
            dossier.clean = Some(at);
            dossier.pardoned = Some(at);
        }
    }

    fn allow(
        &mut self,
        seq: Seq,
        event: &Event,
        comment: &str,
        until: Option<Timestamp>,
    ) -> Ruling {
        let exemption = Exemption {
            subject: event.subject.clone(),
            comment: comment.to_owned(),
            by: event.actor.clone(),
            since: event.at,
            until,
        };
        let is_a_deed = Deeds::is_one(event);
        self.exemptions.insert(exemption.clone());
        let covered: Vec<Subject> = self
            .bans
            .values()
            .filter(|ban| exemption.covers(&ban.subject))
            .map(|ban| ban.subject.clone())
            .collect();
        let mut lifted = Vec::with_capacity(covered.len());
        let may_come_back = is_a_deed && covered.len() <= WIDEST;
        for subject in covered {
            let before = may_come_back.then(|| self.before(&subject));
            if let Some(ban) = self.take(&subject) {
                self.close(&ban, seq, event.at, true);
                if subject != event.subject {
                    self.touch(&subject, seq, event.at);
                    if let Some(before) = before {
                        self.did(seq, event, &subject, Did::Lifted, before);
                    }
                }
                lifted.push(ban);
            }
        }
        Ruling::Allowed { exemption, lifted }
    }

    fn forget(&mut self, event: &Event) -> Ruling {
        let dossier = self.dossiers.of(&event.subject);
        let bans = std::mem::take(&mut dossier.counted);
        dossier.bans = 0;
        dossier.length = None;
        dossier.clean = Some(event.at);
        dossier.forgotten = Some(event.at);
        Ruling::Forgotten {
            subject: event.subject.clone(),
            bans,
        }
    }

    fn watch(&mut self, event: &Event, watch: Option<Watch>) -> Ruling {
        let subject = event.subject.clone();
        match watch.clone() {
            Some(watch) => self.watches.insert(subject.clone(), watch),
            None => self.watches.remove(&subject),
        };
        Ruling::Watched { subject, watch }
    }

    /// A subject as it is now.
    fn before(&self, subject: &Subject) -> Before {
        let dossier = self.dossiers.get(subject).map(Dossier::without_trail);
        Before {
            dossier: dossier.unwrap_or_default(),
            ban: self.current(subject).cloned(),
            exemption: self.exemptions.of(subject).cloned(),
        }
    }

    /// Writes down that somebody did something, so that it can be taken back.
    fn did(&mut self, seq: Seq, event: &Event, subject: &Subject, did: Did, mut before: Before) {
        let is_over = |ban: &Ban| !ban.is_in_force(event.at);
        if did == Did::Banned && before.ban.take_if(|ban| is_over(ban)).is_some() {
            // Its end was written down on the way.
            before.dossier.current = None;
            before.dossier.last = self.last(subject).cloned();
        }
        let now = self.current(subject).map(|ban| ban.id);
        let last = before.ban.as_ref().map(|ban| ban.id);
        self.deeds.keep(Deed {
            seq,
            at: event.at,
            by: event.actor.clone(),
            subject: subject.clone(),
            did,
            number: now.or(last),
            before,
        });
    }

    /// Takes back what the event is based on: dossier, ban and exemption are as they were before.
    fn undo(&mut self, seq: Seq, event: &Event) -> Ruling {
        let subject = &event.subject;
        let Some(deed) = self.undoable(subject).cloned() else {
            return Ruling::ChangedSince(subject.clone());
        };
        let Before {
            dossier,
            ban,
            exemption,
        } = deed.before.clone();
        if let Some(ban) = &ban {
            if let Some(end) = ban.until.filter(|end| *end <= event.at) {
                return Ruling::Refused(Refusal::OverByNow(ban.id, end));
            }
            // Somebody may have exempted what covers it since. What this very deed exempted goes.
            let stands = self.exemptions.covering(subject, event.at);
            let since = stands.filter(|one| one.since != deed.at || one.by != deed.by);
            if let Some(other) = since.filter(|_| self.current(subject).is_none()) {
                let by = other.to_string();
                return Ruling::Refused(Refusal::Allowed(subject.clone(), by));
            }
        }
        match exemption {
            Some(exemption) => self.exemptions.insert(exemption),
            None => {
                self.exemptions.remove(subject);
            }
        }
        let stood = self.take(subject);
        if let Some(stood) = stood.as_ref().filter(|_| ban.is_none()) {
            self.recent.end(seq, stood);
        }
        let trail = self.trail(subject).to_vec();
        let dossier = Dossier { trail, ..dossier };
        *self.dossiers.of(subject) = dossier;
        let ban = ban.map(|ban| Ban {
            version: seq,
            ..ban
        });
        if let Some(ban) = &ban {
            self.recent.stands_again(ban.id);
            self.enter(ban.clone());
        }
        Ruling::Undone {
            deed: Box::new(deed),
            stood,
            ban,
        }
    }

    /// The last change of a subject, if it is one that can be taken back.
    pub fn undoable(&self, subject: &Subject) -> Option<&Deed> {
        let deed = self.deeds.about(subject)?;
        (deed.seq == self.version(subject)).then_some(deed)
    }

    /// What people did, newest first: the last deed about each subject, changed since or not.
    pub fn deeds(&self) -> impl Iterator<Item = &Deed> {
        self.deeds.newest_first()
    }

    /// Puts a ban into every index.
    fn enter(&mut self, ban: Ban) {
        self.recent.enter(&ban);
        let ban = Arc::new(ban);
        self.standing.insert(Stands::new(Arc::clone(&ban)));
        if let Some(end) = ban.until {
            self.due.insert((end, ban.id));
        }
        self.bans.insert(ban.id, ban);
    }

    /// Takes a ban out of every index.
    fn take(&mut self, subject: &Subject) -> Option<Ban> {
        let id = self.dossiers.get(subject)?.current?;
        let ban = self.bans.remove(&id)?;
        self.standing.remove(subject);
        self.recent.leave(&ban);
        if let Some(end) = ban.until {
            self.due.remove(&(end, id));
        }
        Some(Arc::unwrap_or_clone(ban))
    }

    /// May this account log in from this address? Reads only; the cost does not grow with the
    /// number of bans. Without an account: may a stream from there start?
    ///
    /// In this order: a ban of the account holds everywhere. A ban of an address or network that a
    /// person decided, or that came from a list or the server, holds for everybody there. A ban of
    /// the pair holds for the pair. What rules decided about addresses and networks, and a guard,
    /// holds for strangers: `known` says whether this account logged in from there before (without
    /// an account: whether anybody did), and is asked only when that matters.
    ///
    /// An exemption of the address keeps off everything but a ban of the account.
    pub fn check(
        &self,
        account: Option<&Account>,
        address: Option<IpAddr>,
        known: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Verdict {
        if self.standing.is_empty() {
            return Verdict::LetIn;
        }
        let address = address.map(|address| address.to_canonical());
        if let Some(by_account) = account.and_then(|account| self.standing.account(account))
            && by_account.is_in_force(now)
        {
            return refusal(&by_account.ban);
        }
        let found = self.standing.against(account, address, now);
        let Some((worst, touches_known)) = found else {
            return Verdict::LetIn;
        };
        if address.is_some_and(|address| self.exemptions.is_exempt(address, now)) {
            return Verdict::LetIn;
        }
        if !touches_known && known() {
            return Verdict::LetIn;
        }
        refusal(&worst.ban)
    }

    /// Whether a ban of an address or network may refuse at the start of a stream, where no
    /// account is named yet (`door='start'`): when it holds for everybody, or when nobody has
    /// logged in from there before; `lives_in` says that.
    pub fn holds_at_start(ban: &Ban, lives_in: impl FnOnce(ipnet::IpNet) -> bool) -> bool {
        match ban.subject.net() {
            None => false,
            Some(net) => ban.origin.rule().is_none() || !lives_in(net),
        }
    }

    /// What changed after a place in the log, for a copy of the bans in force: at most `most` things, and `room` bytes as
    /// they are written. Ends up to `ends_since` are left out: the copy was begun when they were over. The cost does not
    /// grow with the number of bans.
    ///
    /// `None`: the copy must begin anew, for too much has ended since, or too much at once.
    pub fn changes(
        &self,
        since: Seq,
        ends_since: Seq,
        most: usize,
        room: usize,
    ) -> Option<Changes> {
        let ban = |id| self.bans.get(&id).map(AsRef::as_ref);
        self.recent
            .after(since, ends_since, most, room, self.folded, ban)
    }

    /// The ban in force that covers an address and holds longest.
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Option<&Ban> {
        let stands = self.standing.covering(address.to_canonical(), now)?;
        Some(&stands.ban)
    }

    /// The exemption in force that covers a subject, or that a ban of it would hit.
    pub fn exemption(&self, subject: &Subject, now: Timestamp) -> Option<&Exemption> {
        self.exemptions.covering(subject, now)
    }

    /// Whether an address is exempt.
    pub fn is_exempt(&self, address: IpAddr, now: Timestamp) -> bool {
        self.exemptions.is_exempt(address.to_canonical(), now)
    }

    /// The exemptions given by `allow`, by subject; ended ones are still among them.
    pub fn exemptions(&self) -> impl Iterator<Item = &Exemption> {
        self.exemptions.all()
    }

    /// What a subject's bans were so far; `None` for one never heard of.
    pub fn record(&self, subject: &Subject, now: Timestamp) -> Option<Record> {
        let dossier = self.dossiers.get(subject)?;
        let ended = match dossier.current.and_then(|id| self.bans.get(&id)) {
            Some(ban) => ban.until.filter(|end| *end <= now),
            None => dossier.last.as_ref().map(|past| past.ended),
        };
        Some(Record {
            count: dossier.counted,
            ended,
            length: dossier.length,
            clean: dossier.clean.unwrap_or(Timestamp::from_millis(i64::MIN)),
        })
    }

    /// When a subject was last un-banned by hand.
    pub fn pardoned(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers.get(subject)?.pardoned
    }

    /// When a subject's history was last forgotten.
    pub fn forgotten(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers.get(subject)?.forgotten
    }

    /// Who else has bans that count and is forgotten with a subject, and how many bans: the guard
    /// and the pairs of an account; all inside of a network.
    pub fn forgotten_with<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> impl Iterator<Item = (&'a Subject, u32)> {
        let belongs = move |other: &Subject| match subject {
            Subject::Account(_) => other.whose() == subject.whose(),
            Subject::Address(_) | Subject::Network(_) => match (subject.net(), other.place()) {
                (Some(net), Some(place)) => net.contains(&place),
                _ => false,
            },
            Subject::Pair(..) | Subject::Guard(_) => false,
        };
        self.dossiers
            .iter()
            .filter(move |(other, dossier)| {
                dossier.counted > 0 && *other != subject && belongs(other)
            })
            .map(|(other, dossier)| (other, dossier.counted))
    }

    /// What a person or a room wants to hear, where a wish was expressed.
    pub fn watch_of(&self, subject: &Subject) -> Option<&Watch> {
        self.watches.get(subject)
    }

    /// All wishes there are.
    pub fn watches(&self) -> impl ExactSizeIterator<Item = (&Subject, &Watch)> {
        self.watches.iter()
    }

    /// How far the log has been folded.
    pub fn folded(&self) -> Seq {
        self.folded
    }

    /// How many subjects were ever heard of.
    pub fn subjects(&self) -> usize {
        self.dossiers.len()
    }

    /// The version of a subject; `Seq(0)` for one never heard of.
    pub fn version(&self, subject: &Subject) -> Version {
        self.dossiers
            .get(subject)
            .map_or(Seq(0), |dossier| dossier.version)
    }

    /// When the last event that changed a subject was decided; `None` for one never heard of.
    pub fn changed(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers
            .get(subject)
            .filter(|dossier| dossier.version > Seq(0))
            .map(|dossier| dossier.changed)
    }

    /// The ban recorded as standing for exactly this subject, ended or not.
    pub fn current(&self, subject: &Subject) -> Option<&Ban> {
        let id = self.dossiers.get(subject)?.current?;
        self.bans.get(&id).map(|ban| &**ban)
    }

    /// The last ban of a subject that ended.
    pub fn last(&self, subject: &Subject) -> Option<&Past> {
        self.dossiers.get(subject)?.last.as_ref()
    }

    /// How many bans a subject has had since its history was last forgotten.
    pub fn times_banned(&self, subject: &Subject) -> u32 {
        self.dossiers.get(subject).map_or(0, |dossier| dossier.bans)
    }

    /// The places in the log that changed a subject, oldest first.
    pub fn trail(&self, subject: &Subject) -> &[Seq] {
        self.dossiers
            .get(subject)
            .map_or(&[], |dossier| &dossier.trail)
    }

    /// The ban of that number, if it stands.
    pub fn standing(&self, id: BanId) -> Option<&Ban> {
        self.bans.get(&id).map(|ban| &**ban)
    }

    /// Whom a number names, in force or past.
    pub fn by_number(&self, id: BanId) -> Option<&Subject> {
        self.dossiers.by_number(id)
    }

    /// The bans standing, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values().rev().map(|ban| &**ban)
    }

    /// The same from below a number on, for those who look through many a piece at a time.
    pub fn older_than(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        self.bans.range(..id).rev().map(|(_, ban)| &**ban)
    }

    /// The last ends of bans, newest first; only so many are remembered
    /// ([`LIFTS`](super::changes::LIFTS)).
    pub fn last_ended(&self) -> impl Iterator<Item = &Ended> {
        self.recent.ended()
    }

    /// The bans standing with a number behind this one, oldest first.
    pub fn behind(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        let behind = (Bound::Excluded(id), Bound::Unbounded);
        self.bans.range(behind).map(|(_, ban)| &**ban)
    }

    /// How many bans stand.
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether no ban stands.
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    /// When the next ban ends.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.due.first().map(|(end, _)| *end)
    }

    /// The bans whose time is over, at most `most` of them.
    pub fn ended(&self, now: Timestamp, most: usize) -> impl Iterator<Item = &Ban> {
        self.due
            .iter()
            .take_while(move |(end, _)| *end <= now)
            .take(most)
            .filter_map(|(_, id)| self.bans.get(id))
            .map(|ban| &**ban)
    }
}

fn refusal(ban: &Ban) -> Verdict {
    Verdict::Refuse {
        ban: ban.id,
        by: By::of(&ban.subject),
        reason: ban.reason.clone(),
        until: ban.until,
    }
}
