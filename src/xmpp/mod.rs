//! Transport: the link to the XMPP server, framing, IQs and the elements of the XEPs we use.
//!
//! ```text
//! server ─► guard (cut, bound) ─► stanza (parse one frame) ─► link ─► Incoming ─► the router
//! server ◄─ link ◄─ wire (checks from, to, size) ◄──── answers, notices, iq::Asker
//! ```
//!
//! This room never knows what a ban does on a server (that is [`enforce`](crate::enforce)), never answers for a
//! feature (disco, ping and commands belong to the front), and never hands bytes to a parser before the guard has
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
