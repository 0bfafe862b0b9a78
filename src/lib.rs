//! portcullis: bans and brute-force defence for an XMPP server.
//!
//! ```text
//!  ad-hoc form ──► front::adhoc ─┐                        ┌──────┐ ────────► ┌────────────┐
//!                                ├─ Call ─► command ────► │engine│  Intent   │ core (pure)│
//!  line, room ───► front::talk ──┘ ◄─ Outcome ─┘ ◄─────── └──────┘ ◄──────── └────────────┘
//!                  renders it                     Ruling     │       Events
//!                                                            └─ events, effects ─┬─► store  append, then tail and fold
//!                                                                                └─► enforce record, kick, read back
//! ```
//!
//! Requests go in, the log orders the resulting events, the fold turns events into state, and effects leave. Imports
//! may only point left, which a test checks: `core ← {journal, xmpp} ← engine ← {admission, delivery} ← news ← gate ←
//! {store, enforce, command} ← exchange ← front ← http ← config ← app ← main`. docs/ARCHITECTURE.md describes the
//! rooms.

pub mod admission;
pub mod app;
pub mod cli;
pub mod command;
pub mod config;
pub mod core;
pub mod delivery;
pub mod enforce;
pub mod engine;
pub mod exchange;
pub mod front;
pub mod gate;
pub mod http;
pub mod journal;
pub mod logs;
pub mod news;
pub mod rehearse;
pub mod store;
pub mod xmpp;
