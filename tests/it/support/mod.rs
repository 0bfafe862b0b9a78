//! Code shared by the tests. Test files import this folder and never each other; `house.rs` checks that.

pub(crate) mod bot;
pub(crate) mod lab;
mod memory;
pub(crate) mod screens;
pub(crate) mod scripted;
mod server;
mod world;

pub(crate) use memory::{MemoryStore, UnknownAppend};
pub(crate) use server::FakeServer;
pub(crate) use world::{START, World, order, policy};
