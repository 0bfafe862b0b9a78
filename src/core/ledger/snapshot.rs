//! The ledger as bytes, written in pieces while it goes on changing. A start restores it instead of replaying the
//! whole log.
//!
//! A snapshot is a sequence of frames: the subjects in order of their places, the ban numbers, and an end frame with
//! the subjects that changed meanwhile and everything that belongs to no single subject. The end frame names the
//! position in the log that the whole snapshot belongs to, and the hash of the log there
//! (docs/adr/0012-ledger-snapshot.md).
//!
//! The log remains authoritative. A snapshot that is damaged, or was made by another version of the program (which
//! may fold differently), is ignored, and the log is folded from its beginning.
//!
//! A frame: kind (1 byte), its number (4, big-endian), content. The content is postcard. In the end frame it follows
//! [`FORMAT`] and the version of the program, and is followed by the hash (32). The store detects damaged frames.

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Ledger;
use super::put_backs::PutBacks;
use super::subjects::{KnownSubject, Subjects};
use crate::core::actor::Actor;
use crate::core::bans::{ActiveBans, Ban, Bans, EndedBans};
use crate::core::event::{Chain, EventId, Seq};
use crate::core::exemptions::Exemptions;
use crate::core::seen::SeenIds;
use crate::core::subject::Subject;
use crate::core::subscriptions::Subscriptions;
use crate::core::undo::UndoLog;

/// To be raised when the bytes change; a test below pins them.
const FORMAT: u32 = 6;
const MADE_BY: &str = env!("CARGO_PKG_VERSION");

const ROWS: u8 = b'R';
const NUMBERS: u8 = b'N';
const END: u8 = b'E';

/// The most rows to allocate in advance. The number in the bytes is not trusted beyond that.
const ROOM: usize = 1 << 20;
/// Ban numbers per subject that a piece could hold: numbers are much smaller than subjects.
const NUMBERS_A_ROW: usize = 64;

/// All that belongs to one subject.
#[derive(Serialize, Deserialize)]
struct SubjectRow<'a> {
    subject: RowSubject<'a>,
    known: Cow<'a, KnownSubject>,
}

