//! The tracker as bytes: the whole state, or a part with the outcomes since the last save.
//!
//! Both begin with four bytes that name the version; numbers are big-endian. Widths are fixed, unlike in postcard,
//! because nearly everything is a hash, and a variable-length encoding makes hashes longer. The caller's frames
//! detect damage. Whole: `PTW3`, secret (16), base (8), serial (8), number of series (1); for each: key, told apart
//! (1 each), rows (4); for each: key (8), stamps (2), stamps (8 each); then successful logins (4); for each: pair
//! (8), home (16), at (8), account (8). `PTW2` lacks that account. Part: `PTP2`, secret hashed (8), base (8), traces
//! (4); each 49 bytes.

use std::sync::Arc;

use super::known::LastLogin;
use super::stamps::{FailureStamp, FailureStamps};
use super::table::TableRow;
use super::{Bounds, HashedAttempt, SUCCESS, Tells, Tracker};
use crate::core::rules::{RuleKey, Rules};
use crate::core::time::Timestamp;

const WHOLE: &[u8; 4] = b"PTW3";
const WHOLE_2: &[u8; 4] = b"PTW2";
const PART: &[u8; 4] = b"PTP2";
/// How many outcomes are kept for the next part; with more, the next save is a whole.
const JOURNAL: usize = 65_536;
/// When the clock differs from the snapshot's by more than this (8 years), its times are useless.
const FAR: u64 = 1 << 38;

/// Outcomes since the last time the tracker was saved.
#[derive(Debug, Clone, Default)]
pub(super) struct OutcomeLog {
    traces: Vec<HashedAttempt>,
    overflowed: bool,
}

impl OutcomeLog {
    pub(super) fn push(&mut self, trace: HashedAttempt) {
        if self.traces.len() < JOURNAL {
            self.traces.push(trace);
        } else {
            self.overflowed = true;
        }
    }
}

/// A snapshot of the whole state that is written in pieces while the tracker goes on counting.
///
/// Each table is written from its last row to its first. When a row is evicted, the last row takes its place, so that
/// one may be written twice. No row is left out, and of two copies the first one read counts.
#[derive(Debug)]
pub struct CountersInPieces {
    bytes: Vec<u8>,
    series: Vec<(RuleKey, Tells)>,
    /// Index of the table being written: the series first, then the successful logins.
    at: usize,
    /// Rows of the table that are still to be written; `None`: the table has not been begun.
    left: Option<usize>,
    /// Offset of the table's row count in `bytes`.
    count_at: usize,
    /// The row count so far.
    count: u32,
}

impl CountersInPieces {
    /// Appends the rows of a piece from [`Tracker::next_piece`].
    pub fn add(&mut self, rows: &[u8]) {
        self.bytes.extend_from_slice(rows);
        let count = self.count.to_be_bytes();
        self.bytes[self.count_at..self.count_at + 4].copy_from_slice(&count);
    }

    /// The bytes of the complete snapshot.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn rows<R>(
        &mut self,
        bytes: &mut Vec<u8>,
        rows: &[(u64, R)],
        most: usize,
        write: impl Fn(&R, &mut Vec<u8>),
    ) {
        let left = match self.left {
            // Rows may have been removed since the last piece.
            Some(left) => left.min(rows.len()),
            None => {
                self.count_at = self.bytes.len() + bytes.len();
                self.count = 0;
                bytes.extend_from_slice(&[0; 4]);
                rows.len()
            }
        };
        let from = left.saturating_sub(most);
        bytes.reserve((left - from) * 40);
        for (key, row) in rows[from..left].iter().rev() {
            bytes.extend_from_slice(&key.to_be_bytes());
            write(row, bytes);
        }
        self.count += (left - from) as u32;
        self.left = Some(from);
        if from == 0 {
            (self.left, self.at) = (None, self.at + 1);
        }
    }
}

/// The outcomes to save since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsavedOutcomes {
    /// Nothing.
    Nothing,
    /// A part, to be kept after the last whole and its parts.
    Part(Vec<u8>),
    /// More than a part holds: save the whole.
    TooMuch,
}

