//! `unban all FILTER`: ends every ban in force that a filter lets through.
//!
//! Asks first, always, and what is done is what was asked about: a ban that begins between the
//! question and the yes is left alone. Each un-ban walks the road alone, with its own permission,
//! event and answer; only the appends are shared.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use futures::future::join_all;

use super::super::call::{Call, Context};
use super::super::filter::{Filter, State};
use super::super::list::KNOWN;
use super::super::outcome::{Answer, Ask, Grade, Outcome, Row};
use super::super::{bans, broken, subjects, words};
use super::{lift, problem_of};
use crate::ban::{Ban, BanId, EventId, Proposal, Report, Ruling, Subject, Timestamp, propose};
use crate::gate::ports::LogFault;

/// How many bans one call ends at most.
const MOST: usize = 250_000;
/// How many are submitted before the next are looked at.
const AT_ONCE: usize = 8_192;
/// How many are shown before the question.
const EXAMPLES: usize = 5;
/// Of how many the answer waits to see what the server makes of them.
const WATCHED: usize = 50;
/// How long it waits.
const WAIT: Duration = Duration::from_secs(2);

/// What the filter lets through.
#[derive(Debug, Default)]
struct Found {
    subjects: Vec<Subject>,
    total: usize,
    /// The newest of them, which comes first.
    newest: Option<BanId>,
    examples: Vec<Ban>,
    kinds: BTreeMap<&'static str, usize>,
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let filter = match Filter::parse(&call.values, &call.caller.rights, KNOWN, context.gate.now()) {
        Ok(filter) => filter,
        Err(problems) => return Outcome::Invalid(problems),
    };
    if filter.is_empty() || filter.words().eq_ignore_ascii_case("all") {
        return Outcome::Invalid(vec![problem_of(words::all_of_what())]);
    }
    if !matches!(filter.state(), Some(State::InForce | State::Pending)) {
        return Outcome::Invalid(vec![problem_of(words::only_in_force())]);
    }
    let found = match find(&filter, context).await {
        Ok(found) => found,
        Err(fault) => return Outcome::Broken(broken("look for bans", &fault)),
    };
    match found.total {
        0 => Outcome::Done(Answer {
            grade: Grade::Good,
            title: words::summary_title(0, 0),
            lines: vec![words::none_matches(filter.words())],
            rows: Vec::new(),
            undo: None,
        }),
        total if total > MOST => {
            Outcome::Refused(vec![problem_of(words::too_many_match(total, MOST))])
        }
        _ if !call.confirmed => Outcome::Ask(question(call, context, &filter, &found)),
        _ => end_all(call, context, &filter, found).await,
    }
}

async fn find(filter: &Filter, context: &Context) -> Result<Found, LogFault> {
    bans::in_force(context, filter, Found::default(), |found, ban| {
        found.total += 1;
        if found.total > MOST {
            return;
        }
        found.newest.get_or_insert(ban.id);
        if found.examples.len() < EXAMPLES {
            found.examples.push(ban.clone());
        }
        *found.kinds.entry(ban.subject.kind()).or_default() += 1;
        found.subjects.push(ban.subject.clone());
    })
    .await
}

fn question(call: &Call, context: &Context, filter: &Filter, found: &Found) -> Ask {
    let now = context.gate.now();
    // What is done is what this asks about, and nothing newer.
    let newest = found.newest.map_or(u64::MAX, |id| id.0);
    let mut values = call.values.clone();
    for field in ["kind", "state", "origin", "by", "expiring"] {
        values.set(field, Vec::new());
    }
    values.set("filter", vec![format!("{} #..{newest}", filter.words())]);
    let kinds: Vec<(&str, usize)> = found.kinds.iter().map(|(kind, n)| (*kind, *n)).collect();
    let refused = refused(call, context, &found.subjects);
    Ask {
        title: words::ask_unban_title(found.total),
        lines: words::ask_unban(
            filter.words(),
            &kinds,
            (found.total, &found.examples),
            refused.as_ref(),
        ),
        rows: found
            .examples
            .iter()
            .map(|ban| {
                Row::new(
                    format!("ban{}", ban.id.0),
                    format!("{} {}", ban.id, ban.subject),
                    words::in_a_list(ban, false, now),
                )
            })
            .collect(),
        values: Some(values),
    }
}

