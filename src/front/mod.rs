//! The doors: forms, chat lines, rooms and discovery over XMPP, the socket for the terminal, and [`hook`] for the modules
//! of the server.
//!
//! A door turns what arrives into a [`Call`](crate::command::Call) and renders the
//! [`Outcome`](crate::command::Outcome); it decides nothing about bans and says no sentence of
//! its own. Start reading at [`route`], which gives every stanza to its door and every request
//! exactly one answer.

pub mod adhoc;
pub mod chat;
pub mod disco;
pub mod hook;
pub mod line;
mod message;
pub mod notices;
pub mod presence;
pub mod rooms;
pub mod route;
mod said;
pub mod sessions;
pub mod talk;
pub mod terminal;
mod text;
pub mod work;

pub use crate::command::Roles;
pub use rooms::Rooms;
pub use route::{Desk, Reply};
