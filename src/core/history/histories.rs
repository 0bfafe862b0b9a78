//! The history of every subject, and the subject of every ban number.
//!
//! Subjects are never removed, because their history and ban numbers stay valid. A subject keeps its place (an index,
//! in order of first mention), so that a snapshot can be written in pieces.

use std::collections::BTreeSet;
use std::time::Duration;

use foldhash::quality::RandomState;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::core::bans::ban::{BanId, Past};
use crate::core::event::{Seq, Version};
use crate::core::history::undo::UndoEntry;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

/// The history of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct SubjectHistory {
    pub(in crate::core) version: Version,
    /// Time of the last event that changed the subject.
    pub(in crate::core) changed: Timestamp,
    pub(in crate::core) bans: u32,
    pub(in crate::core) current: Option<BanId>,
    pub(in crate::core) last: Option<Past>,
    pub(in crate::core) trail: Vec<Seq>,
    /// Number of bans that count, after memory and decay of the rule that decided last.
    pub(in crate::core) counted: u32,
    pub(in crate::core) length: Option<Duration>,
    pub(in crate::core) clean: Option<Timestamp>,
    /// When it was last un-banned by a person.
    pub(in crate::core) pardoned: Option<Timestamp>,
    /// When its history was last forgotten.
    pub(in crate::core) forgotten: Option<Timestamp>,
    /// The undo entry of the last change a person made, until it is dropped.
    pub(in crate::core) deed: Option<Box<UndoEntry>>,
}

impl SubjectHistory {
    /// The part that an undo restores: everything but the trail and the undo entry.
    pub(in crate::core) fn to_restore(&self) -> SubjectHistory {
        SubjectHistory {
            trail: Vec::new(),
            deed: None,
            last: self.last.clone(),
            ..*self
        }
    }
}

/// The histories of all subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::core) struct Histories {
    all: IndexMap<Subject, SubjectHistory, RandomState>,
    /// The place of the subject of every ban, by ban number; index 0 is ban #1.
    numbers: Vec<u32>,
    /// The places that may have changed since the current snapshot began; `None` outside of a snapshot.
    noted: Option<Vec<u32>>,
}

impl Histories {
    pub(in crate::core) fn get(&self, subject: &Subject) -> Option<&SubjectHistory> {
        self.all.get(subject)
    }

    pub(in crate::core) fn get_mut(&mut self, subject: &Subject) -> Option<&mut SubjectHistory> {
        let place = self.all.get_index_of(subject)?;
        Some(self.changing(place))
    }

    /// The history of a subject, created if there is none.
    pub(in crate::core) fn of(&mut self, subject: &Subject) -> &mut SubjectHistory {
        let place = self.place(subject);
        self.changing(place)
    }

    /// All changes go through here, so that a running snapshot can note them.
    fn changing(&mut self, place: usize) -> &mut SubjectHistory {
        if let Some(noted) = &mut self.noted {
            noted.push(number_of(place));
        }
        &mut self.all[place]
    }

    fn place(&mut self, subject: &Subject) -> usize {
        match self.all.get_index_of(subject) {
            Some(place) => place,
            None => {
                let fresh = SubjectHistory::default();
                self.all.insert_full(subject.clone(), fresh).0
            }
        }
    }

    /// Stores an undo entry with its subject in place of the earlier one, and returns the place.
    pub(in crate::core) fn keep_deed(&mut self, deed: UndoEntry) -> u32 {
        let place = self.place(&deed.subject);
        self.changing(place).deed = Some(Box::new(deed));
        number_of(place)
    }

    /// Removes and returns the undo entry at a place if it is the one for `seq`.
    pub(in crate::core) fn drop_deed(&mut self, place: u32, seq: Seq) -> Option<Box<UndoEntry>> {
        let (_, dossier) = self.at(place as usize)?;
        let is_it = dossier.deed.as_ref().is_some_and(|deed| deed.seq == seq);
        is_it.then(|| self.changing(place as usize).deed.take())?
    }

    /// Assigns the next ban number to a ban of this subject.
    pub(in crate::core) fn next_number(&mut self, subject: &Subject) -> BanId {
        let place = self.place(subject);
        self.numbers.push(number_of(place));
        BanId(self.numbers.len() as u64)
    }

    /// The subject of a ban number; `None` for a number that was never assigned.
    pub(in crate::core) fn by_number(&self, id: BanId) -> Option<&Subject> {
        let at = usize::try_from(id.0.checked_sub(1)?).ok()?;
        let place = *self.numbers.get(at)?;
        self.all
            .get_index(place as usize)
            .map(|(subject, _)| subject)
    }

    pub(in crate::core) fn iter(&self) -> impl Iterator<Item = (&Subject, &SubjectHistory)> {
        self.all.iter()
    }

    pub(in crate::core) fn len(&self) -> usize {
        self.all.len()
    }

    /// The subject and history at a place; `None` from [`Histories::len`] on.
    pub(in crate::core) fn at(&self, place: usize) -> Option<(&Subject, &SubjectHistory)> {
        self.all.get_index(place)
    }

    /// The subjects' places for at most `most` ban numbers, from index `from` on.
    pub(in crate::core) fn numbers(&self, from: usize, most: usize) -> &[u32] {
        let behind = self.numbers.get(from..).unwrap_or_default();
        &behind[..behind.len().min(most)]
    }

    /// Starts noting the places that may change.
    pub(in crate::core) fn note_changes(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// The places noted since [`Histories::note_changes`], each once; stops noting.
    pub(in crate::core) fn changes(&mut self) -> BTreeSet<usize> {
        let noted = self.noted.take().unwrap_or_default();
        noted.into_iter().map(|place| place as usize).collect()
    }
    /// Empty, with capacity for `rows` subjects to be restored with [`Histories::push`].
    pub(in crate::core) fn with_room(rows: usize) -> Self {
        Histories {
            all: IndexMap::with_capacity_and_hasher(rows, RandomState::default()),
            ..Histories::default()
        }
    }

    /// Adds the subject of the next place.
    pub(in crate::core) fn push(&mut self, subject: Subject, dossier: SubjectHistory) {
        self.all.insert(subject, dossier);
    }

    /// Sets the subjects' places by ban number.
    pub(in crate::core) fn give_numbers(&mut self, numbers: Vec<u32>) {
        self.numbers = numbers;
    }
}

fn number_of(place: usize) -> u32 {
    // More than 4 billion subjects do not fit into memory.
    u32::try_from(place).unwrap_or(u32::MAX)
}
