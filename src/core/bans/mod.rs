//! Bans: what can happen to one, what may be ordered, what comes of it.

mod change;
mod order;
mod ruling;

pub use change::BanChange;
pub use order::BanOrder;
pub use ruling::BanRuling;
