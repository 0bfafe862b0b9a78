//! The elements of `urn:portcullis:hook:1` (docs/hook-protocol.md): requests of a module, our answers, and our
//! requests to a module.

mod answer;
mod denial;
mod outcome;
mod plain;
mod refusals;
mod request;

use std::time::Duration;

pub use answer::{
    change, changes, hash, hash_value, kick, kicked, news, text_for, text_for_kick, verdict,
    welcome,
};
pub use denial::denial_text;
pub use outcome::counted_outcome;
pub use plain::PlainCheck;
pub use refusals::{HookRefusal, HookRefusals, read_refusals, refusals, unblock, unblocked};
pub use request::{
    Check, HeldState, Hello, HookRequest, HookUnreadable, Login, Report, ReportedLogin, account,
    address, attempt, hold,
};

/// The namespace of the hook protocol.
pub const NS_HOOK: &str = "urn:portcullis:hook:1";
/// Maximum number of logins in one report.
pub const LOGINS: usize = 1_000;
/// Maximum time that an answer is held back.
pub const HOLD: Duration = Duration::from_secs(5);
