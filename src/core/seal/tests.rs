//! Tests of seals and key files, and that no altered record verifies.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use xmpp_parsers::jid::Jid;

use super::*;

fn ring(lines: &[(&str, u8)]) -> Keyring {
    let text: Vec<_> = lines
        .iter()
        .map(|(id, fill)| generate_key_line(&id.parse().unwrap(), &[*fill; KEY_BYTES]).to_string())
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
    // Computed independently with Python's hmac over the encoding above. If this value changes, every existing record
    // looks forged: use a new version instead.
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
    let text = ring(&[("k-1_x", 7)]).seal(&sample(&alice)).to_string();
    assert_eq!(text.parse::<Seal>().unwrap().to_string(), text);
}

#[test]
fn keyrings_are_equal_if_all_their_keys_are() {
    let (one, two) = (("k1", 1), ("k2", 2));
    assert_eq!(ring(&[one, two]), ring(&[one, two]));
    for other in [
        &[one][..],
        &[two, one],
        &[one, ("k2", 3)],
        &[one, ("k3", 2)],
    ] {
        assert_ne!(ring(&[one, two]), ring(other));
        assert_ne!(ring(other), ring(&[one, two]));
    }
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
    let ring = Keyring::parse(&format!("# made in 2026\r\n\r\n  {}  \r\n", line.as_str())).unwrap();
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

/// The seven text fields of a record, including `until`.
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
