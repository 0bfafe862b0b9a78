//! The real program against a model server that fails in every way a seed asks for, with tokio's paused clock.
//!
//! A schedule gives orders (bans, un-bans, exemptions, undo) while the server answers late, in another order or not at all,
//! accepts bytes without reading, closes, restarts, withdraws rights, or says `conflict`, and while the program is killed.
//! At the end the server is well again, and then what is in force there must be exactly what was decided.
//!
//! PORTCULLIS_SEED and PORTCULLIS_ROUNDS choose the schedules: `just simulate 17 1` repeats one, `just simulate 0 5000`
//! runs many. The seed fixes the schedule and the delays; the order of tasks that are ready at the same moment is tokio's.

mod chance;
mod model;
mod program;
mod schedule;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use portcullis::core::Subject;
use portcullis::delivery::ports::Enforcer;
use portcullis::enforce::probe::HostCapabilities;
use tokio::time::{Instant, sleep};

use crate::support::MemoryStore;
use chance::Chance;
use model::Make;
use program::Program;
use schedule::Schedule;
use server::{Mood, Server};

/// Schedules of the ordinary test run.
const ROUNDS: u64 = 100;
/// Real time after which a schedule counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// Simulated time in which everything must be in line once the server is well.
const SETTLES: Duration = Duration::from_secs(1_800);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_the_server_does_everything_is_in_force_in_the_end() {
    let first = number("PORTCULLIS_SEED").unwrap_or(1);
    let rounds = number("PORTCULLIS_ROUNDS").unwrap_or(ROUNDS);
    let next = AtomicU64::new(first);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + rounds {
                        return;
                    }
                    let (done, ended) = mpsc::channel();
                    std::thread::spawn(move || {
                        let ended = std::panic::catch_unwind(|| run(seed));
                        let _ = done.send(ended.is_ok());
                    });
                    match ended.recv_timeout(PATIENCE) {
                        Ok(true) => {}
                        Ok(false) => panic!("schedule {seed} failed: just simulate {seed} 1"),
                        Err(_) => panic!("schedule {seed} hangs: just simulate {seed} 1"),
                    }
                }
            });
        }
    });
}

fn run(seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(simulate(seed));
}

async fn simulate(seed: u64) {
    let mut chance = Chance::new(seed);
    let make = chance.one(&[Make::Ejabberd24, Make::Ejabberd26, Make::Prosody]);
    let has_module = chance.is(50);
    let has_cookie = match make {
        Make::Ejabberd24 => true,
        Make::Ejabberd26 => chance.is(50),
        Make::Prosody => false,
    };
    let server = Server::new(make, has_module);
    let store = std::sync::Arc::new(MemoryStore::new());
    let begin = Instant::now();
    let start =
        |chance: &mut Chance| Program::start(&server, &store, chance.next(), begin, has_cookie);
    let mut program = start(&mut chance);
    let mut schedule = Schedule::new(chance.fork());
    for _ in 0..(10 + chance.below(20)) {
        let span = 1 << chance.below(17);
        sleep(Duration::from_millis(chance.below(span))).await;
        if chance.is(4) {
            drop(program);
            server.model().grants = 0;
            program = start(&mut chance);
            schedule.note(String::from("program killed"));
        }
        schedule.step(&program, &server).await;
        assert!(program.asker.waiting() <= portcullis::xmpp::iq::IN_FLIGHT);
    }
    server.grant_again();
    server.set(Mood::Well(50));
    // A program that never had rights asks for none: they are given when it connects.
    let never_granted = server.model().grants == 0;
    if chance.is(50) || never_granted {
        server.cut();
    }
    settle(&program, &server, &schedule).await;
}

