//! Login attempts as the server reports them.

use std::net::IpAddr;

use super::subject::Account;
use super::time::Timestamp;

/// A login attempt and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The account; `None` if the server does not report it.
    pub account: Option<Account>,
    /// The address; `None` if the server does not report it.
    pub address: Option<IpAddr>,
    /// The outcome.
    pub outcome: LoginOutcome,
    /// Whether the server reports that the account does not exist.
    pub unknown: bool,
    /// The time, by the server's clock.
    pub at: Timestamp,
}

/// The outcome of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoginOutcome {
    /// The login succeeded.
    Success,
    /// The password was wrong, or the account does not exist.
    Failure,
    /// We refused the login, by a verdict or an enforced ban. Never counted.
    Refused,
    /// The server failed: a backend is down, or the exchange was aborted. Never counted.
    Error,
}
