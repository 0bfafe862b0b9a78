//! `unban all FILTER`: ends all active bans that match a filter.
//!
//! It always asks first, and ends only what was shown: a yes names the state of the log that the question was about
//! ([`ShownMatches`]). A ban that began since is not touched, one that somebody changed since is reported, and if
//! more bans match by then, it asks again. Each ban is ended by its own order, with its own permission, event and
//! ruling.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::text;
use super::{lift, problem};
use crate::command::broken;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, Ask, EarlyOutcome, Outcome, Row};
use crate::command::parts::bans;
use crate::command::parts::bans::KNOWN;
use crate::command::parts::filter::{BanState, Filter};
use crate::command::parts::many;
use crate::command::parts::many::{AT_ONCE, TargetFailure};
use crate::command::parts::server_side;
use crate::command::phrases;
use crate::command::request::Request;
use crate::command::superiors::Superiors;
use crate::command::values::{AS_OF, Values};
use crate::core::{
    Ban, BanId, BanRuling, EventId, Ledger, Proposal, Ruling, Seq, Subject, Timestamp, propose,
};
use crate::journal::LogFault;

/// Maximum number of bans that one call ends.
const MOST: usize = 250_000;
/// Maximum number of addresses and networks that the server is asked to let go.
const UNBLOCKED: usize = 100;
/// Number of examples shown with the question.
const EXAMPLES: usize = 5;

/// The bans that match.
#[derive(Debug, Default)]
struct FilterMatches {
    subjects: Vec<Subject>,
    total: usize,
    /// The newest of them, which comes first.
    newest: Option<BanId>,
    examples: Vec<Ban>,
    kinds: BTreeMap<&'static str, usize>,
}

/// What the question was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ShownMatches {
    /// The position in the log before the first ban was read.
    seen: Seq,
    /// The time of the question, because `expiring:2h` would match other bans later.
    at: Timestamp,
    /// Number of matching bans.
    total: usize,
}

impl ShownMatches {
    fn write(self, values: &mut Values) {
        let numbers = [
            self.seen.0.to_string(),
            self.at.as_millis().to_string(),
            self.total.to_string(),
        ];
        values.set(AS_OF, numbers.to_vec());
    }

