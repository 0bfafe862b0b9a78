//! Transport: the link to the XMPP server, framing, IQs and the elements of the XEPs we speak.
//!
//! ```text
//! server ─► guard (cut, bound) ─► stanza (parse one frame) ─► link ─► Incoming ─► the router
//! server ◄─ link ◄─ wire (from, to, size: the one choke point) ◄──── answers, notices, iq::Asker
//! ```
//!
//! What this room never does: know what a ban does on a server (that is [`enforce`](crate::enforce)), answer for a
//! feature (disco, ping and commands belong to the front), or hand bytes of the network to a parser before the guard has
//! measured them.
//!
//! Start reading at [`link`], then [`guard`]. References: XEP-0114 (component protocol), RFC 6120.

#[cfg(test)]
pub(crate) mod fake_wire;
pub mod fault;
pub mod guard;
pub mod iq;
pub mod link;
pub mod payload;
pub mod secret;
pub mod stanza;
pub mod wire;
