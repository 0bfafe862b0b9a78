//! `allow`: nobody and no rule bans it, until somebody takes that back.

mod text;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Ask, Grade, Outcome, Problem, Row};
use super::parts::fields::WHOM;
use super::parts::settle::WAIT;
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{broken, phrases};
use crate::core::{
    Action, Ban, EventId, Exemption, ExemptionOrder, ExemptionRuling, Order, Proposal, Role,
    Ruling, Subject, Term, propose,
};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "allow",
    title: "Exempt from bans",
    summary: "Exempts an account, address or network from all bans, and lifts those it covers.",
    needs: Role::Admin,
    form: true,
    fields: &[
        Field {
            desc: "An account, an address, a network, or the number of the ban that hit them (#17).",
            ..WHOM
        },
        Field {
            name: "duration",
            label: "For how long",
            kind: Kind::Line,
            required: false,
            desc: "30d, 12h, until 2030-01-01, forever. For ever if it is left out, or as it was.",
            place: Place::Term,
        },
        Field {
            name: "comment",
            label: "Comment, for the list",
            kind: Kind::Line,
            required: false,
            desc: "Why; those with a role here see it, with allowed.",
            place: Place::Rest,
        },
    ],
    usage: "allow SUBJECT [DURATION] [COMMENT…]",
    examples: &[
        (
            "allow 198.51.100.0/24 the office",
            "nobody there is banned, and nothing there is counted",
        ),
        ("allow 203.0.113.7 30d monitoring", "for a month"),
    ],
    changes: true,
};

/// How many bans that ended by it have a row.
const NAMED: usize = 20;

struct Allow {
    subject: Subject,
    term: Option<Term>,
    comment: String,
    /// The exemption there is already.
    before: Option<Exemption>,
}

impl Allow {
    fn parse(values: &Values, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let subject = subjects::read_one(&values.words(subjects::FIELD), context)
            .map_err(|mut wrong| problems.append(&mut wrong))
            .ok();
        let term = values.line("duration").and_then(|text| {
            Term::parse(&text)
                .map_err(|why| {
                    problems.push(Problem {
                        field: "duration",
                        text: phrases::sentence(&why.to_string()),
                    });
                })
                .ok()
        });
        let (Some(subject), true) = (subject, problems.is_empty()) else {
            return Err(problems);
        };
        let now = context.engine.now();
        let before = context.engine.read(|ledger| {
            let own = ledger.exemptions().of(&subject);
            own.filter(|one| one.is_in_force(now)).cloned()
        });
        // What is not said stays as it was.
        let as_it_was = before.as_ref();
        let term = term.or_else(|| as_it_was?.until.map(Term::Until));
        let comment = values
            .line("comment")
            .map(|text| phrases::clean(&text))
            .filter(|text| !text.is_empty())
            .or_else(|| Some(as_it_was?.comment.clone()))
            .unwrap_or_default();
        Ok(Allow {
            subject,
            term,
            comment,
            before,
        })
    }

    fn order(&self, call: &Call) -> Order {
        call.order(
            &self.subject,
            Action::Exemption(ExemptionOrder::Grant {
                term: self.term,
                comment: self.comment.clone(),
            }),
        )
    }

    /// Why the rules would refuse it; nothing is done.
    fn rehearse(&self, call: &Call, context: &Context) -> Option<Problem> {
        let (policy, now) = (context.engine.policy(), context.engine.now());
        let order = self.order(call).into();
        let proposal = context
            .engine
            .read(|ledger| propose(ledger, &policy, &order, now, &mut || EventId([0; 16])));
        match proposal {
            Proposal::Answer(Ruling::Refused(why)) => Some(problem(&why, call.caller.role())),
            _ => None,
        }
    }
}

fn problem(why: &crate::core::Refusal, role: Role) -> Problem {
    use crate::core::Refusal;
    Problem {
        field: match why {
            Refusal::EndsInThePast(_) => "duration",
            Refusal::TextTooLong(..) => "comment",
            _ => subjects::FIELD,
        },
        text: phrases::refusal(why, role),
    }
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let allow = match Allow::parse(&call.values, context) {
        Ok(allow) => allow,
        Err(problems) => return Outcome::Invalid(problems),
    };
    if let Some(problem) = allow.rehearse(call, context) {
        return Outcome::Refused(vec![problem]);
    }
    let is_wide = context.engine.policy().is_risky(&allow.subject);
    if is_wide && !call.confirmed && allow.before.is_none() {
        return Outcome::Ask(question(&allow, context));
    }
    match context.engine.submit_one(allow.order(call)).await {
        Ok(Ruling::Exemption(ExemptionRuling::Granted { exemption, lifted })) => {
            let now = context.engine.now();
            // A ban whose time was over was lifted by nobody.
            let lifted: Vec<Ban> = lifted
                .into_iter()
                .filter(|ban| ban.is_in_force(now))
                .collect();
            Outcome::Done(told(&exemption, allow.before.as_ref(), &lifted, context).await)
        }
        Ok(Ruling::Refused(why)) => Outcome::Refused(vec![problem(&why, call.caller.role())]),
        Ok(ruling) => Outcome::Done(Answer::not_done(phrases::not_done(&allow.subject, &ruling))),
        Err(fault) => Outcome::Done(Answer::not_done(phrases::failed(
            &allow.subject,
            &fault,
            &broken("store an exemption", &fault),
        ))),
    }
}

fn question(allow: &Allow, context: &Context) -> Ask {
    let now = context.engine.now();
    let until = allow.term.and_then(|term| term.ends(now));
    Ask {
        title: text::ask_allow_title(&allow.subject),
        lines: text::ask_allow(&allow.subject, until, now, &allow.comment),
        rows: vec![Row::new(
            "subject1",
            phrases::kind(&allow.subject),
            phrases::reach(&allow.subject),
        )],
        values: None,
    }
}

async fn told(
    exemption: &Exemption,
    before: Option<&Exemption>,
    lifted: &[Ban],
    context: &Context,
) -> Answer {
    let now = context.engine.now();
    let mut lines = vec![phrases::allowed(exemption, before, now)];
    let settled = lifted.iter().take(NAMED).map(async |ban| {
        let settled = context.delivery.settled(&ban.subject, WAIT).await;
        phrases::released(&ban.subject, &settled)
    });
    let settled = join_all(settled).await;
    let grade = settled.iter().map(|(grade, _)| *grade).max();
    if !lifted.is_empty() {
        lines.push(phrases::lifted_by_it(lifted));
        lines.extend(phrases::shared(
            settled.iter().map(|(_, line)| line.as_str()),
            settled.len(),
        ));
    }
    lines.extend(text::what_exempt_means(&exemption.subject));
    Answer::new(
        grade.unwrap_or(Grade::Good),
        phrases::summary_title(1, 1),
        lines,
    )
    .with_rows(
        lifted
            .iter()
            .take(NAMED)
            .map(|ban| {
                Row::new(
                    format!("ban{}", ban.id.0),
                    format!("{} {}", ban.id, ban.subject),
                    text::was(ban),
                )
            })
            .collect(),
    )
    .with_undo(Some(phrases::undo(&[&exemption.subject.to_string()])))
}