    fn read(values: &Values) -> Option<ShownMatches> {
        let [seen, at, total] = values.raw(AS_OF) else {
            return None;
        };
        Some(ShownMatches {
            seen: Seq(seen.parse().ok()?),
            at: Timestamp::from_millis(at.parse().ok()?),
            total: total.parse().ok()?,
        })
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let before = ShownMatches::read(&call.values).filter(|_| call.confirmed);
    let now = before.map_or_else(|| context.engine.now(), |shown| shown.at);
    let filter = Filter::parse(&call.values, &call.caller.rights, KNOWN, now)?;
    if filter.is_empty() || filter.words().eq_ignore_ascii_case("all") {
        return Err(problem(text::all_of_what()).into());
    }
    if !matches!(filter.state(), Some(BanState::InForce | BanState::Pending)) {
        return Err(problem(text::ONLY_IN_FORCE).into());
    }
    let seen = context.engine.read(Ledger::folded);
    let found = find(&filter, context).await;
    let found = found.map_err(|fault| broken("look for bans", &fault))?;
    let total = found.total;
    if total == 0 {
        return Ok(Outcome::Done(Answer {
            title: phrases::summary_title(0, 0),
            ..Answer::done(text::none_matches(filter.words()))
        }));
    }
    if total > MOST {
        return Ok(Outcome::refused(problem(text::too_many(total, MOST))));
    }
    let shown = ShownMatches {
        seen,
        at: now,
        total,
    };
    let ask = || question(call, context, &filter, &found, shown);
    call.confirm(true, ask)?;
    match before {
        Some(before) if total > before.total => {
            let mut ask = question(call, context, &filter, &found, shown);
            ask.lines.insert(0, text::more_match(before.total, total));
            Ok(Outcome::Ask(ask))
        }
        _ => {
            let seen = before.map_or(seen, |before| before.seen);
            Ok(end_all(call, context, &filter, found, seen).await)
        }
    }
}

async fn find(filter: &Filter, context: &Context) -> Result<FilterMatches, LogFault> {
    bans::in_force(context, filter, FilterMatches::default(), |found, ban| {
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

fn question(
    call: &Call,
    context: &Context,
    filter: &Filter,
    found: &FilterMatches,
    shown: ShownMatches,
) -> Ask {
    let now = context.engine.now();
    let newest = found.newest.map_or(u64::MAX, |id| id.0);
    let mut values = call.values.clone();
    for field in ["kind", "state", "origin", "by", "expiring"] {
        values.set(field, Vec::new());
    }
    values.set("filter", vec![format!("{} #..{newest}", filter.words())]);
    shown.write(&mut values);
    let kinds: Vec<(&str, usize)> = found.kinds.iter().map(|(kind, n)| (*kind, *n)).collect();
    let refused = refused(call, context, &found.subjects);
    let row = |ban: &Ban| {
        Row::new(
            format!("ban{}", ban.id.0),
            format!("{} {}", ban.id, ban.subject),
            phrases::in_a_list(ban, false, now),
        )
    };
    Ask {
        title: text::really_end(found.total),
        lines: text::ask_unban(
            filter.words(),
            &kinds,
            (found.total, &found.examples),
            refused.as_ref(),
        ),
        rows: found.examples.iter().map(row).collect(),
        values: Some(values),
    }
}

/// The number of bans that the caller may not end, and the reason for the first of them. Nothing is done.
fn refused(call: &Call, context: &Context, subjects: &[Subject]) -> Option<(usize, String)> {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let superiors = Superiors::of(&call.caller, context);
    let mut why = None;
    let mut count = 0;
    for piece in subjects.chunks(AT_ONCE) {
        context.engine.read(|ledger| {
            for subject in piece {
                let order = superiors.inform(lift(call, subject, "")).into();
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

/// The results of all orders.
#[derive(Debug, Default)]
struct UnbanTally {
    lifted: Vec<Subject>,
    /// The numbers of the ended bans, if there are few.
    numbers: Vec<BanId>,
    /// Number of bans that had already ended.
    free: usize,
    failed: TargetFailure,
}

async fn end_all(
    call: &Request<'_>,
    context: &Context,
    filter: &Filter,
    found: FilterMatches,
    seen: Seq,
) -> Outcome {
    let (started, total) = (context.engine.now(), found.total);
    let reason = call.clean_line("reason");
    let reason = reason.unwrap_or_else(|| text::lifted_with(total, filter.words()));
    let mut tally = UnbanTally::default();
    let order = |subject: &Subject| lift(call, subject, &reason).chosen_at(seen);
    let take = |subject: &Subject, answer| tally.take(subject, answer, call);
    many::carry_out(call, &found.subjects, order, take, context).await;
    let pending = many::still_pending(&tally.lifted, context).await;
    let (lifted, free) = (tally.lifted.len(), tally.free);
    let took = context.engine.now().since(started);
    let mut lines = vec![text::unbanned_all(lifted, total, filter.words(), took)];
    lines.extend(tally.failed.lines());
    lines.extend(text::over_already(free));
    if lifted > 0 {
        lines.push(text::server_told(lifted, pending));
        lines.extend(let_go(&tally.lifted, context).await);
    }
    let undo = match &tally.numbers[..] {
        [] => None,
        few if few.len() <= EXAMPLES => Some(phrases::undo(few)),
        _ => call.id.map(phrases::undo_command),
    };
    let answer = many::answer(lifted + free, total, &tally.failed, pending, lines);
    Outcome::Done(answer.with_undo(undo))
}

/// Lets the server let the addresses go that it holds for their failed logins, as far as there are not too many.
async fn let_go(lifted: &[Subject], context: &Context) -> Option<String> {
    let places: Vec<&Subject> = lifted
        .iter()
        .filter(|subject| matches!(subject, Subject::Address(_) | Subject::Network(_)))
        .collect();
    let unblocked = places.iter().take(UNBLOCKED);
    let unblocked = join_all(unblocked.map(|subject| server_side::unblock(subject, context))).await;
    text::let_go(
        unblocked.iter().sum(),
        places.len().saturating_sub(UNBLOCKED),
    )
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
