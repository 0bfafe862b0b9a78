//! The tracker as bytes: the whole state, or a part with the outcomes since the last save.
//!
//! Both begin with four bytes that name the version; numbers are big-endian. Widths are fixed, unlike in postcard, because
//! nearly everything is a hash, and a variable-length encoding makes hashes longer. The caller's frames detect damage.
//! Whole: `PTW2`, secret (16), base (8), serial (8), number of series (1); for each: key, told apart (1 each),
//! rows (4); for each: key (8), stamps (2), stamps (8 each); then good logins (4); for each: pair (8),
//! home (16), at (8). Part: `PTP2`, secret hashed (8), base (8), traces (4); each 49 bytes.

use std::sync::Arc;

use super::stamps::{FailureStamp, FailureStamps};
use super::table::Row;
use super::{Bounds, HashedAttempt, SUCCESS, Tells, Tracker};
use crate::core::rules::{Key, Rules};
use crate::core::time::Timestamp;

const WHOLE: &[u8; 4] = b"PTW2";
const PART: &[u8; 4] = b"PTP2";
/// How many outcomes are kept for the next part; with more, the next save is a whole.
const JOURNAL: usize = 65_536;
/// When the clock differs from the snapshot's by more than this (8 years), its times are useless.
const FAR: u64 = 1 << 38;

/// Outcomes since the last time the tracker was saved.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    traces: Vec<HashedAttempt>,
    overflowed: bool,
}

impl Journal {
    pub(super) fn push(&mut self, trace: HashedAttempt) {
        if self.traces.len() < JOURNAL {
            self.traces.push(trace);
        } else {
            self.overflowed = true;
        }
    }
}

/// The outcomes to save since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recent {
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
pub struct BadSnapshot(&'static str);

impl Tracker {
    /// The whole state as bytes. Parts saved before it do not belong to it.
    pub fn save(&mut self) -> Vec<u8> {
        self.journal = Journal::default();
        let rows: usize = self.series.iter().map(|series| series.table.len()).sum();
        let mut bytes = Vec::with_capacity(rows * 24 + self.known.table.len() * 32 + 64);
        bytes.extend_from_slice(WHOLE);
        bytes.extend_from_slice(&self.secret.bytes());
        bytes.extend_from_slice(&self.base.to_be_bytes());
        bytes.extend_from_slice(&self.serial.to_be_bytes());
        bytes.push(self.series.len() as u8);
        for series in &self.series {
            bytes.push(series.key as u8);
            bytes.push(series.tells as u8);
            bytes.extend_from_slice(&(series.table.len() as u32).to_be_bytes());
            for (key, stamps) in series.table.rows() {
                bytes.extend_from_slice(&key.to_be_bytes());
                bytes.extend_from_slice(&(stamps.all().len() as u16).to_be_bytes());
                for stamp in stamps.all() {
                    bytes.extend_from_slice(&stamp.to_be_bytes());
                }
            }
        }
        bytes.extend_from_slice(&(self.known.table.len() as u32).to_be_bytes());
        for (pair, seen) in self.known.table.rows() {
            bytes.extend_from_slice(&pair.to_be_bytes());
            bytes.extend_from_slice(&seen.home().to_be_bytes());
            bytes.extend_from_slice(&seen.at.to_be_bytes());
        }
        bytes
    }

    /// The outcomes since the last [`Tracker::save`] or `save_recent`, as bytes. Cheap even for a large tracker.
    pub fn save_recent(&mut self) -> Recent {
        if self.journal.overflowed {
            return Recent::TooMuch;
        }
        let traces = std::mem::take(&mut self.journal.traces);
        if traces.is_empty() {
            return Recent::Nothing;
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
        Recent::Part(bytes)
    }

    /// Reports that the last part could not be stored; the next save is then a whole.
    pub fn not_saved(&mut self) {
        self.journal.overflowed = true;
    }

    /// Restores a whole and the parts after it, in order. Series that no rule needs any more are dropped.
    ///
    /// # Errors
    /// [`BadSnapshot`] when the whole is damaged or of another version. Damaged parts end the
    /// reading; what came before them counts.
    pub fn restore(
        parts: &[Vec<u8>],
        rules: Arc<Rules>,
        bounds: Bounds,
        now: Timestamp,
    ) -> Result<Tracker, BadSnapshot> {
        let (whole, parts) = parts.split_first().ok_or(BadSnapshot("there is nothing"))?;
        let mut from = opened(whole, WHOLE)?;
        let secret: [u8; 16] = from.take()?;
        let base = i64::from_be_bytes(from.take()?);
        let serial = u64::from_be_bytes(from.take()?);
        if base.abs_diff(now.as_millis()) > FAR {
            return Err(BadSnapshot("its clock is years away from this one"));
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
            tracker.known.note(pair, home, at);
        }
        for part in parts {
            if tracker.restore_part(part).is_err() {
                break;
            }
        }
        Ok(tracker)
    }

    fn restore_lane(&mut self, from: &mut Reader<'_>, now: Timestamp) -> Result<(), BadSnapshot> {
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
                series.table.add(key, stamps, |_| false, drop);
                series.table.moved_outside(0, outside);
            }
        }
        Ok(())
    }

    fn restore_part(&mut self, part: &[u8]) -> Result<(), BadSnapshot> {
        let mut from = opened(part, PART)?;
        let ours = (self.secret.token(), self.base);
        let theirs = (
            u64::from_be_bytes(from.take()?),
            i64::from_be_bytes(from.take()?),
        );
        if ours != theirs {
            return Err(BadSnapshot("a part of another whole"));
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

fn opened<'a>(bytes: &'a [u8], magic: &[u8; 4]) -> Result<Reader<'a>, BadSnapshot> {
    let mut from = Reader(bytes);
    match &from.take::<4>()? == magic {
        true => Ok(from),
        false => Err(BadSnapshot("its version is another one")),
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], BadSnapshot> {
        let (taken, rest) = self
            .0
            .split_first_chunk::<N>()
            .ok_or(BadSnapshot("it is too short"))?;
        self.0 = rest;
        Ok(*taken)
    }
}

const _: () = assert!(
    Tells::Networks as u8 == 3 && Key::Pair as u8 == 3,
    "numbers in snapshots"
);
