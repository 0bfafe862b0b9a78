//! Shared by tests of whole screens: a server with a known state, and stanzas as stable text.

use std::fmt::Write as _;
use std::sync::Arc;

use minidom::Element;
use portcullis::delivery::ports::{Enforcement, Gap};

use super::FakeServer;

pub(crate) fn server() -> Arc<FakeServer> {
    let server = FakeServer::new(true);
    server.standing.send_replace(Arc::new(Enforcement {
        linked: true,
        probed: true,
        level: 1,
        server: "ejabberd 26.07".into(),
        has: vec!["the grant for jabber:iq:private".into()],
        gaps: vec![Gap {
            what: "the hook module is not installed".into(),
            effect: "bans of addresses and networks are not enforced".into(),
            remedy: "modules:\n  mod_portcullis: {}\n".into(),
        }],
        conflict: None,
        ..Enforcement::default()
    }));
    server
}

/// Replaces the memory figures, which differ between runs.
pub(crate) fn steady(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    for place in 1..words.len() {
        if words[place].starts_with("MiB") {
            let number = words[place - 1];
            let kept = number.trim_end_matches(|c: char| c.is_ascii_digit());
            words[place - 1] = if kept.is_empty() { "N" } else { kept };
        }
    }
    words.join(" ")
}

/// Writes an element, one per line with its attributes in order, children indented.
pub(crate) fn write(element: &Element, depth: usize, outer: &str, text: &mut String) {
    let indent = "  ".repeat(depth);
    let _ = write!(text, "{indent}<{}", element.name());
    let ns = element.ns();
    if ns != outer && depth > 0 {
        let _ = write!(text, " xmlns='{ns}'");
    }
    let mut attributes: Vec<String> = element
        .attrs()
        .iter()
        .map(|((_, name), value)| format!(" {name}='{value}'"))
        .collect();
    attributes.sort();
    let _ = write!(text, "{}", attributes.concat());
    if element.children().next().is_none() {
        let inside = element.text();
        let _ = match inside.as_str() {
            "" => writeln!(text, "/>"),
            inside => writeln!(
                text,
                ">{}</{}>",
                inside.replace('\n', &format!("\n{indent}  ")),
                element.name()
            ),
        };
        return;
    }
    let _ = writeln!(text, ">");
    for child in element.children() {
        write(child, depth + 1, &ns, text);
    }
    let _ = writeln!(text, "{indent}</{}>", element.name());
}
