#![allow(clippy::unwrap_used)]
use super::*;
use crate::core::seal::{KEY_BYTES, generate_key_line};
use crate::core::{Actor, BanId, EntryPoint, Origin, Role, Seq, Subject};
use crate::enforce::native_hash::native_hash;
use crate::xmpp::payload::text_of;

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
        by: Actor::person("admin@localhost/phone", Role::Admin, EntryPoint::Chat),
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
        &format!("<banned xmlns='jabber:ejabberd:banned'>{many}<password>p</password></banned>")
            .parse()
            .unwrap(),
    );
    assert_eq!(record.foreign.len(), MOST_FOREIGN);
    assert!(record.holds_password(), "junk cannot push the password out");
}

#[test]
fn what_is_kept_of_others_fits_into_a_stanza_as_it_is_written() {
    let most = crate::xmpp::guard::Limits::default();
    for (name, child) in [
        (
            "escapes in texts",
            format!("<c xmlns='j'>{}</c>", "&amp;".repeat(8_000)),
        ),
        (
            "quotes in texts",
            format!("<c xmlns='j'>{}</c>", "\"".repeat(8_000)),
        ),
        (
            "escapes in attributes",
            format!("<c xmlns='j' a='{}'/>", "&quot;".repeat(8_000)),
        ),
        (
            "many elements",
            format!("<c xmlns=''>{}</c>", "<a/>".repeat(1_000)),
        ),
        (
            "many namespaces",
            format!(
                "<c xmlns='j'>{}</c>",
                "<a xmlns='&amp;&amp;&amp;'/>".repeat(180)
            ),
        ),
        (
            "small enough",
            format!("<c xmlns='j'>{}</c>", "&amp;".repeat(1_200)),
        ),
    ] {
        let many = child.repeat(40);
        let banned = format!("<banned xmlns='jabber:ejabberd:banned'>{many}</banned>");
        let record = BanRecord::parse(&banned.parse().unwrap());
        let kept = expected().keeping(&record.foreign).to_element();
        let count = |text: &str| text.matches('<').count();
        let text = String::from(&kept);
        // The server may write each of these characters as one of its longest escapes.
        let worst = text
            .replace("&amp;", "&")
            .replace("&lt;", "<")
            .replace("&quot;", "\"");
        let worst = worst.replace(['&', '"'], "&quot;");
        assert!(worst.len() < most.stanza_bytes, "{name}: {}", worst.len());
        assert!(count(&text) < most.elements, "{name}: {}", count(&text));
        assert_eq!(record.foreign.is_empty(), name != "small enough", "{name}");
    }
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
