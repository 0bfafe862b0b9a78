//! Who may ban whom for how long, by the configuration alone.
#![allow(clippy::unwrap_used)]

use super::*;

fn now() -> Timestamp {
    Timestamp::from_millis(1_795_320_000_000)
}

fn policy() -> Policy {
    Policy {
        longest: Some(Duration::from_secs(3_600)),
        moderator_longest: Some(Duration::from_secs(60)),
        exempt_networks: vec!["192.0.2.0/24".parse().unwrap()],
        exempt_accounts: vec![account("admin@example.org")],
        ..Policy::default()
    }
}

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn account(text: &str) -> Account {
    subject(text).account().unwrap().clone()
}

fn seconds(seconds: u64) -> Term {
    Term::For(Duration::from_secs(seconds))
}

#[test]
fn only_admins_ban_the_exempt_and_nobody_an_exempt_network() {
    let exempt = subject("admin@example.org");
    let insists = |role, subject| policy().allows_insisting(role, subject, seconds(9), now());
    assert_eq!(insists(Role::Admin, &exempt), Ok(()));
    assert_eq!(
        insists(Role::Moderator, &exempt),
        Err(Refusal::NeedsRole(Role::Admin, Permission::BanExempt))
    );
    let network = subject("192.0.2.7");
    assert!(matches!(
        insists(Role::Admin, &network),
        Err(Refusal::Protected(..))
    ));
    assert!(matches!(
        policy().allows_insisting(Role::Admin, &exempt, seconds(3_601), now()),
        Err(Refusal::TooLong(..))
    ));
}

#[test]
fn the_longest_term_of_a_role_is_allowed_and_a_longer_one_is_not() {
    let allows = |role, term| policy().allows_term(role, term, now());
    assert_eq!(allows(Role::Moderator, seconds(60)), Ok(()));
    assert!(allows(Role::Moderator, seconds(61)).is_err());
    assert_eq!(allows(Role::Admin, seconds(3_600)), Ok(()));
    assert!(allows(Role::Admin, Term::Forever).is_err());
    assert!(allows(Role::Admin, Term::Until(now())).is_err());
}

#[test]
fn the_default_term_is_shortened_to_the_longest_one_and_never_prolonged() {
    let default = |term, role| {
        let default_term = term;
        let policy = Policy {
            default_term,
            ..policy()
        };
        policy.default_term_for(role, now())
    };
    assert_eq!(default(Term::Forever, Role::Moderator), seconds(60));
    assert_eq!(default(seconds(61), Role::Moderator), seconds(60));
    let a_minute = Term::Until(now().saturating_add(Duration::from_secs(60)));
    assert_eq!(default(a_minute, Role::Moderator), a_minute);
    assert_eq!(default(seconds(59), Role::Moderator), seconds(59));
    assert_eq!(
        Policy::default().default_term_for(Role::Admin, now()),
        Term::Forever
    );
}

#[test]
fn networks_wider_than_a_site_are_risky() {
    let is_risky = |text: &str| policy().is_risky(&subject(text));
    assert!(is_risky("198.51.100.0/23") && !is_risky("198.51.100.0/24"));
    assert!(is_risky("2001:db8::/47") && !is_risky("2001:db8::/48"));
    assert!(!is_risky("198.51.100.1") && !is_risky("a@example.org from 198.51.0.0/16"));
}
