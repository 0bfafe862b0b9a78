//! Durable decisions with the whole core on a real disk: many bans at a time, an un-ban of very many, and a start
//! with a million bans, on each storage engine. As a reference, appends of the same size to a plain file, each synced,
//! in the same run.
//!
//! `cargo bench --bench store [BANS]`
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use portcullis::admission::Admission;
use portcullis::core::{
    Account, Action, Actor, Ban, BanOrder, BanRuling, EntryPoint, Intent, Order, Policy, Role,
    Ruling, Subject, Term, Verdict,
};
use portcullis::delivery::Delivery;
use portcullis::delivery::ports::{Enforcement, Enforcer, Existence, Held, Undone};
use portcullis::engine::Engine;
use portcullis::engine::clock::Clock;
use portcullis::gate::Gate;
use portcullis::gate::Storage;
use portcullis::store::{EngineKind, Store};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

fn main() {
    let is_real = std::env::args().any(|arg| arg == "--bench");
    let number = std::env::args().find_map(|arg| arg.parse::<usize>().ok());
    let bans = number.unwrap_or(if is_real { 1_000_000 } else { 1_000 });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let plain = || {
        let rate = syncs(folder.path());
        println!("plain file, append and sync: {rate:.0} /s; load {}", load());
    };
    let folders = EngineKind::ALL.map(|engine| (engine, folder.path().join(engine.name())));
    for (engine, folder) in &folders {
        plain();
        println!("== {engine}");
        runtime.block_on(one_by_one(*engine, folder, bans / 20));
    }
    for (engine, folder) in &folders {
        plain();
        println!("== {engine}");
        runtime.block_on(by_filter(*engine, folder, bans / 10));
    }
    for (engine, folder) in &folders {
        plain();
        println!("== {engine}");
        starts(&runtime, *engine, folder, bans);
    }
}

/// The load of the machine, to compare figures by.
fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

/// Bytes on the disk below a folder, in MiB.
fn size(folder: &Path) -> f64 {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        bytes += match metadata.is_dir() {
            true => (size(&entry.path()) * 1048576.0) as u64,
            false => metadata.blocks() * 512,
        };
    }
    bytes as f64 / 1048576.0
}

/// Appends and syncs 200 bytes at a time; returns how many per second.
fn syncs(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("plain")).unwrap();
    let began = Instant::now();
    for _ in 0..300 {
        file.write_all(&[7; 200]).unwrap();
        file.sync_data().unwrap();
    }
    300.0 / began.elapsed().as_secs_f64()
}

/// Makes bans by single orders, several of them in flight; also measures when a login is refused by them.
async fn one_by_one(engine: EngineKind, folder: &Path, bans: usize) {
    let house = House::open(engine, &folder.join("single"));
    for width in [1, 64, 1_024] {
        let count = bans.min(width * 100);
        let began = Instant::now();
        let mut longest = Duration::ZERO;
        for from in (0..count).step_by(width) {
            let orders = (from..count.min(from + width)).map(|n| {
                let account = format!("w{width}n{n}@example.org");
                let house = &house;
                async move {
                    let began = Instant::now();
                    house.gate.submit_one(ban(&account)).await.unwrap();
                    let subject = Subject::parse(&account).unwrap();
                    let verdict = house.admission.check(subject.account(), None);
                    assert_ne!(verdict, Verdict::LetIn, "acknowledged and not in force");
                    began.elapsed()
                }
            });
            longest = join_all(orders)
                .await
                .into_iter()
                .max()
                .unwrap_or(longest)
                .max(longest);
        }
        println!(
            "durable bans, {width} at a time: {:.0} /s; the slowest is refused after {:.1} ms",
            count as f64 / began.elapsed().as_secs_f64(),
            longest.as_secs_f64() * 1e3,
        );
    }
    house.close().await;
}

/// Bans and un-bans very many subjects in one call each.
async fn by_filter(engine: EngineKind, folder: &Path, bans: usize) {
    let house = House::open(engine, &folder.join("many"));
    let all = |report: fn(&str) -> Intent| (0..bans).map(|n| report(&name(n))).collect::<Vec<_>>();
    for (what, reports) in [("made", all(ban)), ("lifted", all(lift))] {
        let began = Instant::now();
        let answers = house.gate.submit(reports).await;
        let took = began.elapsed();
        let is_done = |answer| {
            matches!(
                answer,
                &Ok(Ruling::Ban(BanRuling::Banned(_)) | Ruling::Ban(BanRuling::Lifted(_)))
            )
        };
        assert!(answers.iter().all(is_done));
        println!("{bans} bans {what} in one go: {:.3} s", took.as_secs_f64());
    }
    house.close().await;
}

