//! x
pub mod xmpp;
