//! The record of a ban in the user's private storage (XEP-0049): builds, reads and judges it.
//!
//! ejabberd (24.06 and later) refuses a login if `<hash/>` in it is right. The user can read and overwrite it while
//! she has an open session, so it is only an export and a native brake, never the truth, and contains nothing
//! private.
//!
//! ```xml
//! <banned xmlns='jabber:ejabberd:banned'>
//!   <reason>spam</reason><lastdate/><lastreason/><bandate>2026-11-22T04:00:00.000000Z</bandate><hash>g20AAAAg…</hash>
//!   <ban xmlns='urn:portcullis:record:1' id='17' until='2030-01-01T12:00:00Z' by='admin@example.org' seal='v1.k1.…'/>
//! </banned>
//! ```

#[cfg(test)]
mod tests;
mod xml;

use minidom::Element;

use crate::core::seal::{Fields, Keyring, Verified};
use crate::core::{Account, Ban, BanId, Timestamp};
use crate::delivery::ports::Recorded;
use crate::xmpp::payload::one_line;

/// Namespace of private storage (XEP-0049).
pub const NS_PRIVATE: &str = "jabber:iq:private";
/// Namespace of ejabberd's record.
pub const NS_BANNED: &str = "jabber:ejabberd:banned";
/// Namespace of our part of it.
pub const NS_RECORD: &str = "urn:portcullis:record:1";

/// Maximum length of the reason in a record, in bytes; the log keeps all of it.
pub const MOST_REASON: usize = 1024;
/// Maximum length of any other text in a record, in bytes.
pub const MOST_TEXT: usize = 512;
/// Maximum number of foreign children that a rewrite keeps.
pub const MOST_FOREIGN: usize = 16;
/// Maximum size of a foreign child that is kept, in bytes as written. Together they leave space in a stanza for the
/// rest of the record.
pub const MOST_FOREIGN_BYTES: usize = 8 * 1024;

/// Beginning of ejabberd's own hash (`native_hash`).
const NATIVE_START: &str = "g20AAAAg";
/// Length of ejabberd's own hash in base64.
const NATIVE_LENGTH: usize = 52;

/// The content of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BanRecord {
    /// Public reason.
    pub reason: String,
    /// When the ban began, in ejabberd's format.
    pub bandate: String,
    /// Last activity, as recorded by the server.
    pub lastdate: String,
    /// Why the last session ended.
    pub lastreason: String,
    /// ejabberd's hash, or ours.
    pub hash: String,
    /// Our part; `None` if it has none.
    pub ours: Option<Ours>,
    /// All other children, unchanged: ejabberd 24.06 to 25.07 stores the user's `<password/>` there.
    pub foreign: Vec<Element>,
    /// Whether there is a record that could not be read. No server wrote it, and it bans nobody.
    pub is_unreadable: bool,
}

/// Our part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Number of the ban.
    pub id: u64,
    /// End of the ban; `None`: forever.
    pub until: Option<String>,
    /// Who made the ban.
    pub by: String,
    /// Seal over all fields, in text form.
    pub seal: String,
}

/// How the stored record compares with the one we expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// There is no record, or an empty one.
    Empty,
    /// The record that we wrote for this ban.
    Ours,
    /// Our record of another ban, or of other terms of this one.
    Outdated,
    /// It has the seal of this ban, but was changed.
    Altered,
    /// It claims to be ours and is not, or its key was removed too early.
    Forged,
    /// A ban by the server itself: its hash is right, and it has nothing of ours.
    ServerMade,
    /// Anything else, which bans nobody.
    Junk,
}

/// The text that ejabberd appends to "Account is banned: ": the reason, and the end if there is one.
fn shown(ban: &Ban) -> String {
    /// Bytes reserved for the end, if the reason fills the rest.
    const END: usize = 64;
    let reason = one_line(&ban.reason, MOST_REASON - END);
    match ban.until {
        None => reason,
        Some(end) if reason.is_empty() => format!("until {end}"),
        Some(end) => format!("{} (until {end})", reason.trim_end()),
    }
}

impl BanRecord {
    /// The record of a ban.
    pub fn of(ban: &Ban, account: &Account, hash: String, keyring: &Keyring) -> Self {
        let mut record = BanRecord {
            reason: shown(ban),
            bandate: ban_date(ban.since),
            hash,
            ours: Some(Ours {
                id: ban.id.0,
                until: ban.until.map(Timestamp::to_xmpp),
                by: one_line(ban.by.bare_name(), MOST_TEXT),
                seal: String::new(),
            }),
            ..BanRecord::default()
        };
        let seal = record
            .fields(account)
            .map(|fields| keyring.seal(&fields).to_string());
        if let (Some(ours), Some(seal)) = (&mut record.ours, seal) {
            ours.seal = seal;
        }
        record
    }

