//! The seal: an HMAC-SHA256 over a ban record, so that a record read back from the server can be told from a forged
//! one.
//!
//! The banned user can read and overwrite the record on the server; the seal is how we notice. It covers the account
//! and every field, in an encoding that no two different records share: a label with a version, then each field with
//! its length before it. It is never taken over XML, which has many spellings of one content.
//!
//! A [`Keyring`] holds several keys so that one can be replaced without making old records look forged: the first
//! line of the file seals, the others only verify. To retire a key, put a new line above it (`portcullis keygen`),
//! and remove the old line when its records are gone or sealed anew.

mod keys;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use super::subject::Account;

pub use keys::{
    BadKeyId, KEY_BYTES, KeyId, Keyring, KeyringError, MAX_KEY_ID, MAX_KEYS, generate_key_line,
};

/// Starts the sealed bytes, so that no other use of the key can produce the same input.
const SEAL_LABEL: &str = "portcullis record seal v1";
/// The same for [`Keyring::fallback_hash`].
const HASH_LABEL: &str = "portcullis record hash v1";
/// First part of the text form of a seal.
const SEAL_VERSION: &str = "v1";

/// Everything that a seal covers: the account, and all fields of its record as the text they have there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The banned account. A record moved to another account must not verify there.
    pub account: &'a Account,
    /// Number of the ban.
    pub ban: u64,
    /// `<reason/>`: the public reason.
    pub reason: &'a str,
    /// `<bandate/>`: when the ban was imposed.
    pub bandate: &'a str,
    /// When the ban ends; `None`: permanent. An empty text is sealed differently.
    pub until: Option<&'a str>,
    /// The author of the ban.
    pub author: &'a str,
    /// `<lastdate/>`: last activity as recorded by the server; may be empty.
    pub lastdate: &'a str,
    /// `<lastreason/>`: why the last session ended; may be empty.
    pub lastreason: &'a str,
    /// `<hash/>`: ejabberd's own value or our fallback.
    pub hash: &'a str,
}

/// The result of [`Keyring::verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verified {
    /// Sealed by one of our keys and unchanged since.
    Good,
    /// The key is not on the keyring: it was retired too early, or another installation wrote the record.
    UnknownKey,
    /// Not a seal, or the seal of other fields.
    Forged,
}

/// A seal as stored in a record: key id and HMAC. Text form: `v1.KEYID.BASE64URL`.
#[derive(Clone, Debug)]
pub struct Seal {
    key_id: KeyId,
    mac: [u8; KEY_BYTES],
}

/// The text is no seal of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a seal of the form v1.KEYID.BASE64URL")]
pub struct BadSeal;

impl Seal {
    /// The id of the key that the seal claims to be made with.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }
}

impl fmt::Display for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{SEAL_VERSION}.{}.{}",
            self.key_id,
            URL_SAFE_NO_PAD.encode(self.mac)
        )
    }
}

impl FromStr for Seal {
    type Err = BadSeal;

    fn from_str(text: &str) -> Result<Self, BadSeal> {
        let rest = text
            .strip_prefix(SEAL_VERSION)
            .and_then(|rest| rest.strip_prefix('.'))
            .ok_or(BadSeal)?;
        let (id, mac) = rest.split_once('.').ok_or(BadSeal)?;
        let key_id = id.parse().map_err(|_| BadSeal)?;
        let mut bytes = [0; KEY_BYTES];
        // `decode_slice_unchecked` would panic on a long text; `decode_slice` returns an error.
        match URL_SAFE_NO_PAD.decode_slice(mac, &mut bytes) {
            Ok(KEY_BYTES) => Ok(Self { key_id, mac: bytes }),
            _ => Err(BadSeal),
        }
    }
}

impl Keyring {
    /// Seals a record.
    pub fn seal(&self, fields: &Fields<'_>) -> Seal {
        let mac = feed(self.signing.hmac(), fields)
            .finalize()
            .into_bytes()
            .into();
        Seal {
            key_id: self.signing.id.clone(),
            mac,
        }
    }

    /// Verifies the seal of a record. Takes the same time for every wrong HMAC.
    pub fn verify(&self, fields: &Fields<'_>, seal: &Seal) -> Verified {
        let Some(key) = self.keys().find(|key| key.id == seal.key_id) else {
            return Verified::UnknownKey;
        };
        match feed(key.hmac(), fields).verify_slice(&seal.mac) {
            Ok(()) => Verified::Good,
            Err(_) => Verified::Forged,
        }
    }

    /// [`Keyring::verify`] for the text found in a record; a text that is no seal is [`Verified::Forged`].
    pub fn verify_text(&self, fields: &Fields<'_>, seal: &str) -> Verified {
        seal.parse()
            .map_or(Verified::Forged, |seal| self.verify(fields, &seal))
    }

    /// The value of `<hash/>` when the server's cookie is not known. It is as stable per account and as hard to guess
    /// as ejabberd's own value, but the server does not know it and so admits the account. Base64 of 32 bytes, so it
    /// never looks like the value of `enforce::native_hash`, which is longer and starts with `g20AAAAg`.
    pub fn fallback_hash(&self, account: &Account) -> String {
        let mut hmac = self.signing.hmac();
        put(&mut hmac, HASH_LABEL.as_bytes());
        put(&mut hmac, account.as_str().as_bytes());
        STANDARD.encode(hmac.finalize().into_bytes())
    }
}

/// The unambiguous encoding. A change needs a new [`SEAL_LABEL`] and [`SEAL_VERSION`].
fn feed(mut hmac: Hmac<Sha256>, fields: &Fields<'_>) -> Hmac<Sha256> {
    // Destructured, so that a new field does not compile until it is encoded here.
    let Fields {
        account,
        ban,
        reason,
        bandate,
        until,
        author,
        lastdate,
        lastreason,
        hash,
    } = fields;
    put(&mut hmac, SEAL_LABEL.as_bytes());
    put(&mut hmac, account.as_str().as_bytes());
    put(&mut hmac, &ban.to_be_bytes());
    put(&mut hmac, reason.as_bytes());
    put(&mut hmac, bandate.as_bytes());
    match until {
        None => hmac.update(&[0]),
        Some(until) => {
            hmac.update(&[1]);
            put(&mut hmac, until.as_bytes());
        }
    }
    put(&mut hmac, author.as_bytes());
    put(&mut hmac, lastdate.as_bytes());
    put(&mut hmac, lastreason.as_bytes());
    put(&mut hmac, hash.as_bytes());
    hmac
}

/// Length as big-endian u64, then the bytes. Every `usize` fits into it, so no length must be refused.
fn put(hmac: &mut Hmac<Sha256>, bytes: &[u8]) {
    hmac.update(&(bytes.len() as u64).to_be_bytes());
    hmac.update(bytes);
}
