//! `forget`: the history of somebody counts no more.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem, Row};
use super::parts::fields::WHOM;
use super::parts::subjects;
use super::spec::{Field, Spec};
use super::{broken, phrases};
use crate::core::propose::FORGOTTEN_AT_ONCE;
use crate::core::{Action, HistoryOrder, HistoryRuling, Role, Ruling, Subject};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "forget",
    title: "Forget a history",
    summary: "Lets earlier bans and failures of a subject count no more: its next ban is a first one.",
    needs: Role::Admin,
    form: true,
    fields: &[Field {
        desc: "An account (with its guard and what it did from anywhere), an address or a network (with all in it). A ban in force goes on.",
        ..WHOM
    }],
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

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let named = subjects::read_one(&call.values.words(subjects::FIELD), context);
    let subject = match named {
        Ok(subject) => source_of(subject, context),
        Err(problems) => return Outcome::Invalid(problems),
    };
    let with: Vec<(Subject, u32)> = context.engine.read(|ledger| {
        let with = ledger
            .subjects()
            .forgotten_with(&subject)
            .take(FORGOTTEN_AT_ONCE);
        with.map(|(other, bans)| (other.clone(), bans)).collect()
    });
    let before = context.admission.explain(subject.whose(), subject.place());
    let order = call.order(&subject, Action::History(HistoryOrder::Forget));
    let (bans, standing) = match context.engine.submit_one(order).await {
        Ok(Ruling::History(HistoryRuling::Forgotten { bans, .. })) => {
            let standing = context
                .engine
                .read(|ledger| ledger.bans().of(&subject).cloned());
            (bans, standing)
        }
        Ok(Ruling::Refused(why)) => {
            return Outcome::Refused(vec![Problem {
                field: subjects::FIELD,
                text: phrases::refusal(&why, call.caller.role()),
            }]);
        }
        Ok(ruling) => {
            return Outcome::Done(Answer::not_done(phrases::not_done(&subject, &ruling)));
        }
        Err(fault) => return Outcome::Broken(broken("forget a history", &fault)),
    };
    let mut lines = vec![text::forgotten(&subject, bans, &with)];
    lines.extend(text::counters_cleared(&subject, &before));
    let now = context.engine.now();
    if let Some(ban) = standing.filter(|ban| ban.is_in_force(now)) {
        lines.push(text::goes_on(&ban, now));
    }
    lines.push(text::log_stays(&subject));
    Outcome::Done(
        Answer::new(Grade::Good, String::from("Forgotten"), lines)
            .with_rows(
                with.iter()
                    .take(NAMED)
                    .enumerate()
                    .map(|(place, (other, bans))| {
                        Row::new(
                            format!("with{}", place + 1),
                            other.to_string(),
                            text::bans_counted(*bans),
                        )
                    })
                    .collect(),
            )
            .with_undo(Some(phrases::undo(&[&subject.to_string()]))),
    )
}

/// How many of those that were forgotten, too, have a row.
const NAMED: usize = 10;

/// What rules know an address as: for IPv6 that is its network.
fn source_of(subject: Subject, context: &Context) -> Subject {
    match subject {
        Subject::Address(address) => {
            Subject::network(context.engine.policy().rules.reach.source(address))
        }
        other => other,
    }
}
