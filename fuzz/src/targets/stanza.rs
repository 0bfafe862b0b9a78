//! Guard, parser and everything behind them on a stream of hostile bytes.
//!
//! The first byte says into which pieces the rest is cut. A frame never exceeds its limits, the result does not depend on
//! where the bytes are cut, guard and parser agree on where an element ends and on whom to answer, and every request gets
//! exactly one answer.

use portcullis::xmpp::guard::{Frame, Guard, Limits, head_of};
use portcullis::xmpp::stanza::{Top, parse};
use xso::exports::rxml::{self, Parse as _};

use super::{HEADER, bot};

/// Small limits, so that the fuzzer reaches them.
const LIMITS: Limits = Limits {
    stanza_bytes: 512,
    depth: 8,
    attribute_bytes: 64,
    attributes: 6,
    elements: 24,
};
/// Bytes that the guard may add to a root tag for the inherited namespace.
const SPLICES: usize = 100;

pub fn run(data: &[u8]) {
    let Some((&cut, bytes)) = data.split_first() else {
        return;
    };
    let whole = cut_out(bytes, bytes.len().max(1));
    assert_eq!(whole, cut_out(bytes, usize::from(cut).max(1)));
    let by_parser = ends(bytes);
    let both = by_parser.len().min(whole.ends.len());
    assert_eq!(by_parser[..both], whole.ends[..both]);
    assert!(
        both == by_parser.len() || whole.is_broken,
        "the guard saw fewer elements than the parser"
    );
    bot::with(async |bot| {
        for frame in &whole.frames {
            handle(frame, bot).await;
        }
    });
}

/// What the guard makes of a stream.
#[derive(Debug, PartialEq)]
struct Cut {
    frames: Vec<Vec<u8>>,
    /// The number of bytes read at the end of each element, whether it was passed on or skipped.
    ends: Vec<usize>,
    is_broken: bool,
}

fn cut_out(bytes: &[u8], pieces: usize) -> Cut {
    let mut guard = Guard::new(LIMITS);
    let mut cut = Cut {
        frames: Vec::new(),
        ends: Vec::new(),
        is_broken: false,
    };
    let mut before = 0;
    for piece in std::iter::once(HEADER).chain(bytes.chunks(pieces)) {
        let mut rest = piece;
        loop {
            let found = guard.next(&mut rest);
            let read = before + piece.len() - rest.len();
            match found {
                Ok(Some(Frame::Whole(frame))) => {
                    assert!(frame.len() <= LIMITS.stanza_bytes + SPLICES);
                    cut.frames.push(frame.to_vec());
                    cut.ends.push(read);
                }
                Ok(Some(Frame::Rejected { .. })) => cut.ends.push(read),
                Ok(Some(Frame::Open(_))) => {}
                Ok(Some(Frame::Close)) => return cut,
                Ok(None) => break,
                Err(_) => {
                    cut.is_broken = true;
                    return cut;
                }
            }
        }
        before += piece.len();
    }
    cut
}

/// The number of bytes read at the end of each element below the root, by the parser alone, up to its first error.
fn ends(bytes: &[u8]) -> Vec<usize> {
    let mut parser = rxml::Parser::default();
    let (stream, mut ends, mut depth) = ([HEADER, bytes].concat(), Vec::new(), 0);
    let mut rest = &stream[..];
    while let Ok(Some(event)) = parser.parse(&mut rest, false) {
        match event {
            rxml::Event::StartElement(..) => depth += 1,
            rxml::Event::EndElement(_) => {
                depth -= 1;
                if depth == 1 {
                    // The lengths of the events leave out empty CDATA sections.
                    ends.push(stream.len() - rest.len());
                }
            }
            rxml::Event::XmlDeclaration(..) | rxml::Event::Text(..) => {}
        }
    }
    ends
}

async fn handle(frame: &[u8], bot: &bot::Bot) {
    match parse(frame) {
        Top::Stanza(received) => {
            // (rxml 0.14 drops a bare carriage return before an entity and refuses it elsewhere, where XML requires a
            // space; no server sends one unescaped.)
            if !frame.contains(&b'\r') {
                let head = head_of(frame);
                assert_eq!(head.id, received.header.id);
                assert_eq!(head.type_, received.header.type_);
            }
            bot.answer(&received).await;
        }
        Top::Malformed(malformed) => drop(malformed.why.to_string()),
        Top::StreamError(_) | Top::Handshake | Top::Unknown(_) => {}
    }
}
