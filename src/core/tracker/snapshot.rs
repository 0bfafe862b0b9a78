//! The tracker as bytes: whole, or what it took in since the last time.
//!
//! Both begin with a magic that names the version; numbers are big-endian. Fixed widths, not postcard: nearly all of it are
//! hashes, of which a variable length would make more bytes. Whoever keeps the bytes sees that they stay as they are.
//! Whole: `PTW2`, secret (16), base (8), serial (8), number of lanes (1); for each: key, told apart (1 each),
//! rows (4); for each: key (8), marks (2), marks (8 each); then good logins (4); for each: pair (8),
//! home (16), at (8). Part: `PTP2`, secret hashed (8), base (8), traces (4); each 49 bytes.

use std::sync::Arc;

use super::marks::{Mark, Marks};
use super::table::Row;
use super::{Bounds, SUCCESS, Tells, Trace, Tracker};
use crate::core::rules::{Key, Rules};
use crate::core::time::Timestamp;

const WHOLE: &[u8; 4] = b"PTW2";
const PART: &[u8; 4] = b"PTP2";
/// How many outcomes are kept for the next part; more make the next one a whole.
const JOURNAL: usize = 65_536;
/// A clock that is this far off the one of the snapshot (8 years) makes its times useless.
const FAR: u64 = 1 << 38;

/// Outcomes since the last time the tracker was saved.
#[derive(Debug, Clone, Default)]
pub(super) struct Journal {
    traces: Vec<Trace>,
    overflowed: bool,
}

impl Journal {
    pub(super) fn push(&mut self, trace: Trace) {
        if self.traces.len() < JOURNAL {
            self.traces.push(trace);
        } else {
            self.overflowed = true;
        }
    }
}

/// What is there to save since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recent {
    /// Nothing.
    Nothing,
    /// These bytes, to be kept behind the last whole and its parts.
    Part(Vec<u8>),
    /// More than a part holds: save the whole.
    TooMuch,
}

/// Bytes that are no snapshot. What they held is lost: counters and good logins start anew; bans
/// are not among them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the saved counters are damaged or from another version: {0}")]
pub struct BadSnapshot(&'static str);

impl Tracker {
    /// Everything, as bytes. Parts from before belong to it no more.
    pub fn save(&mut self) -> Vec<u8> {
        self.journal = Journal::default();
        let rows: usize = self.lanes.iter().map(|lane| lane.table.len()).sum();
        let mut bytes = Vec::with_capacity(rows * 24 + self.known.table.len() * 32 + 64);
        bytes.extend_from_slice(WHOLE);
        bytes.extend_from_slice(&self.secret.bytes());
        bytes.extend_from_slice(&self.base.to_be_bytes());
        bytes.extend_from_slice(&self.serial.to_be_bytes());
        bytes.push(self.lanes.len() as u8);
        for lane in &self.lanes {
            bytes.push(lane.key as u8);
            bytes.push(lane.tells as u8);
            bytes.extend_from_slice(&(lane.table.len() as u32).to_be_bytes());
            for (key, marks) in lane.table.rows() {
                bytes.extend_from_slice(&key.to_be_bytes());
                bytes.extend_from_slice(&(marks.all().len() as u16).to_be_bytes());
                for mark in marks.all() {
                    bytes.extend_from_slice(&mark.to_be_bytes());
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

    /// What came in since the last [`Tracker::save`] or `save_recent`, as bytes. Cheap, also when
    /// the tracker is large.
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

    /// What was given out by `save_recent` could not be kept: the next save is a whole one.
    pub fn not_saved(&mut self) {
        self.journal.overflowed = true;
    }

    /// Back from a whole and the parts that followed it, in their order. Lanes no rule needs any
    /// more are left out.
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
        let same = |lane: &&mut super::Lane| lane.key as u8 == key && lane.tells as u8 == tells;
        let latest = self.millis(now);
        let mut lane = self.lanes.iter_mut().find(same);
        for _ in 0..u32::from_be_bytes(from.take()?) {
            let key = u64::from_be_bytes(from.take()?);
            let mut marks = Marks::default();
            let cap = lane.as_ref().map_or(1, |lane| lane.cap);
            for _ in 0..u16::from_be_bytes(from.take()?) {
                marks.add(Mark(u64::from_be_bytes(from.take()?)), cap);
            }
            let Some(lane) = &mut lane else { continue };
            marks.no_later_than(latest);
            let is_over = marks.newest() < latest.saturating_sub(lane.span).max(1);
            if !is_over && lane.table.get(key).is_none() {
                let outside = marks.outside();
                lane.table.add(key, marks, |_| false, drop);
                lane.table.moved_outside(0, outside);
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
            let trace = Trace {
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
