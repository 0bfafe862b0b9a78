//! The record of a ban in the user's private storage (XEP-0049): build it, read it, judge it.
//!
//! ejabberd (24.06 and later) refuses a login when `<hash/>` in it is right. The user can read and overwrite it while a
//! session of hers is open: it is an export and a native brake, never the truth, and holds nothing private.
//!
//! ```xml
//! <banned xmlns='jabber:ejabberd:banned'>
//!   <reason>spam</reason><lastdate/><lastreason/><bandate>2026-11-22T04:00:00.000000Z</bandate><hash>g20AAAAg…</hash>
//!   <ban xmlns='urn:portcullis:record:1' id='17' until='2030-01-01T12:00:00Z' by='admin@example.org' seal='v1.k1.…'/>
//! </banned>
//! ```

use minidom::Element;

use crate::core::seal::{Fields, Keyring, Verified};
use crate::core::{Account, Ban, Timestamp};
use crate::gate::ports::Recorded;
use crate::xmpp::payload::{leaf, one_line, text_of, with};

/// Namespace of private storage (XEP-0049).
pub const NS_PRIVATE: &str = "jabber:iq:private";
/// Namespace of ejabberd's record.
pub const NS_BANNED: &str = "jabber:ejabberd:banned";
/// Namespace of our part of it.
pub const NS_RECORD: &str = "urn:portcullis:record:1";

/// Longest reason in a record, in bytes; the log keeps all of it.
pub const MOST_REASON: usize = 1024;
/// Longest other text in a record, in bytes.
pub const MOST_TEXT: usize = 512;
/// Children of others that a rewrite keeps.
pub const MOST_FOREIGN: usize = 16;
/// Longest of them, in bytes of names and texts.
pub const MOST_FOREIGN_BYTES: usize = 8 * 1024;

/// ejabberd's own hash starts with this (`native_hash`).
const NATIVE_START: &str = "g20AAAAg";
/// Length of it in base64.
const NATIVE_LENGTH: usize = 52;

/// What the record holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BanRecord {
    /// Public reason.
    pub reason: String,
    /// When the ban was laid on, as ejabberd writes it.
    pub bandate: String,
    /// Last activity, as the server noted it.
    pub lastdate: String,
    /// Why the last session ended.
    pub lastreason: String,
    /// ejabberd's own value, or ours.
    pub hash: String,
    /// Our part.
    pub ours: Option<Ours>,
    /// Everything else in it, kept as it is: ejabberd 24.06 to 25.07 stores the user's `<password/>` there.
    pub foreign: Vec<Element>,
}

/// Our part of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Number of the ban.
    pub id: u64,
    /// Its end; `None`: none.
    pub until: Option<String>,
    /// Who banned.
    pub by: String,
    /// Seal over all fields, text form.
    pub seal: String,
}

/// What a record is to a ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// There is none, or the empty one.
    Empty,
    /// What we wrote for this ban.
    Ours,
    /// What we wrote for another ban, or for other terms of this one.
    Outdated,
    /// It carries the seal of this ban, but was changed.
    Altered,
    /// It claims to be ours and is not, or a key was removed too early.
    Forged,
    /// The server's own ban: its hash is right, and nothing of ours is there.
    ServerMade,
    /// Something else that bans nobody.
    Junk,
}

