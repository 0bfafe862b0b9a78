//! The steps of a schedule: orders, and what the server does.

use std::fmt;

use portcullis::core::{Action, BanOrder, BanRuling, ExemptionOrder, Ruling, Subject, Term};
use tokio::time::Instant;

use super::chance::Chance;
use super::program::Program;
use super::server::{Mood, Server};
use crate::support::order;

const SUBJECTS: [&str; 10] = [
    "u0@example.org",
    "u1@example.org",
    "u2@example.org",
    "u3@example.org",
    "u4@example.org",
    "u5@example.org",
    "203.0.113.7",
    "203.0.113.8",
    "198.51.100.0/24",
    "2001:db8:1::/48",
];

/// Makes the steps, and remembers them for the report of a failure.
pub(super) struct Schedule {
    chance: Chance,
    begin: Instant,
    orders: u64,
    steps: Vec<String>,
}

impl Schedule {
    pub(super) fn new(chance: Chance) -> Self {
        Schedule {
            chance,
            begin: Instant::now(),
            orders: 0,
            steps: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, step: String) {
        self.steps
            .push(format!("{:9.3} {step}", self.begin.elapsed().as_secs_f64()));
    }

    /// Some orders, or another mood of the server.
    pub(super) async fn step(&mut self, program: &Program, server: &Server) {
        if self.chance.is(60) {
            for _ in 0..=self.chance.below(4) {
                self.order(program).await;
            }
            return;
        }
        let word = self.chance.below(14);
        let step = match word {
            0 => Some(Mood::HalfOpen),
            1 => Some(Mood::Mute),
            2 => Some(Mood::Forgetful),
            3 => Some(Mood::Slow(self.chance.below(8_000))),
            4 => Some(Mood::Greetless),
            5 => Some(Mood::Down),
            6 => Some(Mood::Conflict),
            7 | 8 => Some(Mood::Well(self.chance.below(8_000))),
            9 | 10 => Some(Mood::Well(20)),
            _ => None,
        };
        match (step, word) {
            (Some(mood), _) => {
                self.note(format!("{mood:?}"));
                server.set(mood);
            }
            (None, 11) => {
                self.note(String::from("restart of the server"));
                server.restart();
            }
            (None, 12) => {
                self.note(String::from("rights withdrawn"));
                server.withdraw();
            }
            (None, _) => {
                self.note(String::from("rights given, connections cut"));
                server.grant_again();
                server.cut();
            }
        }
        let name = self.chance.one(&SUBJECTS[..6]);
        let subject = Subject::parse(name).unwrap();
        let is_banned = program
            .gate
            .engine
            .read(|ledger| ledger.bans().of(&subject).is_some());
        // A banned user whose server does not know it yet may come in; one whose ban was carried out may not.
        let is_settled = program.gate.delivery.task(&subject).is_none();
        let mut model = server.model();
        let is_refused = model.refuses(name) || model.holds(name);
        if !(is_refused || is_banned && is_settled) {
            model.online.insert(name.to_owned());
        }
    }

    /// One order about one of the subjects.
    pub(super) async fn order(&mut self, program: &Program) {
        self.orders += 1;
        let name = self.chance.one(&SUBJECTS);
        let subject = Subject::parse(name).unwrap();
        let engine = &program.gate.engine;
        let reason = format!("reason {}", self.orders);
        let what = match self.chance.below(20) {
            0..=8 => {
                let term = self.chance.one(&["1m", "10m", "2h", "1d", "forever"]);
                Action::Ban(BanOrder::Impose {
                    term: Some(Term::parse(term).unwrap()),
                    reason: Some(reason.clone()),
                    note: None,
                })
            }
            9..=14 => Action::Ban(BanOrder::Lift {
                reason: String::new(),
            }),
            15 => Action::Exemption(ExemptionOrder::Grant {
                term: None,
                comment: String::new(),
            }),
            16 | 17 => Action::Exemption(ExemptionOrder::Revoke),
            _ => Action::Undo {
                change: engine.read(|ledger| ledger.version(&subject)),
            },
        };
        let is_ban = matches!(what, Action::Ban(BanOrder::Impose { .. }));
        let is_lift = matches!(what, Action::Ban(BanOrder::Lift { .. }));
        let told = format!("{what:?}");
        let ruling = engine.submit_one(order(name, what)).await.unwrap();
        let ruled = format!("{ruling:?}");
        self.note(format!("{name}: {told:.60} -> {ruled:.60}"));
        // What is acknowledged is the state at once; the last order wins.
        let ban = engine.read(|ledger| ledger.bans().of(&subject).cloned());
        match ruling {
            Ruling::Ban(BanRuling::Banned(_) | BanRuling::Amended { .. }) if is_ban => {
                assert_eq!(ban.unwrap().reason, reason, "{self}");
            }
            _ if is_lift => assert!(ban.is_none(), "{self}"),
            _ => {}
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
