//! What each fuzz target checks, beside that nothing panics and no arithmetic overflows.
//!
//! A target takes any bytes and panics if its property does not hold. The fuzzer runs one target on bytes that it makes
//! up; `tests/it/fuzz.rs` runs all of them on the inputs in `fuzz/corpus/`, so that both stay valid.

pub mod bot;
pub mod config;
pub mod events;
pub mod filter;
pub mod form;
pub mod hook;
pub mod import;
pub mod line;
pub mod record;
pub mod stanza;
pub mod stored;
pub mod subject;
pub mod term;

/// A target: panics if its property does not hold for these bytes.
type Target = fn(&[u8]);

/// The targets with their names.
pub const ALL: [(&str, Target); 12] = [
    ("config", config::run),
    ("events", events::run),
    ("filter", filter::run),
    ("form", form::run),
    ("hook", hook::run),
    ("import", import::run),
    ("line", line::run),
    ("record", record::run),
    ("stanza", stanza::run),
    ("stored", stored::run),
    ("subject", subject::run),
    ("term", term::run),
];

/// The header of a component stream.
const HEADER: &[u8] = b"<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='1'>";

/// Checks that our own guard passes these bytes as one element; returns it as it is handed to the parser.
fn through_guard(bytes: &[u8]) -> Vec<u8> {
    use portcullis::xmpp::guard::{Frame, Guard, Limits};
    let mut guard = Guard::new(Limits::default());
    assert!(matches!(
        guard.next(&mut &*HEADER),
        Ok(Some(Frame::Open(_)))
    ));
    let mut rest = bytes;
    match guard.next(&mut rest) {
        Ok(Some(Frame::Whole(frame))) if rest.is_empty() => frame.to_vec(),
        other => panic!("{other:?} of {}", String::from_utf8_lossy(bytes)),
    }
}

/// An element as it is sent, which does not depend on how its text is divided.
fn written(element: &minidom::Element) -> String {
    let bytes = xso::to_vec(element).expect("an element can be written");
    String::from_utf8(bytes).expect("XML is UTF-8")
}

/// The first byte, which chooses among the cases of a target, and the rest as text.
fn case_and_text(data: &[u8]) -> Option<(u8, std::borrow::Cow<'_, str>)> {
    let (case, rest) = data.split_first()?;
    Some((*case, String::from_utf8_lossy(rest)))
}
