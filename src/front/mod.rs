//! Entry points: forms, chat lines, rooms and discovery over XMPP, the socket for the terminal, and [`hook`] for the
//! modules of the server.
//!
//! An entry point turns what arrives into a [`Call`](crate::command::Call) and renders the
//! [`Outcome`](crate::command::Outcome). It decides nothing about bans. Start reading at [`router`], which gives
//! every stanza to its entry point and every request exactly one answer.

pub mod adhoc;
pub mod bot;
pub mod chat;
pub mod disco;
pub mod hook;
pub mod line;
mod live;
mod message;
pub mod notices;
pub mod presence;
mod progress;
mod render;
mod reply;
pub mod rooms;
pub mod router;
mod sent;
pub mod sessions;
pub mod talk;
pub mod terminal;
mod text;
pub mod work;

pub use crate::command::Roles;
pub use bot::Bot;
pub use notices::Notices;
pub use reply::Reply;
pub use rooms::Rooms;
pub use router::Router;
