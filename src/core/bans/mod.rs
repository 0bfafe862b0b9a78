//! Bans: the changes an event can make, the orders people can give, and the rulings on them.

pub(in crate::core) mod active;
pub mod ban;
pub(in crate::core) mod bloom;
mod change;
pub mod feed;
pub(in crate::core) mod nets;
mod order;
mod ruling;

pub use change::BanChange;
pub use order::BanOrder;
pub use ruling::BanRuling;
