//! Durations and times: within their bounds, and what is printed reads back as the same, but for its rounding.

use std::time::Duration;

use portcullis::core::{Term, Timestamp};

const LONGEST: Duration = Duration::from_secs(1000 * 365 * 86_400);

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Term::parse(&text) {
        Ok(term) => reads_back(term),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Ok(Some((term, used))) = Term::take(&words) {
        assert!((1..=words.len()).contains(&used), "{used} of {words:?}");
        assert_eq!(Term::parse(&words[..used].join(" ")), Ok(term));
    }
    if let Some(at) = Timestamp::parse(&text) {
        assert!(at <= Timestamp::LAST);
        assert_eq!(Timestamp::parse(&at.to_exact()), Some(at));
        assert_eq!(Timestamp::parse(&at.to_xmpp_millis()), Some(at));
        let whole = Timestamp::parse(&at.to_xmpp()).expect("a time reads back");
        assert!(whole <= at && at.since(whole) < Duration::from_secs(1));
        reads_back(Term::Until(at));
    }
}

/// Checks the bounds of a term, and that its text reads back. Texts are rounded, and rounding again changes nothing.
fn reads_back(term: Term) {
    let printed = term.to_string();
    let again = Term::parse(&printed).expect(&printed);
    match (term, again) {
        (Term::Forever, Term::Forever) => {}
        (Term::For(span), Term::For(rounded)) => {
            assert!(!span.is_zero() && span <= LONGEST);
            // Two units are shown; half of the second one is at most a forty-eighth.
            assert!(span.abs_diff(rounded) <= span / 48, "{printed}");
            let now = Timestamp::from_millis(1_795_320_000_000);
            assert!(term.ends(now).is_some_and(|end| end > now));
        }
        (Term::Until(at), Term::Until(rounded)) => {
            assert!(
                rounded <= at && at.since(rounded) < Duration::from_secs(1),
                "{printed}"
            );
        }
        _ => panic!("{term:?} is read as {again:?}"),
    }
    assert_eq!(again.to_string(), printed);
}
