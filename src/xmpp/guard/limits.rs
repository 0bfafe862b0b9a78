//! The cost that one stanza may have.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::Head;

/// Maximum size of a stanza on the wire, in bytes. Servers allow more (Prosody 512 KiB, ejabberd any size).
pub const STANZA_BYTES: usize = 256 * 1024;
/// Maximum nesting depth; the stanza itself counts as 1. The tree parser recurses once per level; XMPP needs about a
/// dozen.
pub const DEPTH: usize = 64;
/// Maximum length of an attribute value in bytes, before entities are decoded. The longest legal JID has 3071 bytes.
pub const ATTRIBUTE_BYTES: usize = 16 * 1024;
/// Maximum number of attributes of one element, including namespace declarations.
pub const ATTRIBUTES: usize = 64;
/// Maximum number of elements in one stanza: `<a/>` takes 4 bytes on the wire and some hundreds in a tree.
pub const ELEMENTS: usize = 8192;

/// Maximum size of a stanza from a sender that has no reason to send large ones, in bytes.
pub const STRANGER_BYTES: usize = 16 * 1024;
/// Maximum number of elements in a stanza from such a sender.
pub const STRANGER_ELEMENTS: usize = 256;

/// The limits of one stanza. The defaults are the constants above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the stanza on the wire.
    pub stanza_bytes: usize,
    /// Levels of nesting, the stanza itself being 1.
    pub depth: usize,
    /// Bytes of one attribute value, before entities are decoded.
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

impl Limits {
    /// These limits, lowered for a [`Sender::Stranger`].
    pub(super) fn for_a_stranger(self) -> Self {
        Limits {
            stanza_bytes: self.stanza_bytes.min(STRANGER_BYTES),
            elements: self.elements.min(STRANGER_ELEMENTS),
            ..self
        }
    }

    /// The limit that a stanza of this size exceeds; `None` if it exceeds none.
    pub(super) fn excess(&self, bytes: usize, elements: usize) -> Option<Excess> {
        if bytes > self.stanza_bytes {
            Some(Excess::Bytes)
        } else if elements > self.elements {
            Some(Excess::Elements)
        } else {
            None
        }
    }
}

/// What size of stanzas is expected from a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Small stanzas only.
    Stranger,
    /// Stanzas within [`Limits`].
    Known,
    /// Stanzas within [`Limits`], with attributes of any length, because a hook module passes on what clients wrote.
    Module,
}

/// Determines the sender of a stanza from the attributes of its root tag. It is asked at most once per stanza, and
/// only about stanzas larger than a stranger may send.
#[derive(Clone)]
pub struct Trust(Arc<dyn Fn(&Head) -> Sender + Send + Sync>);

impl Trust {
    /// Uses this function to determine senders.
    pub fn new(who: impl Fn(&Head) -> Sender + Send + Sync + 'static) -> Self {
        Trust(Arc::new(who))
    }

    pub(super) fn sender_of(&self, head: &Head) -> Sender {
        (self.0)(head)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

/// The limit that a rejected stanza exceeded.
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
