//! `unban all FILTER`: ends every ban in force that a filter lets through.
//!
//! Asks first, always, and what is done is what was asked about: a ban that begins between the
//! question and the yes is left alone. Each un-ban walks the road alone, with its own permission,
//! event and answer; only the appends are shared.

use std::collections::BTreeMap;

use super::text;
use super::{lift, problem_of};
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, Ask, Grade, Outcome, Row};
use crate::command::parts::bans;
use crate::command::parts::bans::KNOWN;
use crate::command::parts::filter::{BanState, Filter};
use crate::command::parts::many;
use crate::command::parts::many::{AT_ONCE, TargetFailure};
use crate::command::{broken, phrases};
use crate::core::{
    Ban, BanId, BanRuling, EventId, Ledger, Proposal, Ruling, Seq, Subject, Timestamp, propose,
};
use crate::journal::LogFault;

/// How many bans one call ends at most.
const MOST: usize = 250_000;
/// How many are shown before the question.
const EXAMPLES: usize = 5;

/// What the filter lets through.
#[derive(Debug, Default)]
struct FilterMatches {
    subjects: Vec<Subject>,
    total: usize,
    /// The newest of them, which comes first.
    newest: Option<BanId>,
    /// The place in the log before the first of them was looked at.
    seen: Seq,
    examples: Vec<Ban>,
    kinds: BTreeMap<&'static str, usize>,
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let filter = match Filter::parse(
        &call.values,
        &call.caller.rights,
        KNOWN,
        context.engine.now(),
    ) {
        Ok(filter) => filter,
        Err(problems) => return Outcome::Invalid(problems),
    };
    if filter.is_empty() || filter.words().eq_ignore_ascii_case("all") {
        return Outcome::Invalid(vec![problem_of(text::all_of_what())]);
    }
    if !matches!(filter.state(), Some(BanState::InForce | BanState::Pending)) {
        return Outcome::Invalid(vec![problem_of(String::from(text::ONLY_IN_FORCE))]);
    }
    let found = match find(&filter, context).await {
        Ok(found) => found,
        Err(fault) => return Outcome::Broken(broken("look for bans", &fault)),
    };
    match found.total {
        0 => Outcome::Done(Answer::new(
            Grade::Good,
            phrases::summary_title(0, 0),
            vec![text::none_matches(filter.words())],
        )),
        total if total > MOST => {
            Outcome::Refused(vec![problem_of(text::too_many_match(total, MOST))])
        }
        _ if !call.confirmed => Outcome::Ask(question(call, context, &filter, &found)),
        _ => end_all(call, context, &filter, found).await,
    }
}

async fn find(filter: &Filter, context: &Context) -> Result<FilterMatches, LogFault> {
    let found = FilterMatches {
        seen: context.engine.read(Ledger::folded),
        ..FilterMatches::default()
    };
    bans::in_force(context, filter, found, |found, ban| {
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

fn question(call: &Call, context: &Context, filter: &Filter, found: &FilterMatches) -> Ask {
    let now = context.engine.now();
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
        title: text::ask_unban_title(found.total),
        lines: text::ask_unban(
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
                    phrases::in_a_list(ban, false, now),
                )
            })
            .collect(),
        values: Some(values),
    }
}

/// How many of them the caller may not un-ban, and why the first of those. Nothing is done.
fn refused(call: &Call, context: &Context, subjects: &[Subject]) -> Option<(usize, String)> {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let mut why = None;
    let mut count = 0;
    for piece in subjects.chunks(AT_ONCE) {
        context.engine.read(|ledger| {
            for subject in piece {
                let order = lift(call, subject, "").into();
                let proposal = propose(ledger, &policy, &order, now, &mut || EventId([0; 16]));
                if let Proposal::Answer(Ruling::Refused(refusal)) = proposal {
                    count += 1;
                    why.get_or_insert_with(|| phrases::why_refused(&refusal));
                }
            }
        });
    }
    why.map(|why| (count, why))
}

/// What came of all of them.
#[derive(Debug, Default)]
struct UnbanTally {
    lifted: Vec<Subject>,
    /// Their numbers, while they are few.
    numbers: Vec<BanId>,
    /// Over already when their turn came.
    free: usize,
    failed: TargetFailure,
}

async fn end_all(call: &Call, context: &Context, filter: &Filter, found: FilterMatches) -> Outcome {
    let started = context.engine.now();
    let reason = call.values.line("reason").map(|text| phrases::clean(&text));
    let reason = reason.unwrap_or_else(|| text::lifted_with(found.total, filter.words()));
    let mut tally = UnbanTally::default();
    let order = |subject: &Subject| lift(call, subject, &reason).chosen_at(found.seen);
    let take = |subject: &Subject, answer| tally.take(subject, answer, call);
    many::carry_out(call, &found.subjects, order, take, context).await;
    let pending = many::still_pending(&tally.lifted, context).await;
    Outcome::Done(answer(
        &tally,
        filter,
        (found.total, pending),
        started,
        call,
        context,
    ))
}

impl UnbanTally {
    fn take(&mut self, subject: &Subject, answer: Result<Ruling, LogFault>, call: &Call) {
        match answer {
            Ok(Ruling::Ban(BanRuling::Lifted(ban))) => {
                if self.numbers.len() <= EXAMPLES {
                    self.numbers.push(ban.id);
                }
                self.lifted.push(ban.subject);
            }
            Ok(Ruling::Ban(BanRuling::NotBanned(..))) => self.free += 1,
            other => self.failed.take(subject, other, call),
        }
    }
}

fn answer(
    tally: &UnbanTally,
    filter: &Filter,
    (total, pending): (usize, usize),
    started: Timestamp,
    call: &Call,
    context: &Context,
) -> Answer {
    let now = context.engine.now();
    let done = tally.lifted.len() + tally.free;
    let mut lines = vec![text::unbanned_all(
        tally.lifted.len(),
        total,
        filter.words(),
        now.since(started),
    )];
    lines.extend(tally.failed.lines());
    if tally.free > 0 {
        lines.push(text::over_already(tally.free));
    }
    if !tally.lifted.is_empty() {
        lines.push(text::server_told(tally.lifted.len(), pending));
    }
    let undo = match &tally.numbers[..] {
        [] => None,
        few if few.len() <= EXAMPLES => {
            let numbers: Vec<String> = few.iter().map(BanId::to_string).collect();
            let numbers: Vec<&str> = numbers.iter().map(String::as_str).collect();
            Some(phrases::undo(&numbers))
        }
        _ => call.id.map(phrases::undo_command),
    };
    Answer::new(
        match (done, tally.failed.is_empty() && pending == 0) {
            (0, _) => Grade::Bad,
            (_, true) => Grade::Good,
            (_, false) => Grade::Warning,
        },
        phrases::summary_title(done, total),
        lines,
    )
    .with_undo(undo)
}
