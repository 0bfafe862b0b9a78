//! One login, as the server reports it.

use std::net::IpAddr;

use super::subject::Account;
use super::time::Timestamp;

/// What came of one login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Whose; `None` when the server does not tell.
    pub account: Option<Account>,
    /// From where; `None` when the server does not tell.
    pub address: Option<IpAddr>,
    /// How it ended.
    pub outcome: Outcome,
    /// The server says that there is no such account.
    pub unknown: bool,
    /// When, by the server's clock.
    pub at: Timestamp,
}

/// How a login ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Let in.
    Success,
    /// The password was looked at and was wrong, or there is no such account.
    Failure,
    /// Refused by us, by a verdict or a held ban. Never counted.
    Refused,
    /// The server's trouble: a backend that is down, an exchange that was broken off. Never counted.
    Error,
}

/// The beginning of the text with which ejabberd refuses an account it knows as banned.
const BANNED: &str = "Account is banned";
/// SASL conditions (RFC 6120 6.5) that say nothing about a password.
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

impl Outcome {
    /// What a reported outcome means for counting, whatever the module calls it: a failure is only
    /// one if somebody tried a password. Certificates (EXTERNAL) are not guessed; backend trouble,
    /// broken off exchanges and refusals of banned accounts are nobody's guess.
    pub fn weighed(
        self,
        mechanism: Option<&str>,
        condition: Option<&str>,
        reason: Option<&str>,
    ) -> Outcome {
        if self != Outcome::Failure {
            return self;
        }
        let external = mechanism.is_some_and(|name| name.eq_ignore_ascii_case("EXTERNAL"));
        let excused = condition.is_some_and(|condition| NOT_ABOUT_PASSWORDS.contains(&condition));
        let banned = reason.is_some_and(|reason| reason.starts_with(BANNED));
        match external || excused || banned {
            true => Outcome::Error,
            false => Outcome::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Error, Failure, Success};

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
