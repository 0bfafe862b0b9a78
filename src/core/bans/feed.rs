//! Changes since a position in the log, for hook modules that hold a copy of the active bans.
//!
//! Every active ban is indexed by the event that set its present terms, however old. Of ended bans only the last
//! [`LIFTS`] are kept; a copy that missed more must be rebuilt.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::core::actor::Actor;
use crate::core::bans::ban::{Ban, BanId};
use crate::core::event::{Event, Seq};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// How many ended bans are kept. Part of the fold: with different numbers, instances would disagree.
pub const LIFTS: usize = 20_000;

/// One change of the active bans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// The ban is active, with these terms.
    Stands(Ban),
    /// The ban of the subject has ended.
    Ended(Subject),
}

/// A page of changes, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The changes.
    pub list: Vec<Changed>,
    /// The position in the log up to which the list is complete.
    pub upto: Seq,
    /// Whether there are more changes after that position.
    pub more: bool,
}

/// A ban that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBan {
    /// The position in the log of the event that ended it.
    pub seq: Seq,
    /// The ban as it was at its end.
    pub ban: Ban,
    /// When it ended.
    pub ended: Timestamp,
    /// The actor who ended it; `None`: its term was over.
    #[serde(with = "whole_or_none")]
    pub by: Option<Actor>,
}

impl EndedBan {
    /// A ban ended by an event. If its term was over before, it ended by itself, whoever caused the event.
    pub(in crate::core) fn of(ban: Ban, seq: Seq, event: &Event) -> Self {
        let over = ban.until.filter(|end| *end <= event.at);
        EndedBan {
            seq,
            ended: over.unwrap_or(event.at),
            by: over.is_none().then(|| event.actor.clone()),
            ban,
        }
    }
}

/// Serialises an optional actor together with its occupant.
mod whole_or_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::core::actor::{Actor, whole};

    #[derive(Serialize, Deserialize)]
    struct WholeRecent(#[serde(with = "whole")] Actor);

    pub(in crate::core) fn serialize<S: Serializer>(
        by: &Option<Actor>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        by.clone().map(WholeRecent).serialize(to)
    }

    pub(in crate::core) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Actor>, D::Error> {
        Ok(Option::<WholeRecent>::deserialize(from)?.map(|WholeRecent(actor)| actor))
    }
}

/// The bans that ended last, at most [`LIFTS`]. Each is shared, so that a snapshot can take the list without copying
/// the bans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct EndedBans {
    /// Oldest end first.
    #[serde(with = "shared")]
    list: VecDeque<Arc<EndedBan>>,
    /// Bans that ended up to this position are no longer in the list.
    dropped: Seq,
}

/// Serialises a list of shared bans.
mod shared {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use serde::{Deserialize, Deserializer, Serializer};

    use super::EndedBan;

    pub(super) fn serialize<S: Serializer>(
        list: &VecDeque<Arc<EndedBan>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_seq(list.iter().map(AsRef::as_ref))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<VecDeque<Arc<EndedBan>>, D::Error> {
        let list = Vec::<EndedBan>::deserialize(from)?;
        Ok(list.into_iter().map(Arc::new).collect())
    }
}

/// The active bans by version, and the bans that ended last.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::core) struct RecentChanges {
    standing: BTreeMap<Seq, BanId>,
    ends: EndedBans,
}

impl RecentChanges {
    pub(in crate::core) fn enter(&mut self, ban: &Ban) {
        // One event can end an expired ban and begin this one; then only the new ban is a change.
        let replaced =
            |end: &Arc<EndedBan>| end.seq == ban.version && end.ban.subject == ban.subject;
        if self.ends.list.back().is_some_and(replaced) {
            self.ends.list.pop_back();
        }
        self.standing.insert(ban.version, ban.id);
    }

    pub(in crate::core) fn leave(&mut self, ban: &Ban) {
        self.standing.remove(&ban.version);
    }

