//! How fast failures become decisions, how fast a login is answered, and how much memory a key takes. As a reference,
//! a loop that inserts and looks up text keys in a `HashMap` runs in the same process, because machines differ.
//!
//! `cargo bench --bench tracker` prints one line per measurement. Times are the process's CPU time where the system
//! reports it (Linux), otherwise wall time.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::collections::HashMap;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis::core::{
    Account, Actor, Attempt, BanChange, Bounds, Change, Event, EventId, Ledger, LoginOutcome,
    Origin, Policy, Proposal, Rules, Seq, Signal, Subject, Timestamp, Tracker, Verdict, judge,
};

const START: i64 = 1_795_320_000_000;

fn main() {
    // `cargo test --benches` only checks that it runs.
    let scale = if std::env::args().any(|arg| arg == "--bench") {
        1
    } else {
        100
    };
    let reference = reference(500_000 / scale);
    println!(
        "reference loop (HashMap, text keys, insert + look up): {} /s",
        rate(reference)
    );
    // `cargo bench --bench tracker -- check` runs only this measurement.
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wanted = |name: &str| chosen.is_empty() || chosen.iter().any(|one| one == name);
    if wanted("memory") {
        memory(300_000 / scale);
    }
    if wanted("check") {
        checks(1_000_000 / scale);
    }
    if wanted("hold") {
        hold(if scale == 1 { 250_000 } else { 2_500 });
    }
    if !wanted("failures") {
        return;
    }
    failures(
        "100 k failures, 4 from each of 25 k sources (no table is full)",
        100_000 / scale,
        25_000 / scale,
        false,
        reference,
    );
    failures(
        "1 M failures, 4 from each of 250 k sources",
        1_000_000 / scale,
        250_000 / scale,
        false,
        reference,
    );
    failures(
        "1 M failures, each from a source of its own (flood)",
        1_000_000 / scale,
        1_000_000 / scale,
        true,
        reference,
    );
    repeated(1_000_000 / scale, reference);
}

fn rate(per_second: f64) -> String {
    match per_second {
        fast if fast >= 1e6 => format!("{:.2} M", fast / 1e6),
        slow => format!("{:.0} k", slow / 1e3),
    }
}

/// CPU time of this process, from `/proc/self/schedstat` (nanoseconds).
fn cpu() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn timed(work: impl FnOnce()) -> f64 {
    let (cpu_before, wall_before) = (cpu(), Instant::now());
    work();
    let spent = match (cpu_before, cpu()) {
        (Some(before), Some(after)) if after > before => after - before,
        _ => wall_before.elapsed(),
    };
    spent.as_secs_f64()
}

fn reference(keys: usize) -> f64 {
    let names: Vec<String> = (0..keys).map(|n| format!("203.0.{n}.113")).collect();
    let seconds = timed(|| {
        let mut map = HashMap::new();
        for name in &names {
            map.insert(name.clone(), 1u64);
        }
        for name in &names {
            black_box(map.get(name));
        }
    });
    keys as f64 / seconds
}

fn account(n: usize) -> Account {
    Subject::parse(&format!("user{n}@example.org"))
        .unwrap()
        .account()
        .unwrap()
        .clone()
}

fn policy(rules: Rules) -> Policy {
    Policy {
        exempt_networks: vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()],
        rules: Arc::new(rules),
        ..Policy::default()
    }
}

struct World {
    policy: Policy,
    ledger: Ledger,
    tracker: Tracker,
    now: Timestamp,
    seq: u64,
    ids: u64,
    bans: u64,
}

impl World {
    fn new(bounds: Bounds) -> Self {
        let policy = policy(Rules::default());
        let now = Timestamp::from_millis(START);
        World {
            tracker: Tracker::new(Arc::clone(&policy.rules), bounds, [9; 16], now),
            policy,
            ledger: Ledger::default(),
            now,
            seq: 0,
            ids: 0,
            bans: 0,
        }
    }