/// The subject of a row, and its active ban if there is one. A ban names its subject.
#[derive(Serialize, Deserialize)]
enum RowSubject<'a> {
    Free(Cow<'a, Subject>),
    Banned(Cow<'a, Ban>),
}

/// Everything that belongs to no single subject.
#[derive(Debug, Serialize, Deserialize)]
struct Rest {
    folded: Seq,
    put_backs: PutBacks,
    rows: usize,
    exemptions: Exemptions,
    ended: EndedBans,
    subscriptions: Subscriptions,
    undo: UndoLog,
    seen: VecDeque<EventId>,
}

/// A snapshot in progress. [`Ledger::end_snapshot`] must follow, even after a failure.
#[derive(Debug)]
pub struct Taking {
    /// Subjects in one piece.
    at_once: usize,
    frames: u32,
    rows: usize,
    numbers: usize,
}

/// The end of a snapshot, before the hash of the log is added.
#[derive(Debug)]
pub struct Ending {
    head: [u8; 5],
    rest: Rest,
    numbers: Vec<u32>,
    /// The rows that are in no piece or changed after their piece was written.
    late: Vec<LateRow>,
}

/// A copy of one row, to be written without the lock.
#[derive(Debug)]
struct LateRow {
    place: usize,
    subject: LateSubject,
    known: KnownSubject,
}

/// [`RowSubject`] as a copy; bans are shared.
#[derive(Debug)]
enum LateSubject {
    Free(Subject),
    Banned(Arc<Ban>),
}

/// The bytes are no snapshot of this version of the program. Nothing is lost: the log has everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSnapshot(&'static str);

const SHORT: BadSnapshot = BadSnapshot("it is cut off");
const UNREADABLE: BadSnapshot = BadSnapshot("its content cannot be read");

impl Ledger {
    /// Begins a snapshot in pieces of `at_once` subjects.
    pub fn begin_snapshot(&mut self, at_once: usize) -> Taking {
        self.subjects.note_changes();
        Taking {
            at_once: at_once.max(1),
            frames: 0,
            rows: 0,
            numbers: 0,
        }
    }

    /// The next piece; `None` when only the end frame is left. The ledger may change between pieces.
    pub fn next_piece(&self, taking: &mut Taking) -> Option<Vec<u8>> {
        let mut frame = Vec::new();
        let most = taking.at_once.saturating_mul(NUMBERS_A_ROW);
        let numbers = self.subjects.numbers(taking.numbers, most);
        if taking.rows < self.subjects.len() {
            frame.extend(taking.head(ROWS));
            let upto = self
                .subjects
                .len()
                .min(taking.rows.saturating_add(taking.at_once));
            for place in taking.rows..upto {
                frame = self.write_row(place, frame);
            }
            taking.rows = upto;
        } else if numbers.len() == most {
            frame.extend(taking.head(NUMBERS));
            frame = write(&numbers, frame);
            taking.numbers += numbers.len();
        } else {
            return None;
        }
        Some(frame)
    }

    /// Ends a snapshot: takes what changed since it began. Logins wait meanwhile, so it is only copied here, and
    /// [`Ending::seal`] writes it.
    pub fn end_snapshot(&mut self, mut taking: Taking) -> Ending {
        let changed = self.subjects.changes();
        // Destructured, so that a new field does not compile until it is handled here.
        let Ledger {
            folded,
            put_backs,
            subjects,
            bans,
            exemptions,
            subscriptions,
            undo,
            seen,
        } = &*self;
        // Subjects that are in no piece, then those that changed after their piece was written.
        let late = (taking.rows..subjects.len()).chain(changed.range(..taking.rows).copied());
        let late = late.filter_map(|place| self.copy_row(place)).collect();
        Ending {
            head: taking.head(END),
            rest: Rest {
                folded: *folded,
                put_backs: put_backs.clone(),
                rows: subjects.len(),
                exemptions: exemptions.clone(),
                ended: bans.ended().clone(),
                subscriptions: subscriptions.clone(),
                undo: undo.clone(),
                seen: seen.ids().clone(),
            },
            numbers: subjects.numbers(taking.numbers, usize::MAX).to_vec(),
            late,
        }
    }

    fn write_row(&self, place: usize, frame: Vec<u8>) -> Vec<u8> {
        let Some((subject, known)) = self.subjects.at(place) else {
            return frame;
        };
        let subject = match self.bans.of(subject) {
            Some(ban) => RowSubject::Banned(Cow::Borrowed(ban)),
            None => RowSubject::Free(Cow::Borrowed(subject)),
        };
        write_row(place, subject, known, frame)
    }

    fn copy_row(&self, place: usize) -> Option<LateRow> {
        let (subject, known) = self.subjects.at(place)?;
        Some(LateRow {
            place,
            subject: match self.bans.shared(subject) {
                Some(ban) => LateSubject::Banned(Arc::clone(ban)),
                None => LateSubject::Free(subject.clone()),
            },
            known: known.clone(),
        })
    }

    /// Restores the ledger from all frames of a snapshot, in their order. Also returns the hash that the log must
    /// have at the last folded position.
    ///
    /// # Errors
    /// [`BadSnapshot`] when a frame is missing or damaged, or another version made it.
    pub fn restore(frames: &[Vec<u8>]) -> Result<(Ledger, Chain), BadSnapshot> {
        let mut active = ActiveBans::default();
        let restored = Restored::read(frames, |bans| active.extend(bans.iter().cloned()))?;
        Ok(restored.finish(active))
    }
}

/// A snapshot that was read, without the index of active bans. Building the index takes a third of the time and can
/// be done elsewhere while the frames are read.
pub struct Restored {
    built: Built,
    rest: Rest,
    numbers: Vec<u32>,
    chain: Chain,
}

impl Restored {
    /// Reads all frames of a snapshot, in their order, and passes on the active bans piece by piece.
    ///
    /// # Errors
    /// [`BadSnapshot`] when a frame is missing or damaged, or another version made it.
    pub fn read(
        frames: &[Vec<u8>],
        mut piece_read: impl FnMut(&[Arc<Ban>]),
    ) -> Result<Self, BadSnapshot> {
        let (end, pieces) = frames.split_last().ok_or(SHORT)?;
        let (kind, end) = opened(end, pieces.len())?;
        if kind != END {
            return Err(SHORT);
        }
        let (end, chain) = end.split_last_chunk::<32>().ok_or(SHORT)?;
        let chain = Chain(*chain);
        let ((format, made_by), end) = read::<(u32, &str)>(end)?;
        if (format, made_by) != (FORMAT, MADE_BY) {
            return Err(BadSnapshot("another version of portcullis made it"));
        }
        let (rest, end) = read::<Rest>(end)?;
        let (last_numbers, last_rows) = read::<Vec<u32>>(end)?;
        // Rows that changed after their piece was written, and rows that are in no piece.
        let mut late = rows(last_rows).collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut built = Built::with_room(rest.rows.min(ROOM));
        let mut numbers = Vec::new();
        for (number, piece) in pieces.iter().enumerate() {
            match opened(piece, number)? {
                (ROWS, content) => {
                    let before = built.bans.len();
                    for row in rows(content) {
                        let (place, row) = row?;
                        built.add(place, late.remove(&place).unwrap_or(row))?;
                    }
                    piece_read(&built.bans[before..]);
                }
                (NUMBERS, content) => numbers.extend(read::<Vec<u32>>(content)?.0),
                _ => return Err(UNREADABLE),
            }
        }
        let before = built.bans.len();
        for (place, row) in late {
            built.add(place, row)?;
        }
        piece_read(&built.bans[before..]);
        numbers.extend(last_numbers);
        if built.subjects.len() != rest.rows {
            return Err(BadSnapshot("subjects are missing"));
        }
        if !built.numbers_are_right(&numbers) {
            return Err(BadSnapshot("a ban has the number of another one"));
        }
        Ok(Restored {
            built,
            rest,
            numbers,
            chain,
        })
    }

    /// The ledger with the index of the bans that [`Restored::read`] passed on, and the hash that the log must have
    /// at the last folded position.
    pub fn finish(self, active: ActiveBans) -> (Ledger, Chain) {
        let ledger = self.built.finish(self.rest, self.numbers, active);
        (ledger, self.chain)
    }
}

/// A ledger while its rows are read. Each row is stored in its final place at once, so that a million rows are not
/// moved twice.
struct Built {
    subjects: Subjects,
    bans: Vec<Arc<Ban>>,
    /// The place of the subject of each ban.
    places: Vec<usize>,
    /// The actor of the last undo entry that was read, shared with the next one if it is the same.
    by: Option<Arc<Actor>>,
}

impl Built {
    fn with_room(rows: usize) -> Self {
        Built {
            subjects: Subjects::with_room(rows),
            bans: Vec::with_capacity(rows),
            places: Vec::with_capacity(rows),
            by: None,
        }
    }

    /// Adds the row for the next place.
    fn add(&mut self, place: usize, row: SubjectRow<'static>) -> Result<(), BadSnapshot> {
        if place != self.subjects.len() {
            return Err(BadSnapshot("a subject is missing"));
        }
        let subject = match row.subject {
            RowSubject::Free(subject) => subject.into_owned(),
            RowSubject::Banned(ban) => {
                let ban = Arc::new(ban.into_owned());
                let subject = ban.subject.clone();
                self.bans.push(ban);
                self.places.push(place);
                subject
            }
        };
        let mut known = row.known.into_owned();
        if let Some(entry) = &mut known.last_change {
            match &self.by {
                Some(by) if *by == entry.by => entry.by = Arc::clone(by),
                _ => self.by = Some(Arc::clone(&entry.by)),
            }
        }
        if !self.subjects.push(subject, known) {
            return Err(BadSnapshot("a subject occurs twice"));
        }
        Ok(())
    }

    /// Whether the number of each ban belongs to its subject, so that no number occurs twice.
    fn numbers_are_right(&self, numbers: &[u32]) -> bool {
        let place_of = |ban: &Ban| {
            let at = usize::try_from(ban.id.0.checked_sub(1)?).ok()?;
            Some(*numbers.get(at)? as usize)
        };
        let mut all = self.bans.iter().zip(&self.places);
        all.all(|(ban, place)| place_of(ban) == Some(*place))
    }

    fn finish(self, rest: Rest, numbers: Vec<u32>, active: ActiveBans) -> Ledger {
        let Built {
            mut subjects,
            bans,
            places: _,
            by: _,
        } = self;
        subjects.give_numbers(numbers);
        Ledger {
            folded: rest.folded,
            put_backs: rest.put_backs,
            subjects,
            bans: Bans::restore(bans, active, rest.ended),
            exemptions: rest.exemptions,
            subscriptions: rest.subscriptions,
            undo: rest.undo,
            seen: SeenIds::from(rest.seen),
        }
    }
}

impl Taking {
    fn head(&mut self, kind: u8) -> [u8; 5] {
        let [a, b, c, d] = self.frames.to_be_bytes();
        self.frames = self.frames.saturating_add(1);
        [kind, a, b, c, d]
    }
}

impl Ending {
    /// The position in the log that the snapshot belongs to.
    pub fn folded(&self) -> Seq {
        self.rest.folded
    }

    /// The last frame; `chain` is the hash of the log at [`Ending::folded`].
    pub fn seal(self, chain: Chain) -> Vec<u8> {
        let mut frame = self.head.to_vec();
        frame = write(&(FORMAT, MADE_BY), frame);
        frame = write(&self.rest, frame);
        frame = write(&self.numbers, frame);
        for LateRow {
            place,
            subject,
            known,
        } in &self.late
        {
            let subject = match subject {
                LateSubject::Free(subject) => RowSubject::Free(Cow::Borrowed(subject)),
                LateSubject::Banned(ban) => RowSubject::Banned(Cow::Borrowed(ban)),
            };
            frame = write_row(*place, subject, known, frame);
        }
        frame.extend_from_slice(&chain.0);
        frame
    }
}

fn write_row(
    place: usize,
    subject: RowSubject<'_>,
    known: &KnownSubject,
    frame: Vec<u8>,
) -> Vec<u8> {
    let known = Cow::Borrowed(known);
    write(&(place, SubjectRow { subject, known }), frame)
}

fn write<T: Serialize>(value: &T, frame: Vec<u8>) -> Vec<u8> {
    // postcard fails only for a type that cannot be encoded at all, which every test would show. The frame is then
    // empty and refused when it is read.
    postcard::to_extend(value, frame).unwrap_or_default()
}

fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<(T, &'a [u8]), BadSnapshot> {
    postcard::take_from_bytes(bytes).map_err(|_| UNREADABLE)
}

/// The rows of a piece, each with its place.
fn rows(
    mut content: &[u8],
) -> impl Iterator<Item = Result<(usize, SubjectRow<'static>), BadSnapshot>> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let row = read(content);
        content = row.as_ref().map_or(&[], |(_, behind)| behind);
        Some(row.map(|(row, _)| row))
    })
}

