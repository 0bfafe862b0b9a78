//! The one integration binary: linking the XMPP types once is slow enough.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod attacks;
mod bulk;
mod config;
mod desk;
mod doors;
mod exchange;
mod gate;
mod golden;
mod hook;
mod house;
mod journal;
mod laws;
mod link;
mod manual;
mod many;
mod notices;
mod patrol;
mod recording;
mod rehearse;
mod replies;
mod rights;
mod rooms;
mod rules;
mod snapshot;
mod store;
mod stored;
mod support;
mod terminal;
mod tries;
mod undo;
mod watch;
mod wire;
mod work;