    fn report(&mut self, report: &Signal) {
        let ids = &mut self.ids;
        let mut fresh = || {
            *ids += 1;
            let mut id = [0; 16];
            id[..8].copy_from_slice(&ids.to_be_bytes());
            EventId(id)
        };
        let (proposal, _) = judge(
            &self.ledger,
            &mut self.tracker,
            &self.policy,
            report,
            self.now,
            &mut fresh,
        );
        if let Proposal::Events(events) = proposal {
            for event in events {
                self.seq += 1;
                self.bans += 1;
                self.ledger.fold(Seq(self.seq), &event);
            }
        }
    }
}

fn failure(n: usize, address: IpAddr) -> Signal {
    Signal::Login(Attempt {
        account: Some(account(n)),
        address: Some(address),
        outcome: LoginOutcome::Failure,
        unknown: false,
        at: Timestamp::from_millis(START),
    })
}

fn failures(what: &str, count: usize, sources: usize, v6: bool, reference: f64) {
    let mut world = World::new(Bounds::default());
    let mut fill = Vec::new();
    let mut seconds = 0.0;
    // Signals are prepared in portions, outside the measured time.
    for part in 0..10 {
        let numbers = part * count / 10..(part + 1) * count / 10;
        let reports: Vec<Signal> = numbers
            .map(|n| {
                let source = n % sources;
                let address: IpAddr = match v6 {
                    true => Ipv6Addr::from_bits((0x2000 << 112) | (source as u128) << 80).into(),
                    // Spread over many networks, so that networks are not banned at once.
                    false => {
                        Ipv4Addr::from_bits((source as u32).wrapping_mul(2_654_435_761)).into()
                    }
                };
                failure(n * 7 % 900_001, address)
            })
            .collect();
        seconds += timed(|| {
            for report in &reports {
                world.report(report);
            }
        });
        fill = world.tracker.fill();
    }
    let per_second = count as f64 / seconds;
    let evicted: u64 = fill.iter().map(|fill| fill.evicted).sum();
    println!(
        "{what}: {} failures/s decided with all keys = {:.2} x reference; {} bans, {evicted} evicted",
        rate(per_second),
        per_second / reference,
        world.bans,
    );
}

/// The same few guessers again and again: most failures are refused, as in an attack that continues after its bans.
fn repeated(count: usize, reference: f64) {
    let mut world = World::new(Bounds::default());
    let reports: Vec<Signal> = (0..1_000)
        .map(|n| {
            failure(
                n % 100,
                Ipv4Addr::from_bits(0xcb00_7100 + n as u32 * 771).into(),
            )
        })
        .collect();
    let seconds = timed(|| {
        for n in 0..count {
            world.report(&reports[n % reports.len()]);
        }
    });
    let per_second = count as f64 / seconds;
    println!(
        "1000 guessers that go on while banned: {} /s = {:.2} x reference; {} bans",
        rate(per_second),
        per_second / reference,
        world.bans,
    );
}

fn impose(ledger: &mut Ledger, seq: &mut u64, subject: Subject, origin: &Origin) {
    *seq += 1;
    let event = Event::decided(
        EventId([0; 16]),
        Timestamp::from_millis(START),
        Actor::rules(),
        subject,
        Seq(0),
        Change::Ban(BanChange::Imposed {
            reason: String::from("x"),
            until: None,
        }),
    )
    .with_origin(origin.clone());
    ledger.fold(Seq(*seq), &event);
}

