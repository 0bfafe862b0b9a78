//! `unban`: lets somebody in again, or all whom a filter names.

mod text;

mod by_filter;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Grade, Outcome, Problem};
use super::parts::fields::{REASON, WHOM};
use super::parts::login::covering;
use super::parts::results::{TargetResult, summary};
use super::parts::settle::WAIT;
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::{broken, phrases};
use crate::core::{Action, BanOrder, BanRuling, Intent, Order, Role, Ruling, Subject};
use crate::delivery::Settled;
use crate::journal::LogFault;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "unban",
    title: "Un-ban",
    summary: "Ends a ban now, on the server too.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            required: false,
            ..WHOM
        },
        Field {
            name: "filter",
            label: "Or all that match",
            kind: Kind::Line,
            required: false,
            desc: "A filter as list takes it, such as origin:import by:alice; every ban in force that meets it. You are asked first. In chat: unban all FILTER.",
            place: Place::All,
        },
        Field {
            label: "Reason, for the history",
            desc: "Those with a role here see it, with show. In chat, behind a filter, in quotes.",
            ..REASON
        },
    ],
    usage: "unban SUBJECT…|all FILTER [REASON…]",
    examples: &[
        ("unban #17", "the ban of this number"),
        (
            "unban spam@example.org it was a misunderstanding",
            "with a reason",
        ),
        (
            "unban all origin:import by:alice",
            "what alice imported; you are told how many that are, and asked",
        ),
    ],
    changes: true,
};

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let is_named = !call.values.words(subjects::FIELD).is_empty();
    match call.values.line("filter") {
        None => {}
        Some(_) if is_named => {
            return Outcome::Invalid(vec![problem_of(String::from(text::EITHER_OR))]);
        }
        Some(_) => return by_filter::run(call, context).await,
    }
    let subjects = match subjects::read(&call.values.words(subjects::FIELD), context) {
        Ok(subjects) => subjects,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let reason = call
        .values
        .line("reason")
        .map(|text| phrases::clean(&text))
        .unwrap_or_default();
    let order = |subject| Intent::Order(lift(call, subject, &reason));
    let answers = context
        .engine
        .submit(subjects.iter().map(order).collect())
        .await;
    let results: Vec<_> = subjects.into_iter().zip(answers).collect();
    if let [(_, Ok(Ruling::Refused(why)))] = &results[..] {
        return Outcome::Refused(vec![Problem {
            field: subjects::FIELD,
            text: phrases::refusal(why, call.caller.role()),
        }]);
    }
    let settled = join_all(results.iter().map(async |(subject, ruling)| match ruling {
        Ok(Ruling::Ban(BanRuling::Lifted(_))) => {
            Some(context.delivery.settled(subject, WAIT).await)
        }
        _ => None,
    }))
    .await;
    let told = results
        .into_iter()
        .zip(settled)
        .map(|((subject, ruling), settled)| tell(&subject, ruling, settled, context))
        .collect();
    Outcome::Done(summary(told))
}

/// The order to end one ban.
fn lift(call: &Call, subject: &Subject, reason: &str) -> Order {
    call.order(
        subject,
        Action::Ban(BanOrder::Lift {
            reason: reason.to_owned(),
        }),
    )
}

fn problem_of(text: String) -> Problem {
    Problem {
        field: "filter",
        text,
    }
}

fn tell(
    subject: &Subject,
    ruling: Result<Ruling, LogFault>,
    settled: Option<Settled>,
    context: &Context,
) -> TargetResult {
    let now = context.engine.now();
    let mut told = TargetResult::of(subject);
    if let Some(settled) = &settled {
        let (grade, line) = phrases::released(subject, settled);
        told.grade = grade;
        told.server = Some(line);
    }
    if let Some(covering) = covering(subject, context) {
        told.grade = Grade::Warning;
        told.own.push(phrases::still_covered(&covering, now));
    }
    match ruling {
        Ok(Ruling::Ban(BanRuling::Lifted(ban))) => {
            told.line = phrases::lifted(&ban);
            told.undo = Some(ban.id.to_string());
        }
        Ok(Ruling::Ban(BanRuling::NotBanned(subject, last))) => {
            told.line = phrases::not_banned(&subject, last.as_ref());
        }
        Ok(ruling) => told.failed(phrases::not_done(subject, &ruling)),
        Err(fault) => told.failed(phrases::failed(
            subject,
            &fault,
            &broken("store an un-ban", &fault),
        )),
    }
    told
}
