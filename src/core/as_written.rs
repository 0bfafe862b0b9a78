//! JIDs as they are written: by a server, whose spelling is the account, and by a person, who must not mean somebody else.
//!
//! The jid crate normalises by the Unicode of today and refuses only then what Unicode 3.2 does not assign (RFC 3454, 7), so
//! it makes `admin` of `ᵃdmin`. Servers leave unassigned characters alone, so that both are accounts there; and the
//! stringprep of ejabberd has results of its own. A name that a server wrote is therefore compared byte by byte, and never
//! replaced by what the jid crate would make of it.

use xmpp_parsers::jid::Jid;

use super::words;

/// The JID that a server, module or room wrote; `None` if the jid crate refuses it or would change it. The case of ASCII
/// letters in the domain and a dot at its end do not count.
pub fn exact(text: &str) -> Option<Jid> {
    let jid = Jid::new(text).ok()?;
    let (node, domain, resource) = parts(text);
    let is_same = node == jid.node().map(|node| node.as_str())
        && resource == jid.resource().map(|resource| resource.as_str())
        && without_dot(domain).eq_ignore_ascii_case(without_dot(jid.domain().as_str()));
    is_same.then_some(jid)
}

/// Whether the jid crate read another name than a person typed: more differs than upper and lower case.
pub fn is_renamed(text: &str, jid: &Jid) -> bool {
    let (node, domain, resource) = parts(text);
    // Cherokee is folded to upper case by the one and to lower case by the other.
    node.map(folded) != jid.node().map(|node| folded(node.as_str()))
        || folded(without_dot(domain)) != folded(without_dot(jid.domain().as_str()))
        || resource != jid.resource().map(|resource| resource.as_str())
}

/// Whether a name that was printed as it is would be read as the same account: nothing else is made of it, and all of it is
/// seen.
pub fn reads_back(text: &str) -> bool {
    let is_renamed = || exact(text).is_none() && Jid::new(text).is_ok();
    text.is_ascii() || !(text.contains(words::is_unseen) || is_renamed())
}

/// Localpart, domain and resource (RFC 7622, 3.2), unchanged.
fn parts(text: &str) -> (Option<&str>, &str, Option<&str>) {
    let (bare, resource) = match text.split_once('/') {
        Some((bare, resource)) => (bare, Some(resource)),
        None => (text, None),
    };
    match bare.split_once('@') {
        Some((node, domain)) => (Some(node), domain, resource),
        None => (None, bare, resource),
    }
}

fn without_dot(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

/// Lower case as RFC 3454, table B.2, has it for the letters that people type.
fn folded(text: &str) -> String {
    text.to_lowercase().replace('ß', "ss").replace('ς', "σ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Names that the jid crate reads as another one: characters newer than Unicode 3.2, compatibility characters, and what
    /// ejabberd's stringprep makes of `㏆`.
    const RENAMED: [&str; 7] = [
        "ᵃdmin@example.org",
        "admin@exᵃmple.org",
        "room@example.org/ᵃl",
        "example.org/ᵖortcullis",
        "ﬁ@example.org",
        "admin\u{ad}@example.org",
        "e\u{301}@example.org",
    ];

    #[test]
    fn what_would_become_another_name_is_not_read_as_that_name() {
        for text in RENAMED {
            let jid = Jid::new(text).unwrap();
            assert_ne!(jid.as_str(), text);
            assert_eq!(exact(text), None, "{text:?}");
            assert!(is_renamed(text, &jid), "{text:?}");
        }
        for text in ["Admin@example.org", "evilC∕kg@example.org"] {
            assert_eq!(exact(text), None, "{text:?}");
            assert!(!is_renamed(text, &Jid::new(text).unwrap()), "{text:?}");
        }
    }

    #[test]
    fn what_stays_as_it_is_or_differs_in_case_is_read() {
        for text in [
            "alice@example.org/Phone",
            "alice@EXAMPLE.org.",
            "ärger@bücher.example",
            "a@xn--bcher-kva.example",
            "a@XN--bcher-kva.example/a b",
            "a@192.0.2.1",
            "a@[2001:db8::1]",
            "example.org",
        ] {
            let jid = Jid::new(text).unwrap();
            assert_eq!(exact(text), Some(jid.clone()), "{text:?}");
            assert!(!is_renamed(text, &jid), "{text:?}");
        }
        for text in [
            "Ärger@BÜCHER.example",
            "Weiß@straße.example",
            "ΑΣ@a.example",
            "a@ᏫᏭ",
        ] {
            assert!(!is_renamed(text, &Jid::new(text).unwrap()), "{text:?}");
        }
    }
}
