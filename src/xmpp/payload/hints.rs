//! Elements added to our messages for clients that know them. The text is complete without them.

use minidom::Element;

use super::with;

/// Namespace of quick responses (XEP-0439, deferred, version 0.1.0).
pub const NS_QUICK: &str = "urn:xmpp:tmp:quick-response";
/// Namespace of replies (XEP-0461).
pub const NS_REPLY: &str = "urn:xmpp:reply:0";
/// Namespace of fallback marks (XEP-0428).
pub const NS_FALLBACK: &str = "urn:xmpp:fallback:0";
/// The earlier namespace of fallback marks (XEP-0461 0.1 and 0.2), still in use.
pub const NS_FALLBACK_OLD: &str = "urn:xmpp:feature-fallback:0";
/// Namespace of message styling (XEP-0393).
pub const NS_STYLING: &str = "urn:xmpp:styling:0";
/// Namespace of hints to archives and mailboxes (XEP-0334).
pub const NS_HINTS: &str = "urn:xmpp:hints";

/// Marks the begin and the end of a preformatted block (XEP-0393, 5.1.2).
pub const FENCE: &str = "```";

/// Commands to send at a touch (XEP-0439, 4.1), without duplicates. Clients show them only below the newest message,
/// so each line must be complete in itself.
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

/// Disables styling (XEP-0393, 6.2), so that characters in other people's texts do not open a span.
pub fn unstyled() -> Element {
    Element::bare("unstyled", NS_STYLING)
}

/// [`unstyled`] for a text without a preformatted block; in a block styling has no effect anyway.
pub fn unless_fenced(text: &str) -> Option<Element> {
    (!text.lines().any(|line| line == FENCE)).then(unstyled)
}

/// Asks the server to store the message for people who are offline (XEP-0334, 3.4).
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
