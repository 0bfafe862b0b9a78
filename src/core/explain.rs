//! Explains the verdict on a login to a person: the bans and exemptions behind it, and how far each rule is from its
//! limit. Changes nothing.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::bans::Ban;
use super::exemptions::exempt_by;
use super::judge::{bans_that_count, clean_since};
use super::ledger::{Ledger, Verdict};
use super::policy::Policy;
use super::rules::Rule;
use super::subject::{Account, Subject};
use super::time::Timestamp;
use super::tracker::{LoginOrigin, Tracker};

/// The explanation of the verdict on a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The present verdict.
    pub verdict: Verdict,
    /// The active bans that concern the account or the source, newest first, at most [`BANS_TOLD`]. Not all of them
    /// refuse the login.
    pub bans: Vec<Ban>,
    /// The exemption of the source, or else of the account; `None` if neither is exempt.
    pub exempt: Option<String>,
    /// Whether the account logged in from this source before.
    pub is_known: bool,
    /// Addresses from where the account logged in before, the latest first, at most [`HOMES_TOLD`]; of IPv6 the first
    /// one of each network. Empty if the explanation is about one place.
    pub homes: Vec<IpAddr>,
    /// Number of accounts that logged in from this source.
    pub accounts_there: u32,
    /// Whether the source is shared by many accounts or is a declared proxy, so that rules do not ban it.
    pub is_shared: bool,
    /// The count of every rule, in the order of the rules; those at zero are left out.
    pub counting: Vec<Counting>,
    /// Until when failures do not count because a person un-banned the account, the source, or one at the other; `None`
    /// if they count now.
    pub grace_until: Option<Timestamp>,
}

/// The count of one rule for one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counting {
    /// The rule.
    pub rule: Rule,
    /// The subject that the rule would ban.
    pub subject: Subject,
    /// The current count.
    pub amount: u32,
    /// The count at which the rule bans this subject. It is lower than the rule's limit for a repeat offender.
    pub limit: u32,
    /// The term of that ban, without jitter.
    pub term: Duration,
}

/// The most places of an account in one explanation.
pub const HOMES_TOLD: usize = 16;
/// The most bans in one explanation.
pub const BANS_TOLD: usize = 20;

/// Whether a ban is active and concerns an account, a source, or the account at the source.
pub fn concerns(
    ban: &Ban,
    account: Option<&Account>,
    place: Option<IpNet>,
    now: Timestamp,
) -> bool {
    let (whose, at) = (ban.subject.whose(), ban.subject.place());
    ban.is_in_force(now)
        && (whose.is_some() && account.is_some() || at.is_some() && place.is_some())
        && whose.is_none_or(|whose| account.is_none_or(|account| account == whose))
        && at.is_none_or(|at| place.is_none_or(|place| at.contains(&place)))
}

