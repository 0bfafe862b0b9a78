//! Cuts the server's byte stream into whole top-level elements of bounded size, before any XML parser sees a byte.
//!
//! A parser that builds a tree can be killed by stanzas of strangers: 28 KB of nested elements overflow the stack,
//! and one attribute beyond the lexer's token limit ends the whole stream. The guard skips a stanza that exceeds a
//! [`Limits`] value without storing it, and returns it as [`Frame::Rejected`] with the header that an answer needs;
//! the stream goes on (docs/adr/0002-framing-guard.md).
//!
//! The guard checks only what costs memory, stack or time. It counts tags; whether a frame is well-formed is for the
//! parser to decide. It uses no clock, does no I/O and holds at most one stanza.

mod head;
mod limits;
mod machine;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use head::Head;
pub use limits::{
    ATTRIBUTE_BYTES, ATTRIBUTES, DEPTH, ELEMENTS, Excess, Limits, STANZA_BYTES, STRANGER_BYTES,
    STRANGER_ELEMENTS, Sender, Trust,
};
pub use machine::Guard;

/// Errors that end a stream, because later frames could not be cut reliably.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadStream {
    /// Not an XML stream, or not an XMPP stream.
    #[error("the other side does not speak XMPP")]
    NotAStream,
    /// The stream header or XML declaration exceeds its limit.
    #[error("the stream header is too long")]
    LongHeader,
    /// DTD, entity declaration, processing instruction or comment (RFC 6120, 11.1).
    #[error("the stream holds restricted XML (comment, processing instruction or DTD)")]
    Restricted,
}

/// One element or event of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'g> {
    /// The stream header.
    Open(Opening),
    /// A whole top-level element that can be parsed alone: inherited namespaces are written into its root tag.
    Whole(&'g [u8]),
    /// A top-level element that exceeded a limit and was skipped.
    Rejected {
        /// What its root tag said.
        head: Head,
        /// The first limit it exceeded.
        why: Excess,
    },
    /// The end tag of the stream.
    Close,
}

/// The attributes of the stream header that matter to a component (XEP-0114).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opening {
    /// Stream id, an input of the handshake.
    pub id: Option<String>,
    /// The domain the server answers as.
    pub from: Option<String>,
    /// Default namespace; `jabber:component:accept` if the port is a component listener.
    pub xmlns: Option<String>,
}

/// Reads the root tag of a frame that the parser refused, so that it can be answered. `frame` is the content of
/// [`Frame::Whole`].
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
