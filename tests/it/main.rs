//! The one integration binary: linking xmpp-parsers once is slow enough.
#![allow(clippy::unwrap_used, unreachable_pub)]

mod link;
mod scripted;
