//! Known attacks, and the honest users they affect, against the default rules.
//!
//! Each test is one pattern that was tried on real servers and their guards. Here it runs against the pure core: like
//! a hook module, the lab checks before every password and reports every outcome. Only loopback is exempt.

use std::sync::Arc;

use portcullis::core::{Action, Ban, BanOrder, Bounds, By, Rules, Subject, Tracker};

use crate::support::lab::*;

fn one_pair(name: &str, address: &str, times: usize) -> Vec<(String, String)> {
    vec![(name.to_owned(), address.to_owned()); times]
}

#[test]
fn line_1_a_guesser_stops_at_the_limit_and_the_owner_elsewhere_notices_nothing() {
    let mut lab = Lab::new();
    assert_eq!(lab.login("alice", "198.51.100.1", true), Seen::In);
    assert_eq!(lab.guesses(one_pair("alice", "203.0.113.7", 60)), 5);
    // The right password is refused too, on a stream opened before the ban (1p) and on the stream of the guesses
    // (1r), because the check happens at the password.
    assert_eq!(
        lab.login("alice", "203.0.113.7", true),
        Seen::Refused(By::Pair)
    );
    assert_eq!(lab.login("alice", "198.51.100.1", true), Seen::In);
    assert_eq!(
        lab.login("alice", "192.0.2.77", true),
        Seen::In,
        "new place, no guard"
    );
}

#[test]
fn line_2_a_success_forgives_only_that_accounts_slips() {
    let mut lab = Lab::new();
    let mut checked = 0;
    for _ in 0..60 {
        checked += usize::from(lab.login("alice", "203.0.113.7", false) == Seen::Wrong);
        lab.login("mallory", "203.0.113.7", true);
    }
    assert_eq!(checked, 5);
    let mut lab = Lab::new();
    let mut checked = 0;
    for n in 0..60 {
        checked += usize::from(lab.login(&format!("user{n}"), "203.0.113.7", false) == Seen::Wrong);
        lab.login("mallory", "203.0.113.7", true);
    }
    assert_eq!(checked, 5, "spraying with an own account in between");
}

#[test]
fn line_3_spray_stops_the_address_and_owners_elsewhere_are_fine() {
    let mut lab = Lab::new();
    let spray = (0..100).map(|n| (format!("user{n}"), "203.0.113.7".to_owned()));
    assert_eq!(lab.guesses(spray), 5);
    assert_eq!(
        lab.login("user99", "203.0.113.7", true),
        Seen::Refused(By::Address)
    );
    for n in 0..100 {
        assert_eq!(
            lab.login(&format!("user{n}"), &format!("198.51.100.{n}"), true),
            Seen::In
        );
    }
}

#[test]
fn line_3_slow_spray_stops_too() {
    let mut lab = Lab::new();
    let mut checked = 0;
    for n in 0..100 {
        checked += usize::from(lab.login(&format!("user{n}"), "203.0.113.7", false) == Seen::Wrong);
        lab.pass(5 * 60_000);
    }
    assert!(checked <= 40, "{checked} in 8 hours");
}

#[test]
fn line_4_a_botnet_on_one_account_is_slowed_and_the_owner_never_notices() {
    for spread in [1, 3, 60] {
        let mut lab = Lab::new();
        assert_eq!(lab.login("alice", "198.51.100.1", true), Seen::In);
        let mut checked = 0;
        for n in 0..60 {
            let bot = format!("203.0.{}.{}", n % spread, n + 1);
            for _ in 0..2 {
                checked += usize::from(lab.login("alice", &bot, false) == Seen::Wrong);
            }
            assert_eq!(lab.login("alice", "198.51.100.1", true), Seen::In);
        }
        assert!(checked <= 40, "{checked} of 120 with {spread} networks");
        assert_ne!(
            lab.login("alice", "203.0.59.60", true),
            Seen::In,
            "a bot with the password"
        );
        // A stranger is refused on the attacked account only; other accounts are unaffected.
        assert_eq!(lab.login("bob", "192.0.2.55", true), Seen::In);
    }
}

