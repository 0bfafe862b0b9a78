//! `extend`: makes the ban in force longer, never shorter.

mod text;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Ask, Outcome, Problem, Row};
use super::parts::fields::WHOM;
use super::parts::results::{TargetResult, summary};
use super::parts::settle::WAIT;
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::{broken, phrases};
use crate::core::{Action, BanOrder, BanRuling, Intent, Role, Ruling, Subject, Term};
use crate::journal::LogFault;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "extend",
    title: "Extend a ban",
    summary: "Makes the ban in force longer; never shorter.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            desc: "Who is banned, or the number of the ban (#17); several with spaces between them.",
            ..WHOM
        },
        Field {
            name: DURATION,
            label: "For how much longer",
            kind: Kind::Line,
            required: true,
            desc: "3d lets it end three days later than it would; until 2030-01-01 and forever set its end.",
            place: Place::Term,
        },
    ],
    usage: "extend SUBJECT|#N… DURATION",
    examples: &[
        (
            "extend #17 3d",
            "it ends three days later than it would have",
        ),
        ("extend #17 until 2030-01-01", "it ends then"),
        ("extend spam@example.org forever", "it has no end any more"),
    ],
    changes: true,
};

const DURATION: &str = "duration";

struct Extend {
    subjects: Vec<Subject>,
    by: Term,
}

impl Extend {
    fn parse(call: &Call, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let words = call.values.words(subjects::FIELD);
        let subjects = subjects::read(&words, context).unwrap_or_else(|mut wrong| {
            problems.append(&mut wrong);
            Vec::new()
        });
        let term = match call.values.line(DURATION) {
            None => Err(String::from(text::NO_EXTENSION)),
            Some(text) => Term::parse(&text).map_err(|why| phrases::sentence(&why.to_string())),
        };
        match term {
            Ok(by) if problems.is_empty() => Ok(Extend { subjects, by }),
            Ok(_) => Err(problems),
            Err(text) => {
                problems.push(Problem {
                    field: DURATION,
                    text,
                });
                Err(problems)
            }
        }
    }
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let extend = match Extend::parse(call, context) {
        Ok(extend) => extend,
        Err(problems) => return Outcome::Invalid(problems),
    };
    if !call.confirmed && super::parts::settle::asks_about(Some(extend.by), call, context) {
        return Outcome::Ask(question(&extend.subjects));
    }
    let subjects = extend.subjects;
    let order = |subject| {
        Intent::Order(call.order(subject, Action::Ban(BanOrder::Extend { by: extend.by })))
    };
    let answers = context
        .engine
        .submit(subjects.iter().map(order).collect())
        .await;
    let results: Vec<_> = subjects.into_iter().zip(answers).collect();
    if let [(_, Ok(Ruling::Refused(why)))] = &results[..] {
        return Outcome::Refused(vec![Problem {
            field: DURATION,
            text: phrases::refusal(why, call.caller.role()),
        }]);
    }
    let told = results.into_iter().map(async |(subject, ruling)| {
        let told = tell(&subject, ruling, context);
        match told.undo {
            None => told,
            Some(_) => settle(told, context).await,
        }
    });
    Outcome::Done(summary(join_all(told).await))
}

fn question(subjects: &[Subject]) -> Ask {
    let row = |(place, subject): (usize, &Subject)| {
        Row::new(
            format!("subject{}", place + 1),
            phrases::kind(subject),
            phrases::reach(subject),
        )
    };
    Ask {
        title: phrases::ask_title(subjects),
        lines: vec![
            text::ask_extend(subjects),
            String::from(phrases::ASK_FOREVER),
        ],
        rows: subjects.iter().enumerate().map(row).collect(),
        values: None,
    }
}

fn tell(subject: &Subject, ruling: Result<Ruling, LogFault>, context: &Context) -> TargetResult {
    let now = context.engine.now();
    let mut told = TargetResult::of(subject);
    match ruling {
        Ok(Ruling::Ban(BanRuling::Amended { ban, before, .. })) => {
            told.undo = Some(ban.id.to_string());
            told.line = text::extended(&ban, before, now);
        }
        Ok(Ruling::Ban(BanRuling::NotBanned(subject, _))) => {
            told.failed(text::nothing_to_extend(&subject))
        }
        Ok(ruling) => told.failed(phrases::not_done(subject, &ruling)),
        Err(fault) => told.failed(phrases::failed(
            subject,
            &fault,
            &broken("store a longer ban", &fault),
        )),
    }
    told
}

async fn settle(mut told: TargetResult, context: &Context) -> TargetResult {
    let level = context.delivery.server().standing().borrow().level;
    let settled = context.delivery.settled(&told.subject, WAIT).await;
    let (grade, line) = phrases::held(&told.subject, &settled, level, false);
    told.grade = grade;
    told.server = Some(line);
    told
}
