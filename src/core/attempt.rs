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

/// How ejabberd's error text starts when it refuses an account that it knows as banned.
const BANNED: &str = "Account is banned";
/// SASL error conditions (RFC 6120 section 6.5) that say nothing about a password.
const NOT_ABOUT_PASSWORDS: [&str; 8] = [
    "aborted",
    "account-disabled",
    "encryption-required",
    "incorrect-encoding",
    "invalid-mechanism",
    "malformed-request",
    "mechanism-too-weak",
    "temporary-auth-failure",
];

impl LoginOutcome {
    /// The outcome to count, whatever the hook module reported: a login is a failure only if a password was tried.
    /// Certificates (EXTERNAL) cannot be guessed, and backend errors, aborted exchanges and refusals of banned
    /// accounts are no guesses.
    pub fn weighed(
        self,
        mechanism: Option<&str>,
        condition: Option<&str>,
        reason: Option<&str>,
    ) -> LoginOutcome {
        if self != LoginOutcome::Failure {
            return self;
        }
        let external = mechanism.is_some_and(|name| name.eq_ignore_ascii_case("EXTERNAL"));
        let excused = condition.is_some_and(|condition| NOT_ABOUT_PASSWORDS.contains(&condition));
        let banned = reason.is_some_and(|reason| reason.starts_with(BANNED));
        match external || excused || banned {
            true => LoginOutcome::Error,
            false => LoginOutcome::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LoginOutcome::{Error, Failure, Success};

    #[test]
    fn only_tried_passwords_are_failures() {
        assert_eq!(
            Failure.weighed(Some("PLAIN"), Some("not-authorized"), None),
            Failure
        );
        assert_eq!(Failure.weighed(None, None, None), Failure);
        assert_eq!(
            Failure.weighed(Some("EXTERNAL"), Some("not-authorized"), None),
            Error
        );
        assert_eq!(
            Failure.weighed(Some("PLAIN"), Some("temporary-auth-failure"), None),
            Error
        );
        assert_eq!(Failure.weighed(Some("PLAIN"), Some("aborted"), None), Error);
        let banned = Some("Account is banned: spam");
        assert_eq!(
            Failure.weighed(Some("PLAIN"), Some("not-authorized"), banned),
            Error
        );
        assert_eq!(Success.weighed(Some("EXTERNAL"), None, None), Success);
    }
}
