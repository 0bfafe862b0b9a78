//! The bytes in the engine: values in [`frames`](crate::store::frames), and keys.
//!
//! A format is never changed; new ones are added. Tests compare golden bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::core::event::Chain;
use crate::core::{Personal, Seq, Subject};
use crate::delivery::ports::Task;
use crate::store::frames::{V1, seal, unseal};

pub(super) use crate::store::frames::BadBytes;

/// The last entry of its append.
const LAST: u8 = 1;
/// An entry followed by others of the same append; if they are missing, the append is torn.
const MORE: u8 = 2;
const CHAIN: usize = 32;

/// The outbox key of the cursor. Keys of tasks begin with another byte.
pub(super) const CURSOR_KEY: [u8; 1] = [0];
const TASK_KEY: u8 = 1;

/// The key of an entry. Keys sort like positions.
pub(super) fn seq_key(seq: Seq) -> [u8; 8] {
    seq.0.to_be_bytes()
}

pub(super) fn seq_of(key: &[u8]) -> Result<Seq, BadBytes> {
    let bytes = key.try_into().map_err(|_| BadBytes::Key)?;
    Ok(Seq(u64::from_be_bytes(bytes)))
}

/// A log value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogValue<'a> {
    /// Whether it is the last entry of its append.
    pub(super) last: bool,
    /// Hash over the log up to and including this entry.
    pub(super) chain: Chain,
    /// [`Event::to_bytes`](crate::core::Event::to_bytes).
    pub(super) event: &'a [u8],
}

impl<'a> LogValue<'a> {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let format = if self.last { LAST } else { MORE };
        seal(format, &[&self.chain.0, self.event])
    }

    pub(super) fn from_bytes(value: &'a [u8]) -> Result<Self, BadBytes> {
        let (format, body) = unseal(value)?;
        let last = match format {
            LAST => true,
            MORE => false,
            other => return Err(BadBytes::Format(other)),
        };
        let (chain, event) = body.split_at_checked(CHAIN).ok_or(BadBytes::Short)?;
        let chain = Chain(chain.try_into().map_err(|_| BadBytes::Short)?);
        Ok(LogValue { last, chain, event })
    }
}

/// The key of a subject's task. postcard writes lengths before texts, so different subjects have different keys.
pub(super) fn task_key(subject: &Subject) -> Result<Vec<u8>, BadBytes> {
    postcard::to_extend(subject, vec![TASK_KEY]).map_err(|_| BadBytes::Body)
}

pub(super) fn personal_to_bytes(personal: &Personal) -> Result<Vec<u8>, BadBytes> {
    to_bytes(personal)
}

pub(super) fn personal_from_bytes(value: &[u8]) -> Result<Personal, BadBytes> {
    from_bytes(value)
}

pub(super) fn task_to_bytes(task: &Task) -> Result<Vec<u8>, BadBytes> {
    to_bytes(task)
}

pub(super) fn task_from_bytes(value: &[u8]) -> Result<Task, BadBytes> {
    from_bytes(value)
}

/// Encodes small values: the cursor, the version of the store.
pub(super) fn number_to_bytes(number: u64) -> Vec<u8> {
    seal(V1, &[&number.to_be_bytes()])
}

pub(super) fn number_from_bytes(value: &[u8]) -> Result<u64, BadBytes> {
    let (format, body) = unseal(value)?;
    if format != V1 {
        return Err(BadBytes::Format(format));
    }
    let bytes = body.try_into().map_err(|_| BadBytes::Short)?;
    Ok(u64::from_be_bytes(bytes))
}

/// The format of a head behind which nothing was acknowledged.
const LAST_HEAD: u8 = 2;

/// What the head file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeadMark {
    /// An entry that was acknowledged.
    pub(super) seq: Seq,
    /// Hash over the log up to it.
    pub(super) chain: Chain,
    /// Whether it is the last one: what lies behind it in the log was refused.
    pub(super) is_last: bool,
}

pub(super) fn head_to_bytes(head: HeadMark) -> Vec<u8> {
    let format = if head.is_last { LAST_HEAD } else { V1 };
    seal(format, &[&head.seq.0.to_be_bytes(), &head.chain.0])
}

pub(super) fn head_from_bytes(value: &[u8]) -> Result<HeadMark, BadBytes> {
    let (format, body) = unseal(value)?;
    let is_last = match format {
        V1 => false,
        LAST_HEAD => true,
        other => return Err(BadBytes::Format(other)),
    };
    let (seq, chain) = body.split_at_checked(8).ok_or(BadBytes::Short)?;
    let chain = Chain(chain.try_into().map_err(|_| BadBytes::Short)?);
    Ok(HeadMark {
        seq: seq_of(seq)?,
        chain,
        is_last,
    })
}

fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, BadBytes> {
    let body = postcard::to_stdvec(value).map_err(|_| BadBytes::Body)?;
    Ok(seal(V1, &[&body]))
}

fn from_bytes<T: DeserializeOwned>(value: &[u8]) -> Result<T, BadBytes> {
    let (format, body) = unseal(value)?;
    if format != V1 {
        return Err(BadBytes::Format(format));
    }
    postcard::from_bytes(body).map_err(|_| BadBytes::Body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hex::encode as hex;

    use super::*;
    use crate::core::Timestamp;

    fn sample() -> Task {
        Task {
            subject: Subject::parse("spam@example.org").unwrap(),
            since: Seq(7),
            asked: Timestamp::from_millis(1_795_320_000_000),
            tries: 2,
            next: Timestamp::from_millis(1_795_320_060_000),
            fault: Some("no route".into()),
        }
    }

    /// If this fails, the format on disk has changed: add a version instead.
    #[test]
    fn the_bytes_on_the_disk_stay_as_they_are() {
        let entry = LogValue {
            last: true,
            chain: Chain([0xab; 32]),
            event: b"event",
        };
        assert_eq!(hex(entry.to_bytes()), GOLDEN_ENTRY);
        let personal = Personal {
            key: 3,
            note: Some("seen before".into()),
            evidence: None,
        };
        assert_eq!(hex(personal_to_bytes(&personal).unwrap()), GOLDEN_PERSONAL);
        assert_eq!(hex(task_to_bytes(&sample()).unwrap()), GOLDEN_TASK);
        assert_eq!(hex(number_to_bytes(258)), GOLDEN_NUMBER);
        let mut head = HeadMark {
            seq: Seq(9),
            chain: Chain([1; 32]),
            is_last: false,
        };
        assert_eq!(hex(head_to_bytes(head)), GOLDEN_HEAD);
        head.is_last = true;
        assert_eq!(head_to_bytes(head)[0], LAST_HEAD);
        assert_eq!(head_from_bytes(&head_to_bytes(head)), Ok(head));
        assert_eq!(hex(task_key(&sample().subject).unwrap()), GOLDEN_KEY);
    }

    const GOLDEN_ENTRY: &str =
        "01bf8b3c71abababababababababababababababababababababababababababababababab6576656e74";
    const GOLDEN_PERSONAL: &str = "0151ead85703010b7365656e206265666f726500";
    const GOLDEN_TASK: &str = "015361a22400107370616d406578616d706c652e6f72670780b8c996c06802c0e1d096c06801086e6f20726f757465";
    const GOLDEN_NUMBER: &str = "016b5642bd0000000000000102";
    const GOLDEN_HEAD: &str = "015e16541800000000000000090101010101010101010101010101010101010101010101010101010101010101";
    const GOLDEN_KEY: &str = "0100107370616d406578616d706c652e6f7267";

    #[test]
    fn what_was_written_is_read_back() {
        let entry = LogValue {
            last: false,
            chain: Chain([1; 32]),
            event: b"",
        };
        assert_eq!(LogValue::from_bytes(&entry.to_bytes()), Ok(entry));
        let task = sample();
        assert_eq!(task_from_bytes(&task_to_bytes(&task).unwrap()), Ok(task));
        assert_eq!(number_from_bytes(&number_to_bytes(u64::MAX)), Ok(u64::MAX));
        let mark = HeadMark {
            seq: Seq(9),
            chain: Chain([7; 32]),
            is_last: false,
        };
        assert_eq!(head_from_bytes(&head_to_bytes(mark)), Ok(mark));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let value = LogValue {
            last: true,
            chain: Chain([1; 32]),
            event: b"event",
        }
        .to_bytes();
        for bit in 0..value.len() * 8 {
            let mut bad = value.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(LogValue::from_bytes(&bad), Err(BadBytes::Checksum), "{bit}");
        }
        for len in 0..value.len() {
            assert!(LogValue::from_bytes(&value[..len]).is_err(), "{len}");
        }
    }

    #[test]
    fn a_format_from_the_future_is_told_from_damage() {
        assert_eq!(task_from_bytes(&seal(9, &[b"x"])), Err(BadBytes::Format(9)));
    }

    #[test]
    fn no_key_of_a_task_is_another_or_the_cursor() {
        let keys: Vec<Vec<u8>> = [
            "a@b",
            "ab@c",
            "a@bc",
            "203.0.113.7",
            "203.0.113.0/24",
            "2001:db8::7",
            "::/0",
        ]
        .iter()
        .map(|text| task_key(&Subject::parse(text).unwrap()).unwrap())
        .collect();
        for (at, key) in keys.iter().enumerate() {
            assert_ne!(key[..], CURSOR_KEY[..]);
            assert!(keys[at + 1..].iter().all(|other| other != key));
        }
    }
}