#[test]
fn line_4_the_guard_is_about_strangers_and_ends() {
    let mut lab = Lab::new();
    let bots = (0..20).map(|n| ("alice".to_owned(), format!("203.{n}.113.7")));
    assert_eq!(lab.guesses(bots), 10);
    assert_eq!(
        lab.login("alice", "192.0.2.1", true),
        Seen::Refused(By::Guard)
    );
    assert_eq!(
        lab.bans()[0].subject.to_string(),
        "guard of alice@example.org"
    );
    lab.pass(15 * 60_000);
    assert_eq!(lab.login("alice", "192.0.2.1", true), Seen::In);
}

#[test]
fn line_4_the_owner_stays_known_however_many_networks_a_stranger_logs_in_from() {
    let bounds = Bounds {
        keys: 1_000,
        known: 1_000,
    };
    let mut lab = Lab::with(policy(Rules::default()), bounds);
    let home = "198.51.100.1";
    assert_eq!(lab.login("alice", home, true), Seen::In);
    for n in 0..3_000 {
        // Accounts that anybody may register, and as many /64s as a tunnel broker gives away.
        let name = format!("mallory{}", n % 3);
        let address = format!("2001:db8:{:x}:{:x}::1", n / 200, n % 200);
        assert_eq!(lab.login(&name, &address, true), Seen::In);
    }
    let bots = (0..20).map(|n| ("alice".to_owned(), format!("203.{n}.113.7")));
    lab.guesses(bots);
    assert_eq!(
        lab.login("alice", "192.0.2.1", true),
        Seen::Refused(By::Guard)
    );
    assert_eq!(lab.login("alice", home, true), Seen::In);
}

#[test]
fn line_8_guesses_in_a_trusted_ipv6_network_end_the_trust_and_not_the_owners_logins() {
    let mut lab = Lab::new();
    for n in 0..9 {
        let address = format!("2001:db8:7:{n:x}::1");
        assert_eq!(lab.login("alice", &address, true), Seen::In);
    }
    let who = account("alice@example.org");
    let knows = |lab: &Lab, text: &str| lab.tracker.knows(&who, text.parse().unwrap(), lab.now);
    assert!(knows(&lab, "2001:db8:7:ffff::1") && !knows(&lab, "2001:db8:8::1"));
    let neighbour = |n| ("alice".to_owned(), format!("2001:db8:7:{:x}::1", 0x100 + n));
    let checked = lab.guesses((0..5).map(neighbour));
    assert_eq!(checked, 5);
    assert!(
        !knows(&lab, "2001:db8:7:ffff::1"),
        "five failures there end the trust in the network"
    );
    let checked = lab.guesses((5..200).map(neighbour));
    assert!(checked <= 20, "{checked} of 195");
    lab.restart();
    assert_eq!(
        lab.login("alice", "2001:db8:7:2::1", true),
        Seen::In,
        "the owner where she was before"
    );
}

#[test]
fn line_5_one_stale_saved_password_bans_no_office() {
    let office = "203.0.113.7";
    let mut busy = Lab::new();
    for round in 0..40 {
        busy.login("stale", office, false);
        let colleague = format!("user{}", round % 12);
        assert_eq!(busy.login(&colleague, office, true), Seen::In);
        busy.pass(30_000);
    }
    // 5q: nobody else logs in for hours, then a colleague logs in for the first time.
    let mut quiet = Lab::new();
    for _ in 0..500 {
        quiet.login("stale", office, false);
        quiet.pass(60_000);
    }
    assert_eq!(quiet.login("new", office, true), Seen::In);
    assert!(
        quiet
            .log
            .iter()
            .all(|event| matches!(event.subject, Subject::Pair(..)))
    );
}

#[test]
fn line_5_three_stale_passwords_ban_no_office_either() {
    let mut lab = Lab::new();
    for round in 0..500 {
        lab.login(&format!("stale{}", round % 3), "203.0.113.7", false);
        lab.pass(20_000);
    }
    assert_eq!(lab.login("new", "203.0.113.7", true), Seen::In);
}

