//! Which changes can be undone by whom, and what is restored with them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;
use crate::core::Seq;
use crate::core::actor::{Actor, EntryPoint, Role};
use crate::core::bans::BanOrder;
use crate::core::event::EventId;
use crate::core::exemptions::ExemptionOrder;
use crate::core::history::HistoryOrder;
use crate::core::ledger::{Ledger, Ruling};
use crate::core::policy::Policy;
use crate::core::propose::{Action, Intent, Order, Proposal, propose};
use crate::core::refusal::Refusal;
use crate::core::term::Term;
use crate::core::time::Timestamp;

/// A ledger, a policy, and a clock that moves only when a test moves it.
struct World {
    ledger: Ledger,
    policy: Policy,
    now: Timestamp,
    role: Role,
    seq: u64,
}

const WHO: &str = "a@example.org";
const PAIR: &str = "a@example.org from 203.0.113.7";

fn subject(text: &str) -> Subject {
    Subject::parse(text).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl World {
    fn new() -> World {
        World {
            ledger: Ledger::default(),
            policy: Policy::default(),
            now: Timestamp::from_millis(1_795_320_000_000),
            role: Role::Admin,
            seq: 0,
        }
    }

    /// An order of one person, in the role that they have now.
    fn order(&mut self, about: &str, what: Action) -> Ruling {
        let actor = Actor::person("m@example.org/x", self.role, EntryPoint::Chat);
        let intent = Intent::Order(Order::new(actor, subject(about), what));
        let mut fresh = EventId::default;
        match propose(&self.ledger, &self.policy, &intent, self.now, &mut fresh) {
            Proposal::Answer(ruling) => ruling,
            Proposal::Events(events) => {
                let fold = |event| {
                    self.seq += 1;
                    self.ledger.fold(Seq(self.seq), event).0
                };
                let mut rulings: Vec<Ruling> = events.iter().map(fold).collect();
                rulings.pop().unwrap()
            }
        }
    }

    fn ban(&mut self, about: &str, term: u64) {
        let (term, reason, note) = (Some(Term::For(seconds(term))), None, None);
        self.order(about, Action::Ban(BanOrder::Impose { term, reason, note }));
    }

    fn lift(&mut self, about: &str) {
        let reason = String::new();
        self.order(about, Action::Ban(BanOrder::Lift { reason }));
    }

    fn allow(&mut self, about: &str) {
        let (term, comment) = (None, String::new());
        self.order(
            about,
            Action::Exemption(ExemptionOrder::Grant { term, comment }),
        );
    }

    fn forget(&mut self, about: &str) {
        self.order(about, Action::History(HistoryOrder::Forget));
    }

    fn undo(&mut self, about: &str) -> Ruling {
        let change = self.ledger.undo().of(&subject(about)).unwrap().seq;
        self.order(about, Action::Undo { change })
    }

    fn is_alone(&self, about: &str) -> bool {
        self.ledger.undo().is_alone(&subject(about))
    }

    fn is_banned(&self, about: &str) -> bool {
        self.ledger.bans().of(&subject(about)).is_some()
    }

    fn bans(&self, about: &str) -> u32 {
        self.ledger.history(&subject(about)).bans
    }

    fn pass(&mut self, span: u64) {
        self.now = self.now.saturating_add(seconds(span));
    }
}

fn refusal(ruling: Ruling) -> Refusal {
    match ruling {
        Ruling::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_ban_is_undone_alone_and_an_exemption_or_a_forgotten_history_is_not() {
    let mut world = World::new();
    world.ban(WHO, 60);
    assert!(world.is_alone(WHO));
    world.undo(WHO);
    assert!(world.is_alone(WHO) && !world.is_banned(WHO));
    world.allow(WHO);
    assert!(!world.is_alone(WHO));
    world.undo(WHO);
    assert!(!world.is_alone(WHO), "it would be exempt again");
    world.forget(WHO);
    assert!(!world.is_alone(WHO));
    world.undo(WHO);
    assert!(!world.is_alone(WHO), "it would be forgotten again");
}

#[test]
fn what_was_forgotten_together_comes_back_together_and_goes_together() {
    let mut world = World::new();
    for about in [WHO, PAIR, "b@example.org"] {
        world.ban(about, 60);
        world.lift(about);
    }
    let bans = |world: &World| (world.bans(WHO), world.bans(PAIR));
    world.forget(WHO);
    assert_eq!(bans(&world), (0, 0));
    world.undo(WHO);
    assert_eq!(bans(&world), (1, 1));
    world.undo(WHO);
    assert_eq!(bans(&world), (0, 0));
    assert_eq!(world.bans("b@example.org"), 1);
}

#[test]
fn an_undo_closes_an_expired_ban_and_restores_no_ban_that_would_be_over() {
    let mut world = World::new();
    world.ban(WHO, 60);
    world.pass(61);
    world.ban(WHO, 60);
    world.undo(WHO);
    assert!(!world.is_banned(WHO), "the first one was over");
    world.ban(WHO, 60);
    world.lift(WHO);
    let entry = world.ledger.undo().of(&subject(WHO)).unwrap();
    assert!(entry.ban_before().is_some());
    world.undo(WHO);
    let restored = world.ledger.bans().of(&subject(WHO)).unwrap();
    assert_eq!(restored.version, Seq(world.seq));
    world.lift(WHO);
    world.pass(60);
    let refused = refusal(world.undo(WHO));
    assert!(matches!(refused, Refusal::OverByNow(..)), "{refused:?}");
}

#[test]
fn an_undo_bans_nobody_whom_the_configuration_exempts_by_now() {
    let mut world = World::new();
    world.ban(WHO, 60);
    world.lift(WHO);
    world.policy.exempt_accounts = vec![subject(WHO).account().unwrap().clone()];
    let refused = refusal(world.undo(WHO));
    assert!(matches!(refused, Refusal::Exempt(..)), "{refused:?}");
    // A ban that stands may get its earlier terms back.
    let mut world = World::new();
    world.ban(WHO, 60);
    world.ban(WHO, 90);
    world.policy.exempt_accounts = vec![subject(WHO).account().unwrap().clone()];
    assert!(matches!(
        world.undo(WHO),
        Ruling::Undo(UndoRuling::Undone { .. })
    ));
}

#[test]
fn changes_of_admins_are_undone_by_admins_and_all_of_them_in_time_only() {
    for change in [World::allow, World::forget] {
        let mut world = World::new();
        change(&mut world, WHO);
        world.role = Role::Moderator;
        assert!(matches!(refusal(world.undo(WHO)), Refusal::NeedsRole(..)));
    }
    let mut world = World::new();
    world.ban("198.51.100.0/24", 9_000_000);
    world.role = Role::Moderator;
    let refused = refusal(world.undo("198.51.100.0/24"));
    assert!(matches!(refused, Refusal::NeedsRole(..)), "{refused:?}");
    world.ban(WHO, 9_000_000);
    world.policy.undo_for = seconds(100);
    world.pass(100);
    world.now = world.now.saturating_add(Duration::from_millis(1));
    assert!(matches!(refusal(world.undo(WHO)), Refusal::TooLate(..)));
    world.now = world.now.saturating_sub(Duration::from_millis(1));
    world.undo(WHO);
    assert!(!world.is_banned(WHO));
}

#[test]
fn an_exemption_that_lifts_too_many_bans_does_not_bring_them_back() {
    for (bans, come_back) in [(WIDEST, true), (WIDEST + 1, false)] {
        let mut world = World::new();
        let address = |n: usize| format!("10.0.{}.{}", n / 256, n % 256);
        (0..bans).for_each(|n| world.ban(&address(n), 600));
        world.allow("10.0.0.0/16");
        assert!(!world.is_banned(&address(0)) && !world.is_banned(&address(bans - 1)));
        world.undo("10.0.0.0/16");
        assert_eq!(world.is_banned(&address(0)), come_back, "{bans}");
        assert_eq!(world.is_banned(&address(bans - 1)), come_back, "{bans}");
    }
}

/// What is refused is not in the log: the answer says that nothing was done.
#[test]
fn an_undo_that_an_exemption_forbids_writes_no_event() {
    let mut world = World::new();
    world.ban(WHO, 6_000);
    world.pass(1);
    world.allow(WHO);
    for is_banned in [true, false] {
        world.pass(1);
        world.undo(WHO);
        assert_eq!(world.is_banned(WHO), is_banned);
    }
    world.pass(1);
    let before = world.seq;
    let refused = refusal(world.undo(WHO));
    assert!(matches!(refused, Refusal::Allowed(..)), "{refused:?}");
    assert_eq!(world.seq, before);
}
