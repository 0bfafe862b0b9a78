//! The seal: an HMAC-SHA256 over a ban record, so that a record read back from the server can be told from a forged one.
//!
//! The banned user can read and overwrite the record on the server; the seal is how we notice. It covers the account
//! and every field, in an encoding that no two different records share: a label with a version, then each field with
//! its length before it. It is never taken over XML, which has many spellings of one content.
//!
//! A [`Keyring`] holds several keys so that one can be replaced without making old records look forged: the first line
//! of the file seals, the others only verify. To retire a key, put a new line above it (`portcullis keygen`), and
//! remove the old line when its records are gone or sealed anew.

use std::{fmt, str::FromStr};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::subject::Account;

/// Bytes of a key, and of a seal's code.
pub const KEY_BYTES: usize = 32;
/// Keys one ring may hold. Rotation needs two; this only bounds a file gone wrong.
pub const MAX_KEYS: usize = 64;
/// Longest key id, in bytes.
pub const MAX_KEY_ID: usize = 32;

/// First thing in the sealed bytes: no other use of the key can produce the same input.
const SEAL_LABEL: &str = "portcullis record seal v1";
/// The same for [`Keyring::fallback_hash`].
const HASH_LABEL: &str = "portcullis record hash v1";
/// First part of the text form of a seal.
const SEAL_VERSION: &str = "v1";

/// Everything a seal covers: the account and all fields of its record, as text exactly as they stand in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The banned account. A record moved to another account must not verify there.
    pub account: &'a Account,
    /// Number of the ban in our log.
    pub ban: u64,
    /// `<reason/>`: the public reason.
    pub reason: &'a str,
    /// `<bandate/>`: when the ban was laid on.
    pub bandate: &'a str,
    /// When the ban ends; `None` is for ever, which is not the same as an empty text.
    pub until: Option<&'a str>,
    /// Who banned.
    pub author: &'a str,
    /// `<lastdate/>`: last activity as the server notes it, may be empty.
    pub lastdate: &'a str,
    /// `<lastreason/>`: why the last session ended, may be empty.
    pub lastreason: &'a str,
    /// `<hash/>`: ejabberd's own value or our fallback.
    pub hash: &'a str,
}

/// What [`Keyring::verify`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verified {
    /// Sealed by one of our keys, and nothing was changed since.
    Good,
    /// Names a key that is not on the ring: retired too early, or another installation wrote it.
    UnknownKey,
    /// Not a seal, or not the seal of these fields.
    Forged,
}

/// Name of a key: 1 to 32 of `A-Z a-z 0-9 _ -`, so that it needs no quoting in a file name, a log or a seal.
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

/// A seal as it is kept in the record: which key, and the code. Text form: `v1.KEYID.BASE64URL`.
#[derive(Clone, Debug)]
pub struct Seal {
    key_id: KeyId,
    mac: [u8; KEY_BYTES],
}

/// The text is no seal: another version, cut short, or never was one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a seal of the form v1.KEYID.BASE64URL")]
pub struct BadSeal;

impl Seal {
    /// The key this seal claims to be made with.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }
}

impl PartialEq for Seal {
    fn eq(&self, other: &Self) -> bool {
        self.key_id == other.key_id && bool::from(self.mac.ct_eq(&other.mac))
    }
}

impl Eq for Seal {}

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
        // `decode_slice_unchecked` would panic on a long text; this one refuses it.
        match URL_SAFE_NO_PAD.decode_slice(mac, &mut bytes) {
            Ok(KEY_BYTES) => Ok(Self { key_id, mac: bytes }),
            _ => Err(BadSeal),
        }
    }
}

/// What is wrong with a key file. Names lines, never their content: it may be the key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyringError {
    /// Nothing but comments and blank lines.
    #[error("there is no key in it; put the line there that `portcullis keygen` prints")]
    Empty,
    /// A line without a colon.
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
    /// Two keys with one id.
    #[error("line {line}: the key id `{id}` is used twice; every key needs its own")]
    Twice {
        /// Line of the second one, from 1.
        line: usize,
        /// The id both carry.
        id: KeyId,
    },
    /// More than [`MAX_KEYS`].
    #[error("more than {MAX_KEYS} keys; remove those whose records are gone")]
    TooMany,
}

/// One key. Wiped when dropped, never printed.
#[derive(Clone)]
struct Key {
    id: KeyId,
    bytes: Zeroizing<[u8; KEY_BYTES]>,
}

impl Key {
    fn hmac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.bytes.as_slice())
            .expect("HMAC takes keys of any length (RFC 2104, 2)")
    }
}

