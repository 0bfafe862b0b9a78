//! Which reported logins count as failures.

use crate::core::LoginOutcome;

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

/// The outcome to count, whatever the hook module reported: a login is a failure only if a password was tried.
/// Certificates (EXTERNAL) cannot be guessed, and backend errors, aborted exchanges and refusals of banned
/// accounts are no guesses.
pub fn counted_outcome(
    reported: LoginOutcome,
    mechanism: Option<&str>,
    condition: Option<&str>,
    reason: Option<&str>,
) -> LoginOutcome {
    if reported != LoginOutcome::Failure {
        return reported;
    }
    let external = mechanism.is_some_and(|name| name.eq_ignore_ascii_case("EXTERNAL"));
    let excused = condition.is_some_and(|condition| NOT_ABOUT_PASSWORDS.contains(&condition));
    let banned = reason.is_some_and(|reason| reason.starts_with(BANNED));
    match external || excused || banned {
        true => LoginOutcome::Error,
        false => LoginOutcome::Failure,
    }
}

#[cfg(test)]
mod tests {
    use super::counted_outcome;
    use crate::core::LoginOutcome::{Error, Failure, Success};

    #[test]
    fn only_tried_passwords_are_failures() {
        assert_eq!(
            counted_outcome(Failure, Some("PLAIN"), Some("not-authorized"), None),
            Failure
        );
        assert_eq!(counted_outcome(Failure, None, None, None), Failure);
        assert_eq!(
            counted_outcome(Failure, Some("EXTERNAL"), Some("not-authorized"), None),
            Error
        );
        assert_eq!(
            counted_outcome(Failure, Some("PLAIN"), Some("temporary-auth-failure"), None),
            Error
        );
        assert_eq!(
            counted_outcome(Failure, Some("PLAIN"), Some("aborted"), None),
            Error
        );
        let banned = Some("Account is banned: spam");
        assert_eq!(
            counted_outcome(Failure, Some("PLAIN"), Some("not-authorized"), banned),
            Error
        );
        assert_eq!(
            counted_outcome(Success, Some("EXTERNAL"), None, None),
            Success
        );
    }
}