/// Explains the verdict for an account, a source, or the account at the source. `bans` are those that [`concerns`]
/// finds, at most [`BANS_TOLD`]: a separate step because it would hold the tracker's lock for too long.
pub fn explain(
    ledger: &Ledger,
    tracker: &mut Tracker,
    policy: &Policy,
    (account, place): (Option<&Account>, Option<IpNet>),
    bans: Vec<Ban>,
    now: Timestamp,
) -> Explanation {
    tracker.follow(&policy.rules);
    let one_source = place.filter(|net| {
        net.prefix_len() == net.max_prefix_len() || policy.rules.reach.source(net.addr()) == *net
    });
    let address = one_source.map(|net| net.addr());
    let mut who = LoginOrigin::at(&policy.rules.reach, account, address);
    who.network = who.network.or(place.filter(|_| one_source.is_none()));
    let is_known = match (account, address) {
        (Some(account), Some(address)) => tracker.knows(account, address, now),
        (None, Some(address)) => tracker.knows_source(address),
        _ => false,
    };
    let is_let_in = || is_known || address.is_some_and(|address| policy.is_exempt(address));
    let since = |rule: &Rule| {
        let window = now.saturating_sub(rule.window);
        who.subject(rule.key).map_or(window, |subject| {
            clean_since(ledger, policy, &subject, now).max(window)
        })
    };
    let counting = tracker.tally(&who, now, since).into_iter();
    let counting = counting.filter_map(|(rule, amount)| {
        let subject = who.subject(rule.key)?;
        let (count, before) = bans_that_count(ledger, rule, &subject, now);
        Some(Counting {
            rule: rule.clone(),
            amount,
            limit: rule.limit.div_ceil(rule.weight(count).max(1)),
            term: rule.term(count, before, 0),
            subject,
        })
    });
    let login = match (account, place) {
        (Some(account), Some(place)) => Some(Subject::Pair(account.clone(), place)),
        (Some(account), None) => Some(Subject::Account(account.clone())),
        (None, place) => place.map(Subject::network),
    };
    let clean = login.map(|login| clean_since(ledger, policy, &login, now));
    let exempt = |subject: Subject| exempt_by(ledger, policy, &subject, now);
    let at_place = place.and_then(|net| exempt(Subject::network(net)));
    let by_name = || account.and_then(|account| exempt(Subject::Account(account.clone())));
    Explanation {
        verdict: ledger.check(account, address, is_let_in, now),
        bans,
        exempt: at_place.or_else(by_name),
        is_known,
        homes: match (account, place) {
            (Some(account), None) => tracker.homes(account, HOMES_TOLD),
            _ => Vec::new(),
        },
        accounts_there: address.map_or(0, |address| tracker.accounts_at(address)),
        is_shared: address.is_some_and(|address| tracker.is_shared(address)),
        counting: counting.collect(),
        // A ban that has just begun makes what came before it clean, to the millisecond.
        grace_until: clean.filter(|clean| clean.since(now) > Duration::from_secs(1)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::actor::Actor;
    use crate::core::event::{BanChange, Change, Event, EventId, Seq};
    use crate::core::{Attempt, Bounds, LoginOutcome, Proposal, Signal, judge};

    struct World {
        ledger: Ledger,
        tracker: Tracker,
        policy: Policy,
        now: Timestamp,
        seq: u64,
    }

    impl World {
        fn new() -> Self {
            let policy = Policy::default();
            let now = Timestamp::parse("2026-11-22T12:00Z").unwrap();
            World {
                ledger: Ledger::default(),
                tracker: Tracker::new(policy.rules.clone(), Bounds::default(), [7; 16], now),
                policy,
                now,
                seq: 0,
            }
        }

        fn submit(&mut self, signal: &Signal) {
            let mut fresh = || EventId::default();
            let (proposal, _) = judge(
                &self.ledger,
                &mut self.tracker,
                &self.policy,
                signal,
                self.now,
                &mut fresh,
            );
            let Proposal::Events(events) = proposal else {
                return;
            };
            for event in events {
                self.seq += 1;
                self.ledger.fold(Seq(self.seq), &event);
            }
        }

        fn attempts(&mut self, subject: &str, times: u32) {
            self.submit(&Signal::ByHand {
                actor: Actor::clock(),
                subject: Subject::parse(subject).unwrap(),
                times,
            });
        }

        fn look(&mut self, subject: &str) -> Explanation {
            let subject = Subject::parse(subject).unwrap();
            let (account, place) = (subject.whose(), subject.place());
            let bans = self.ledger.bans().newest_first();
            let bans = bans.filter(|ban| concerns(ban, account, place, self.now));
            let bans = bans.take(BANS_TOLD).cloned().collect();
            let whom = (account, place);
            explain(
                &self.ledger,
                &mut self.tracker,
                &self.policy,
                whom,
                bans,
                self.now,
            )
        }

        /// `count/limit` of the first rule with this name.
        fn count(&mut self, subject: &str, rule: &str) -> String {
            let explanation = self.look(subject);
            let mut all = explanation.counting.iter();
            let one = all.find(|one| one.rule.name == rule);
            one.map_or_else(String::new, |one| format!("{}/{}", one.amount, one.limit))
        }

        fn pass(&mut self, seconds: u64) {
            self.now = self.now.saturating_add(Duration::from_secs(seconds));
        }
    }

    #[test]
    fn counters_are_told_as_the_rules_will_weigh_them() {
        let mut world = World::new();
        world.attempts("203.0.113.7", 4);
        assert_eq!(world.count("203.0.113.7", "address-failures"), "4/5");
        assert_eq!(
            world.look("203.0.113.7"),
            world.look("203.0.113.7"),
            "looking counts nothing"
        );
        world.attempts("2001:db8::2", 4);
        assert_eq!(
            world.count("2001:db8::/64", "address-failures"),
            "4/5",
            "this network is one source"
        );
        world.pass(601);
        assert_eq!(
            world.count("203.0.113.7", "address-failures"),
            "",
            "the window has moved on although nothing came"
        );
        assert_eq!(world.count("203.0.113.7", "address-spray"), "4/10");
        world.attempts("203.0.113.7", 5);
        assert_eq!(
            world.count("203.0.113.7", "address-failures"),
            "",
            "they led to a ban"
        );
        let told = world.look("203.0.113.7");
        assert_eq!(told.bans.len(), 1);
        assert!(matches!(told.verdict, Verdict::Refuse { .. }));
        world.pass(3_600);
        world.attempts("203.0.113.7", 2);
        assert_eq!(
            world.count("203.0.113.7", "address-failures"),
            "2/3",
            "known to be bad"
        );
        world.attempts("203.0.113.7", 1);
        assert_eq!(world.look("203.0.113.7").bans[0].ordinal, 2, "and so it is");
    }

    #[test]
    fn the_grace_after_an_un_ban_is_told_as_long_as_it_lasts() {
        let mut world = World::new();
        world.attempts("203.0.113.7", 5);
        assert_eq!(world.look("203.0.113.7").grace_until, None, "banned");
        let subject = Subject::parse("203.0.113.7").unwrap();
        let change = Change::Ban(BanChange::Lifted {
            reason: String::new(),
        });
        let (id, by, version) = (EventId::default(), Actor::clock(), Seq(world.seq));
        let lifted = Event::decided(id, world.now, by, subject, version, change);
        world.seq += 1;
        world.ledger.fold(Seq(world.seq), &lifted);
        let end = world.now.saturating_add(world.policy.rules.grace);
        assert_eq!(world.look("203.0.113.7").grace_until, Some(end));
        for other in ["203.0.113.8", "a@example.org from 203.0.113.7"] {
            assert_eq!(world.look(other).grace_until, None, "{other}");
        }
        world.attempts("203.0.113.7", 5);
        assert_eq!(world.count("203.0.113.7", "address-failures"), "");
        world.pass(301);
        assert_eq!(world.look("203.0.113.7").grace_until, None);
    }

    #[test]
    fn a_known_good_pair_is_let_in_where_strangers_are_not() {
        let mut world = World::new();
        world.submit(&Signal::Login(Attempt {
            account: Subject::parse("a@example.org").unwrap().account().cloned(),
            address: "2001:db8::1".parse().ok(),
            outcome: LoginOutcome::Success,
            unknown: false,
            at: world.now,
        }));
        world.attempts("2001:db8::2", 5);
        let home = world.look("a@example.org from 2001:db8::3");
        assert!(home.is_known && home.verdict == Verdict::LetIn);
        assert_eq!((home.accounts_there, home.bans.len()), (1, 1));
        let other = world.look("b@example.org from 2001:db8::3");
        assert!(!other.is_known && other.verdict != Verdict::LetIn);
    }
}
