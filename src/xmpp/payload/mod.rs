//! Elements that xmpp-parsers lacks, built and read by hand.
//!
//! Elements that arrive are read leniently: reading never fails, and what is not understood counts as absent.
//! Serialised XML is never compared, because the order of attributes varies.

pub mod command;
pub mod form;
pub mod hints;
pub mod hook;
pub mod muc;

use minidom::Element;
use minidom::rxml::{Namespace, NcName};

/// Sets an attribute.
pub(crate) fn set(element: &mut Element, name: &'static str, value: &str) {
    let name = NcName::try_from(name).expect("every name given here is a literal and a name");
    element.set_attr(Namespace::NONE, name, value);
}

/// An element with attributes.
pub(crate) fn with(name: &str, ns: &str, attributes: &[(&'static str, &str)]) -> Element {
    let mut element = Element::bare(name, ns);
    for (name, value) in attributes {
        set(&mut element, name, value);
    }
    element
}

/// An element that contains only text.
pub(crate) fn leaf(name: &str, ns: &str, text: &str) -> Element {
    let mut element = Element::bare(name, ns);
    if !text.is_empty() {
        element.append_text_node(text);
    }
    element
}

/// The text of the first child of that name; `""` if there is none.
pub(crate) fn text_of(element: &Element, name: &str, ns: &str) -> String {
    element
        .get_child(name, ns)
        .map(Element::text)
        .unwrap_or_default()
}

/// One line of at most `most` bytes that XML can carry: control characters and the two code points that XML forbids
/// become spaces. A cut is marked with `…`.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    const MARK: &str = "…";
    let line: String = text
        .chars()
        .map(|c| match c {
            '\u{fffe}' | '\u{ffff}' => ' ',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    let mut line = line.trim().to_owned();
    if line.len() > most {
        let mut end = most.saturating_sub(MARK.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line.push_str(MARK);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_no_controls_and_a_bound() {
        assert_eq!(one_line(" a\nb\u{0}\u{ffff}c\u{85} ", 100), "a b  c");
        assert_eq!(one_line("aéééé", 7), "aé…");
        assert!(one_line(&"é".repeat(900), 100).len() <= 100);
        assert_eq!(one_line("spam", 4), "spam");
    }
}
