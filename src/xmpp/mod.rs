//! placeholder until branch link is merged
pub mod courier;
pub mod payload;
pub mod privilege;
pub mod record;
