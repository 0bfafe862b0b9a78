//! The core of the program with a store in memory, a scripted server, and a clock that the test moves.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use portcullis::admission::{Admission, Tap};
use portcullis::core::{
    Action, Actor, BanOrder, EntryPoint, Intent, Order, Policy, Role, Ruling, Subject, Term,
    Timestamp,
};
use portcullis::delivery::ports::Enforcer;
use portcullis::delivery::{Delivery, Settled};
use portcullis::engine::clock::Clock;
use portcullis::engine::{Engine, Snapshotter};
use portcullis::gate::Gate;
use portcullis::gate::Storage;
use portcullis::news::Feed;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{FakeServer, MemoryStore};

/// A running core.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) delivery: Arc<Delivery>,
    pub(crate) snapshotter: Arc<Snapshotter>,
    pub(crate) news: Arc<Feed>,
    pub(crate) tap: Arc<Tap>,
    /// All rooms of the core.
    pub(crate) whole: Gate,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) server: Arc<FakeServer>,
    pub(crate) time: Arc<AtomicI64>,
    /// How far the wall clock is set ahead of the time that passed, in milliseconds.
    set: Arc<AtomicI64>,
    pub(crate) stop: CancellationToken,
    delivering: JoinHandle<()>,
}

pub(crate) const START: i64 = 1_795_320_000_000;

pub(crate) fn policy() -> Policy {
    Policy {
        moderator_longest: Some(Duration::from_secs(30 * 86_400)),
        exempt_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        ..Policy::default()
    }
}

impl World {
    pub(crate) fn new(server: Arc<FakeServer>) -> Self {
        Self::on(Arc::new(MemoryStore::new()), server, START)
    }

    pub(crate) fn on(store: Arc<MemoryStore>, server: Arc<FakeServer>, start: i64) -> Self {
        let time = Arc::new(AtomicI64::new(start));
        let set = Arc::new(AtomicI64::new(0));
        let clock = {
            let (time, passed, set) = (Arc::clone(&time), Arc::clone(&time), Arc::clone(&set));
            let wall = move || time.load(Ordering::SeqCst) + set.load(Ordering::SeqCst);
            Clock::from_fns(
                move || Timestamp::from_millis(wall()),
                move || Duration::from_millis(passed.load(Ordering::SeqCst).unsigned_abs()),
            )
        };
        let gate = Gate::open(
            Storage::of(&store),
            Arc::clone(&server) as Arc<dyn Enforcer>,
            clock,
            policy(),
        )
        .unwrap();
        let stop = CancellationToken::new();
        tokio::spawn({
            let (engine, stop) = (Arc::clone(&gate.engine), stop.clone());
            async move { engine.follow(stop).await }
        });
        tokio::spawn({
            let (engine, stop) = (Arc::clone(&gate.engine), stop.clone());
            async move { engine.watch_the_clock(stop).await }
        });
        let delivering = tokio::spawn(Arc::clone(&gate.delivery).carry_out(stop.clone()));
        World {
            engine: Arc::clone(&gate.engine),
            admission: Arc::clone(&gate.admission),
            delivery: Arc::clone(&gate.delivery),
            snapshotter: Arc::clone(&gate.snapshotter),
            news: Arc::clone(&gate.news),
            tap: Arc::clone(&gate.tap),
            whole: gate,
            store,
            server,
            time,
            set,
            stop,
            delivering,
        }
    }

    /// Stops everything, waits until delivery is idle, and returns how long that took.
    pub(crate) async fn stop_delivery(&mut self) -> Duration {
        let begin = tokio::time::Instant::now();
        self.stop.cancel();
        (&mut self.delivering).await.unwrap();
        begin.elapsed()
    }

    /// Sets the wall clock this far ahead of the time that passed.
    pub(crate) fn set_clock(&self, ahead: i64) {
        self.set.store(ahead, Ordering::SeqCst);
    }

    pub(crate) fn pass(&self, span: Duration) {
        self.time
            .fetch_add(i64::try_from(span.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) async fn ban(&self, subject: &str, term: Option<&str>) -> Ruling {
        let what = Action::Ban(BanOrder::Impose {
            term: term.map(|term| Term::parse(term).unwrap()),
            reason: Some("spam".into()),
            note: Some("private".into()),
        });
        self.engine.submit_one(order(subject, what)).await.unwrap()
    }

    pub(crate) async fn lift(&self, subject: &str) -> Ruling {
        let what = Action::Ban(BanOrder::Lift {
            reason: String::new(),
        });
        self.engine.submit_one(order(subject, what)).await.unwrap()
    }

    pub(crate) async fn settled(&self, subject: &str) -> Settled {
        let subject = Subject::parse(subject).unwrap();
        self.delivery
            .settled(&subject, Duration::from_secs(10))
            .await
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub(crate) fn order(subject: &str, what: Action) -> Intent {
    Intent::Order(Order::new(
        Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
        Subject::parse(subject).unwrap(),
        what,
    ))
}
