//! The core: who may be banned, for how long, and what a decision changes.
//!
//! The core has no clock, randomness, I/O, async, XML or logging: the time and fresh ids are arguments. So every
//! instance folds the same log into the same [`Ledger`].
//!
//! Start reading at [`event`] (the changes and what they mean), then [`mod@propose`] (what an order leads to) and
//! [`mod@judge`] (what a login leads to), then [`ledger`] (the resulting state).

pub mod account;
pub mod actor;
pub mod as_written;
pub mod attempt;
pub mod bans;
pub mod event;
pub mod exemptions;
pub mod explain;
pub mod headroom;
pub mod history;
pub mod judge;
pub mod ledger;
pub mod policy;
pub mod propose;
pub mod refusal;
pub mod rights;
pub mod rules;
pub mod seal;
mod seen;
pub mod subject;
pub mod subscriptions;
pub mod term;
pub mod time;
pub mod tracker;
pub mod undo;
pub mod words;

pub use account::Account;
pub use actor::{Actor, EntryPoint, Role};
pub use attempt::{Attempt, LoginOutcome};
pub use bans::{Ban, BanId, Past};
pub use bans::{BanChange, BanOrder, BanRuling};
pub use bans::{Changed, Changes, EndedBan};
pub use event::{Change, CommandId, Event, EventId, Origin, Personal, Seq, Version};
pub use exemptions::{Exemption, ExemptionChange, ExemptionOrder, ExemptionRuling};
pub use explain::{Counting, Explanation, explain};
pub use headroom::headroom;
pub use history::{History, HistoryChange, HistoryOrder, HistoryRuling};
pub use judge::{Notice, Signal, Spared, judge};
pub use ledger::{By, Effect, Ledger, PutBackMark, PutBacks, Ruling, Verdict};
pub use policy::Policy;
pub use propose::{Above, Action, Intent, Order, Proposal, propose};
pub use refusal::Refusal;
pub use rights::Rights;
pub use rules::{Rule, Rules};
pub use subject::Subject;
pub use subscriptions::{Quiet, Topic, Watch};
pub use term::Term;
pub use time::Timestamp;
pub use tracker::{Bounds, Tracker};
pub use undo::{UndoEntry, UndoKind, UndoRuling};