fn checks(bans: usize) {
    for bans in [bans / 100, bans] {
        let mut ledger = Ledger::default();
        let mut seq = 0;
        let rule = Origin::Automatic {
            rule: String::from("x"),
        };
        let spread = |n: usize| (n as u32).wrapping_mul(2_654_435_761);
        for n in 0..bans / 10 {
            let net = match n % 3 {
                0 => format!("{}/24", Ipv4Addr::from_bits(spread(n))),
                1 => format!("{}/22", Ipv4Addr::from_bits(spread(n))),
                _ => format!(
                    "{}/48",
                    Ipv6Addr::from_bits((0x2001_0db8 << 96) | (n as u128) << 80)
                ),
            };
            impose(&mut ledger, &mut seq, Subject::parse(&net).unwrap(), &rule);
        }
        for n in 0..bans * 45 / 100 {
            let address = Ipv4Addr::from_bits(spread(n + 5_000_000));
            impose(
                &mut ledger,
                &mut seq,
                Subject::address(address.into()),
                &rule,
            );
            impose(
                &mut ledger,
                &mut seq,
                Subject::Account(account(n)),
                &Origin::Manual,
            );
        }
        let now = Timestamp::from_millis(START + 1);
        let asked: Vec<(Account, IpAddr)> = (0..200_000)
            .map(|n| {
                (
                    account(10_000_000 + n),
                    Ipv4Addr::from_bits(spread(n + 90_000_000)).into(),
                )
            })
            .collect();
        let mut let_in = 0;
        let rounds = 5;
        let seconds = timed(|| {
            for _ in 0..rounds {
                for (account, address) in &asked {
                    let verdict = ledger.check(Some(account), Some(*address), || false, now);
                    let_in += usize::from(black_box(verdict) == Verdict::LetIn);
                }
            }
        });
        let known_bad: Vec<(Account, IpAddr)> = (0..200_000)
            .map(|n| {
                (
                    account(n * 2 % (bans * 45 / 100)),
                    Ipv4Addr::from_bits(spread(n)).into(),
                )
            })
            .collect();
        let hits = timed(|| {
            for (account, address) in &known_bad {
                black_box(ledger.check(Some(account), Some(*address), || false, now));
            }
        });
        println!(
            "check, {} bans of which {} networks: {:.3} us a stranger's login ({}% let in), {:.3} us a banned account's",
            ledger.bans().len(),
            bans / 10,
            seconds * 1e6 / (asked.len() * rounds) as f64,
            let_in * 100 / (asked.len() * rounds),
            hits * 1e6 / known_bad.len() as f64,
        );
    }
}

fn memory(sources: usize) {
    let bounds = Bounds {
        keys: 5_000_000,
        known: 5_000_000,
    };
    for (what, each) in [("one failure", 1), ("four failures", 4)] {
        let mut world = World::new(bounds);
        let before = resident();
        for n in 0..sources {
            let bits = (0x2000 << 112) | (n as u128) << 80;
            for _ in 0..each {
                world.report(&failure(n, Ipv6Addr::from_bits(bits).into()));
            }
        }
        let grown = resident().saturating_sub(before);
        let fill = world.tracker.fill();
        let keys: usize = fill.iter().map(|fill| fill.keys).sum();
        let bytes: usize = fill.iter().map(|fill| fill.bytes).sum();
        println!(
            "memory, {what} each: {keys} keys, {} B a key by their own count, {} B by the system's",
            bytes / keys.max(1),
            grown / keys.max(1),
        );
    }
}

/// How long the lock that logins wait for is held while full tables are saved: in one go, and in pieces.
fn hold(keys: usize) {
    let mut world = World::new(Bounds { keys, known: keys });
    for n in 0..keys {
        let address = Ipv4Addr::from_bits((n as u32).wrapping_mul(2_654_435_761)).into();
        world.report(&failure(n, address));
        let Signal::Login(mut good) = failure(n, address) else {
            continue;
        };
        good.outcome = LoginOutcome::Success;
        world.report(&Signal::Login(good));
    }
    let rows: usize = world.tracker.fill().iter().map(|fill| fill.keys).sum();
    let mut bytes = 0;
    let at_once = timed(|| bytes = black_box(world.tracker.save()).len());
    let mut longest = timed(|| drop(black_box(world.tracker.begin_whole())));
    let mut whole = world.tracker.begin_whole();
    let mut all = 0.0;
    loop {
        let mut piece = None;
        let took = timed(|| piece = world.tracker.next_piece(&mut whole, 1_024));
        all += took;
        longest = f64::max(longest, took);
        match piece {
            Some(rows) => whole.add(&rows),
            None => break,
        }
    }
    println!(
        "a save of {rows} rows, {} KiB: the lock is held {:.2} ms at once; in pieces {:.3} ms at the longest, {:.2} ms in all",
        bytes / 1_024,
        at_once * 1e3,
        longest * 1e3,
        all * 1e3,
    );
}

fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0) * 4_096
}