/// The kind and the content of a frame, which must have this number.
fn opened(frame: &[u8], number: usize) -> Result<(u8, &[u8]), BadSnapshot> {
    match frame.split_first_chunk::<5>() {
        Some(([kind, place @ ..], content)) if u32::from_be_bytes(*place) as usize == number => {
            Ok((*kind, content))
        }
        Some(_) => Err(BadSnapshot("a piece is missing")),
        None => Err(SHORT),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::subscriptions::{Topic, Watch};
    use crate::core::{
        BanChange, Change, Event, EventId, ExemptionChange, HistoryChange, Origin, Ruling,
        Timestamp,
    };

    /// A ledger with something in every field.
    fn sample() -> Ledger {
        let mut ledger = Ledger::default();
        let at = Timestamp::from_millis;
        let reason = || String::from("spam");
        let until = Some(at(90_000));
        let by_rule = Change::Ban(BanChange::ImposedByRule {
            reason: reason(),
            until: at(70_000),
            ordinal: 3,
        });
        let allowed = Change::Exemption(ExemptionChange::Granted {
            comment: String::from("office"),
            until,
        });
        let imposed = || {
            Change::Ban(BanChange::Imposed {
                reason: reason(),
                until,
            })
        };
        let changed = Change::Ban(BanChange::Amended {
            reason: String::from("ads"),
            until: None,
        });
        let lifted = Change::Ban(BanChange::Lifted { reason: reason() });
        let watched = Change::Subscribed {
            watch: Some(Watch::of([Topic::Bans])),
        };
        let story = [
            ("a@example.org", imposed()),
            ("a@example.org", changed),
            ("b@example.org", imposed()),
            ("b@example.org", lifted),
            ("192.0.2.7", by_rule.clone()),
            ("c@example.org from 198.51.100.1", by_rule),
            ("192.0.2.0/24", allowed),
            ("c@example.org", Change::History(HistoryChange::Forgotten)),
            ("c@example.org", watched),
        ];
        for (seq, (subject, change)) in (1..).zip(story) {
            let subject = Subject::parse(subject).unwrap();
            let based_on = ledger.version(&subject);
            let event = Event::decided(
                EventId([0; 16]),
                at(1_000),
                Actor {
                    occupant: Some(Box::from("room@example.org/nick")),
                    door: crate::core::EntryPoint::Chat,
                    ..Actor::rules()
                },
                subject,
                based_on,
                change,
            )
            .with_origin(Origin::Automatic {
                rule: String::from("x"),
            });
            ledger.fold(Seq(seq), &event);
        }
        ledger
    }

    fn frames(ledger: &mut Ledger) -> Vec<Vec<u8>> {
        let mut taking = ledger.begin_snapshot(2);
        let mut frames = Vec::new();
        while let Some(piece) = ledger.next_piece(&mut taking) {
            frames.push(piece);
        }
        frames.push(ledger.end_snapshot(taking).seal(Chain([7; 32])));
        frames
    }

    #[test]
    fn the_bytes_stay_as_they_are() {
        let frames = frames(&mut sample());
        let (end, pieces) = frames.split_last().unwrap();
        let made_by = postcard::to_stdvec(&(FORMAT, MADE_BY)).unwrap();
        let content = [&pieces.concat(), &end[5 + made_by.len()..]].concat();
        assert_eq!(
            (FORMAT, crc32c::crc32c(&content)),
            (6, 3_029_236_882),
            "the ledger holds something else now: raise FORMAT by one and put the new pair here"
        );
    }

    #[test]
    fn nothing_damaged_missing_or_made_by_another_version_is_taken_for_a_snapshot() {
        let mut ledger = sample();
        let whole = frames(&mut ledger);
        assert_eq!(Ledger::restore(&whole), Ok((ledger, Chain([7; 32]))));
        for (at, frame) in whole.iter().enumerate() {
            let mut less = whole.clone();
            less.remove(at);
            assert!(Ledger::restore(&less).is_err(), "without frame {at}");
            for byte in 0..frame.len() {
                let mut bad = whole.clone();
                // The store detects changed bytes; here they only must not cause a panic.
                bad[at][byte] ^= 1;
                let _ = Ledger::restore(&bad);
                bad[at].truncate(byte);
                assert!(Ledger::restore(&bad).is_err(), "frame {at} cut at {byte}");
            }
        }
        assert_eq!(Ledger::restore(&[]), Err(SHORT));
        let mut other = whole.clone();
        other.last_mut().unwrap()[5] += 1;
        let why = Ledger::restore(&other).unwrap_err();
        assert_eq!(why, BadSnapshot("another version of portcullis made it"));
    }

    #[test]
    fn a_snapshot_with_one_subject_twice_is_refused() {
        let mut ledger = banned_by(&["m@example.org/x"], 2, |_| "a@example.org".into());
        let whole = frames(&mut ledger);
        let (subject, known) = ledger.subjects.at(0).unwrap();
        let mut twice = whole.clone();
        let row = RowSubject::Free(Cow::Borrowed(subject));
        twice[0] = write_row(1, row, known, twice[0].clone());
        let why = Ledger::restore(&twice).unwrap_err();
        assert_eq!(why, BadSnapshot("a subject occurs twice"));
    }

    #[test]
    fn a_kick_that_is_offered_again_after_a_snapshot_is_applied_once() {
        let mut ledger = Ledger::default();
        let subject = Subject::parse("a@example.org").unwrap();
        let reason = String::new();
        let change = Change::History(HistoryChange::Kicked { reason });
        let (id, at) = (EventId([1; 16]), Timestamp::from_millis(0));
        let kick = Event::decided(id, at, Actor::rules(), subject, Seq(0), change);
        assert_ne!(ledger.fold(Seq(1), &kick).0, Ruling::Stale);
        let (mut restored, _) = Ledger::restore(&frames(&mut ledger)).unwrap();
        assert_eq!(restored.fold(Seq(2), &kick).0, Ruling::Stale);
    }

    /// A ledger in which these authors ban `bans` subjects in turn.
    fn banned_by(authors: &[&str], bans: usize, ban: impl Fn(usize) -> String) -> Ledger {
        let mut ledger = Ledger::default();
        for (place, seq) in (0..bans).zip(1..) {
            let subject = Subject::parse(&ban(place)).unwrap();
            let author = authors[place % authors.len()];
            let event = Event::decided(
                EventId([0; 16]),
                Timestamp::from_millis(1_000),
                Actor::person(
                    author,
                    crate::core::Role::Admin,
                    crate::core::EntryPoint::Chat,
                ),
                subject.clone(),
                ledger.version(&subject),
                match ledger.bans().of(&subject) {
                    None => Change::Ban(BanChange::Imposed {
                        reason: String::new(),
                        until: None,
                    }),
                    Some(_) => Change::Ban(BanChange::Lifted {
                        reason: String::new(),
                    }),
                },
            );
            ledger.fold(Seq(seq), &event);
        }
        ledger
    }

    #[test]
    fn more_ban_numbers_than_a_piece_holds_come_back() {
        let bans = 4 * 2 * NUMBERS_A_ROW + 7;
        let mut ledger = banned_by(&["m@example.org/x"], bans, |_| "a@example.org".into());
        let frames = frames(&mut ledger);
        let pieces = frames.iter().filter(|frame| frame[0] == NUMBERS);
        assert!(pieces.count() >= 2);
        let (restored, _) = Ledger::restore(&frames).unwrap();
        assert_eq!(restored, ledger);
    }

    #[test]
    fn only_undo_entries_of_one_author_share_the_author_after_a_snapshot() {
        let subject = |place| format!("u{place}@example.org");
        let authors = ["m@example.org/x", "m@example.org/x", "n@example.org/x"];
        let mut ledger = banned_by(&authors, 6, subject);
        let (restored, _) = Ledger::restore(&frames(&mut ledger)).unwrap();
        assert_eq!(restored, ledger);
        let by = |place: usize| {
            let (_, known) = restored.subjects.at(place).unwrap();
            Arc::clone(&known.last_change.as_ref().unwrap().by)
        };
        assert!(Arc::ptr_eq(&by(0), &by(1)));
        assert_eq!(by(2).name, "n@example.org/x");
    }
}
