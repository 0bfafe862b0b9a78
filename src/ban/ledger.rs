//! What is in force, and the one function that changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;

use super::event::{Change, Event, Seq, Version};
use super::policy::Refusal;
use super::record::{Ban, BanId, Past};
use super::subject::{Account, Subject};
use super::time::Timestamp;

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
        /// Which one.
        ban: BanId,
        /// Public reason.
        reason: String,
        /// Its end.
        until: Option<Timestamp>,
    },
}

/// All we know of one subject.
#[derive(Debug, Clone, Default)]
struct Dossier {
    version: Version,
    bans: u32,
    current: Option<BanId>,
    last: Option<Past>,
    trail: Vec<Seq>,
}

/// What is in force. A pure fold of the log: the same events give the same ledger, anywhere.
#[derive(Debug, Default)]
pub struct Ledger {
    folded: Seq,
    next_id: u64,
    bans: BTreeMap<BanId, Ban>,
    dossiers: HashMap<Subject, Dossier>,
    numbers: HashMap<BanId, Subject>,
    accounts: HashMap<Account, BanId>,
    v4: PrefixMap<Ipv4Net, BanId>,
    v6: PrefixMap<Ipv6Net, BanId>,
    due: BTreeSet<(Timestamp, BanId)>,
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
        let ruling = match &event.change {
            Change::Imposed { reason, until } => self.impose(seq, event, reason, *until),
            Change::Amended { reason, until } => self.amend(seq, event, reason, *until),
            Change::Lifted { .. } | Change::Expired => self.lift(seq, event),
        };
        if !matches!(
            ruling,
            Ruling::Banned(_) | Ruling::Amended { .. } | Ruling::Lifted(_)
        ) {
            return (ruling, Vec::new());
        }
        let dossier = self.dossiers.entry(event.subject.clone()).or_default();
        dossier.version = seq;
        dossier.trail.push(seq);
        (ruling, vec![Effect::Settle(event.subject.clone())])
    }

    fn impose(
        &mut self,
        seq: Seq,
        event: &Event,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Ruling {
        if let Some(ban) = self.current(&event.subject) {
            if ban.is_in_force(event.at) {
                return Ruling::Already(ban.clone());
            }
            // Its time was over and nobody had written that down yet.
            self.lift(seq, event);
        }
        self.next_id += 1;
        let dossier = self.dossiers.entry(event.subject.clone()).or_default();
        dossier.bans = dossier.bans.saturating_add(1);
        let ban = Ban {
            id: BanId(self.next_id),
            subject: event.subject.clone(),
            reason: reason.to_owned(),
            by: event.actor.clone(),
            origin: event.origin.clone(),
            since: event.at,
            until,
            ordinal: dossier.bans,
            version: seq,
        };
        dossier.current = Some(ban.id);
        self.numbers.insert(ban.id, ban.subject.clone());
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
        let dossier = self.dossiers.entry(event.subject.clone()).or_default();
        dossier.current = None;
        dossier.last = Some(Past {
            id: ban.id,
            ended: event.at,
            seq,
        });
        Ruling::Lifted(ban)
    }

    /// Puts a ban into every index.
    fn enter(&mut self, ban: Ban) {
        match &ban.subject {
            Subject::Account(account) => {
                self.accounts.insert(account.clone(), ban.id);
            }
            subject => match subject.net() {
                Some(IpNet::V4(net)) => {
                    self.v4.insert(net, ban.id);
                }
                Some(IpNet::V6(net)) => {
                    self.v6.insert(net, ban.id);
                }
                None => {}
            },
        }
        if let Some(end) = ban.until {
            self.due.insert((end, ban.id));
        }
        self.bans.insert(ban.id, ban);
    }

    /// Takes a ban out of every index.
    fn take(&mut self, subject: &Subject) -> Option<Ban> {
        let id = self.dossiers.get(subject)?.current?;
        let ban = self.bans.remove(&id)?;
        match subject {
            Subject::Account(account) => {
                self.accounts.remove(account);
            }
            subject => match subject.net() {
                Some(IpNet::V4(net)) => {
                    self.v4.remove(&net);
                }
                Some(IpNet::V6(net)) => {
                    self.v6.remove(&net);
                }
                None => {}
            },
        }
        if let Some(end) = ban.until {
            self.due.remove(&(end, id));
        }
        Some(ban)
    }

    /// May this account log in from this address? Reads only; the cost does not grow with the
    /// number of bans.
    pub fn check(
        &self,
        account: Option<&Account>,
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Verdict {
        let by_account = account
            .and_then(|account| self.accounts.get(account))
            .copied();
        let found = by_account
            .and_then(|id| self.bans.get(&id))
            .filter(|ban| ban.is_in_force(now))
            .or_else(|| address.and_then(|address| self.covering(address, now)));
        match found {
            None => Verdict::LetIn,
            Some(ban) => Verdict::Refuse {
                ban: ban.id,
                reason: ban.reason.clone(),
                until: ban.until,
            },
        }
    }

    /// The ban in force that covers an address and holds longest.
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Option<&Ban> {
        let ids: Vec<BanId> = match address.to_canonical() {
            IpAddr::V4(v4) => self
                .v4
                .cover(&Ipv4Net::from(v4))
                .map(|(_, id)| *id)
                .collect(),
            IpAddr::V6(v6) => self
                .v6
                .cover(&Ipv6Net::from(v6))
                .map(|(_, id)| *id)
                .collect(),
        };
        ids.iter()
            .filter_map(|id| self.bans.get(id))
            .filter(|ban| ban.is_in_force(now))
            .max_by_key(|ban| ban.until.unwrap_or(Timestamp::LAST))
    }

    /// How far the log has been folded.
    pub fn folded(&self) -> Seq {
        self.folded
    }

    /// The version of a subject; `Seq(0)` for one never heard of.
    pub fn version(&self, subject: &Subject) -> Version {
        self.dossiers
            .get(subject)
            .map_or(Seq(0), |dossier| dossier.version)
    }

    /// The ban recorded as standing for exactly this subject, ended or not.
    pub fn current(&self, subject: &Subject) -> Option<&Ban> {
        let id = self.dossiers.get(subject)?.current?;
        self.bans.get(&id)
    }

    /// The last ban of a subject that ended.
    pub fn last(&self, subject: &Subject) -> Option<&Past> {
        self.dossiers.get(subject)?.last.as_ref()
    }

    /// How many bans a subject has had.
    pub fn times_banned(&self, subject: &Subject) -> u32 {
        self.dossiers.get(subject).map_or(0, |dossier| dossier.bans)
    }

    /// The places in the log that changed a subject, oldest first.
    pub fn trail(&self, subject: &Subject) -> &[Seq] {
        self.dossiers
            .get(subject)
            .map_or(&[], |dossier| &dossier.trail)
    }

    /// Whom a number names, in force or past.
    pub fn by_number(&self, id: BanId) -> Option<&Subject> {
        self.numbers.get(&id)
    }

    /// The bans standing, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values().rev()
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
    }
}