/// The keys that seal and verify. Never empty.
#[derive(Clone)]
pub struct Keyring {
    signing: Key,
    retired: Vec<Key>,
}

impl Keyring {
    /// Reads a key file: one `KEYID:BASE64(32 bytes)` a line, blank lines and `#` comments between. The first key
    /// seals, the others only verify.
    pub fn parse(text: &str) -> Result<Self, KeyringError> {
        let mut keys: Vec<Key> = Vec::new();
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

    /// The key that seals from now on.
    pub fn signing_id(&self) -> &KeyId {
        &self.signing.id
    }

    /// All ids, the sealing one first.
    pub fn ids(&self) -> impl Iterator<Item = &KeyId> {
        self.keys().map(|key| &key.id)
    }

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

    /// Was this record sealed by one of our keys, and is it unchanged? Takes the same time for every wrong code.
    pub fn verify(&self, fields: &Fields<'_>, seal: &Seal) -> Verified {
        let Some(key) = self.keys().find(|key| key.id == seal.key_id) else {
            return Verified::UnknownKey;
        };
        match feed(key.hmac(), fields).verify_slice(&seal.mac) {
            Ok(()) => Verified::Good,
            Err(_) => Verified::Forged,
        }
    }

    /// [`Keyring::verify`] for the text found in a record; what is no seal at all is [`Verified::Forged`].
    pub fn verify_text(&self, fields: &Fields<'_>, seal: &str) -> Verified {
        seal.parse()
            .map_or(Verified::Forged, |seal| self.verify(fields, &seal))
    }

    /// What stands in `<hash/>` when the server's cookie is not known: as stable for an account as ejabberd's own value
    /// and as hard to guess, but the server does not know it and lets the account in. Base64 of 32 bytes, so it never
    /// looks like [`super::native_hash`]'s, which starts with `g20AAAAg` and is longer.
    pub fn fallback_hash(&self, account: &Account) -> String {
        let mut hmac = self.signing.hmac();
        put(&mut hmac, HASH_LABEL.as_bytes());
        put(&mut hmac, account.as_str().as_bytes());
        STANDARD.encode(hmac.finalize().into_bytes())
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.signing).chain(&self.retired)
    }
}

/// The same keys in the same order; compared in constant time.
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

/// A line for a key file, from 32 bytes of the system's random source. Wiped when dropped.
pub fn generate_key_line(id: &KeyId, random: &[u8; KEY_BYTES]) -> Zeroizing<String> {
    let key = Zeroizing::new(STANDARD.encode(random));
    Zeroizing::new(format!("{id}:{}", key.as_str()))
}

fn parse_line(line: usize, text: &str) -> Result<Key, KeyringError> {
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
    Ok(Key {
        id,
        bytes: Zeroizing::new(bytes),
    })
}

