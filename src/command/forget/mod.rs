//! `forget`: makes earlier bans and failures of a subject no longer count.

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Row};
use super::parts::fields::WHOM;
use super::parts::results::{Said, answer, carry_out};
use super::parts::subjects;
use super::phrases::{by_then_counted, clean, count, named, typed, typed_about};
use super::request::Request;
use super::spec::Spec;
use crate::core::propose::FORGOTTEN_AT_ONCE;
use crate::core::{Action, Explanation, HistoryOrder, HistoryRuling, Role, Ruling, Subject};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "forget",
    title: "Forget a history",
    summary: "Makes earlier bans and failures of a subject no longer count: its next ban is a first one.",
    needs: Role::Admin,
    form: true,
    fields: &[WHOM.desc("An account (with its guard and what it did from anywhere), an address or a network (with all in it). A ban in force goes on.")],
    usage: "forget SUBJECT",
    examples: &[
        (
            "forget alice@example.org",
            "her bans start anew, her failures count no more",
        ),
        ("forget 203.0.113.7", "the same for an address"),
    ],
    changes: true,
};

/// Maximum number of other forgotten subjects with their own row.
const NAMED: usize = 10;

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = source_of(call.subject()?, context);
    let with: Vec<(Subject, u32)> = context.engine.read(|ledger| {
        let with = ledger
            .subjects()
            .forgotten_with(&subject)
            .take(FORGOTTEN_AT_ONCE);
        with.map(|(other, bans)| (other.clone(), bans)).collect()
    });
    let before = context.admission.explain(subject.whose(), subject.place());
    let orders = vec![call.order(&subject, Action::History(HistoryOrder::Forget))];
    let results = carry_out(call, orders, |_| subjects::FIELD, context).await?;
    let mut answer = answer(&results, context, |result| {
        let Ok(Ruling::History(HistoryRuling::Forgotten { bans, .. })) = result.ruling else {
            return None;
        };
        let log = format!(
            "What happened stays on record; to read it: {}",
            typed_about("show", &subject)
        );
        let more = counters_cleared(&subject, &before);
        let more = more.into_iter().chain(goes_on(&subject, context));
        Some(
            Said::done(forgotten(&subject, bans, &with))
                .with(more)
                .with([log]),
        )
    });
    if answer.undo.is_some() {
        answer.title = String::from("Forgotten");
        let with = with.iter().take(NAMED);
        let row = |(other, bans): &(Subject, u32)| (other.to_string(), no_longer(*bans));
        answer.rows = Row::numbered("with", with.map(row));
    }
    Ok(Outcome::Done(answer))
}

/// The source of an address as rules count it; for IPv6 a network.
fn source_of(subject: Subject, context: &Context) -> Subject {
    match subject {
        Subject::Address(address) => {
            Subject::network(context.engine.policy().rules.reach.source(address))
        }
        other => other,
    }
}

/// `2 bans no longer count`
fn no_longer(bans: u32) -> String {
    let verb = if bans == 1 { "counts" } else { "count" };
    format!("{} no longer {verb}", count(bans as usize, "ban"))
}

/// What was forgotten.
fn forgotten(subject: &Subject, bans: u32, with: &[(Subject, u32)]) -> String {
    let own = match bans {
        0 => String::from("no earlier ban counted"),
        bans => no_longer(bans),
    };
    let more: u32 = with.iter().map(|(_, bans)| bans).sum();
    let with = match with.len() {
        0 => String::new(),
        _ => format!(
            " Forgotten with it: {} of {}.",
            count(more as usize, "ban"),
            named(with.iter().map(|(other, _)| other))
        ),
    };
    format!("Forgotten: {subject}; {own}, and its next ban by a rule is its first.{with}")
}

/// The counters that were reset.
fn counters_cleared(subject: &Subject, before: &Explanation) -> Option<String> {
    // Other addresses in the network keep their counters.
    let counting = before.counting.iter();
    let counting = counting.filter(|counting| match (subject, counting.subject.place()) {
        (Subject::Address(_), Some(place)) => subject.net() == Some(place),
        _ => true,
    });
    let cleared: Vec<String> = counting
        .map(|one| {
            format!(
                "{} ({} of {})",
                clean(&one.rule.name),
                one.amount,
                one.limit
            )
        })
        .collect();
    (!cleared.is_empty()).then(|| format!("Counters cleared: {}.", cleared.join(", ")))
}

/// The active ban continues.
fn goes_on(subject: &Subject, context: &Context) -> Option<String> {
    let ban = context.active_ban(subject)?;
    Some(format!(
        "The ban in force goes on: {} {}; to end it: {}",
        ban.id,
        by_then_counted(ban.until, context.engine.now()),
        typed(format_args!("unban {}", ban.id))
    ))
}
