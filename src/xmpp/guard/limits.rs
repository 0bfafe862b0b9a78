//! What one stanza may cost.

use thiserror::Error;

/// Most bytes a stanza may have, as it is on the wire. Servers let more through (Prosody 512 KiB, ejabberd anything).
pub const STANZA_BYTES: usize = 256 * 1024;
/// Deepest nesting, the stanza itself being 1. The tree parser recurses once a level; XMPP needs about a dozen.
pub const DEPTH: usize = 64;
/// Longest attribute value in raw bytes, entities not yet decoded. The longest legal JID has 3071 bytes.
pub const ATTRIBUTE_BYTES: usize = 16 * 1024;
/// Most attributes of one element, namespace declarations included.
pub const ATTRIBUTES: usize = 64;
/// Most elements of one stanza: `<a/>` is 4 bytes on the wire and some hundreds in a tree.
pub const ELEMENTS: usize = 8192;

/// What one stanza may cost. The defaults are the constants above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the stanza on the wire.
    pub stanza_bytes: usize,
    /// Levels of nesting, the stanza itself being 1.
    pub depth: usize,
    /// Raw bytes of one attribute value.
    pub attribute_bytes: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Elements in the stanza, itself included.
    pub elements: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            stanza_bytes: STANZA_BYTES,
            depth: DEPTH,
            attribute_bytes: ATTRIBUTE_BYTES,
            attributes: ATTRIBUTES,
            elements: ELEMENTS,
        }
    }
}

/// Which limit a rejected stanza went over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Excess {
    /// [`Limits::stanza_bytes`].
    #[error("the stanza is too large")]
    Bytes,
    /// [`Limits::depth`].
    #[error("the stanza is nested too deeply")]
    Depth,
    /// [`Limits::attribute_bytes`].
    #[error("an attribute of the stanza is too long")]
    AttributeBytes,
    /// [`Limits::attributes`].
    #[error("an element of the stanza has too many attributes")]
    Attributes,
    /// [`Limits::elements`].
    #[error("the stanza has too many elements")]
    Elements,
}
