//! The only integration test binary, because linking the XMPP types takes long.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod attacks;
mod bulk;
mod config;
mod engine;
mod exchange;
mod failed_logins;
mod filters;
mod forms_and_lines;
mod full_disk;
mod golden;
mod hook;
mod house;
mod in_flight;
mod journal;
mod laws;
mod link;
mod long_forms;
mod manual;
mod notices;
mod printed_orders;
mod reconcile;
mod recording;
mod rehearse;
mod replies;
mod rights;
mod rooms;
mod rules;
mod snapshot;
mod store;
mod stored;
mod subscriptions;
mod support;
mod terminal;
mod undo;
mod wire;
