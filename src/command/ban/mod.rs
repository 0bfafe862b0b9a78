//! `ban`: keeps somebody out, or changes the terms of the ban in force.

mod text;

use std::net::IpAddr;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Ask, Outcome, Problem, Row};
use super::parts::fields::{NOTE, REASON, WHOM};
use super::parts::results::{TargetResult, summary};
use super::parts::settle::{ASK_WAIT, MANY, WAIT, asks_about, own_addresses};
use super::parts::subjects;
use super::spec::{DEFAULT_TERM, Field, Kind, Place, Spec};
use super::values::Values;
use super::{broken, phrases};
use crate::core::{
    Action, BanOrder, BanRuling, EventId, Intent, Policy, Proposal, Refusal, Role, Ruling, Subject,
    Term, propose,
};
use crate::delivery::Settled;
use crate::journal::LogFault;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "ban",
    title: "Ban",
    summary: "Keeps accounts, addresses or networks out and ends their sessions.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            label: "Whom, one a line",
            kind: Kind::Lines,
            desc: "Accounts (spam@example.org), addresses (203.0.113.7), networks (203.0.113.0/24), an account from one place (spam@example.org from 203.0.113.7) or numbers of bans (#17).",
            ..WHOM
        },
        Field {
            name: "duration",
            label: "For how long",
            kind: Kind::Term {
                other: "other_duration",
            },
            required: false,
            desc: "One of the usual durations. A banned subject keeps its end if this is left at the default.",
            place: Place::Term,
        },
        Field {
            name: "other_duration",
            label: "Other duration",
            kind: Kind::Line,
            required: false,
            desc: "Counts before the choice above: 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01, forever.",
            place: Place::Nowhere,
        },
        REASON,
        Field {
            place: Place::Nowhere,
            ..NOTE
        },
        Field {
            name: "force",
            label: "Even if unknown or exempt",
            kind: Kind::Flag,
            required: false,
            desc: "Bans a name of this server before anybody registers it; and, by an admin who is asked once more, somebody exempt.",
            place: Place::Option,
        },
    ],
    usage: "ban SUBJECT… [DURATION] [REASON…]",
    examples: &[
        ("ban spam@example.org 3d spam in rooms", "for three days"),
        ("ban 203.0.113.7 203.0.113.9 12h", "two addresses at once"),
        (
            "ban #17 forever",
            "changes the end of ban #17, keeps its reason",
        ),
    ],
    changes: true,
};

/// A ban as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BanCall {
    subjects: Vec<Subject>,
    term: Option<Term>,
    reason: Option<String>,
    note: Option<String>,
    force: bool,
    /// Who of them is exempt and banned all the same, and why they are.
    forced: Vec<(Subject, String)>,
}

impl BanCall {
    fn parse(values: &Values, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let subjects =
            subjects::read(&values.words(subjects::FIELD), context).unwrap_or_else(|mut wrong| {
                problems.append(&mut wrong);
                Vec::new()
            });
        let term = read_term(values).unwrap_or_else(|wrong| {
            problems.push(wrong);
            None
        });
        let force = values.flag("force").unwrap_or_else(|| {
            problems.push(Problem {
                field: "force",
                text: phrases::no_flag("force"),
            });
            false
        });
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(BanCall {
            subjects,
            term,
            reason: values
                .line("reason")
                .map(|text| phrases::clean(&text))
                .filter(|text| !text.is_empty()),
            note: values
                .text("note")
                .map(|text| phrases::clean_lines(&text))
                .filter(|text| !text.is_empty()),
            force,
            forced: Vec::new(),
        })
    }

    fn order(&self, call: &Call, subject: &Subject, own_addresses: &[IpAddr]) -> Intent {
        let order = call.order(subject, self.what(subject));
        order.own_addresses(own_addresses.to_vec()).into()
    }

    fn what(&self, subject: &Subject) -> Action {
        let (term, reason, note) = (self.term, self.reason.clone(), self.note.clone());
        match self.forced.iter().any(|(exempt, _)| exempt == subject) {
            true => Action::Ban(BanOrder::Force { term, reason, note }),
            false => Action::Ban(BanOrder::Impose { term, reason, note }),
        }
    }

