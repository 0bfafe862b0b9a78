//! Bans: their state, the changes an event can make to them, the orders people can give, and the rulings on them.
//!
//! Start reading at [`Bans`] (`state.rs`), then `fold.rs` (what an event changes).

mod active;
mod ban;
mod bloom;
mod change;
mod decide;
mod feed;
mod fold;
mod nets;
mod order;
mod ruling;
mod state;

pub use active::ActiveBans;
pub use ban::{Ban, BanId, Past};
pub use change::BanChange;
pub(in crate::core) use decide::decide;
pub(in crate::core) use feed::EndedBans;
pub use feed::{Changed, Changes, EndedBan, LIFTS};
pub(in crate::core) use fold::{end, fold};
pub use order::BanOrder;
pub use ruling::BanRuling;
pub use state::Bans;