/// What the one who is banned reads behind ejabberd's "Account is banned: ": why, and until when.
fn shown(ban: &Ban) -> String {
    /// Room for the end behind a reason that fills the rest.
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

    /// The same with these children of others.
    #[must_use]
    pub fn keeping(mut self, foreign: &[Element]) -> Self {
        self.foreign = foreign.to_vec();
        self
    }

    /// Reads whatever the user may have put there. Never fails: what is too long or not understood is not there.
    pub fn parse(banned: &Element) -> Self {
        let text = |name| capped(text_of(banned, name, NS_BANNED), MOST_REASON);
        BanRecord {
            reason: text("reason"),
            bandate: text("bandate"),
            lastdate: text("lastdate"),
            lastreason: text("lastreason"),
            hash: text("hash"),
            ours: banned.get_child("ban", NS_RECORD).and_then(Ours::parse),
            foreign: foreign(banned),
        }
    }

    /// Reads the answer to [`BanRecord::query`]; an answer without a record is an empty one.
    pub fn parse_answer(query: Option<&Element>) -> Self {
        query
            .and_then(|query| query.get_child("banned", NS_BANNED))
            .map(BanRecord::parse)
            .unwrap_or_default()
    }

    /// The element to store.
    pub fn to_element(&self) -> Element {
        let mut banned = Element::bare("banned", NS_BANNED);
        if self.is_empty() {
            return banned;
        }
        for (name, text) in [
            ("reason", &self.reason),
            ("lastdate", &self.lastdate),
            ("lastreason", &self.lastreason),
            ("bandate", &self.bandate),
            ("hash", &self.hash),
        ] {
            banned.append_child(leaf(name, NS_BANNED, text));
        }
        if let Some(ours) = &self.ours {
            let id = ours.id.to_string();
            let mut attributes = vec![("id", id.as_str()), ("by", &ours.by), ("seal", &ours.seal)];
            attributes.extend(ours.until.as_deref().map(|until| ("until", until)));
            banned.append_child(with("ban", NS_RECORD, &attributes));
        }
        for child in &self.foreign {
            banned.append_child(child.clone());
        }
        banned
    }

    /// The request that reads a record.
    pub fn query() -> Element {
        BanRecord::default().store()
    }

    /// The request that writes this record; the empty one lifts the ban.
    pub fn store(&self) -> Element {
        let mut query = Element::bare("query", NS_PRIVATE);
        query.append_child(self.to_element());
        query
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        *self == BanRecord::default()
    }

    /// Whether the server keeps the user's password in it (ejabberd 24.06 to 25.07): emptying such a record loses the
    /// password for ever, only the server's `unban_account` may lift it.
    pub fn holds_password(&self) -> bool {
        self.foreign.iter().any(|child| child.name() == "password")
    }

    /// Whether the hash has the form of ejabberd's; only the server's cookie tells whether it is right.
    pub fn looks_native(&self) -> bool {
        self.hash.len() == NATIVE_LENGTH && self.hash.starts_with(NATIVE_START)
    }

    /// Whether our seal on it is good.
    pub fn is_sealed(&self, account: &Account, keyring: &Keyring) -> bool {
        match (&self.ours, self.fields(account)) {
            (Some(ours), Some(fields)) => {
                keyring.verify_text(&fields, &ours.seal) == Verified::Good
            }
            _ => false,
        }
    }

    /// The ban it holds: one under a good seal of ours, or one the server made itself, which has no end. What claims to
    /// be ours under another seal (of another portcullis, forged, or its key was removed) tells nothing to believe.
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
            // `shown` put it there, for whoever is refused.
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
        })
    }

    /// What this record, read back, is to the one that should be there. `native` is ejabberd's hash of the account, where
    /// it is known. Children of others do not count.
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

impl Ours {
    fn parse(ban: &Element) -> Option<Self> {
        let attribute = |name| {
            ban.attr(name)
                .map(|text| capped(text.to_owned(), MOST_TEXT))
        };
        Some(Ours {
            id: ban.attr("id")?.parse().ok()?,
            until: attribute("until"),
            by: attribute("by").unwrap_or_default(),
            seal: attribute("seal").unwrap_or_default(),
        })
    }
}

/// As ejabberd writes it, with six digits behind the second.
fn ban_date(at: Timestamp) -> String {
    let whole = at.to_xmpp();
    let micros = at.as_millis().rem_euclid(1000) * 1000;
    format!("{}.{micros:06}Z", whole.trim_end_matches('Z'))
}

/// Texts are kept exactly, for the seal covers them; one that we would never write that long is not ours anyway.
fn capped(text: String, most: usize) -> String {
    if text.len() <= most {
        text
    } else {
        one_line(&text, most)
    }
}

/// The children that are neither ejabberd's fields nor ours. A password is always kept, of the rest what is small.
fn foreign(banned: &Element) -> Vec<Element> {
    const FIELDS: [&str; 5] = ["reason", "lastdate", "lastreason", "bandate", "hash"];
    let others = banned
        .children()
        .filter(|child| !child.has_ns(NS_RECORD))
        .filter(|child| !child.has_ns(NS_BANNED) || !FIELDS.contains(&child.name()));
    let (passwords, rest): (Vec<_>, Vec<_>) = others
        .filter(|child| weight(child) <= MOST_FOREIGN_BYTES)
        .partition(|child| child.is("password", NS_BANNED));
    passwords
        .into_iter()
        .chain(rest)
        .take(MOST_FOREIGN)
        .cloned()
        .collect()
}