    /// What would be said of each subject if it were done now; nothing is done.
    ///
    /// Exempt subjects are banned by force from here on, where an admin asked for it.
    fn rehearse(&mut self, call: &Call, context: &Context, own: &[IpAddr]) -> Vec<Problem> {
        let (policy, now) = (context.engine.policy(), context.engine.now());
        let refused = |order: &Intent| {
            let ruled = context
                .engine
                .read(|ledger| propose(ledger, &policy, order, now, &mut || EventId([0; 16])));
            match ruled {
                Proposal::Answer(Ruling::Refused(why)) => Some(why),
                _ => None,
            }
        };
        let mut problems: Vec<Problem> = Vec::new();
        for subject in self.subjects.clone() {
            let mut refusal = refused(&self.order(call, &subject, own));
            if let Some(Refusal::Exempt(_, by) | Refusal::Allowed(_, by)) = &refusal
                && self.force
                && call.caller.rights.over(&subject) == Role::Admin
            {
                self.forced.push((subject.clone(), by.clone()));
                refusal = refused(&self.order(call, &subject, own));
            }
            if let Some(why) = refusal {
                let problem = Problem {
                    field: blame(&why),
                    text: text::refusal_to_ban(&why, call.caller.rights.over(&subject)),
                };
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    fn is_risky(&self, policy: &Policy) -> bool {
        self.subjects.len() > MANY
            || !self.forced.is_empty()
            || self.subjects.iter().any(|subject| policy.is_risky(subject))
    }
}

/// `other_duration` counts before `duration`; any term may be typed into either.
fn read_term(values: &Values) -> Result<Option<Term>, Problem> {
    for field in ["other_duration", "duration"] {
        match values.line(field) {
            None => {}
            Some(text) if text == DEFAULT_TERM => return Ok(None),
            Some(text) => {
                return Term::parse(&text).map(Some).map_err(|why| Problem {
                    field,
                    text: phrases::sentence(&why.to_string()),
                });
            }
        }
    }
    Ok(None)
}

/// The field to change when the rules refuse.
fn blame(why: &Refusal) -> &'static str {
    match why {
        Refusal::TooLong(..) | Refusal::EndsInThePast(_) => "duration",
        Refusal::TextTooLong(what, _) => what,
        _ => subjects::FIELD,
    }
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let mut ban = match BanCall::parse(&call.values, context) {
        Ok(ban) => ban,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let own = own_addresses(&ban.subjects, call, context).await;
    let mut problems = ban.rehearse(call, context, &own);
    problems.extend(strangers(&ban, context).await);
    if !problems.is_empty() {
        return Outcome::Refused(problems);
    }
    let is_for_ever = asks_about(ban.term, call, context);
    if (ban.is_risky(&context.engine.policy()) || is_for_ever) && !call.confirmed {
        return Outcome::Ask(question(&ban, call, context));
    }
    let subjects = &ban.subjects;
    let orders = subjects
        .iter()
        .map(|subject| ban.order(call, subject, &own));
    let answers = context.engine.submit(orders.collect()).await;
    let results: Vec<_> = subjects.iter().cloned().zip(answers).collect();
    let settled = join_all(results.iter().map(async |(subject, ruling)| match ruling {
        Ok(
            Ruling::Ban(BanRuling::Banned(_))
            | Ruling::Ban(BanRuling::Amended { .. })
            | Ruling::Ban(BanRuling::Already(_)),
        ) => Some(context.delivery.settled(subject, WAIT).await),
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

/// The accounts the server does not know. Those that are banned already may be changed.
async fn strangers(ban: &BanCall, context: &Context) -> Vec<Problem> {
    if ban.force {
        return Vec::new();
    }
    let asked = join_all(ban.subjects.iter().map(async |subject| {
        let account = subject.whose()?;
        if context
            .engine
            .read(|ledger| ledger.bans().of(subject).is_some())
        {
            return None;
        }
        let exists =
            tokio::time::timeout(ASK_WAIT, context.delivery.server().exists(account)).await;
        (exists == Ok(Some(false))).then(|| Problem {
            field: subjects::FIELD,
            text: text::no_such_account(account),
        })
    }));
    asked.await.into_iter().flatten().collect()
}

fn question(ban: &BanCall, call: &Call, context: &Context) -> Ask {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let roles = ban.subjects.iter().map(|one| call.caller.rights.over(one));
    let role = roles.min().unwrap_or_default();
    let term = ban
        .term
        .unwrap_or_else(|| policy.default_term_for(role, now));
    let mut lines = text::ask(
        &ban.subjects,
        &|subject| policy.is_risky(subject),
        term,
        now,
        ban.reason.as_deref(),
    );
    let exempt = ban.forced.iter();
    lines.extend(exempt.map(|(subject, why)| text::ask_exempt(subject, why)));
    if asks_about(ban.term, call, context) {
        lines.push(String::from(phrases::ASK_FOREVER));
    }
    Ask {
        title: phrases::ask_title(&ban.subjects),
        lines,
        rows: ban
            .subjects
            .iter()
            .enumerate()
            .map(|(place, subject)| {
                Row::new(
                    format!("subject{}", place + 1),
                    phrases::kind(subject),
                    phrases::reach(subject),
                )
            })
            .collect(),
        values: None,
    }
}

fn tell(
    subject: &Subject,
    ruling: Result<Ruling, LogFault>,
    settled: Option<Settled>,
    context: &Context,
) -> TargetResult {
    let now = context.engine.now();
    let level = context.delivery.server().standing().borrow().level;
    let mut told = TargetResult::of(subject);
    if let Some(settled) = &settled {
        let began = matches!(ruling, Ok(Ruling::Ban(BanRuling::Banned(_))));
        let (grade, line) = phrases::held(subject, settled, level, began);
        told.grade = grade;
        told.server = Some(line);
    }
    match ruling {
        Ok(Ruling::Ban(BanRuling::Banned(ban))) => {
            told.line = phrases::banned(&ban, now);
            told.undo = Some(ban.id.to_string());
        }
        Ok(Ruling::Ban(BanRuling::Amended {
            ban,
            before,
            before_reason,
        })) => {
            told.line = phrases::amended(&ban, before, now);
            if before_reason != ban.reason {
                told.own.push(text::reason_was(&before_reason));
            }
            told.undo = Some(ban.id.to_string());
        }
        Ok(Ruling::Ban(BanRuling::Already(ban))) => {
            told.line = phrases::already(&ban, now);
            told.own.push(text::how_to_change(&ban));
        }
        Ok(ruling) => told.failed(phrases::not_done(subject, &ruling)),
        Err(fault) => told.failed(phrases::failed(
            subject,
            &fault,
            &broken("store a ban", &fault),
        )),
    }
    told
}
