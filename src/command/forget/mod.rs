//! `forget`: makes earlier bans and failures of a subject no longer count.

mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Row};
use super::parts::fields::WHOM;
use super::parts::results::{Said, answer, carry_out};
use super::parts::subjects;
use super::request::Request;
use super::spec::Spec;
use crate::core::propose::FORGOTTEN_AT_ONCE;
use crate::core::{
    Action, Counting, Explanation, HistoryOrder, HistoryRuling, Role, Ruling, Subject,
};

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
    let now = context.engine.now();
    let mut answer = answer(&results, context, |result| {
        let Ok(Ruling::History(HistoryRuling::Forgotten { bans, .. })) = result.ruling else {
            return None;
        };
        let more = text::counters_cleared(counters_cleared(&subject, &before));
        let ban = context.active_ban(&subject);
        let more = more
            .into_iter()
            .chain(ban.map(|ban| text::goes_on(&ban, now)));
        Some(
            Said::done(text::forgotten(&subject, bans, &with))
                .with(more)
                .with([text::on_record(&subject)]),
        )
    });
    if answer.undo.is_some() {
        answer.title = String::from("Forgotten");
        let with = with.iter().take(NAMED);
        let row = |(other, bans): &(Subject, u32)| (other.to_string(), text::no_longer(*bans));
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

/// The counters that were reset.
fn counters_cleared<'a>(
    subject: &'a Subject,
    before: &'a Explanation,
) -> impl Iterator<Item = &'a Counting> {
    // Other addresses in the network keep their counters.
    let counting = before.counting.iter();
    counting.filter(move |counting| match (subject, counting.subject.place()) {
        (Subject::Address(_), Some(place)) => subject.net() == Some(place),
        _ => true,
    })
}