    /// The record with these foreign children.
    #[must_use]
    pub fn keeping(mut self, foreign: &[Element]) -> Self {
        self.foreign = foreign.to_vec();
        self
    }

    /// A record whose content could not be read.
    pub fn unreadable() -> Self {
        BanRecord {
            is_unreadable: true,
            ..BanRecord::default()
        }
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        *self == BanRecord::default()
    }

    /// Whether the server keeps the user's password in it (ejabberd 24.06 to 25.07). Emptying such a record would
    /// lose the password forever; only the server's `unban_account` may lift it.
    pub fn holds_password(&self) -> bool {
        self.foreign.iter().any(|child| child.name() == "password")
    }

    /// The record without our part and the text that belongs to it: what the server's own ban needs.
    #[must_use]
    pub fn without_ours(self) -> Self {
        BanRecord {
            reason: String::new(),
            ours: None,
            ..self
        }
    }

    /// Whether the hash has the form of ejabberd's. Whether it is right depends on the server's cookie.
    pub fn looks_native(&self) -> bool {
        self.hash.len() == NATIVE_LENGTH && self.hash.starts_with(NATIVE_START)
    }

    /// Whether our seal on it is valid.
    pub fn is_sealed(&self, account: &Account, keyring: &Keyring) -> bool {
        match (&self.ours, self.fields(account)) {
            (Some(ours), Some(fields)) => {
                keyring.verify_text(&fields, &ours.seal) == Verified::Good
            }
            _ => false,
        }
    }

    /// The ban in it: one under a valid seal of ours, or one by the server itself, which has no end. A record under
    /// another seal (of another portcullis, forged, or with a removed key) is not believed.
    pub fn tells(&self, account: &Account, keyring: &Keyring) -> Option<Recorded> {
        if self.bandate.is_empty() || self.hash.is_empty() {
            return None;
        }
        if self.ours.is_some() && !self.is_sealed(account, keyring) {
            return None;
        }
        let sealed = self.ours.as_ref();
        let until = sealed.and_then(|ours| ours.until.as_deref());
        let mut reason = self.reason.clone();
        if let Some(end) = until.and_then(Timestamp::parse) {
            // `shown` appended it for the refused user.
            for suffix in [format!(" (until {end})"), format!("until {end}")] {
                if let Some(bare) = reason.strip_suffix(&suffix) {
                    reason = bare.to_owned();
                    break;
                }
            }
        }
        Some(Recorded {
            reason,
            until: until.and_then(Timestamp::parse),
            is_ours: sealed.is_some(),
            ban: sealed.map(|ours| BanId(ours.id)),
            needs_server: sealed.is_none() && self.holds_password(),
        })
    }

    /// Compares this record, as read back, with the expected one. `native` is ejabberd's hash of the account, if
    /// known. Foreign children are ignored.
    pub fn judge(
        &self,
        expected: &BanRecord,
        account: &Account,
        keyring: &Keyring,
        native: Option<&str>,
    ) -> Judgement {
        if self.is_empty() {
            return Judgement::Empty;
        }
        let Some(ours) = &self.ours else {
            let by_server = native.is_some_and(|native| self.hash == native);
            return if by_server {
                Judgement::ServerMade
            } else {
                Judgement::Junk
            };
        };
        if self.is_sealed(account, keyring) {
            let same = self.fields(account) == expected.fields(account);
            return if same {
                Judgement::Ours
            } else {
                Judgement::Outdated
            };
        }
        match &expected.ours {
            Some(meant) if meant.seal == ours.seal => Judgement::Altered,
            _ => Judgement::Forged,
        }
    }

    fn fields<'a>(&'a self, account: &'a Account) -> Option<Fields<'a>> {
        let ours = self.ours.as_ref()?;
        Some(Fields {
            account,
            ban: ours.id,
            reason: &self.reason,
            bandate: &self.bandate,
            until: ours.until.as_deref(),
            author: &ours.by,
            lastdate: &self.lastdate,
            lastreason: &self.lastreason,
            hash: &self.hash,
        })
    }
}

/// The date in ejabberd's format, with six digits after the second.
fn ban_date(at: Timestamp) -> String {
    let whole = at.to_xmpp();
    let micros = at.as_millis().rem_euclid(1000) * 1000;
    format!("{}.{micros:06}Z", whole.trim_end_matches('Z'))
}
