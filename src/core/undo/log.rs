//! Which undo entries are kept.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::entry::{UndoEntry, UndoKind};
use crate::core::actor::EntryPoint;
use crate::core::event::{CommandId, Event, Seq};
use crate::core::ledger::Subjects;

/// How many undo entries are kept; the oldest are dropped first. An entry takes about 200 bytes, plus the ban that it
/// ended, which stays in memory with it.
pub const UNDO_ENTRIES: usize = 250_000;

/// Whether an event needs an undo entry: only changes by people do, not those by rules, the clock or the server.
pub fn is_one(event: &Event) -> bool {
    matches!(
        event.actor.door,
        EntryPoint::AdHoc | EntryPoint::Chat | EntryPoint::Room | EntryPoint::Terminal
    ) && UndoKind::of(&event.change).is_some()
}

/// The order of the last [`UNDO_ENTRIES`] undo entries. Each entry is stored with its subject, which keeps only its
/// last one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct UndoLog {
    /// Position of the change in the log and place of the subject among the subjects, oldest first.
    order: VecDeque<(Seq, u32)>,
    /// The command of the last entry that was dropped. Earlier entries of the same command may be gone too.
    dropped: Option<CommandId>,
}

impl UndoLog {
    /// Stores an entry with its subject.
    pub(in crate::core) fn keep(&mut self, mut entry: UndoEntry, subjects: &mut Subjects) {
        if self.order.len() >= UNDO_ENTRIES
            && let Some((seq, place)) = self.order.pop_front()
            && let Some(oldest) = subjects.drop_change(place, seq)
        {
            self.dropped = oldest.command.or(self.dropped);
        }
        // All entries of one command have the same actor, so they share one copy.
        if let Some(last) = self.up_to(Seq(u64::MAX), subjects).next()
            && last.by == entry.by
        {
            entry.by = Arc::clone(&last.by);
        }
        let seq = entry.seq;
        let place = subjects.keep_change(entry);
        self.order.push_back((seq, place));
    }

    /// The entries up to a position in the log, newest first.
    pub(in crate::core) fn up_to<'a>(
        &'a self,
        upto: Seq,
        subjects: &'a Subjects,
    ) -> impl Iterator<Item = &'a UndoEntry> {
        let end = self.order.partition_point(|(seq, _)| *seq <= upto);
        let entries = self.order.range(..end).rev();
        entries.filter_map(|(seq, place)| subjects.change_at(*place, *seq))
    }

    /// Whether some entries of a command were dropped.
    pub(in crate::core) fn is_partly_dropped(&self, command: CommandId) -> bool {
        self.dropped == Some(command)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{Actor, Change, EventId, HistoryChange, Ledger, Role, Subject, Timestamp};

    #[test]
    fn the_oldest_are_dropped_and_the_command_they_were_part_of_is_known() {
        let mut ledger = Ledger::default();
        let mut annotate = |subject: &Subject, command, seq| {
            let event = Event::decided(
                EventId([0; 16]),
                Timestamp::from_millis(0),
                Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
                subject.clone(),
                ledger.version(subject),
                Change::History(HistoryChange::Annotated { replaces: false }),
            )
            .by_command(Some(CommandId(command)));
            ledger.fold(Seq(seq), &event);
        };
        let whom = |text| Subject::parse(text).unwrap();
        let (a, b, c) = (whom("a@x.org"), whom("b@x.org"), whom("c@x.org"));
        annotate(&a, 1, 1);
        annotate(&b, 1, 2);
        let upto = UNDO_ENTRIES as u64 + 1;
        (3..=upto).for_each(|seq| annotate(&c, seq, seq));
        let undo = ledger.undo();
        assert!(undo.of(&a).is_none() && undo.of(&b).is_some());
        assert!(undo.is_partly_dropped(CommandId(1)) && !undo.is_partly_dropped(CommandId(3)));
        let kept: Vec<Seq> = undo.up_to(Seq(upto)).map(|entry| entry.seq).collect();
        assert_eq!(kept, [Seq(upto), Seq(2)]);
    }

    #[test]
    fn only_changes_by_people_can_be_undone() {
        let event = |door, change| {
            Event::decided(
                EventId([0; 16]),
                Timestamp::from_millis(0),
                Actor::person("admin@example.org/x", Role::Admin, door),
                Subject::parse("a@x.org").unwrap(),
                Seq(0),
                change,
            )
        };
        let forgotten = || Change::History(HistoryChange::Forgotten);
        for door in [
            EntryPoint::AdHoc,
            EntryPoint::Chat,
            EntryPoint::Room,
            EntryPoint::Terminal,
        ] {
            assert!(is_one(&event(door, forgotten())), "{door}");
        }
        for door in [EntryPoint::Clock, EntryPoint::Server, EntryPoint::Hook] {
            assert!(!is_one(&event(door, forgotten())), "{door}");
        }
        let kicked = Change::History(HistoryChange::Kicked {
            reason: String::new(),
        });
        assert!(!is_one(&event(EntryPoint::Chat, kicked)));
    }
}
