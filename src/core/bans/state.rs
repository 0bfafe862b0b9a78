//! The bans that the log leads to: the active ones, and those that ended last.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

use super::active::{ActiveBan, ActiveBans};
use super::ban::{Ban, BanId};
use super::feed::{Changes, EndedBan, EndedBans, RecentChanges};
use crate::core::event::Seq;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// All active bans, and the ones that ended last. A ban stays active here until its end is in the log, even if its term
/// is over.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bans {
    by_number: BTreeMap<BanId, Arc<Ban>>,
    /// The same bans, indexed for login checks.
    index: ActiveBans,
    /// Those that have an end, ordered by it.
    due: BTreeSet<(Timestamp, BanId)>,
    recent: RecentChanges,
}

impl Bans {
    /// The active ban of exactly this subject; `None` if there is none.
    pub fn of(&self, subject: &Subject) -> Option<&Ban> {
        self.shared(subject).map(|ban| &**ban)
    }

    /// The active ban with this number; `None` if it has ended or the number was never assigned.
    pub fn get(&self, id: BanId) -> Option<&Ban> {
        self.by_number.get(&id).map(|ban| &**ban)
    }

    /// The active ban that covers an address and whose term is not over; of several, the one that ends last.
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Option<&Ban> {
        let found = self.index.covering(address.to_canonical(), now)?;
        Some(&found.ban)
    }

    /// The active bans, newest first.
    pub fn newest_first(&self) -> impl DoubleEndedIterator<Item = &Ban> {
        self.by_number.values().rev().map(|ban| &**ban)
    }

    /// The active bans with numbers below `id`, newest first.
    pub fn older_than(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        self.by_number.range(..id).rev().map(|(_, ban)| &**ban)
    }

    /// The active bans with numbers above `id`, oldest first.
    pub fn newer_than(&self, id: BanId) -> impl Iterator<Item = &Ban> {
        let newer = (Bound::Excluded(id), Bound::Unbounded);
        self.by_number.range(newer).map(|(_, ban)| &**ban)
    }

    /// The number of active bans.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Whether there is no active ban.
    pub fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// When the next ban expires; `None` if no active ban has an end.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.due.first().map(|(end, _)| *end)
    }

    /// The active bans whose term is over, earliest end first.
    pub fn expired(&self, now: Timestamp) -> impl Iterator<Item = &Ban> {
        let over = self.due.iter().take_while(move |(end, _)| *end <= now);
        over.filter_map(|(_, id)| self.get(*id))
    }

    /// The bans that ended last, newest end first; at most [`LIFTS`](super::LIFTS) are kept.
    pub fn last_ended(&self) -> impl Iterator<Item = &EndedBan> {
        self.recent.ended()
    }

    /// The changes after the position `since` in the log, for a hook module's copy of the active bans: at most `most`
    /// changes, and at most `room` bytes on the wire. `head` is the last position that was folded. Ends up to
    /// `ends_since` are left out, because the copy was begun after them. The cost does not grow with the number of
    /// bans.
    ///
    /// `None`: the copy must be rebuilt, because too many bans have ended since, or too many by one event.
    pub fn changes(
        &self,
        since: Seq,
        ends_since: Seq,
        most: usize,
        room: usize,
        head: Seq,
    ) -> Option<Changes> {
        let ban = |id| self.get(id);
        self.recent.after(since, ends_since, most, room, head, ban)
    }

    pub(in crate::core) fn index(&self) -> &ActiveBans {
        &self.index
    }

    /// As [`Bans::of`], to be kept without a copy.
    pub(in crate::core) fn shared(&self, subject: &Subject) -> Option<&Arc<Ban>> {
        self.index.of(subject).map(|found| &found.ban)
    }

    /// Adds an active ban. Its subject has none.
    pub(in crate::core) fn insert(&mut self, ban: Arc<Ban>) {
        self.recent.enter(&ban);
        self.index.insert(ActiveBan::new(Arc::clone(&ban)));
        if let Some(end) = ban.until {
            self.due.insert((end, ban.id));
        }
        self.by_number.insert(ban.id, ban);
    }

    /// Removes the active ban of a subject.
    pub(in crate::core) fn remove(&mut self, subject: &Subject) -> Option<Arc<Ban>> {
        let id = self.of(subject)?.id;
        let ban = self.by_number.remove(&id)?;
        self.index.remove(subject);
        self.recent.leave(&ban);
        if let Some(end) = ban.until {
            self.due.remove(&(end, id));
        }
        Some(ban)
    }

    /// Keeps a ban that was removed among those that ended last.
    pub(in crate::core) fn keep_ended(&mut self, ended: EndedBan) {
        self.recent.end(ended);
    }

    /// Removes a ban from those that ended last, because an undo restored it. See [`RecentChanges::stands_again`].
    pub(in crate::core) fn stands_again(&mut self, id: BanId, ended_at: Seq) {
        self.recent.stands_again(id, ended_at);
    }

    /// The part that is stored in a snapshot apart from the subjects' rows.
    pub(in crate::core) fn ended(&self) -> &EndedBans {
        self.recent.ends()
    }

    /// From a snapshot: the active bans with their index, and [`Bans::ended`].
    pub(in crate::core) fn restore(
        bans: Vec<Arc<Ban>>,
        index: ActiveBans,
        ended: EndedBans,
    ) -> Bans {
        let due = bans.iter().filter_map(|ban| Some((ban.until?, ban.id)));
        let versions = bans.iter().map(|ban| (ban.version, ban.id));
        Bans {
            due: due.collect(),
            recent: RecentChanges::restore(ended, versions),
            by_number: bans.into_iter().map(|ban| (ban.id, ban)).collect(),
            index,
        }
    }
}