/// How many of them the caller may not un-ban, and why the first of those. Nothing is done.
fn refused(call: &Call, context: &Context, subjects: &[Subject]) -> Option<(usize, String)> {
    let (policy, now) = (context.gate.policy(), context.gate.now());
    let mut why = None;
    let mut count = 0;
    for piece in subjects.chunks(AT_ONCE) {
        context.gate.read(|ledger| {
            for subject in piece {
                let report = lift(call, subject, "");
                let proposal = propose(ledger, &policy, &report, now, &mut || EventId([0; 16]));
                if let Proposal::Answer(Ruling::Refused(refusal)) = proposal {
                    count += 1;
                    why.get_or_insert_with(|| refusal.to_string());
                }
            }
        });
    }
    why.map(|why| (count, why))
}

/// What came of all of them.
#[derive(Debug, Default)]
struct Tally {
    lifted: Vec<Ban>,
    /// Over already when their turn came.
    free: usize,
    /// Not done: why, how many, and the first few.
    failed: HashMap<String, Vec<Subject>>,
}

async fn end_all(call: &Call, context: &Context, filter: &Filter, found: Found) -> Outcome {
    let started = context.gate.now();
    let reason = call.values.line("reason").map(|text| words::clean(&text));
    let reason = reason.unwrap_or_else(|| words::lifted_with(found.total, filter.words()));
    let mut tally = Tally::default();
    for piece in found.subjects.chunks(AT_ONCE) {
        let reports: Vec<Report> = piece
            .iter()
            .map(|subject| lift(call, subject, &reason))
            .collect();
        let answers = context.gate.submit_all(reports).await;
        for (subject, answer) in piece.iter().zip(answers) {
            tally.take(subject, answer);
        }
        let done = (tally.lifted.len() + tally.free, found.total);
        context.progress.note(done.0, done.1);
        tracing::info!(
            done = done.0,
            of = done.1,
            filter = %filter.words(),
            "un-banning by filter"
        );
    }
    let pending = still_pending(&tally.lifted, context).await;
    Outcome::Done(answer(
        &tally,
        filter,
        found.total,
        pending,
        started,
        context,
    ))
}

impl Tally {
    fn take(&mut self, subject: &Subject, answer: Result<Ruling, LogFault>) {
        let why = match answer {
            Ok(Ruling::Lifted(ban)) => return self.lifted.push(ban),
            Ok(Ruling::NotBanned(..)) => {
                self.free += 1;
                return;
            }
            Ok(Ruling::Refused(why)) => why.to_string(),
            Ok(_) => words::somebody_else(),
            Err(LogFault::Busy) => words::busy(),
            Err(fault) => words::broken(&broken("store an un-ban", &fault)),
        };
        self.failed.entry(why).or_default().push(subject.clone());
    }
}

/// Of how many the server has not been told yet, after a moment.
async fn still_pending(lifted: &[Ban], context: &Context) -> usize {
    let gate = &context.gate;
    let watched = lifted.iter().take(WATCHED);
    join_all(watched.map(|ban| gate.settled(&ban.subject, WAIT))).await;
    let pending = lifted
        .iter()
        .filter(|ban| gate.task(&ban.subject).is_some());
    pending.count()
}

fn answer(
    tally: &Tally,
    filter: &Filter,
    total: usize,
    pending: usize,
    started: Timestamp,
    context: &Context,
) -> Answer {
    let now = context.gate.now();
    let done = tally.lifted.len() + tally.free;
    let mut lines = vec![words::unbanned_all(
        tally.lifted.len(),
        total,
        filter.words(),
        now.since(started),
    )];
    let mut failed: Vec<(&String, &Vec<Subject>)> = tally.failed.iter().collect();
    failed.sort_by_key(|(why, subjects)| (usize::MAX - subjects.len(), (*why).clone()));
    lines.extend(
        failed
            .iter()
            .map(|(why, subjects)| words::not_unbanned(subjects, why)),
    );
    if tally.free > 0 {
        lines.push(words::over_already(tally.free));
    }
    if !tally.lifted.is_empty() {
        lines.push(words::server_told(tally.lifted.len(), pending));
    }
    match &tally.lifted[..] {
        [] => {}
        few if few.len() <= EXAMPLES => {
            let numbers: Vec<String> = few.iter().map(|ban| ban.id.to_string()).collect();
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            lines.push(words::undo(&numbers));
        }
        some if some.len() <= subjects::MOST => lines.push(words::undo_all()),
        _ => lines.push(words::no_undo_for_many()),
    }
    Answer {
        grade: match (done, tally.failed.is_empty() && pending == 0) {
            (0, _) => Grade::Bad,
            (_, true) => Grade::Good,
            (_, false) => Grade::Warning,
        },
        title: words::summary_title(done, total),
        lines,
        rows: Vec::new(),
        undo: None,
    }
}
