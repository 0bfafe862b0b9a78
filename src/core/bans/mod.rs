//! Bans: the changes an event can make, the orders people can give, and the rulings on them.

mod change;
mod order;
mod ruling;

pub use change::BanChange;
pub use order::BanOrder;
pub use ruling::BanRuling;