#[test]
fn line_6_behind_a_proxy_only_the_pair_is_banned() {
    let proxy = "203.0.113.7";
    for quiet in [false, true] {
        let mut lab = Lab::new();
        let mut checked = 0;
        for n in 0..60 {
            checked += usize::from(lab.login("victim", proxy, false) == Seen::Wrong);
            if !quiet {
                assert_eq!(lab.login(&format!("user{}", n % 20), proxy, true), Seen::In);
            }
        }
        assert_eq!(checked, 5);
        for n in 0..20 {
            assert_eq!(lab.login(&format!("user{n}"), proxy, true), Seen::In);
        }
        assert_eq!(lab.login("victim", "198.51.100.1", true), Seen::In);
    }
}

#[test]
fn line_6_spray_through_a_declared_or_shared_proxy_locks_nobody_out() {
    let proxy = "203.0.113.7";
    let declared = Rules {
        proxies: vec!["203.0.113.7/32".parse().unwrap()],
        ..Rules::default()
    };
    let mut lab = Lab::with(policy(declared), Bounds::default());
    let spray = |n: usize| (format!("victim{}", n % 20), proxy.to_owned());
    assert_eq!(lab.guesses((0..400).map(spray)), 100, "5 each");
    assert_eq!(lab.login("new", proxy, true), Seen::In);
    assert!(
        lab.notes[0].contains("203.0.113.7 is not banned by address-failures"),
        "{:?}",
        lab.notes
    );

    let mut lab = Lab::new();
    for n in 0..10 {
        lab.login(&format!("user{n}"), proxy, true);
    }
    assert_eq!(lab.guesses((0..400).map(spray)), 100);
    assert_eq!(lab.login("new", proxy, true), Seen::In);
    assert!(
        lab.notes[0].contains("because 10 accounts log in from there"),
        "{:?}",
        lab.notes
    );
}

#[test]
fn line_7_one_try_from_each_address_of_a_network_is_noticed_and_the_neighbour_stays() {
    let mut lab = Lab::new();
    assert_eq!(lab.login("neighbour", "203.0.113.200", true), Seen::In);
    let mut checked = 0;
    for n in 0..100 {
        let seen = lab.login(&format!("user{n}"), &format!("203.0.113.{n}"), false);
        checked += usize::from(seen == Seen::Wrong);
        lab.pass(5 * 60_000);
    }
    assert!(
        checked <= 40,
        "{checked} in 8 hours: 20 at first, then some between the terms"
    );
    let at_first = lab
        .log
        .iter()
        .position(|event| event.subject.kind() == "network");
    assert_eq!(at_first, Some(0));
    let mut lab = Lab::new();
    lab.login("neighbour", "203.0.113.200", true);
    let fast = (0..100).map(|n| (format!("user{n}"), format!("203.0.113.{n}")));
    assert_eq!(lab.guesses(fast), 20);
    assert_eq!(lab.login("neighbour", "203.0.113.200", true), Seen::In);
    assert_eq!(
        lab.login("user1", "203.0.113.201", true),
        Seen::Refused(By::Network)
    );
}

#[test]
fn line_8_one_ipv6_64_is_one_attacker_and_the_next_is_not() {
    for spray in [false, true] {
        let mut lab = Lab::new();
        let rotate = (0..80).map(|n| {
            let name = if spray {
                format!("user{n}")
            } else {
                "alice".to_owned()
            };
            (name, format!("2001:db8::{:x}:{:x}", n / 2 + 1, n / 2 * 7))
        });
        assert_eq!(lab.guesses(rotate), 5);
        assert_ne!(lab.login("alice", "2001:db8::ffff", true), Seen::In);
        assert_eq!(lab.login("alice", "2001:db8:0:1::1", true), Seen::In);
    }
}

#[test]
fn line_8_onion_circuits_in_one_64_are_separate_sources_if_configured() {
    let mut rules = Rules::default();
    rules.reach.ranges = vec![("fc00:dead:beef:4dad::/64".parse().unwrap(), 128)];
    let mut lab = Lab::with(policy(rules), Bounds::default());
    for n in 0..50 {
        let circuit = format!("fc00:dead:beef:4dad::{n:x}");
        let spray = (0..20).map(|m| (format!("user{n}-{m}"), circuit.clone()));
        assert_eq!(lab.guesses(spray), 5);
    }
    assert_eq!(
        lab.login("honest", "fc00:dead:beef:4dad::abcd", true),
        Seen::In
    );
}