/// Bytes of names and texts. The guard bounds how deep a stanza is.
fn weight(element: &Element) -> usize {
    let attributes: usize = element
        .attrs()
        .iter()
        .map(|(_, value)| value.len() + 16)
        .sum();
    let texts: usize = element.texts().map(str::len).sum();
    let children: usize = element.children().map(weight).sum();
    element.name().len() + element.ns().len() + attributes + texts + children
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::seal::{KEY_BYTES, generate_key_line};
    use crate::core::{Actor, BanId, Door, Origin, Role, Seq, Subject};
    use crate::enforce::native_hash::native_hash;

    pub(crate) fn ring(fill: u8) -> Keyring {
        Keyring::parse(&generate_key_line(
            &"k1".parse().unwrap(),
            &[fill; KEY_BYTES],
        ))
        .unwrap()
    }

    fn alice() -> Account {
        match Subject::parse("alice@localhost").unwrap() {
            Subject::Account(account) => account,
            other => panic!("{other:?}"),
        }
    }

    fn ban() -> Ban {
        Ban {
            id: BanId(17),
            subject: Subject::Account(alice()),
            reason: "spam & <eggs>\n\u{1}".into(),
            by: Actor::person("admin@localhost/phone", Role::Admin, Door::Chat),
            origin: Origin::Manual,
            since: Timestamp::from_millis(1_795_320_000_123),
            until: Timestamp::parse("2030-01-01T12:00:00Z"),
            ordinal: 1,
            insisted: false,
            version: Seq(1),
        }
    }

    fn native() -> String {
        native_hash("alice", "localhost", b"PORTCULLISLABCOOKIE")
    }

    fn expected() -> BanRecord {
        BanRecord::of(&ban(), &alice(), native(), &ring(1))
    }

    fn judge(text: &str) -> Judgement {
        let element: Element = text.parse().unwrap();
        BanRecord::parse(&element).judge(&expected(), &alice(), &ring(1), Some(&native()))
    }

    fn written(record: &BanRecord) -> String {
        String::from(&record.to_element())
    }

    #[test]
    fn a_record_tells_its_ban_only_under_a_seal_of_ours_or_as_the_servers_own() {
        let ours = expected();
        let told = ours.tells(&alice(), &ring(1)).unwrap();
        assert!(told.is_ours && !told.reason.contains("until"), "{told:?}");
        assert_eq!(
            told.until.map(Timestamp::to_xmpp),
            ours.ours.clone().unwrap().until
        );
        assert_eq!(
            ours.tells(&alice(), &ring(2)),
            None,
            "of another portcullis"
        );
        let server = BanRecord {
            ours: None,
            ..ours.clone()
        };
        let told = server.tells(&alice(), &ring(1)).unwrap();
        assert_eq!((told.is_ours, told.until), (false, None));
        assert_eq!(BanRecord::default().tells(&alice(), &ring(1)), None);
    }

    #[test]
    fn a_record_reads_as_ejabberd_wants_it() {
        let element = expected().to_element();
        assert_eq!(
            text_of(&element, "bandate", NS_BANNED),
            "2026-11-22T04:00:00.123000Z"
        );
        assert_eq!(
            text_of(&element, "reason", NS_BANNED),
            "spam & <eggs> (until 2030-01-01 12:00 UTC)"
        );
        assert_eq!(
            text_of(&element, "hash", NS_BANNED),
            "g20AAAAgL+4WP8L8tdsEW5X+3YRvSPYd4/BZmM7g8Ic1kc/UjyY="
        );
        let ours = element.get_child("ban", NS_RECORD).unwrap();
        assert_eq!(
            (ours.attr("id"), ours.attr("by")),
            (Some("17"), Some("admin@localhost"))
        );
        assert_eq!(ours.attr("until"), Some("2030-01-01T12:00:00Z"));
    }

    #[test]
    fn what_was_written_reads_back_as_ours() {
        let record = expected();
        let text = written(&record);
        assert_eq!(BanRecord::parse(&text.parse().unwrap()), record);
        assert_eq!(judge(&text), Judgement::Ours);
        assert!(record.looks_native());
        let extra = text.replace("</banned>", "<x xmlns='other'>kept</x></banned>");
        assert_eq!(
            judge(&extra),
            Judgement::Ours,
            "children of others do not count"
        );
    }

    #[test]
    fn every_kind_of_record_is_told_apart() {
        let text = written(&expected());
        assert_eq!(
            judge("<banned xmlns='jabber:ejabberd:banned'/>"),
            Judgement::Empty
        );
        assert_eq!(judge(&text.replace("eggs", "ham")), Judgement::Altered);
        assert_eq!(
            judge(&text.replace("g20AAAAg", "g20AAAAh")),
            Judgement::Altered
        );
        assert_eq!(judge(&text.replace("v1.k1.", "v1.k2.")), Judgement::Forged);
        assert_eq!(judge(&text.replace("v1.k1.", "")), Judgement::Forged);
        let mut other = ban();
        other.until = None;
        let outdated = BanRecord::of(&other, &alice(), native(), &ring(1));
        assert_eq!(judge(&written(&outdated)), Judgement::Outdated);
        assert_eq!(
            judge(&written(&BanRecord::of(
                &ban(),
                &alice(),
                native(),
                &ring(2)
            ))),
            Judgement::Forged
        );
        let server = format!(
            "<banned xmlns='jabber:ejabberd:banned'><reason>spam</reason><hash>{}</hash></banned>",
            native()
        );
        assert_eq!(judge(&server), Judgement::ServerMade);
        assert_eq!(
            judge("<banned xmlns='jabber:ejabberd:banned'><hash>g20</hash></banned>"),
            Judgement::Junk
        );
        assert_eq!(
            judge("<banned xmlns='jabber:ejabberd:banned'>junk</banned>"),
            Judgement::Empty
        );
    }

    #[test]
    fn a_record_of_another_account_is_forged() {
        let Subject::Account(bob) = Subject::parse("bob@localhost").unwrap() else {
            panic!()
        };
        let moved = BanRecord::of(&ban(), &bob, native(), &ring(1));
        assert_eq!(judge(&written(&moved)), Judgement::Forged);
    }

    #[test]
    fn hostile_records_are_read_without_harm() {
        let junk = "<banned xmlns='jabber:ejabberd:banned'><reason><b xmlns='x'>n</b></reason><reason>two</reason><hash/>\
            <ban xmlns='urn:portcullis:record:1' id='-1'/><ban xmlns='urn:portcullis:record:1' id='99999999999999999999999'/>\
            <ban xmlns='other' id='1'/><hash xmlns=''>x</hash></banned>";
        let record = BanRecord::parse(&junk.parse().unwrap());
        assert_eq!((record.reason.as_str(), &record.ours), ("", &None));
        let (huge, long) = ("x".repeat(100_000), "x".repeat(6_000));
        let record = BanRecord::parse(&format!("<banned xmlns='jabber:ejabberd:banned'><reason>{huge}</reason><j xmlns='j'>{huge}</j><ban xmlns='urn:portcullis:record:1' id='1' by='{long}' seal='{long}'/></banned>").parse().unwrap());
        assert!(record.reason.len() <= MOST_REASON && record.foreign.is_empty());
        assert!(record.ours.unwrap().seal.len() <= MOST_TEXT);
        let many: String = (0..100).map(|n| format!("<c{n} xmlns='j'/>")).collect();
        let record = BanRecord::parse(
            &format!(
                "<banned xmlns='jabber:ejabberd:banned'>{many}<password>p</password></banned>"
            )
            .parse()
            .unwrap(),
        );
        assert_eq!(record.foreign.len(), MOST_FOREIGN);
        assert!(record.holds_password(), "junk cannot push the password out");
    }

    #[test]
    fn a_rewrite_keeps_the_password_the_server_stored() {
        let old: Element = "<banned xmlns='jabber:ejabberd:banned'><reason/><hash>h</hash><password><scram xmlns='s'>a</scram></password></banned>".parse().unwrap();
        let element = expected()
            .keeping(&BanRecord::parse(&old).foreign)
            .to_element();
        let password = element.get_child("password", NS_BANNED).unwrap();
        assert_eq!(password.get_child("scram", "s").unwrap().text(), "a");
        assert_eq!(judge(&String::from(&element)), Judgement::Ours);
    }

    #[test]
    fn the_banned_read_why_and_until_when() {
        let mut ban = ban();
        ban.reason = "spam".into();
        ban.until = Timestamp::parse("2030-01-01T12:00Z");
        assert_eq!(shown(&ban), "spam (until 2030-01-01 12:00 UTC)");
        ban.reason.clear();
        assert_eq!(shown(&ban), "until 2030-01-01 12:00 UTC");
        ban.until = None;
        assert_eq!(shown(&ban), "");
    }

    #[test]
    fn a_long_reason_is_cut_the_same_way_every_time() {
        let mut long = ban();
        long.reason = "ä".repeat(5_000);
        let record = BanRecord::of(&long, &alice(), native(), &ring(1));
        assert!(record.reason.len() <= MOST_REASON);
        assert!(record.is_sealed(&alice(), &ring(1)));
        assert!(BanRecord::parse(&record.to_element()).is_sealed(&alice(), &ring(1)));
    }
}