/// Starts from the log alone, and from a snapshot.
fn starts(runtime: &tokio::runtime::Runtime, engine: EngineKind, folder: &Path, bans: usize) {
    let path = folder.join("large");
    runtime.block_on(async {
        let house = House::open(engine, &path);
        for from in (0..bans).step_by(50_000) {
            let part = (from..bans.min(from + 50_000)).map(|n| ban(&name(n)));
            house.gate.submit(part.collect()).await;
        }
        house.close().await;
    });
    println!(
        "{bans} bans on the disk: {:.0} MiB",
        size(&path.join(engine.name()))
    );
    after_a_kill(engine, &path, &folder.join("killed"));
    for with in ["the log alone", "a snapshot"] {
        for _ in 0..3 {
            let _inside = runtime.enter();
            let began = Instant::now();
            let store = Store::open(&path).unwrap();
            let opened = began.elapsed();
            let gate = gate(&Arc::new(store));
            println!(
                "start with {} bans from {with}: {:.2} s, of which the store {:.2} s; from entry {} on",
                gate.engine.read(|ledger| ledger.bans().len()),
                began.elapsed().as_secs_f64(),
                opened.as_secs_f64(),
                gate.snapshotter.began_with().0 + 1,
            );
            let began = Instant::now();
            if with == "the log alone" {
                gate.snapshotter.take().unwrap();
                println!(
                    "a snapshot is taken in {:.2} s",
                    began.elapsed().as_secs_f64()
                );
            }
            drop(gate);
            if with == "the log alone" && bans > 0 {
                break;
            }
        }
    }
}

/// Opens a copy of a store that was never closed.
fn after_a_kill(engine: EngineKind, path: &Path, killed: &Path) {
    let store = Store::open(path).unwrap();
    let files = killed.join(engine.name());
    std::fs::create_dir_all(&files).unwrap();
    for entry in std::fs::read_dir(path.join(engine.name())).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), files.join(entry.file_name())).unwrap();
        }
    }
    std::fs::copy(path.join("head"), killed.join("head")).unwrap();
    drop(store);
    let began = Instant::now();
    drop(Store::open(killed).unwrap());
    let took = began.elapsed().as_secs_f64();
    println!("opened and closed after a kill: {took:.2} s");
    std::fs::remove_dir_all(killed).unwrap();
}

fn name(n: usize) -> String {
    let spread = (n as u32).wrapping_mul(2_654_435_761);
    let address = Ipv4Addr::from_bits(spread);
    match n % 20 {
        0 => format!("{address}/24"),
        1 => format!("{address}/28"),
        n if n < 11 => address.to_string(),
        _ => format!("user{n}@example.org", n = spread),
    }
}

fn order(subject: &str, what: Action) -> Intent {
    Intent::Order(Order::new(
        Actor::person("admin@example.org/x", Role::Admin, EntryPoint::Chat),
        Subject::parse(subject).unwrap(),
        what,
    ))
}

fn ban(subject: &str) -> Intent {
    let what = Action::Ban(BanOrder::Impose {
        term: Some(Term::For(Duration::from_secs(86_400))),
        reason: Some(String::from("spam")),
        note: None,
    });
    order(subject, what)
}

fn lift(subject: &str) -> Intent {
    let reason = String::from("a mistake");
    order(subject, Action::Ban(BanOrder::Lift { reason }))
}

fn gate(store: &Arc<Store>) -> Gate {
    let policy = Policy::default();
    Gate::open(
        Storage::of(store),
        Arc::new(Nobody::new()) as Arc<dyn Enforcer>,
        Clock::system(),
        policy,
    )
    .unwrap()
}

/// The core, running on its own store.
struct House {
    gate: Arc<Engine>,
    admission: Arc<Admission>,
    delivery: Arc<Delivery>,
    store: Arc<Store>,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl House {
    fn open(engine: EngineKind, path: &Path) -> House {
        let store = Arc::new(Store::open_on(path, Some(engine)).unwrap());
        let gate = gate(&store);
        let stop = CancellationToken::new();
        let tasks = vec![
            tokio::spawn({
                let (gate, stop) = (Arc::clone(&gate.engine), stop.clone());
                async move { gate.follow(stop).await.unwrap() }
            }),
            tokio::spawn(Arc::clone(&gate.delivery).carry_out(stop.clone())),
        ];
        House {
            gate: gate.engine,
            admission: gate.admission,
            delivery: gate.delivery,
            store,
            stop,
            tasks,
        }
    }

    async fn close(self) {
        // Delivery is not measured, so wait for it first.
        while !self.delivery.tasks().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.stop.cancel();
        join_all(self.tasks).await;
        let store = self.store;
        tokio::task::spawn_blocking(move || store.close())
            .await
            .unwrap();
    }
}

/// A server that carries out everything at once.
struct Nobody(watch::Sender<Arc<Enforcement>>);

impl Nobody {
    fn new() -> Self {
        Nobody(watch::Sender::new(Arc::new(Enforcement {
            linked: true,
            probed: true,
            level: 2,
            ..Enforcement::default()
        })))
    }
}

impl Enforcer for Nobody {
    fn enforce<'a>(&'a self, _: &'a Ban) -> BoxFuture<'a, Result<Held, Undone>> {
        async { Ok(Held::Enforced) }.boxed()
    }

    fn release<'a>(&'a self, _: &'a Subject) -> BoxFuture<'a, Result<(), Undone>> {
        async { Ok(()) }.boxed()
    }

    fn kick<'a>(
        &'a self,
        _: &'a Subject,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }

    fn end_session<'a>(
        &'a self,
        _: &'a Account,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Option<u64>, Undone>> {
        async { Ok(None) }.boxed()
    }

    fn exists<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Existence> {
        async { Existence::Unknown }.boxed()
    }

    fn addresses<'a>(&'a self, _: &'a Account) -> BoxFuture<'a, Vec<IpAddr>> {
        async { Vec::new() }.boxed()
    }

    fn standing(&self) -> watch::Receiver<Arc<Enforcement>> {
        self.0.subscribe()
    }
}
