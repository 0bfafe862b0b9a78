//! The state that follows from the log, and [`Ledger::fold`], the only function that changes it.
//!
//! Start reading at [`Ledger::fold`] (what an event changes) and [`Ledger::check`] (whether a login is refused). This
//! file has the fields of the ledger and the simple queries.

mod fold;
mod ruling;
mod snapshot;
mod undo;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use super::bans::ban::{Ban, BanId, Past};
use super::bans::feed::{Changes, EndedBan, RecentChanges};
use super::event::{Seq, Version};
use super::exemptions::exemption::{Exemption, Exemptions};
use super::history::histories::Histories;
use super::history::undo::UndoLog;
use super::seen::SeenIds;
use super::subject::Subject;
use super::subscription::Watch;
use super::time::Timestamp;

pub use super::bans::active::ActiveBans;
pub use ruling::{BanRuling, Effect, ExemptionRuling, HistoryRuling, Ruling, UndoRuling};
pub use snapshot::{BadSnapshot, Ending, Restored, Taking};
pub use verdict::{By, Verdict};

/// A subject's record of earlier bans, as far as rules need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Number of bans that count, before memory and decay are applied.
    pub count: u32,
    /// When the last ban ended; `None`: it is still active, or there was none.
    pub ended: Option<Timestamp>,
    /// Intended length of the last ban; `None`: permanent, or there was none.
    pub length: Option<Duration>,
    /// Failures before this time do not count: a ban, un-ban or `forget` came after them.
    pub clean: Timestamp,
}

/// The state that follows from the log. A pure fold: the same events give the same ledger on every instance.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    folded: Seq,
    bans: BTreeMap<BanId, Arc<Ban>>,
    dossiers: Histories,
    /// The active bans, indexed for login checks.
    active: ActiveBans,
    exemptions: Exemptions,
    /// The active bans that have an end, ordered by it.
    due: BTreeSet<(Timestamp, BanId)>,
    recent: RecentChanges,
    watches: BTreeMap<Subject, Watch>,
    deeds: UndoLog,
    seen: SeenIds,
}

impl Ledger {
    /// The exemption in force that covers a subject, or that lies inside of it; `None` if there is none.
    pub fn exemption(&self, subject: &Subject, now: Timestamp) -> Option<&Exemption> {
        self.exemptions.covering(subject, now)
    }

    /// The exemptions granted by `allow`, by subject. Expired ones are included.
    pub fn exemptions(&self) -> impl Iterator<Item = &Exemption> {
        self.exemptions.all()
    }

    /// A subject's record of earlier bans; `None` for an unknown subject.
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

    /// When a person last un-banned the subject; `None` if never.
    pub fn pardoned(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers.get(subject)?.pardoned
    }

    /// When the subject's history was last forgotten; `None` if never.
    pub fn forgotten(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers.get(subject)?.forgotten
    }

    /// The other subjects with bans that count that are forgotten together with `subject`, each with the number of
    /// those bans: the lockdown and the pairs of an account, everything inside of a network.
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

    /// The subscription of a person or a room; `None` if they chose none.
    pub fn watch_of(&self, subject: &Subject) -> Option<&Watch> {
        self.watches.get(subject)
    }

    /// All subscriptions.
    pub fn watches(&self) -> impl ExactSizeIterator<Item = (&Subject, &Watch)> {
        self.watches.iter()
    }

    /// The place of the last event that was folded.
    pub fn folded(&self) -> Seq {
        self.folded
    }

    /// The number of known subjects.
    pub fn subjects(&self) -> usize {
        self.dossiers.len()
    }

    /// The version of a subject; `Seq(0)` for an unknown one.
    pub fn version(&self, subject: &Subject) -> Version {
        self.dossiers
            .get(subject)
            .map_or(Seq(0), |dossier| dossier.version)
    }

    /// When the last event that changed a subject was decided; `None` for an unknown subject.
    pub fn changed(&self, subject: &Subject) -> Option<Timestamp> {
        self.dossiers
            .get(subject)
            .filter(|dossier| dossier.version > Seq(0))
            .map(|dossier| dossier.changed)
    }

    /// The recorded ban of exactly this subject. It may have expired if its end is not in the log yet.
    pub fn current(&self, subject: &Subject) -> Option<&Ban> {
        let id = self.dossiers.get(subject)?.current?;
        self.bans.get(&id).map(|ban| &**ban)
    }

    /// The last ban of a subject that ended; `None` if there was none.
    pub fn last(&self, subject: &Subject) -> Option<&Past> {
        self.dossiers.get(subject)?.last.as_ref()
    }

    /// Number of bans of a subject since its history was last forgotten.
    pub fn times_banned(&self, subject: &Subject) -> u32 {
        self.dossiers.get(subject).map_or(0, |dossier| dossier.bans)
    }

    /// The places in the log of the events about a subject, oldest first.
    pub fn trail(&self, subject: &Subject) -> &[Seq] {
        self.dossiers
            .get(subject)
            .map_or(&[], |dossier| &dossier.trail)
    }

    /// The active ban with this number; `None` if it has ended or the number was never assigned.
    pub fn standing(&self, id: BanId) -> Option<&Ban> {
        self.bans.get(&id).map(|ban| &**ban)
    }

    /// The subject of a ban number, active or past; `None` if the number was never assigned.
    pub fn by_number(&self, id: BanId) -> Option<&Subject> {
        self.dossiers.by_number(id)
    }

    /// The active bans, newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values().rev().map(|ban| &**ban)
    }

    /// The active bans with numbers below `id`, newest first: the next page after `id`.
    pub fn older_than(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        self.bans.range(..id).rev().map(|(_, ban)| &**ban)
    }

    /// The changes after a place in the log, for a hook module's copy of the active bans: at most `most` changes, and
    /// at most `room` bytes on the wire. Ends up to `ends_since` are left out, because the copy was begun after them.
    /// The cost does not grow with the number of bans.
    ///
    /// `None`: the copy must be rebuilt, because too many bans have ended since, or too many by one event.
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

    /// The bans that ended last, newest first; at most [`LIFTS`](super::bans::feed::LIFTS) are kept.
    pub fn last_ended(&self) -> impl Iterator<Item = &EndedBan> {
        self.recent.ended()
    }

    /// The active bans with numbers above `id`, oldest first.
    pub fn behind(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        let behind = (Bound::Excluded(id), Bound::Unbounded);
        self.bans.range(behind).map(|(_, ban)| &**ban)
    }

    /// The number of active bans.
    pub fn len(&self) -> usize {
        self.bans.len()
    }

    /// Whether there is no active ban.
    pub fn is_empty(&self) -> bool {
        self.bans.is_empty()
    }

    /// When the next ban expires; `None` if no active ban has an end.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.due.first().map(|(end, _)| *end)
    }

    /// The bans that have expired by `now` but are still recorded as active, at most `most` of them.
    pub fn ended(&self, now: Timestamp, most: usize) -> impl Iterator<Item = &Ban> {
        self.due
            .iter()
            .take_while(move |(end, _)| *end <= now)
            .take(most)
            .filter_map(|(_, id)| self.bans.get(id))
            .map(|ban| &**ban)
    }
}
