//! The link to the XMPP server, and the server as far as bans are concerned.
//!
//! ```text
//! server ─► guard (cut, bound) ─► stanza (parse one frame) ─► link ─► Incoming ─► the router
//! server ◄─ link ◄─ wire (from, to, size: the one choke point) ◄──── answers, notices, iq::Asker
//!
//! gate ─► act (a ban, a release) ─► errand ─► courier ─► iq::Asker
//!          └ record (XEP-0049), privilege (XEP-0356), admin (XEP-0133), probe and remedy (what is there, what is missing)
//! ```
//!
//! What this room never does: decide anything about bans, answer for a feature (disco, ping and commands are the
//! front's), or hand bytes of the network to a parser that the guard has not measured.
//!
//! Start reading at [`link`], then [`guard`]; for bans at [`act`], then [`record`]. Reference: XEP-0114 (component
//! protocol), RFC 6120.

pub mod act;
pub mod admin;
pub mod courier;
mod errand;
pub mod fault;
pub mod guard;
pub mod iq;
pub mod link;
pub(crate) mod modules;
pub mod payload;
pub mod privilege;
pub mod probe;
pub mod quick;
pub mod record;
pub mod remedy;
pub mod secret;
pub mod stanza;
pub mod wire;
