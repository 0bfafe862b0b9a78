//! Subjects: what is printed reads back as the same subject, at every place that reads one, and nobody has the role of an
//! account that is spelled otherwise.

use portcullis::command::Roles;
use portcullis::core::{Account, Rights, Role, Subject, as_written};
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
        role_of(&text, &account);
        reads_back(&Subject::Account(account));
    }
}

/// Checks that a sender has no role by an account whose localpart is spelled otherwise, and that nothing is asked of the
/// server about another account.
fn role_of(text: &str, account: &Account) {
    let roles = Roles::new([(account.clone(), Rights::everywhere(Role::Admin))]);
    let spelled = |text: &str| text.split_once('@').map(|parts| parts.0.to_owned());
    if let Some(sender) = as_written::exact(text) {
        let is_admin = roles.of(&sender).highest() == Role::Admin;
        assert!(!is_admin || spelled(text).as_deref() == Some(account.localpart()));
    }
    if let Some(jid) = account.to_jid() {
        assert_eq!(jid.as_str(), account.as_str());
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
