//! What is in force, and the one function that changes it.
//!
//! Start reading at [`Ledger::fold`] (what an event changes) and [`Ledger::check`] (what stands
//! against a login). Here is what the ledger holds, and what can be asked of it.

mod fold;
mod ruling;
mod snapshot;
mod undo;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::changes::{Changes, EndedBan, Recent};
use super::dossier::Dossiers;
use super::event::{Seq, Version};
use super::exempt::{Exemption, Exemptions};
use super::record::{Ban, BanId, Past};
use super::seen::Seen;
use super::subject::Subject;
use super::time::Timestamp;
use super::undo::Deeds;
use super::watch::Watch;

pub use super::active::ActiveBans;
pub use ruling::{BanRuling, Effect, ExemptionRuling, HistoryRuling, Ruling, UndoRuling};
pub use snapshot::{BadSnapshot, Ending, Restored, Taking};
pub use verdict::{By, Verdict};

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
    /// The same bans by what a login is looked up with.
    active: ActiveBans,
    exemptions: Exemptions,
    /// The same bans, those with an end, by it.
    due: BTreeSet<(Timestamp, BanId)>,
    recent: Recent,
    watches: BTreeMap<Subject, Watch>,
    deeds: Deeds,
    seen: Seen,
}

impl Ledger {
    /// The exemption in force that covers a subject, or that a ban of it would hit.
    pub fn exemption(&self, subject: &Subject, now: Timestamp) -> Option<&Exemption> {
        self.exemptions.covering(subject, now)
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
        self.dossiers
            .iter()
            .filter(move |(other, dossier)| {
                dossier.counted > 0 && *other != subject && subject.holds(other)
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

    /// The last ends of bans, newest first; only so many are remembered
    /// ([`LIFTS`](super::changes::LIFTS)).
    pub fn last_ended(&self) -> impl Iterator<Item = &EndedBan> {
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
