//! Code shared by several commands, so that no command uses the file of another.

pub(super) mod bans;
pub mod facts;
pub(super) mod fields;
pub mod filter;
pub(super) mod login;
pub(super) mod many;
pub(super) mod notes;
pub(super) mod on_server;
pub mod pages;
pub mod reach;
pub(super) mod results;
pub(super) mod server_side;
pub(super) mod settle;
pub mod store;
pub mod subjects;
pub mod terms;
pub(super) mod text;
pub mod unnamed;
