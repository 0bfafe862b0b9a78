//! placeholder until branch link is merged
pub mod admin;
pub mod courier;
mod errand;
pub mod payload;
pub mod privilege;
pub mod record;