/// Waits until nothing is left to do, and compares.
async fn settle(program: &Program, server: &Server, schedule: &Schedule) {
    let begin = Instant::now();
    loop {
        let standing = program.host.standing().borrow().clone();
        let tasks = program.gate.delivery.tasks();
        let is_up = standing.linked && standing.probed;
        if is_up && tasks.is_empty() && differences(program, server).is_empty() {
            break;
        }
        assert!(
            begin.elapsed() < SETTLES,
            "not in line: {:?}\nstanding {standing:?}\ntasks {tasks:?}\n{schedule}",
            differences(program, server)
        );
        sleep(Duration::from_secs(5)).await;
    }
    // A notice of the last seconds of a connection is sent again on the next one, if its arrival was not proven.
    let model = server.model();
    let mut times: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, text) in &model.messages {
        let times = times.entry(id).or_default();
        *times += 1;
        assert!(
            *times <= model.connections,
            "told {times} times: {text}\n{schedule}"
        );
    }
}

/// What differs between the ledger and the server.
fn differences(program: &Program, server: &Server) -> Vec<String> {
    let now = program.gate.engine.now();
    let bans: Vec<_> = program.gate.engine.read(|ledger| {
        let bans = ledger.bans().newest_first();
        bans.filter(|ban| ban.is_in_force(now)).cloned().collect()
    });
    let model = server.model();
    let mut wrong = Vec::new();
    let keeps_records = program
        .host
        .capabilities()
        .iter()
        .any(HostCapabilities::keeps_records);
    // The module alone is enough on Prosody, and where no rights are given.
    let by_record = !model.has_module || model.make != Make::Prosody && keeps_records;
    let mut refused = model.refused();
    for ban in &bans {
        let Subject::Account(account) = &ban.subject else {
            continue;
        };
        let account = account.to_string();
        let is_refused = refused.remove(&account);
        if by_record && !is_refused {
            wrong.push(format!("{account} is banned and let in"));
        } else if keeps_records && !is_reason(&model.reason(&account), &ban.reason) {
            wrong.push(format!(
                "the record of {account} says {:?} instead of {:?}",
                model.reason(&account),
                ban.reason
            ));
        }
        if model.online.contains(&account) {
            wrong.push(format!("{account} is banned and online"));
        }
    }
    wrong.extend(
        refused
            .iter()
            .map(|account| format!("{account} is free and refused")),
    );
    if model.has_module {
        let held: BTreeSet<String> = model
            .held
            .keys()
            .map(|(_, subject, _)| subject.clone())
            .collect();
        let wanted: BTreeSet<String> = bans.iter().map(|ban| ban.subject.to_string()).collect();
        if held != wanted {
            wrong.push(format!("the module holds {held:?} instead of {wanted:?}"));
        }
    }
    wrong
}

/// Whether a text in a record is this reason; ejabberd has no other place for the end of a ban.
fn is_reason(written: &str, reason: &str) -> bool {
    let rest = written.strip_prefix(reason);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(" (until "))
}

/// While the server does not answer, little is sent: retries take turns, and connections are not opened in a loop.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_for_an_hour_is_not_flooded() {
    for mood in [
        Mood::HalfOpen,
        Mood::Mute,
        Mood::Greetless,
        Mood::Forgetful,
        Mood::Conflict,
    ] {
        println!("{mood:?}");
        let server = Server::new(Make::Ejabberd24, true);
        let store = std::sync::Arc::new(MemoryStore::new());
        let program = Program::start(&server, &store, 1, Instant::now(), true);
        let mut schedule = Schedule::new(Chance::new(1));
        sleep(Duration::from_secs(10)).await;
        server.set(mood);
        for _ in 0..50 {
            schedule.order(&program).await;
        }
        let counts = || {
            let model = server.model();
            (model.stanzas, model.connections)
        };
        let before = counts();
        sleep(Duration::from_secs(3_600)).await;
        let after = counts();
        let (stanzas, connections) = (after.0 - before.0, after.1 - before.1);
        println!("{mood:?}: {stanzas} stanzas, {connections} connections in an hour");
        assert!(stanzas < 6_000, "{mood:?}: {stanzas} stanzas");
        assert!(connections < 400, "{mood:?}: {connections} connections");
        assert!(program.asker.waiting() < 20);
        assert!(program.wire.tally().sessions <= connections + 1);
        server.set(Mood::Well(50));
        settle(&program, &server, &schedule).await;
    }
}
