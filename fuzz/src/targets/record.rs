//! The record in the user's private storage: whatever she puts there, what verifies was sealed by us for her.

use minidom::Element;
use portcullis::core::seal::{KEY_BYTES, Keyring, generate_key_line};
use portcullis::core::{
    Account, Actor, Ban, BanId, EntryPoint, Origin, Role, Seq, Subject, Timestamp,
};
use portcullis::enforce::record::{BanRecord, Judgement, MOST_REASON, MOST_TEXT, NS_PRIVATE, Ours};

use super::{case_and_text, through_guard, written};

pub fn run(data: &[u8]) {
    let Some((case, text)) = case_and_text(data) else {
        return;
    };
    match case % 2 {
        0 => read(&text),
        _ => changed(case / 2, &text),
    }
}

/// Reads what a user stored. Genuine records are among the corpus, so that the fuzzer changes them.
fn read(text: &str) {
    let Ok(query) = xso::from_bytes::<Element>(text.as_bytes()) else {
        return;
    };
    if !query.is("query", NS_PRIVATE) {
        return;
    }
    let record = BanRecord::parse_answer(Some(&query));
    reads_back(&record);
    let genuine = sealed("spam");
    if record.is_sealed(&account(), &keyring()) {
        assert_eq!(
            without_foreign(&record),
            genuine,
            "a forged record verifies"
        );
    }
    if let Some(told) = record.tells(&account(), &keyring()) {
        assert_eq!(told.is_ours, record.ours.is_some());
        assert!(!told.is_ours || without_foreign(&record) == genuine);
    }
    let judgement = record.judge(&genuine, &account(), &keyring(), None);
    assert_eq!(
        judgement == Judgement::Ours,
        without_foreign(&record) == genuine
    );
}

/// Seals a record for any text, and changes one field of it.
fn changed(field: u8, text: &str) {
    let (reason, other) = text.split_once('\n').unwrap_or((text, ""));
    let record = sealed(reason);
    reads_back(&record);
    assert_eq!(
        record.judge(&record, &account(), &keyring(), None),
        Judgement::Ours
    );
    assert!(
        record
            .tells(&account(), &keyring())
            .is_some_and(|told| told.is_ours)
    );
    let mut forged = record.clone();
    let ours = forged.ours.as_mut().expect("ours has our part");
    match field % 9 {
        0 => forged.reason = other.to_owned(),
        1 => forged.bandate = other.to_owned(),
        2 => forged.lastdate = other.to_owned(),
        3 => forged.lastreason = other.to_owned(),
        4 => forged.hash = other.to_owned(),
        5 => ours.until = Some(other.to_owned()),
        6 => ours.by = other.to_owned(),
        7 => ours.seal = other.to_owned(),
        _ => ours.id = other.parse().unwrap_or(ours.id),
    }
    assert_eq!(forged.is_sealed(&account(), &keyring()), forged == record);
    assert!(!record.is_sealed(
        &Account::from_plain("bob@example.org").expect("one"),
        &keyring()
    ));
}

/// Checks that a record is bounded and is the same after it was stored.
fn reads_back(record: &BanRecord) {
    assert!(record.reason.len() <= MOST_REASON && record.hash.len() <= MOST_REASON);
    if let Some(Ours {
        until, by, seal, ..
    }) = &record.ours
    {
        for text in [until.as_deref().unwrap_or_default(), by, seal] {
            assert!(text.len() <= MOST_TEXT);
        }
    }
    let text = written(&record.store());
    through_guard(text.as_bytes());
    let stored: Element = xso::from_bytes(text.as_bytes()).expect("what we write can be parsed");
    let stored = BanRecord::parse_answer(Some(&stored));
    assert_eq!(without_foreign(&stored), without_foreign(record));
    assert_eq!(written(&stored.store()), text);
}

fn without_foreign(record: &BanRecord) -> BanRecord {
    record.clone().keeping(&[])
}

fn account() -> Account {
    Account::from_plain("alice@example.org").expect("an account")
}

fn keyring() -> Keyring {
    let line = generate_key_line(&"k1".parse().expect("a key id"), &[7; KEY_BYTES]);
    Keyring::parse(&line).expect("a keyring")
}

/// The record of a ban for this reason.
pub fn sealed(reason: &str) -> BanRecord {
    let ban = Ban {
        id: BanId(17),
        subject: Subject::Account(account()),
        reason: reason.to_owned(),
        by: Actor::person("admin@example.org/phone", Role::Admin, EntryPoint::Chat),
        origin: Origin::Manual,
        since: Timestamp::from_millis(1_795_320_000_123),
        until: Timestamp::parse("2030-01-01T12:00:00Z"),
        ordinal: 1,
        insisted: false,
        version: Seq(1),
    };
    let hash = keyring().fallback_hash(&account());
    BanRecord::of(&ban, &account(), hash, &keyring())
}