    /// The part that a snapshot keeps. The active bans are stored elsewhere.
    pub(in crate::core) fn ends(&self) -> &EndedBans {
        &self.ends
    }

    /// Restores [`RecentChanges::ends`], with the versions of the active bans.
    pub(in crate::core) fn restore(
        ends: EndedBans,
        standing: impl Iterator<Item = (Seq, BanId)>,
    ) -> Self {
        RecentChanges {
            standing: standing.collect(),
            ends,
        }
    }

    pub(in crate::core) fn end(&mut self, ended: EndedBan) {
        if self.ends.list.len() >= LIFTS
            && let Some(oldest) = self.ends.list.pop_front()
        {
            self.ends.dropped = oldest.seq;
        }
        self.ends.list.push_back(Arc::new(ended));
    }

    /// Removes a ban from the ended ones after an undo restored it. The change that is undone, at `ended_at`, had ended
    /// it, unless it was active all the time.
    pub(in crate::core) fn stands_again(&mut self, id: BanId, ended_at: Seq) {
        // Undoing a mass un-ban comes here for each ban, so the list, which is in order, is not searched as a whole.
        let first = self.ends.list.partition_point(|end| end.seq < ended_at);
        let same_event = self.ends.list.range(first..);
        let mut same_event = same_event.take_while(|end| end.seq == ended_at);
        if let Some(at) = same_event.position(|end| end.ban.id == id) {
            self.ends.list.remove(first + at);
        }
    }

    /// The ended bans, newest first.
    pub(in crate::core) fn ended(&self) -> impl Iterator<Item = &EndedBan> {
        self.ends.list.iter().rev().map(AsRef::as_ref)
    }

    /// See [`Bans::changes`](super::Bans::changes).
    pub(in crate::core) fn after<'a>(
        &self,
        since: Seq,
        ends_since: Seq,
        most: usize,
        room: usize,
        head: Seq,
        ban: impl Fn(BanId) -> Option<&'a Ban>,
    ) -> Option<Changes> {
        let ends_since = ends_since.max(since);
        if ends_since < self.ends.dropped {
            return None;
        }
        let mut stands = self
            .standing
            .range((Bound::Excluded(since), Bound::Unbounded))
            .peekable();
        let first = self.ends.list.partition_point(|end| end.seq <= ends_since);
        let mut ends = self.ends.list.range(first..).peekable();
        let mut page = Changes::default();
        let mut used = 0;
        loop {
            let next_stands = stands.peek().map(|(seq, _)| **seq);
            let next_ends = ends.peek().map(|end| end.seq);
            let Some(seq) = next_stands.into_iter().chain(next_ends).min() else {
                page.upto = head;
                return Some(page);
            };
            // All changes of one event go onto the same page, because a page ends at a position in the log.
            let mut group = Vec::new();
            while group.len() <= most
                && let Some(end) = ends.next_if(|end| end.seq == seq)
            {
                group.push(Changed::Ended(end.ban.subject.clone()));
            }
            if let Some((_, id)) = stands.next_if(|(at, _)| **at == seq) {
                group.extend(ban(*id).cloned().map(Changed::Stands));
            }
            used += group.iter().map(weight).sum::<usize>();
            let is_first = page.list.is_empty();
            // The first event goes onto the page however much it weighs: a page without any would never get past it.
            if page.list.len() + group.len() > most || (used > room && !is_first) {
                page.more = true;
                return (!is_first).then_some(page);
            }
            page.list.extend(group);
            page.upto = seq;
        }
    }
}

