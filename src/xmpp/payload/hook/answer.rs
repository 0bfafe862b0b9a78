//! Our answers to a module, our requests to it, and its answers to those.

use minidom::Element;

use super::NS_HOOK;
use super::denial_text;
use crate::core::{Account, Ban, By, Changed, Seq, Subject, Timestamp, Verdict};
use crate::xmpp::payload::{leaf, set, with};

/// `<welcome/>`; `now`: what time it is here.
pub fn welcome(epoch: &str, seq: Seq, now: Timestamp) -> Element {
    let attributes = [
        ("version", "1"),
        ("epoch", epoch),
        ("seq", &seq.0.to_string()),
        ("now", &now.to_xmpp_millis()),
    ];
    with("welcome", NS_HOOK, &attributes)
}

/// `<verdict/>`; `now`: what time it is here.
pub fn verdict(verdict: &Verdict, seq: Seq, now: Timestamp) -> Element {
    let mut element = Element::bare("verdict", NS_HOOK);
    match verdict {
        Verdict::LetIn => set(&mut element, "action", "allow"),
        Verdict::Refuse {
            ban,
            by,
            reason,
            until,
        } => {
            set(&mut element, "action", "refuse");
            set(&mut element, "by", by.as_str());
            if ban.0 != 0 {
                set(&mut element, "ban", &ban.0.to_string());
            }
            if let Some(until) = until {
                set(&mut element, "until", &until.to_xmpp());
            }
            let text = denial_text(*by, reason, *until);
            element.append_child(leaf("text", NS_HOOK, &text));
        }
    }
    set(&mut element, "seq", &seq.0.to_string());
    set(&mut element, "now", &now.to_xmpp_millis());
    element
}

/// The element for one change of the bans; `None` for a lockdown, which a module cannot hold. `at_start`: the ban may
/// refuse a stream at its start; `domain`: the module's virtual host in its own spelling.
pub fn change(changed: &Changed, at_start: bool, domain: &str) -> Option<Element> {
    match changed {
        Changed::Ended(subject) => Some(subject_element("lift", subject, domain)?),
        Changed::Stands(ban) => {
            let mut element = subject_element("ban", &ban.subject, domain)?;
            set(&mut element, "id", &ban.id.0.to_string());
            if let Some(until) = ban.until {
                set(&mut element, "until", &until.to_xmpp());
            }
            if at_start {
                set(&mut element, "door", "start");
            }
            element.append_child(leaf("text", NS_HOOK, &text_for(ban)));
            Some(element)
        }
    }
}

fn subject_element(name: &str, subject: &Subject, domain: &str) -> Option<Element> {
    let (text, other_half) = match subject {
        Subject::Account(account) => (account.spelled(domain).into_owned(), None),
        Subject::Address(_) | Subject::Network(_) => (subject.to_string(), None),
        Subject::Pair(account, net) => (
            account.spelled(domain).into_owned(),
            Some(Subject::network(*net).to_string()),
        ),
        // A module does not know who logged in before from where.
        Subject::Guard(_) => return None,
    };
    let mut element = with(
        name,
        NS_HOOK,
        &[("subject", &text), ("kind", subject.kind())],
    );
    if let Some(address) = other_half {
        set(&mut element, "address", &address);
    }
    Some(element)
}

/// The public text of a ban.
pub fn text_for(ban: &Ban) -> String {
    denial_text(By::of(&ban.subject), &ban.reason, ban.until)
}

/// The public text for people whose sessions are ended without a ban.
pub fn text_for_kick(reason: &str) -> String {
    match reason {
        "" => String::from("An admin ended this session."),
        reason => format!("An admin ended this session: {reason}"),
    }
}

/// `<changes/>`; `now`: what time it is here.
pub fn changes(
    epoch: &str,
    seq: u64,
    more: bool,
    fresh: bool,
    now: Timestamp,
    list: impl IntoIterator<Item = Element>,
) -> Element {
    let flag = |flag| if flag { "true" } else { "false" };
    let mut element = with(
        "changes",
        NS_HOOK,
        &[
            ("epoch", epoch),
            ("seq", &seq.to_string()),
            ("more", flag(more)),
            ("fresh", flag(fresh)),
            ("now", &now.to_xmpp_millis()),
        ],
    );
    for change in list {
        element.append_child(change);
    }
    element
}

/// `<news/>`
pub fn news(epoch: &str, seq: Seq) -> Element {
    with(
        "news",
        NS_HOOK,
        &[("epoch", epoch), ("seq", &seq.0.to_string())],
    )
}

/// `<kick/>`; `None` for a pair or lockdown, which no session can be ended by. `domain`: the module's virtual host in
/// its own spelling.
pub fn kick(subject: &Subject, text: &str, domain: &str) -> Option<Element> {
    let (by, whom) = match subject {
        Subject::Account(account) => ("account", account.spelled(domain).into_owned()),
        Subject::Address(_) => ("address", subject.to_string()),
        Subject::Network(_) => ("network", subject.to_string()),
        Subject::Pair(..) | Subject::Guard(_) => return None,
    };
    let mut element = with("kick", NS_HOOK, &[(by, &whom)]);
    element.append_child(leaf("text", NS_HOOK, text));
    Some(element)
}

/// The number of ended streams in a `<kicked/>`; `None` if it has none.
pub fn kicked(answer: &Element) -> Option<u64> {
    if !answer.is("kicked", NS_HOOK) {
        return None;
    }
    answer.attr("count")?.parse().ok()
}

/// `<hash/>`, the request. `domain`: the module's virtual host in its own spelling.
pub fn hash(account: &Account, domain: &str) -> Element {
    with("hash", NS_HOOK, &[("account", &account.spelled(domain))])
}

/// The value in the answer to a `<hash/>`; `None` without one.
pub fn hash_value(answer: &Element) -> Option<String> {
    let value = answer.is("hash", NS_HOOK).then(|| answer.attr("value"))??;
    (!value.is_empty() && value.len() <= 1_000).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_module_is_told_its_accounts_as_it_spells_them() {
        let told = |subject: &str, domain: &str| {
            let ended = Changed::Ended(Subject::parse(subject).unwrap());
            let lift = change(&ended, false, domain).unwrap();
            lift.attr("subject").unwrap().to_owned()
        };
        let (unicode, ascii) = ("alice@bücher.example", "alice@xn--bcher-kva.example");
        assert_eq!(told(unicode, "xn--bcher-kva.example"), ascii);
        assert_eq!(told(unicode, "bücher.example"), unicode);
        assert_eq!(told(unicode, "other.example"), unicode);
        assert_eq!(
            told(
                &format!("{unicode} from 192.0.2.7"),
                "xn--bcher-kva.example"
            ),
            ascii
        );
        assert_eq!(told("192.0.2.7", "xn--bcher-kva.example"), "192.0.2.7");
    }
}
