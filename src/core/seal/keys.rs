//! The keys that seal and verify records, and the format of the key file.

use std::{fmt, str::FromStr};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a key, and of a seal's HMAC.
pub const KEY_BYTES: usize = 32;
/// The most keys on a keyring. Rotation needs two; the limit only guards against a broken file.
pub const MAX_KEYS: usize = 64;
/// The longest key id, in bytes.
pub const MAX_KEY_ID: usize = 32;

/// Id of a key: 1 to 32 of `A-Z a-z 0-9 _ -`, so that it needs no quoting in file names, logs and seals.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(String);

/// The text is no [`KeyId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a key id is 1 to 32 letters (a-z, A-Z), digits, `-` or `_`, for example `k2026`")]
pub struct BadKeyId;

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = BadKeyId;

    fn from_str(text: &str) -> Result<Self, BadKeyId> {
        let fits = (1..=MAX_KEY_ID).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(BadKeyId)
        }
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a key file. Errors name lines but never quote them, because they may contain the key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// The file has only comments and blank lines.
    #[error("there is no key in it; put the line there that `portcullis keygen` prints")]
    Empty,
    /// A line has no colon.
    #[error("line {line}: not of the form KEYID:BASE64; `portcullis keygen` prints such a line")]
    NotAKey {
        /// Line in the file, from 1.
        line: usize,
    },
    /// The part before the colon is no [`KeyId`].
    #[error("line {line}: {BadKeyId}")]
    BadId {
        /// Line in the file, from 1.
        line: usize,
    },
    /// The part after the colon is not base64 of 32 bytes.
    #[error(
        "line {line}: the part after the colon must be base64 of exactly 32 bytes, as `portcullis keygen` makes it"
    )]
    BadKey {
        /// Line in the file, from 1.
        line: usize,
    },
    /// Two keys have the same id.
    #[error("line {line}: the key id `{id}` is used twice; every key needs its own")]
    Twice {
        /// Line of the second key, from 1.
        line: usize,
        /// The id of both keys.
        id: KeyId,
    },
    /// The file has more than [`MAX_KEYS`] keys.
    #[error("more than {MAX_KEYS} keys; remove those whose records are gone")]
    TooMany,
}

/// A key. Erased from memory when dropped, never printed.
#[derive(Clone)]
pub(super) struct SealKey {
    pub(super) id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl SealKey {
    pub(super) fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.bytes.as_slice())
            .expect("HMAC takes keys of any length (RFC 2104, 2)")
    }
}

/// The key that seals, and those that only verify. Never empty.
#[derive(Clone)]
pub struct Keyring {
    pub(super) signing: SealKey,
    retired: Vec<SealKey>,
}

impl Keyring {
    /// Parses a key file: one `KEYID:BASE64(32 bytes)` per line, with blank lines and `#` comments. The first key
    /// seals, the others only verify.
    ///
    /// # Errors
    /// [`KeyringError`] with the line at fault.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<SealKey> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let (number, line) = (number + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if keys.len() == MAX_KEYS {
                return Err(KeyringError::TooMany);
            }
            let key = parse_line(number, line)?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeyringError::Twice {
                    line: number,
                    id: key.id,
                });
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let signing = keys.next().ok_or(KeyringError::Empty)?;
        Ok(Self {
            signing,
            retired: keys.collect(),
        })
    }

    /// The id of the key that seals.
    pub fn signing_id(&self) -> &KeyId {
        &self.signing.id
    }

    /// The ids of all keys, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys().map(|key| &key.id)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &SealKey> {
        std::iter::once(&self.signing).chain(&self.retired)
    }
}

/// Equal if both have the same keys in the same order; compared in constant time.
impl PartialEq for Keyring {
    fn eq(&self, other: &Self) -> bool {
        self.keys().count() == other.keys().count()
            && self.keys().zip(other.keys()).all(|(a, b)| {
                a.id == b.id && bool::from(a.bytes.as_slice().ct_eq(b.bytes.as_slice()))
            })
    }
}

impl Eq for Keyring {}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.ids().map(KeyId::as_str))
            .finish()
    }
}

/// A line for a key file, made from 32 bytes of the system's random source. Erased from memory when dropped.
pub fn generate_key_line(id: &KeyId, random: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let key = Zeroizing::new(STANDARD.encode(random));
    Zeroizing::new(format!("{id}:{}", key.as_str()))
}

fn parse_line(line: usize, text: &str) -> Result<SealKey, KeyringError> {
    let (id, key) = text.split_once(':').ok_or(KeyringError::NotAKey { line })?;
    let id = id
        .trim()
        .parse()
        .map_err(|_| KeyringError::BadId { line })?;
    let decoded = STANDARD
        .decode(key.trim())
        .map(Zeroizing::new)
        .map_err(|_| KeyringError::BadKey { line })?;
    let bytes = <[u8; KEY_BYTES]>::try_from(decoded.as_slice())
        .map_err(|_| KeyringError::BadKey { line })?;
    Ok(SealKey {
        id,
        bytes: Zeroizing::new(bytes),
    })
}