/// The unambiguous encoding. A change here needs a new [`SEAL_LABEL`] and [`SEAL_VERSION`].
fn feed(mut hmac: Hmac<Sha256>, fields: &Fields<'_>) -> Hmac<Sha256> {
    // Taken apart by name, so that a new field cannot be forgotten here.
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

/// Length as u64 BE, then the bytes. Eight bytes because a `usize` always fits: no length has to be refused.
fn put(hmac: &mut Hmac<Sha256>, bytes: &[u8]) {
    hmac.update(&(bytes.len() as u64).to_be_bytes());
    hmac.update(bytes);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;
    use xmpp_parsers::jid::Jid;

    use super::*;

    fn ring(lines: &[(&str, u8)]) -> Keyring {
        let text: Vec<_> = lines
            .iter()
            .map(|(id, fill)| {
                generate_key_line(&id.parse().unwrap(), &[*fill; KEY_BYTES]).to_string()
            })
            .collect();
        Keyring::parse(&text.join("\n")).unwrap()
    }

    fn jid(text: &str) -> Account {
        Account::from_jid(&Jid::new(text).unwrap()).unwrap()
    }

    fn sample(account: &Account) -> Fields<'_> {
        Fields {
            account,
            ban: 17,
            reason: "spam",
            bandate: "2026-11-22T04:00:00.000000Z",
            until: Some("2030-01-01T12:00:00Z"),
            author: "admin@example.org",
            lastdate: "",
            lastreason: "",
            hash: "g20AAAAg",
        }
    }

    #[test]
    fn a_seal_has_a_fixed_value() {
        // Calculated apart from this code (python3 hmac over the encoding above). If this changes, every record out there
        // looks forged: raise the version instead.
        let alice = jid("alice@localhost");
        let seal = ring(&[("k1", 7)]).seal(&sample(&alice));
        assert_eq!(
            seal.to_string(),
            "v1.k1._WZlBI1aTRD7RA1obCdsGQRIugRs_iGp-Uz2jDObkiU"
        );
    }

    #[test]
    fn the_text_of_a_seal_reads_back() {
        let alice = jid("alice@localhost");
        let seal = ring(&[("k-1_x", 7)]).seal(&sample(&alice));
        assert_eq!(seal.to_string().parse::<Seal>().unwrap(), seal);
    }

    #[test]
    fn rotation_seals_with_the_first_key_and_still_verifies_the_others() {
        let alice = jid("alice@localhost");
        let old = ring(&[("k1", 1)]);
        let seal = old.seal(&sample(&alice));
        let rotated = ring(&[("k2", 2), ("k1", 1)]);
        assert_eq!(rotated.verify(&sample(&alice), &seal), Verified::Good);
        assert_eq!(rotated.seal(&sample(&alice)).key_id().as_str(), "k2");
        assert_eq!(
            old.verify(&sample(&alice), &rotated.seal(&sample(&alice))),
            Verified::UnknownKey
        );
    }

    #[test]
    fn another_key_under_the_same_id_is_a_forgery() {
        let alice = jid("alice@localhost");
        let seal = ring(&[("k1", 1)]).seal(&sample(&alice));
        assert_eq!(
            ring(&[("k1", 2)]).verify(&sample(&alice), &seal),
            Verified::Forged
        );
    }

    #[test]
    fn a_record_does_not_verify_on_another_account() {
        let (alice, bob) = (jid("alice@localhost"), jid("bob@localhost"));
        let ring = ring(&[("k1", 1)]);
        assert_eq!(
            ring.verify(&sample(&bob), &ring.seal(&sample(&alice))),
            Verified::Forged
        );
    }

    #[test]
    fn for_ever_is_not_an_empty_end() {
        let alice = jid("alice@localhost");
        let ring = ring(&[("k1", 1)]);
        let forever = Fields {
            until: None,
            ..sample(&alice)
        };
        let empty = Fields {
            until: Some(""),
            ..sample(&alice)
        };
        assert_eq!(ring.verify(&empty, &ring.seal(&forever)), Verified::Forged);
        assert_eq!(ring.verify(&forever, &ring.seal(&empty)), Verified::Forged);
    }

    #[test]
    fn a_seal_cut_short_at_any_place_is_refused() {
        let alice = jid("alice@localhost");
        let ring = ring(&[("k1", 1)]);
        let text = ring.seal(&sample(&alice)).to_string();
        for end in 0..text.len() {
            assert_eq!(
                ring.verify_text(&sample(&alice), &text[..end]),
                Verified::Forged,
                "{}",
                &text[..end]
            );
        }
        for wrong in [
            "v2.k1.AAAA",
            "v1..AAAA",
            "v1.k1",
            "v1.k.1.AAAA",
            &format!("{text}A"),
            &format!("{text}="),
        ] {
            assert_eq!(
                ring.verify_text(&sample(&alice), wrong),
                Verified::Forged,
                "{wrong}"
            );
        }
        assert_eq!(ring.verify_text(&sample(&alice), &text), Verified::Good);
    }

    #[test]
    fn a_key_file_may_have_comments_blank_lines_and_windows_line_ends() {
        let line = generate_key_line(&"k1".parse().unwrap(), &[1; KEY_BYTES]);
        let ring =
            Keyring::parse(&format!("# made in 2026\r\n\r\n  {}  \r\n", line.as_str())).unwrap();
        assert_eq!(ring.signing_id().as_str(), "k1");
        assert_eq!(ring.ids().count(), 1);
    }

    #[test]
    fn a_bad_key_file_is_refused_by_line_without_showing_it() {
        let good = generate_key_line(&"k1".parse().unwrap(), &[1; KEY_BYTES]);
        let good = good.as_str();
        let check = |text: &str, want: KeyringError| {
            let got = Keyring::parse(text).unwrap_err();
            assert_eq!(got, want);
            assert!(!got.to_string().contains("AQEBAQ"), "{got}");
        };
        check("", KeyringError::Empty);
        check("# only a comment\n\n", KeyringError::Empty);
        check("AQEBAQEB", KeyringError::NotAKey { line: 1 });
        check(
            &format!("{good}\n:AQEBAQ=="),
            KeyringError::BadId { line: 2 },
        );
        check("AQEB AQ:x", KeyringError::BadId { line: 1 });
        check("k1:AQEBAQ==", KeyringError::BadKey { line: 1 });
        check("k1:not base64", KeyringError::BadKey { line: 1 });
        check(
            &format!("{good}\n{good}"),
            KeyringError::Twice {
                line: 2,
                id: "k1".parse().unwrap(),
            },
        );
        let many: Vec<_> = (0..=MAX_KEYS)
            .map(|n| good.replace("k1", &format!("k{n}")))
            .collect();
        check(&many.join("\n"), KeyringError::TooMany);
    }

    #[test]
    fn key_ids_are_plain_words() {
        for good in ["a", "k2026", "A-b_9", &"x".repeat(MAX_KEY_ID)] {
            assert!(good.parse::<KeyId>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a:b", "ä", "a b", &"x".repeat(MAX_KEY_ID + 1)] {
            assert_eq!(bad.parse::<KeyId>(), Err(BadKeyId), "{bad}");
        }
    }

    #[test]
    fn a_ring_prints_ids_and_no_keys() {
        let shown = format!("{:?}", ring(&[("k2", 2), ("k1", 1)]));
        assert_eq!(shown, r#"["k2", "k1"]"#);
    }

    #[test]
    fn the_fallback_hash_depends_on_the_account_and_the_key_only() {
        let (alice, bob) = (jid("alice@localhost"), jid("bob@localhost"));
        let one = ring(&[("k1", 1)]);
        assert_eq!(
            one.fallback_hash(&alice),
            ring(&[("k9", 1), ("k1", 2)]).fallback_hash(&alice)
        );
        assert_ne!(one.fallback_hash(&alice), one.fallback_hash(&bob));
        assert_ne!(
            one.fallback_hash(&alice),
            ring(&[("k1", 2)]).fallback_hash(&alice)
        );
        assert!(!one.fallback_hash(&alice).starts_with("g20AAAAg"));
    }

    /// The seven text fields of a record, `until` among them.
    type Texts = [String; 7];

    fn fields<'a>(account: &'a Account, ban: u64, texts: &'a Texts) -> Fields<'a> {
        let [reason, bandate, until, author, lastdate, lastreason, hash] = texts;
        Fields {
            account,
            ban,
            reason,
            bandate,
            until: Some(until),
            author,
            lastdate,
            lastreason,
            hash,
        }
    }

    fn texts() -> impl Strategy<Value = Texts> {
        proptest::array::uniform7(".{0,12}")
    }

    proptest! {
        #[test]
        fn what_was_sealed_verifies(ban: u64, texts in texts()) {
            let (alice, ring) = (jid("alice@localhost"), ring(&[("k1", 1)]));
            let fields = fields(&alice, ban, &texts);
            prop_assert_eq!(ring.verify_text(&fields, &ring.seal(&fields).to_string()), Verified::Good);
        }

        #[test]
        fn any_changed_text_fails(texts in texts(), which in 0..7_usize, new in ".{0,12}") {
            prop_assume!(texts[which] != new);
            let (alice, ring) = (jid("alice@localhost"), ring(&[("k1", 1)]));
            let seal = ring.seal(&fields(&alice, 1, &texts));
            let mut changed = texts.clone();
            changed[which] = new;
            prop_assert_eq!(ring.verify(&fields(&alice, 1, &changed), &seal), Verified::Forged);
        }

        #[test]
        fn another_number_fails(texts in texts(), a: u64, b: u64) {
            prop_assume!(a != b);
            let (alice, ring) = (jid("alice@localhost"), ring(&[("k1", 1)]));
            let seal = ring.seal(&fields(&alice, a, &texts));
            prop_assert_eq!(ring.verify(&fields(&alice, b, &texts), &seal), Verified::Forged);
        }

        #[test]
        fn a_character_moved_into_the_next_field_fails(texts in texts(), which in 0..6_usize) {
            prop_assume!(!texts[which].is_empty());
            let (alice, ring) = (jid("alice@localhost"), ring(&[("k1", 1)]));
            let seal = ring.seal(&fields(&alice, 1, &texts));
            let mut moved = texts.clone();
            let last = moved[which].pop().unwrap();
            moved[which + 1].insert(0, last);
            prop_assert_eq!(ring.verify(&fields(&alice, 1, &moved), &seal), Verified::Forged);
        }

        #[test]
        fn any_flipped_bit_of_the_code_fails(texts in texts(), byte in 0..KEY_BYTES, bit in 0..8_u32) {
            let (alice, ring) = (jid("alice@localhost"), ring(&[("k1", 1)]));
            let fields = fields(&alice, 1, &texts);
            let mut seal = ring.seal(&fields);
            seal.mac[byte] ^= 1 << bit;
            prop_assert_eq!(ring.verify(&fields, &seal), Verified::Forged);
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in ".{0,80}") {
            let _ = text.parse::<Seal>();
            let _ = Keyring::parse(&text);
        }
    }
}
