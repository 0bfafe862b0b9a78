//! Carries out bans on the XMPP server, and lifts them: [`XmppServer`] implements the port
//! [`Enforcer`](crate::delivery::ports::Enforcer).
//!
//! ```text
//! delivery ─► port (a ban, a release, a kick) ─► ejabberd, prosody, hook_module, kick ─► requests ─► xmpp::iq
//!              └ record (XEP-0049), privilege (XEP-0356), admin (XEP-0133)
//! link up ─► probe_loop ─► probe (what a virtual host allows) ─► diagnosis (what is missing, the lines that fix it)
//! ```
//!
//! This room never decides who is banned, and never writes to the link itself; requests go through
//! [`xmpp::iq`](crate::xmpp::iq).
//!
//! Start reading at [`server`] and `port.rs` (the methods of the port), then [`record`].

pub mod admin;
mod clock_skew;
mod diagnosis;
mod ejabberd;
mod hash_proof;
mod hook_module;
mod kick;
mod module_nodes;
pub mod native_hash;
mod own_domains;
mod port;
pub mod privilege;
pub mod probe;
mod probe_loop;
mod prosody;
pub mod record;
mod refusals;
mod requests;
pub mod server;
mod settings;
mod turns;

pub use server::XmppServer;
pub use settings::{Settings, Timeouts};
