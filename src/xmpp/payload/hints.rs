//! What goes along with a message of ours for clients that know it; the text is complete without.

use minidom::Element;

use super::with;

/// Namespace of quick responses (XEP-0439, deferred, version 0.1.0).
pub const NS_QUICK: &str = "urn:xmpp:tmp:quick-response";
/// Namespace of replies (XEP-0461).
pub const NS_REPLY: &str = "urn:xmpp:reply:0";
/// Namespace of fallback marks (XEP-0428).
pub const NS_FALLBACK: &str = "urn:xmpp:fallback:0";
/// The one it had in XEP-0461 0.1 and 0.2, still in use.
pub const NS_FALLBACK_OLD: &str = "urn:xmpp:feature-fallback:0";
/// Namespace of message styling (XEP-0393).
pub const NS_STYLING: &str = "urn:xmpp:styling:0";
/// Namespace of hints to archives and mailboxes (XEP-0334).
pub const NS_HINTS: &str = "urn:xmpp:hints";

/// Begins and ends a block (XEP-0393, 5.1.2).
pub const FENCE: &str = "```";

/// Lines to answer with at a touch (XEP-0439, 4.1): each once. Clients offer them below the newest message only, so each
/// line must be complete in itself.
pub fn quick(lines: &[String]) -> Vec<Element> {
    let mut all: Vec<&str> = Vec::with_capacity(lines.len());
    for line in lines {
        if !all.contains(&line.as_str()) {
            all.push(line);
        }
    }
    let response = |line| with("response", NS_QUICK, &[("value", line), ("label", line)]);
    all.into_iter().map(response).collect()
}

/// No character of the text means anything (XEP-0393, 6.2): what others supplied opens no span.
pub fn unstyled() -> Element {
    Element::bare("unstyled", NS_STYLING)
}

/// [`unstyled`], for a text without a block of ours: in a block lines stand as they are.
pub fn unless_fenced(text: &str) -> Option<Element> {
    (!text.lines().any(|line| line == FENCE)).then(unstyled)
}

/// To be kept for who is not there (XEP-0334, 3.4).
pub fn store() -> Element {
    Element::bare("store", NS_HINTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_offered_once() {
        let lines = ["unban #1", "show #1", "unban #1"].map(String::from);
        let all = quick(&lines);
        let values: Vec<_> = all.iter().filter_map(|one| one.attr("value")).collect();
        assert_eq!(values, ["unban #1", "show #1"]);
        assert!(all.iter().all(|one| one.is("response", NS_QUICK)));
    }
}