#[test]
fn line_9_unknown_names_count_like_wrong_passwords_and_more() {
    let mut lab = Lab::new();
    let checked = (0..50)
        .filter(|n| lab.log_in(&format!("nosuch{n}"), "203.0.113.7", false, true) == Seen::Wrong)
        .count();
    assert_eq!(checked, 5);
    // Slowly, an hour apart: unknown accounts count double, so 5 of them are as many as 10 known ones.
    let mut slow = Lab::new();
    let mut checked = 0;
    while slow.log.is_empty() {
        slow.log_in(&format!("nosuch{checked}"), "203.0.113.7", false, true);
        slow.pass(3_600_000);
        checked += 1;
    }
    assert_eq!(checked, 5);
}

#[test]
fn line_10_the_terms_of_a_repeat_offender_grow() {
    let mut lab = Lab::new();
    let mut terms = Vec::new();
    for round in 0..4 {
        let mut tries = 0;
        while lab.login(&format!("user{round}-{tries}"), "203.0.113.7", false) == Seen::Wrong {
            tries += 1;
        }
        let ban = lab.bans().remove(0);
        let end = ban.until.unwrap();
        terms.push(end.since(ban.since).as_secs() / 60);
        assert_eq!(ban.ordinal, round + 1);
        assert_eq!(
            tries,
            [5, 3, 2, 1][round as usize],
            "the known bad need fewer"
        );
        lab.now = end;
    }
    assert_eq!(terms, [30, 60, 120, 240]);
}

#[test]
fn lines_11_and_12_a_restart_loses_neither_ban_nor_count() {
    let mut lab = Lab::new();
    lab.login("owner", "198.51.100.1", true);
    assert_eq!(lab.guesses(one_pair("alice", "203.0.113.7", 4)), 4);
    assert_eq!(lab.guesses(one_pair("bob", "203.0.113.8", 9)), 5);
    lab.restart();
    assert_eq!(
        lab.login("bob", "203.0.113.8", true),
        Seen::Refused(By::Pair)
    );
    assert_eq!(
        lab.guesses(one_pair("alice", "203.0.113.7", 9)),
        1,
        "4 were pending"
    );
    let who = account("owner@example.org");
    assert!(
        lab.tracker
            .knows(&who, "198.51.100.1".parse().unwrap(), lab.now)
    );
}

#[test]
fn lines_11_and_12_outcomes_since_the_last_full_save_survive() {
    use portcullis::core::tracker::UnsavedOutcomes;
    let mut lab = Lab::new();
    let mut kept = vec![lab.tracker.save()];
    for step in 0..3 {
        lab.login("owner", &format!("198.51.100.{step}"), true);
        lab.login("alice", "203.0.113.7", false);
        let UnsavedOutcomes::Part(part) = lab.tracker.save_recent() else {
            panic!("there was something");
        };
        kept.push(part);
        assert_eq!(lab.tracker.save_recent(), UnsavedOutcomes::Nothing);
    }
    let rules = Arc::clone(&lab.policy.rules);
    lab.tracker = Tracker::restore(&kept, rules, Bounds::default(), lab.now).unwrap();
    assert_eq!(lab.guesses(one_pair("alice", "203.0.113.7", 9)), 2);
    let who = account("owner@example.org");
    assert!(
        lab.tracker
            .knows(&who, "198.51.100.2".parse().unwrap(), lab.now)
    );
}

