//! All known subjects, and the subject of every ban number.
//!
//! Subjects are never removed, because their histories and ban numbers stay valid. A subject keeps its place (an index,
//! in order of first mention), so that a snapshot can be written in pieces.

use std::collections::BTreeSet;

use foldhash::quality::RandomState;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::core::bans::BanId;
use crate::core::event::{Seq, Version};
use crate::core::history::{History, UNKNOWN};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;
use crate::core::undo::UndoEntry;

/// The most ban numbers that are ever left out; each takes 4 bytes of memory for good.
pub const LEFT_OUT: u64 = 1_000_000;
/// The place of the subject of a number that was left out.
const NO_PLACE: u32 = u32::MAX;

/// What belongs to one subject, except for its ban and its exemption.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::core) struct KnownSubject {
    version: Version,
    /// Time of the last event that changed the subject.
    changed: Timestamp,
    /// The positions in the log of the events about it, oldest first.
    trail: Vec<Seq>,
    history: History,
    /// The undo entry of the last change a person made, until it is dropped.
    pub(super) last_change: Option<Box<UndoEntry>>,
}

/// All known subjects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subjects {
    all: IndexMap<Subject, KnownSubject, RandomState>,
    /// The place of the subject of every ban, by ban number; index 0 is ban #1.
    numbers: Vec<u32>,
    /// The places that may have changed since the current snapshot began; `None` outside of a snapshot.
    noted: Option<Vec<u32>>,
}

impl Subjects {
    /// The number of known subjects.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no subject is known.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The version of a subject; `Seq(0)` for an unknown one.
    pub fn version(&self, subject: &Subject) -> Version {
        self.all.get(subject).map_or(Seq(0), |known| known.version)
    }

    /// When the last event that changed a subject was decided; `None` if none did.
    pub fn changed(&self, subject: &Subject) -> Option<Timestamp> {
        let known = self.all.get(subject)?;
        (known.version > Seq(0)).then_some(known.changed)
    }

    /// The positions in the log of the events about a subject, oldest first.
    pub fn trail(&self, subject: &Subject) -> &[Seq] {
        self.all.get(subject).map_or(&[], |known| &known.trail)
    }

    /// The history of a subject; an empty one for an unknown subject.
    pub fn history(&self, subject: &Subject) -> &History {
        self.all
            .get(subject)
            .map_or(UNKNOWN, |known| &known.history)
    }

    /// The subject of a ban number, active or past; `None` if the number was never assigned.
    pub fn by_number(&self, id: BanId) -> Option<&Subject> {
        let at = usize::try_from(id.0.checked_sub(1)?).ok()?;
        let (subject, _) = self.at(*self.numbers.get(at)? as usize)?;
        Some(subject)
    }

