//! `extend`: extends active bans, and never shortens them.

mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Problem};
use super::parts::fields::WHOM;
use super::parts::results::{Said, TargetResult, answer, carry_out};
use super::parts::settle::asks_about;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{Action, BanOrder, BanRuling, Role, Ruling, Subject, Term, Timestamp};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "extend",
    title: "Extend a ban",
    summary: "Makes the ban in force longer; never shorter.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        WHOM
            .desc("Who is banned, or the number of the ban (#17); several with spaces between them."),
        Field::new(DURATION, "For how much longer", Kind::Line).required().at(Place::Term)
            .desc("3d lets it end three days later than it would; until 2030-01-01 and forever set its end."),
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

fn parse(call: &Request<'_>) -> Result<(Vec<Subject>, Term), Vec<Problem>> {
    let mut problems = Vec::new();
    let subjects = Problem::keep(&mut problems, call.subjects());
    let term = call
        .term(DURATION)
        .and_then(|term| term.ok_or_else(|| [Problem::new(DURATION, text::HOW_LONG)]));
    match (subjects, Problem::keep(&mut problems, term)) {
        (Some(subjects), Some(term)) => Ok((subjects, term)),
        _ => Err(problems),
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let (subjects, by) = parse(call)?;
    let is_permanent = asks_about(Some(by), call, context);
    call.confirm(is_permanent, || text::question(&subjects))?;
    let order = |subject| call.order(subject, Action::Ban(BanOrder::Extend { by }));
    let orders = subjects.iter().map(order).collect();
    let results = carry_out(call, orders, |_| DURATION, context).await?;
    let now = context.engine.now();
    Ok(Outcome::Done(answer(&results, context, |one| {
        say(one, now)
    })))
}

fn say(result: &TargetResult, now: Timestamp) -> Option<Said> {
    match result.ruling.as_ref().ok()? {
        Ruling::Ban(BanRuling::Amended { ban, before, .. }) => {
            Some(Said::done(text::extended(ban, *before, now)))
        }
        Ruling::Ban(BanRuling::NotBanned(subject, _)) => {
            Some(Said::failed(text::not_banned(subject)))
        }
        _ => None,
    }
}
