//! Questions to a module about what of the server itself refuses a login, and their answers (docs/hook-protocol.md, 8
//! and 9).

use std::net::IpAddr;

use ipnet::IpNet;
use minidom::Element;

use super::NS_HOOK;
use crate::core::{Account, Subject, Timestamp};
use crate::xmpp::payload::{one_line, set, with};

/// Maximum number of refusals, and of words in a list, that are read.
const MOST: usize = 16;
/// Maximum length of a word, in bytes.
const WORD: usize = 64;
/// Maximum length of a reason, in bytes.
const REASON: usize = 512;

/// The answer to [`refusals`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HookRefusals {
    /// What was looked at.
    pub asked: Vec<String>,
    /// What could not be looked at.
    pub not_asked: Vec<String>,
    /// What refuses the login.
    pub found: Vec<HookRefusal>,
}

/// One `<refusal/>`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HookRefusal {
    /// What it is by.
    pub by: String,
    /// Reason; may be empty.
    pub reason: String,
    /// Its end.
    pub until: Option<Timestamp>,
    /// The record of a ban (`jabber:ejabberd:banned`).
    pub record: Option<Element>,
}

/// `<refusals/>`, the question. `domain`: the module's virtual host in its own spelling.
pub fn refusals(account: Option<&Account>, address: Option<IpAddr>, domain: &str) -> Element {
    let mut element = Element::bare("refusals", NS_HOOK);
    if let Some(account) = account {
        set(&mut element, "account", &account.spelled(domain));
    }
    if let Some(address) = address {
        set(&mut element, "address", &address.to_string());
    }
    element
}

/// Reads the answer; `None` if it is none.
pub fn read_refusals(answer: &Element) -> Option<HookRefusals> {
    if !answer.is("refusals", NS_HOOK) {
        return None;
    }
    let found = answer
        .children()
        .filter(|child| child.is("refusal", NS_HOOK));
    Some(HookRefusals {
        asked: words(answer.attr("asked")),
        not_asked: words(answer.attr("not-asked")),
        found: found.take(MOST).map(refusal).collect(),
    })
}

fn refusal(element: &Element) -> HookRefusal {
    HookRefusal {
        by: one_line(element.attr("by").unwrap_or_default(), WORD),
        reason: one_line(element.attr("reason").unwrap_or_default(), REASON),
        until: element.attr("until").and_then(Timestamp::parse),
        record: element
            .children()
            .find(|child| child.name() == "banned")
            .cloned(),
    }
}

/// The words of a list, as far as they are short.
pub(super) fn words(list: Option<&str>) -> Vec<String> {
    let words = list.unwrap_or_default().split_ascii_whitespace();
    let words = words.filter(|word| word.len() <= WORD);
    words.take(MOST).map(|word| one_line(word, WORD)).collect()
}

/// `<unblock/>`
pub fn unblock(net: IpNet) -> Element {
    let subject = Subject::network(net);
    let name = match subject {
        Subject::Address(_) => "address",
        _ => "network",
    };
    with("unblock", NS_HOOK, &[(name, &subject.to_string())])
}

/// The number of addresses in an `<unblocked/>`; `None` if it has none.
pub fn unblocked(answer: &Element) -> Option<u64> {
    if !answer.is("unblocked", NS_HOOK) {
        return None;
    }
    answer.attr("count")?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_read_within_bounds() {
        let many = "<refusal by='x'/>".repeat(MOST + 1);
        let long = "y".repeat(WORD + 1);
        let text = format!(
            "<refusals xmlns='{NS_HOOK}' asked='ban' not-asked='access {long}&#9;mod_firewall'>\
             <refusal by='ban' reason='a&#10;b'><banned xmlns='jabber:ejabberd:banned'/></refusal>\
             <refusal by='mod_fail2ban' until='2030-01-01T12:00:00Z'/>{many}</refusals>"
        );
        let read = read_refusals(&text.parse().unwrap()).unwrap();
        assert_eq!(read.asked, ["ban"]);
        assert_eq!(read.not_asked, ["access", "mod_firewall"]);
        assert_eq!(read.found.len(), MOST);
        assert_eq!(read.found[0].reason, "a b");
        assert!(read.found[0].record.is_some() && read.found[1].until.is_some());
        let other = "<kicked xmlns='urn:portcullis:hook:1' count='1'/>";
        assert_eq!(read_refusals(&other.parse().unwrap()), None);
    }

    #[test]
    fn a_question_names_whom_it_is_about() {
        let subject = Subject::parse("alice@bücher.example").unwrap();
        let element = refusals(
            subject.account(),
            Some([192, 0, 2, 7].into()),
            "xn--bcher-kva.example",
        );
        assert_eq!(element.attr("account"), Some("alice@xn--bcher-kva.example"));
        assert_eq!(element.attr("address"), Some("192.0.2.7"));
        let address = unblock("192.0.2.7/32".parse().unwrap());
        assert_eq!(address.attr("address"), Some("192.0.2.7"));
        let network = unblock("192.0.2.0/24".parse().unwrap());
        assert_eq!(network.attr("network"), Some("192.0.2.0/24"));
    }
}