/// Bytes that are no snapshot. Counters and known logins start empty then; bans are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the saved counters are damaged or from another version: {0}")]
pub struct BadCounters(&'static str);

impl Tracker {
    /// The whole state as bytes. Parts saved before it do not belong to it.
    pub fn save(&mut self) -> Vec<u8> {
        let mut whole = self.begin_whole();
        while let Some(rows) = self.next_piece(&mut whole, usize::MAX) {
            whole.add(&rows);
        }
        whole.finish()
    }

    /// Begins a snapshot of the whole state in pieces, so that logins can be counted between them. Parts saved before
    /// it do not belong to it; outcomes from now on go into the part after it.
    ///
    /// A row is written as it is when its piece is taken. An outcome between two pieces is in the next part and may
    /// be in a later piece too. So after a restart such a failure may count twice, but none is lost.
    pub fn begin_whole(&mut self) -> CountersInPieces {
        self.journal = OutcomeLog::default();
        let mut bytes = Vec::new();
        bytes.extend_from_slice(WHOLE);
        bytes.extend_from_slice(&self.secret.bytes());
        bytes.extend_from_slice(&self.base.to_be_bytes());
        bytes.extend_from_slice(&self.serial.to_be_bytes());
        bytes.push(self.series.len() as u8);
        CountersInPieces {
            bytes,
            series: self
                .series
                .iter()
                .map(|series| (series.key, series.tells))
                .collect(),
            at: 0,
            left: None,
            count_at: 0,
            count: 0,
        }
    }

    /// The next rows of a whole, at most `most`, to be passed to [`CountersInPieces::add`]; `None`: it is complete.
    pub fn next_piece(&self, whole: &mut CountersInPieces, most: usize) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(&(key, tells)) = whole.series.get(whole.at) {
            if whole.left.is_none() {
                bytes.extend_from_slice(&[key as u8, tells as u8]);
            }
            let same = |series: &&super::Series| (series.key, series.tells) == (key, tells);
            // A change of the rules may have removed the series; it is then cut off here.
            let rows = self
                .series
                .iter()
                .find(same)
                .map(|series| series.table.rows());
            whole.rows(
                &mut bytes,
                rows.unwrap_or_default(),
                most,
                |stamps, bytes| {
                    bytes.extend_from_slice(&(stamps.all().len() as u16).to_be_bytes());
                    for stamp in stamps.all() {
                        bytes.extend_from_slice(&stamp.to_be_bytes());
                    }
                },
            );
        } else if whole.at == whole.series.len() {
            let rows = self.known.table.rows();
            whole.rows(&mut bytes, rows, most, |seen, bytes| {
                bytes.extend_from_slice(&seen.home().to_be_bytes());
                bytes.extend_from_slice(&seen.at.to_be_bytes());
                bytes.extend_from_slice(&seen.account.to_be_bytes());
            });
        } else {
            return None;
        }
        Some(bytes)
    }

    /// The outcomes since the last [`Tracker::save`] or `save_recent`, as bytes. Cheap even for a large tracker.
    pub fn save_recent(&mut self) -> UnsavedOutcomes {
        if self.journal.overflowed {
            return UnsavedOutcomes::TooMuch;
        }
        let traces = std::mem::take(&mut self.journal.traces);
        if traces.is_empty() {
            return UnsavedOutcomes::Nothing;
        }
        let mut bytes = Vec::with_capacity(traces.len() * 49 + 32);
        bytes.extend_from_slice(PART);
        bytes.extend_from_slice(&self.secret.token().to_be_bytes());
        bytes.extend_from_slice(&self.base.to_be_bytes());
        bytes.extend_from_slice(&(traces.len() as u32).to_be_bytes());
        for trace in &traces {
            bytes.extend_from_slice(&trace.account.to_be_bytes());
            bytes.extend_from_slice(&trace.source.to_be_bytes());
            let third = if trace.flags & SUCCESS == 0 {
                0
            } else {
                trace.home
            };
            bytes.extend_from_slice(&trace.network.to_be_bytes());
            bytes.extend_from_slice(&third.to_be_bytes());
            bytes.extend_from_slice(&trace.at.to_be_bytes());
            bytes.push(trace.flags);
        }
        UnsavedOutcomes::Part(bytes)
    }

    /// Reports that the last part could not be stored; the next save is then a whole.
    pub fn not_saved(&mut self) {
        self.journal.overflowed = true;
    }

    /// Restores a whole and the parts after it, in order. Series that no rule needs any more are dropped.
    ///
    /// # Errors
    /// [`BadCounters`] when the whole is damaged or of another version. Damaged parts end the
    /// reading; what came before them counts.
    pub fn restore(
        parts: &[Vec<u8>],
        rules: Arc<Rules>,
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Tracker, BadCounters> {
        let (whole, parts) = parts.split_first().ok_or(BadCounters("there is nothing"))?;
        let (mut from, has_accounts) = match opened(whole, WHOLE) {
            Ok(from) => (from, true),
            Err(_) => (opened(whole, WHOLE_2)?, false),
        };
        let secret: [u8; 16] = from.take()?;
        let base = i64::from_be_bytes(from.take()?);
        let serial = u64::from_be_bytes(from.take()?);
        if base.abs_diff(now.as_millis()) > FAR {
            return Err(BadCounters("its clock is years away from this one"));
        }
        let mut tracker = Tracker::new(rules, bounds, secret, Timestamp::from_millis(base));
        tracker.base = base;
        tracker.serial = serial;
        for _ in 0..u8::from_be_bytes(from.take()?) {
            tracker.restore_lane(&mut from, now)?;
        }
        for _ in 0..u32::from_be_bytes(from.take()?) {
            let pair = u64::from_be_bytes(from.take()?);
            let home = u128::from_be_bytes(from.take()?);
            let at = u64::from_be_bytes(from.take()?);
            let account = match has_accounts {
                true => u64::from_be_bytes(from.take()?),
                false => 0,
            };
            tracker
                .known
                .restore(pair, LastLogin::new(account, home, at));
        }
        for part in parts {
            if tracker.restore_part(part).is_err() {
                break;
            }
        }
        Ok(tracker)
    }

    fn restore_lane(&mut self, from: &mut Reader<'_>, now: Timestamp) -> Result<(), BadCounters> {
        let [key, tells] = from.take()?;
        let same =
            |series: &&mut super::Series| series.key as u8 == key && series.tells as u8 == tells;
        let latest = self.millis(now);
        let mut series = self.series.iter_mut().find(same);
        for _ in 0..u32::from_be_bytes(from.take()?) {
            let key = u64::from_be_bytes(from.take()?);
            let mut stamps = FailureStamps::default();
            let cap = series.as_ref().map_or(1, |series| series.cap);
            for _ in 0..u16::from_be_bytes(from.take()?) {
                stamps.add(FailureStamp(u64::from_be_bytes(from.take()?)), cap);
            }
            let Some(series) = &mut series else { continue };
            stamps.no_later_than(latest);
            let is_over = stamps.newest() < latest.saturating_sub(series.span).max(1);
            if !is_over && series.table.get(key).is_none() {
                let outside = stamps.outside();
                series.table.add(key, stamps, |_| false, |_, _| {});
                series.table.moved_outside(0, outside);
            }
        }
        Ok(())
    }

    fn restore_part(&mut self, part: &[u8]) -> Result<(), BadCounters> {
        let mut from = opened(part, PART)?;
        let ours = (self.secret.token(), self.base);
        let theirs = (
            u64::from_be_bytes(from.take()?),
            i64::from_be_bytes(from.take()?),
        );
        if ours != theirs {
            return Err(BadCounters("a part of another whole"));
        }
        for _ in 0..u32::from_be_bytes(from.take()?) {
            let account = u64::from_be_bytes(from.take()?);
            let source = u64::from_be_bytes(from.take()?);
            let trace = HashedAttempt {
                account,
                source,
                pair: self.secret.pair(account, source),
                network: u64::from_be_bytes(from.take()?),
                home: u128::from_be_bytes(from.take()?),
                at: u64::from_be_bytes(from.take()?),
                flags: u8::from_be_bytes(from.take()?),
            };
            self.take(trace);
        }
        Ok(())
    }
}

fn opened<'a>(bytes: &'a [u8], magic: &[u8; 4]) -> Result<Reader<'a>, BadCounters> {
    let mut from = Reader(bytes);
    match &from.take::<4>()? == magic {
        true => Ok(from),
        false => Err(BadCounters("its version is another one")),
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadCounters> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(BadCounters("it is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }
}

const _: () = assert!(
    Tells::Networks as u8 == 3 && RuleKey::Pair as u8 == 3,
    "numbers in snapshots"
);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Subject;
    use crate::core::tracker::LoginOrigin;

    /// Pins the stored bytes. If this fails, the format changed and needs another version.
    #[test]
    fn the_stored_bytes_stay_as_they_are() {
        let rules = Arc::new(Rules {
            table: Vec::new(),
            ..Rules::default()
        });
        let now = Timestamp::from_millis(1_795_320_000_000);
        let bounds = Bounds::default();
        let mut tracker = Tracker::new(Arc::clone(&rules), bounds, [7; 16], now);
        let alice = Subject::parse("alice@example.org").unwrap();
        let home = "2001:db8:0:1::7".parse().unwrap();
        let who = LoginOrigin::at(&rules.reach, alice.account(), Some(home));
        let trace = tracker.hash_attempt(&who, now, now);
        tracker.succeed(trace);
        let UnsavedOutcomes::Part(part) = tracker.save_recent() else {
            panic!("an outcome was not saved");
        };
        let whole = tracker.save();
        assert_eq!(hex::encode(&whole), WHOLE_BYTES);
        assert_eq!(hex::encode(&part), PART_BYTES);
        for saved in [
            vec![whole],
            vec![
                Tracker::new(rules.clone(), bounds, [7; 16], now).save(),
                part,
            ],
        ] {
            let again = Tracker::restore(&saved, Arc::clone(&rules), bounds, now).unwrap();
            assert!(again.knows(alice.account().unwrap(), home, now));
        }
    }

    const WHOLE_BYTES: &str = "5054573307070707070707070707070707070707000001a201692e00000000000000000000000000019ddea8215e0e74b820010db80000000100000000000000000000008000000000a8c153953f8df4de";
    const PART_BYTES: &str = "50545032c6d9aaaff9baf058000001a201692e0000000001a8c153953f8df4de9463d7d03c53b20ce3948f0ca386382520010db8000000010000000000000000000000800000000028";
}