/// The most bytes that a change can take on the wire, with every character of a text escaped.
fn weight(changed: &Changed) -> usize {
    const FRAME: usize = 250;
    match changed {
        Changed::Ended(subject) => FRAME + subject.to_string().len(),
        Changed::Stands(ban) => FRAME + ban.subject.to_string().len() + 6 * ban.reason.len(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ban(number: usize) -> Ban {
        Ban {
            id: BanId(number as u64 + 1),
            subject: Subject::parse(&format!("a{number}@example.org")).unwrap(),
            reason: String::new(),
            by: crate::core::Actor::clock(),
            origin: crate::core::Origin::Manual,
            since: crate::core::Timestamp::from_millis(0),
            until: None,
            ordinal: 1,
            insisted: false,
            version: Seq(1),
        }
    }

    fn ended(seq: Seq, number: usize) -> EndedBan {
        EndedBan {
            seq,
            ban: ban(number),
            ended: Timestamp::from_millis(1),
            by: None,
        }
    }

    #[test]
    fn who_missed_more_ends_than_are_remembered_begins_anew() {
        let mut recent = RecentChanges::default();
        for number in 0..=LIFTS {
            recent.end(ended(Seq(number as u64 + 1), number));
        }
        let after = |since, begun| recent.after(since, begun, 10, 1 << 20, Seq(30_000), |_| None);
        assert_eq!(after(Seq(0), Seq(0)), None);
        assert_eq!(after(Seq(1), Seq(1)).unwrap().list.len(), 10);
        let begun = after(Seq(0), Seq(30_000)).unwrap();
        assert_eq!((begun.more, begun.upto), (false, Seq(30_000)));
    }

    #[test]
    fn what_one_event_ended_is_told_together_or_not_at_all() {
        let mut recent = RecentChanges::default();
        recent.end(ended(Seq(1), 0));
        for number in 0..11 {
            recent.end(ended(Seq(2), number));
        }
        let after = |since, most| recent.after(since, since, most, 1 << 20, Seq(2), |_| None);
        let first = after(Seq(0), 11).unwrap();
        assert_eq!(
            (first.list.len(), first.upto, first.more),
            (1, Seq(1), true)
        );
        assert_eq!(after(Seq(1), 11).unwrap().list.len(), 11);
        assert_eq!(after(Seq(1), 10), None);
    }

    #[test]
    fn a_ban_heavier_than_a_page_is_a_page_of_its_own() {
        let mut recent = RecentChanges::default();
        let bans: Vec<Ban> = (1..=3)
            .map(|number| Ban {
                version: Seq(number as u64),
                reason: "x".repeat(if number == 2 { 30_000 } else { 4 }),
                ..ban(number)
            })
            .collect();
        bans.iter().for_each(|ban| recent.enter(ban));
        let find = |id| bans.iter().find(|ban| ban.id == id);
        let mut since = Seq(0);
        for number in 1..=3_u64 {
            let page = recent.after(since, Seq(3), 10, 600, Seq(3), find).unwrap();
            since = page.upto;
            assert_eq!((page.list.len(), since), (1, Seq(number)));
            assert_eq!(page.more, number < 3);
        }
    }

    /// Ends of bans by position in the log and number, oldest first.
    fn ends_at(list: &[(u64, usize)]) -> RecentChanges {
        let mut recent = RecentChanges::default();
        for (seq, number) in list {
            recent.end(ended(Seq(*seq), *number));
        }
        recent
    }

    fn left(recent: &RecentChanges) -> Vec<(u64, u64)> {
        let newest_first: Vec<_> = recent
            .ended()
            .map(|end| (end.seq.0, end.ban.id.0))
            .collect();
        newest_first.into_iter().rev().collect()
    }

    #[test]
    fn a_restored_ban_is_found_among_those_that_the_same_event_ended() {
        let all = [(3, 0), (5, 1), (5, 2), (5, 3), (7, 4)];
        for (seq, number) in all {
            let mut recent = ends_at(&all);
            recent.stands_again(BanId(number as u64 + 1), Seq(seq));
            let others = all.iter().filter(|one| **one != (seq, number));
            let others: Vec<_> = others.map(|(seq, n)| (*seq, *n as u64 + 1)).collect();
            assert_eq!(left(&recent), others, "{seq} {number}");
        }
    }

    #[test]
    fn only_the_end_by_the_event_that_is_undone_is_removed() {
        // The ban of number 1 was lifted twice; the first un-ban was undone, and another order restored it again.
        let all = [(2, 1), (4, 0), (6, 1), (8, 2)];
        let mut recent = ends_at(&all);
        recent.stands_again(BanId(2), Seq(6));
        assert_eq!(left(&recent), [(2, 2), (4, 1), (8, 3)]);
        // Active all the time: its terms were changed at 4 or 5, and neither ended it.
        for seq in [0, 4, 5, 9] {
            recent.stands_again(BanId(2), Seq(seq));
            assert_eq!(left(&recent).len(), 3, "{seq}");
        }
        RecentChanges::default().stands_again(BanId(2), Seq(6));
    }

    #[test]
    fn a_page_has_a_bound_in_bytes() {
        let mut recent = RecentChanges::default();
        for number in 0..30 {
            recent.end(ended(Seq(number + 1), 0));
        }
        let page = recent
            .after(Seq(0), Seq(0), 100, 20 * 264, Seq(30), |_| None)
            .unwrap();
        assert!(page.more && page.list.len() == 20, "{page:?}");
        let mut recent = RecentChanges::default();
        recent.end(ended(Seq(1), 1));
        let mut stands = ban(0);
        stands.reason = "x".repeat(100);
        stands.version = Seq(2);
        recent.enter(&stands);
        let fits = |room| {
            let page = recent.after(Seq(0), Seq(0), 9, room, Seq(2), |_| Some(&stands));
            page.unwrap().list.len()
        };
        assert_eq!(fits(2 * 264 + 600), 2);
        assert_eq!(fits(2 * 264 + 599), 1, "every byte may be escaped in six");
    }

    fn told(recent: &RecentChanges, bans: &[&Ban]) -> Vec<String> {
        let ban = |id| bans.iter().find(|ban| ban.id == id).copied();
        let page = recent.after(Seq(0), Seq(0), 10, 1 << 20, Seq(9), ban);
        let list = page.unwrap().list;
        let tell = |changed: &Changed| match changed {
            Changed::Ended(subject) => format!("-{subject}"),
            Changed::Stands(ban) => format!("+{}", ban.subject),
        };
        list.iter().map(tell).collect()
    }

    #[test]
    fn a_ban_that_takes_the_place_of_an_expired_one_is_the_only_change() {
        let one = ban(1);
        let cases = [
            (Seq(1), 1, vec!["+a1@example.org"]),
            (Seq(1), 2, vec!["-a2@example.org", "+a1@example.org"]),
        ];
        for (seq, number, changes) in cases {
            let mut recent = RecentChanges::default();
            recent.end(ended(seq, number));
            recent.enter(&one);
            assert_eq!(told(&recent, &[&one]), changes);
        }
        let mut later = ban(1);
        later.version = Seq(2);
        let mut recent = RecentChanges::default();
        recent.end(ended(Seq(1), 1));
        recent.enter(&later);
        assert_eq!(
            told(&recent, &[&later]),
            ["-a1@example.org", "+a1@example.org"]
        );
    }

    #[test]
    fn a_ban_that_an_undo_restores_has_not_ended() {
        let mut recent = RecentChanges::default();
        for (seq, number) in [(1, 0), (2, 1), (2, 2), (3, 3)] {
            recent.end(ended(Seq(seq), number));
        }
        let mut left = |number, seq| {
            recent.stands_again(ban(number).id, Seq(seq));
            told(&recent, &[]).concat().replace("@example.org", "")
        };
        assert_eq!(left(3, 2), "-a0-a1-a2-a3", "not ended there");
        assert_eq!(left(2, 2), "-a0-a1-a3");
        assert_eq!(left(0, 1), "-a1-a3");
        assert_eq!(left(3, 3), "-a1");
    }
}