    /// The other subjects with bans that count that are forgotten together with `subject`, each with the number of
    /// those bans: the lockdown and the pairs of an account, everything inside of a network.
    pub fn forgotten_with<'a>(
        &'a self,
        subject: &'a Subject,
    ) -> impl Iterator<Item = (&'a Subject, u32)> {
        let all = self
            .all
            .iter()
            .map(|(it, known)| (it, known.history.counted));
        all.filter(move |(other, bans)| *bans > 0 && *other != subject && subject.holds(other))
    }

    /// The undo entry of the last change a person made to a subject, even if something else changed it since.
    pub(in crate::core) fn last_change(&self, subject: &Subject) -> Option<&UndoEntry> {
        self.all.get(subject)?.last_change.as_deref()
    }

    pub(in crate::core) fn history_mut(&mut self, subject: &Subject) -> &mut History {
        &mut self.changing(subject).history
    }

    /// Records that an event changed a subject.
    pub(in crate::core) fn touch(&mut self, subject: &Subject, seq: Seq, at: Timestamp) {
        let known = self.changing(subject);
        known.version = seq;
        known.changed = at;
        known.trail.push(seq);
    }

    /// Records an event about a subject that does not change it.
    pub(in crate::core) fn record(&mut self, subject: &Subject, seq: Seq) {
        self.changing(subject).trail.push(seq);
    }

    /// Assigns the next ban number to a ban of this subject.
    pub(in crate::core) fn next_number(&mut self, subject: &Subject) -> BanId {
        let place = self.place(subject);
        self.numbers.push(number_of(place));
        BanId(self.numbers.len() as u64)
    }

    /// The number of the next ban.
    pub fn next_ban(&self) -> BanId {
        BanId(self.numbers.len() as u64 + 1)
    }

    /// Whether ban numbers may go on at `next`: further on, and with at most [`LEFT_OUT`] left out in all, since a module or a
    /// file may claim any number again and again.
    pub fn may_go_on_at(&self, next: BanId) -> bool {
        let ahead = next.0.checked_sub(self.next_ban().0);
        ahead.is_some_and(|ahead| 0 < ahead && ahead <= self.may_be_left_out())
    }

    /// How many more ban numbers may be left out.
    pub fn may_be_left_out(&self) -> u64 {
        let left_out = self.numbers.iter().filter(|place| **place == NO_PLACE);
        LEFT_OUT.saturating_sub(left_out.count() as u64)
    }

    /// Leaves out the numbers below `next`: they belong to no subject here.
    pub(in crate::core) fn go_on_at(&mut self, next: BanId) {
        while self.next_ban() < next {
            self.numbers.push(NO_PLACE);
        }
    }

    /// Stores an undo entry with its subject in place of the earlier one, and returns the place of the subject.
    pub(in crate::core) fn keep_change(&mut self, entry: UndoEntry) -> u32 {
        let place = self.place(&entry.subject);
        self.changing_at(place).last_change = Some(Box::new(entry));
        number_of(place)
    }

    /// The undo entry at a place if it is the one for the event `seq`.
    pub(in crate::core) fn change_at(&self, place: u32, seq: Seq) -> Option<&UndoEntry> {
        let (_, known) = self.at(place as usize)?;
        known
            .last_change
            .as_deref()
            .filter(|entry| entry.seq == seq)
    }

    /// Removes and returns the undo entry at a place if it is the one for the event `seq`.
    pub(in crate::core) fn drop_change(&mut self, place: u32, seq: Seq) -> Option<Box<UndoEntry>> {
        self.change_at(place, seq)?;
        self.changing_at(place as usize).last_change.take()
    }

    fn changing(&mut self, subject: &Subject) -> &mut KnownSubject {
        let place = self.place(subject);
        self.changing_at(place)
    }

    /// All changes go through here, so that a running snapshot can note them.
    fn changing_at(&mut self, place: usize) -> &mut KnownSubject {
        if let Some(noted) = &mut self.noted {
            noted.push(number_of(place));
        }
        &mut self.all[place]
    }

    /// The place of a subject, which is added if it is unknown.
    fn place(&mut self, subject: &Subject) -> usize {
        match self.all.get_index_of(subject) {
            Some(place) => place,
            None => {
                let fresh = KnownSubject::default();
                self.all.insert_full(subject.clone(), fresh).0
            }
        }
    }
}

/// For snapshots.
impl Subjects {
    /// The subject at a place; `None` from [`Subjects::len`] on.
    pub(super) fn at(&self, place: usize) -> Option<(&Subject, &KnownSubject)> {
        self.all.get_index(place)
    }

    /// The subjects' places for at most `most` ban numbers, from index `from` on.
    pub(super) fn numbers(&self, from: usize, most: usize) -> &[u32] {
        let behind = self.numbers.get(from..).unwrap_or_default();
        &behind[..behind.len().min(most)]
    }

    /// Starts noting the places that may change.
    pub(super) fn note_changes(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// The places noted since [`Subjects::note_changes`], each once; stops noting.
    pub(super) fn changes(&mut self) -> BTreeSet<usize> {
        let noted = self.noted.take().unwrap_or_default();
        noted.into_iter().map(|place| place as usize).collect()
    }

    /// Empty, with capacity for `rows` subjects to be restored with [`Subjects::push`].
    pub(super) fn with_room(rows: usize) -> Self {
        Subjects {
            all: IndexMap::with_capacity_and_hasher(rows, RandomState::default()),
            ..Subjects::default()
        }
    }

    /// Adds the subject of the next place, or returns false if it has a place already.
    #[must_use]
    pub(super) fn push(&mut self, subject: Subject, known: KnownSubject) -> bool {
        self.all.insert(subject, known).is_none()
    }

    /// Sets the subjects' places by ban number.
    pub(super) fn give_numbers(&mut self, numbers: Vec<u32>) {
        self.numbers = numbers;
    }
}

fn number_of(place: usize) -> u32 {
    // More than 4 billion subjects do not fit into memory.
    u32::try_from(place).unwrap_or(u32::MAX)
}
