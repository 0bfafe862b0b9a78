//! Subjects: what is printed reads back as the same subject, at every place that reads one.

use portcullis::core::{Account, Subject};
use portcullis::xmpp::payload::hook;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Subject::parse(&text) {
        Ok(subject) => reads_back(&subject),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Ok((subject, used)) = Subject::take(&words) {
        assert!((1..=words.len()).contains(&used), "{used} of {words:?}");
        assert_eq!(Subject::parse(&words[..used].join(" ")), Ok(subject));
    }
    // An account that a server names can be named by an admin, too.
    if let Some(account) = hook::account(&text) {
        if let Some(plain) = Account::from_plain(&text) {
            assert_eq!(plain, account);
        }
        assert_eq!(hook::account(account.as_str()).as_ref(), Some(&account));
        reads_back(&Subject::Account(account));
    }
}

/// Checks that a subject is in normal form, and that its text and its bytes are read back as the same subject.
pub fn reads_back(subject: &Subject) {
    match subject {
        Subject::Address(address) => assert_eq!(*address, address.to_canonical()),
        Subject::Network(net) => {
            assert_eq!(*net, net.trunc());
            assert!(net.prefix_len() < net.max_prefix_len());
            assert_eq!(Subject::network(*net), *subject);
        }
        Subject::Account(_) | Subject::Pair(..) | Subject::Guard(_) => {}
    }
    let printed = subject.to_string();
    assert_eq!(
        Subject::parse(&printed).as_ref(),
        Ok(subject),
        "{printed:?}"
    );
    let words: Vec<&str> = printed.split_whitespace().collect();
    let taken = Subject::take(&words);
    assert_eq!(taken, Ok((subject.clone(), words.len())), "{printed:?}");
    let bytes = postcard::to_stdvec(subject).expect("a subject has bytes");
    assert_eq!(
        postcard::from_bytes::<Subject>(&bytes).as_ref(),
        Ok(subject)
    );
}
