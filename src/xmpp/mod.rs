//! placeholder until branch link is merged
pub mod ask;
pub mod payload;
pub mod privilege;
