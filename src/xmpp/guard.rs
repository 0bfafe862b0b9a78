//! Cuts the byte stream of the server into whole top-level elements of bounded size, before any XML parser sees a byte.
//!
//! Why: a parser that keeps a tree dies of what a stranger may send. 28 KB of nested elements overflow the stack, one
//! attribute beyond the lexer's token limit ends the whole stream. Here a stanza over a [`Limits`] value is skipped to
//! its end without being stored and comes out as [`Frame::Rejected`] with the header that is needed to answer it; the
//! stream goes on.
//!
//! The guard judges only what costs memory, stack or time. Whether a frame is well-formed is for the parser of that
//! frame; the guard merely counts tags. It asks no clock, does no I/O and holds at most one stanza.

mod head;
mod limits;
mod machine;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use head::Head;
pub use limits::{ATTRIBUTE_BYTES, ATTRIBUTES, DEPTH, ELEMENTS, Excess, Limits, STANZA_BYTES};
pub use machine::Guard;

/// What ends a stream: nothing after it can be trusted to be cut rightly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadStream {
    /// Not an XML stream at all, or not one of XMPP.
    #[error("the other side does not speak XMPP")]
    NotAStream,
    /// Stream header or XML declaration without an end in sight.
    #[error("the stream header is too long")]
    LongHeader,
    /// DTD, entity declaration, processing instruction or comment (RFC 6120, 11.1).
    #[error("the stream holds restricted XML (comment, processing instruction or DTD)")]
    Restricted,
}

/// One thing the stream said.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'g> {
    /// The stream header.
    Open(Opening),
    /// A whole top-level element that can be parsed by itself: the namespaces it inherits are written into its root tag.
    Whole(&'g [u8]),
    /// A top-level element that went over a limit and was skipped.
    Rejected {
        /// What is known of its root tag.
        head: Head,
        /// The first limit it went over.
        why: Excess,
    },
    /// The end tag of the stream.
    Close,
}

/// The attributes of the stream header that matter to a component (XEP-0114).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// Stream id, part of the handshake.
    pub id: Option<String>,
    /// Name the server answers as.
    pub from: Option<String>,
    /// Default namespace; `jabber:component:accept` when the port is a component listener.
    pub xmlns: Option<String>,
}

/// Reads the root tag of a frame that the parser refused, so that it can be answered. `frame` is what [`Frame::Whole`] held.
#[must_use]
pub fn head_of(frame: &[u8]) -> Head {
    let nothing_fits = Limits {
        stanza_bytes: 0,
        ..Limits::default()
    };
    let mut guard = Guard::in_stream(nothing_fits);
    match guard.next(&mut &frame[..]) {
        Ok(Some(Frame::Rejected { head, .. })) => head,
        _ => Head::default(),
    }
}
