//! What is known of each subject, and whom each number names.
//!
//! Nobody is ever taken out: the history counts, and so do the numbers. Subjects keep the place
//! they got when they were first heard of, so that all of them can be gone through in pieces.

use std::collections::BTreeSet;
use std::time::Duration;

use foldhash::quality::RandomState;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::event::{Seq, Version};
use super::record::{BanId, Past};
use super::subject::Subject;
use super::time::Timestamp;
use super::undo::Deed;

/// All we know of one subject.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dossier {
    pub(super) version: Version,
    /// When it changed last, by the event's own time.
    pub(super) changed: Timestamp,
    pub(super) bans: u32,
    pub(super) current: Option<BanId>,
    pub(super) last: Option<Past>,
    pub(super) trail: Vec<Seq>,
    /// The bans that count, after memory and decay of the rule that decided last.
    pub(super) counted: u32,
    pub(super) length: Option<Duration>,
    pub(super) clean: Option<Timestamp>,
    /// When it was un-banned by hand.
    pub(super) pardoned: Option<Timestamp>,
    /// When its history was last forgotten.
    pub(super) forgotten: Option<Timestamp>,
    /// What somebody did to it last, while it is one of those that can be taken back.
    pub(super) deed: Option<Box<Deed>>,
}

impl Dossier {
    /// What an undo brings back: all but what only grows.
    pub(super) fn to_restore(&self) -> Dossier {
        Dossier {
            trail: Vec::new(),
            deed: None,
            last: self.last.clone(),
            ..*self
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dossiers {
    all: IndexMap<Subject, Dossier, RandomState>,
    /// The place of the subject of each ban there ever was, by number: #1 comes first.
    numbers: Vec<u32>,
    /// The places that may have changed, while a snapshot is being taken.
    noted: Option<Vec<u32>>,
}

impl Dossiers {
    pub(super) fn get(&self, subject: &Subject) -> Option<&Dossier> {
        self.all.get(subject)
    }

    pub(super) fn get_mut(&mut self, subject: &Subject) -> Option<&mut Dossier> {
        let place = self.all.get_index_of(subject)?;
        Some(self.changing(place))
    }

    /// The dossier of a subject, begun if there is none.
    pub(super) fn of(&mut self, subject: &Subject) -> &mut Dossier {
        let place = self.place(subject);
        self.changing(place)
    }

    /// The only way to change one.
    fn changing(&mut self, place: usize) -> &mut Dossier {
        if let Some(noted) = &mut self.noted {
            noted.push(number_of(place));
        }
        &mut self.all[place]
    }

    fn place(&mut self, subject: &Subject) -> usize {
        match self.all.get_index_of(subject) {
            Some(place) => place,
            None => {
                let fresh = Dossier::default();
                self.all.insert_full(subject.clone(), fresh).0
            }
        }
    }

    /// Keeps a deed with the subject it is about, in place of the one before; tells at which place.
    pub(super) fn keep_deed(&mut self, deed: Deed) -> u32 {
        let place = self.place(&deed.subject);
        self.changing(place).deed = Some(Box::new(deed));
        number_of(place)
    }

    /// Drops the deed at a place, if it is the one of this place in the log.
    pub(super) fn drop_deed(&mut self, place: u32, seq: Seq) -> Option<Box<Deed>> {
        let (_, dossier) = self.at(place as usize)?;
        let is_it = dossier.deed.as_ref().is_some_and(|deed| deed.seq == seq);
        is_it.then(|| self.changing(place as usize).deed.take())?
    }

    /// Gives out the next number, for a ban of this subject.
    pub(super) fn next_number(&mut self, subject: &Subject) -> BanId {
        let place = self.place(subject);
        self.numbers.push(number_of(place));
        BanId(self.numbers.len() as u64)
    }

    /// Whom a number names.
    pub(super) fn by_number(&self, id: BanId) -> Option<&Subject> {
        let at = usize::try_from(id.0.checked_sub(1)?).ok()?;
        let place = *self.numbers.get(at)?;
        self.all
            .get_index(place as usize)
            .map(|(subject, _)| subject)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Subject, &Dossier)> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The one at a place; those of 0 to [`Dossiers::len`] are all there are.
    pub(super) fn at(&self, place: usize) -> Option<(&Subject, &Dossier)> {
        self.all.get_index(place)
    }

    /// Numbers from a place on, at most so many.
    pub(super) fn numbers(&self, from: usize, most: usize) -> &[u32] {
        let behind = self.numbers.get(from..).unwrap_or_default();
        &behind[..behind.len().min(most)]
    }

    /// From now on places are noted when they may change.
    pub(super) fn note_changes(&mut self) {
        self.noted = Some(Vec::new());
    }

    /// The places noted, each once; no more are.
    pub(super) fn changes(&mut self) -> BTreeSet<usize> {
        let noted = self.noted.take().unwrap_or_default();
        noted.into_iter().map(|place| place as usize).collect()
    }
    /// Room for so many, which come back from a snapshot with [`Dossiers::push`].
    pub(super) fn with_room(rows: usize) -> Self {
        Dossiers {
            all: IndexMap::with_capacity_and_hasher(rows, RandomState::default()),
            ..Dossiers::default()
        }
    }

    /// The dossier of the next place.
    pub(super) fn push(&mut self, subject: Subject, dossier: Dossier) {
        self.all.insert(subject, dossier);
    }

    /// Whom each number names, by place.
    pub(super) fn give_numbers(&mut self, numbers: Vec<u32>) {
        self.numbers = numbers;
    }
}

fn number_of(place: usize) -> u32 {
    // 4 billion subjects fit in no memory.
    u32::try_from(place).unwrap_or(u32::MAX)
}