#[test]
fn lines_11_and_12_a_full_save_during_logins_is_complete() {
    use portcullis::core::tracker::UnsavedOutcomes;
    // Small tables, so that rows are evicted while the full save is written.
    let bounds = Bounds {
        keys: 120,
        known: 120,
    };
    let mut lab = Lab::with(policy(Rules::default()), bounds);
    let guessers = 0..40;
    for n in guessers.clone() {
        for _ in 0..3 {
            lab.login(&format!("victim{n}"), &format!("203.{n}.113.7"), false);
        }
    }
    lab.login("owner", "198.51.100.1", true);
    let mut whole = lab.tracker.begin_whole();
    let mut others = 0;
    while let Some(rows) = lab.tracker.next_piece(&mut whole, 5) {
        whole.add(&rows);
        // Each failure adds a row and removes expired ones, and changes a row that may be written already.
        others += 1;
        lab.login(
            &format!("other{others}"),
            &format!("192.{others}.2.7"),
            false,
        );
        lab.login("victim0", "203.0.113.7", false);
    }
    let mut kept = vec![whole.finish()];
    if let UnsavedOutcomes::Part(part) = lab.tracker.save_recent() {
        kept.push(part);
    }
    assert!(others > 20, "{others} pieces");
    let rules = Arc::clone(&lab.policy.rules);
    lab.tracker = Tracker::restore(&kept, rules, bounds, lab.now).unwrap();
    for n in guessers.skip(1) {
        let (name, address) = (format!("victim{n}"), format!("203.{n}.113.7"));
        assert_eq!(
            lab.guesses(one_pair(&name, &address, 9)),
            2,
            "of {n}, 3 were pending"
        );
    }
    let who = account("owner@example.org");
    let home = "198.51.100.1".parse().unwrap();
    assert!(lab.tracker.knows(&who, home, lab.now));
}

#[test]
fn line_14_honest_people_who_mistype_notice_nothing() {
    let mut lab = Lab::new();
    for n in 0..10 {
        for _ in 0..3 {
            for _ in 0..3 {
                assert_eq!(
                    lab.login(&format!("user{n}"), &format!("198.51.100.{n}"), false),
                    Seen::Wrong
                );
            }
            assert_eq!(
                lab.login(&format!("user{n}"), &format!("198.51.100.{n}"), true),
                Seen::In
            );
        }
    }
    assert!(lab.log.is_empty());
    // The same in one office.
    for n in 0..10 {
        for _ in 0..3 {
            assert_eq!(
                lab.login(&format!("clerk{n}"), "203.0.113.7", false),
                Seen::Wrong
            );
        }
        assert_eq!(
            lab.login(&format!("clerk{n}"), "203.0.113.7", true),
            Seen::In
        );
    }
    assert!(lab.log.is_empty());
}

#[test]
fn a_ban_of_a_network_by_hand_applies_to_everybody_and_one_by_a_rule_to_strangers() {
    let mut lab = Lab::new();
    lab.login("alice", "203.0.113.7", true);
    let what = Action::Ban(BanOrder::Impose {
        term: None,
        reason: None,
        note: None,
    });
    lab.order("203.0.113.0/24", what.clone());
    assert_eq!(
        lab.login("alice", "203.0.113.7", true),
        Seen::Refused(By::Network)
    );
    lab.order(
        "203.0.113.0/24",
        Action::Ban(BanOrder::Lift {
            reason: String::new(),
        }),
    );
    assert_eq!(lab.login("alice", "203.0.113.7", true), Seen::In);
    lab.order("alice@example.org", what);
    assert_eq!(
        lab.login("alice", "203.0.113.7", true),
        Seen::Refused(By::Account)
    );
}

#[test]
fn only_a_ban_without_known_neighbours_refuses_at_the_start_of_a_stream() {
    let mut lab = Lab::new();
    lab.guesses((0..9).map(|n| (format!("user{n}"), "203.0.113.7".to_owned())));
    let lives_in = |lab: &Lab, ban: &Ban| ban.holds_at_start(|net| lab.tracker.lives_in(net));
    assert!(lives_in(&lab, &lab.bans()[0]));
    let mut lab = Lab::new();
    lab.login("alice", "203.0.113.7", true);
    lab.guesses((0..9).map(|n| (format!("user{n}"), "203.0.113.7".to_owned())));
    assert!(!lives_in(&lab, &lab.bans()[0]));
    assert_eq!(lab.login("alice", "203.0.113.7", true), Seen::In);
}
