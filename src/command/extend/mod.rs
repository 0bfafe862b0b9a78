//! `extend`: extends active bans, and never shortens them.

use super::context::Context;
use super::outcome::{Ask, EarlyOutcome, Outcome, Problem, Row};
use super::parts::fields::WHOM;
use super::parts::results::{Said, TargetResult, answer, carry_out};
use super::parts::settle::asks_about;
use super::phrases::{self, because, by_then, by_then_counted, typed};
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
    let term = call.term(DURATION).and_then(|term| {
        let text = "Say for how much longer: 3d, 12h; or until 2030-01-01, or forever.";
        term.ok_or_else(|| [Problem::new(DURATION, text)])
    });
    match (subjects, Problem::keep(&mut problems, term)) {
        (Some(subjects), Some(term)) => Ok((subjects, term)),
        _ => Err(problems),
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let (subjects, by) = parse(call)?;
    let is_permanent = asks_about(Some(by), call, context);
    call.confirm(is_permanent, || question(&subjects))?;
    let order = |subject| call.order(subject, Action::Ban(BanOrder::Extend { by }));
    let orders = subjects.iter().map(order).collect();
    let results = carry_out(call, orders, |_| DURATION, context).await?;
    let now = context.engine.now();
    Ok(Outcome::Done(answer(&results, context, |one| {
        say(one, now)
    })))
}

fn question(subjects: &[Subject]) -> Ask {
    let names = phrases::named(subjects.iter());
    let row = |subject| (phrases::kind(subject), phrases::reach(subject));
    Ask {
        title: phrases::ask_title(subjects),
        lines: vec![
            format!("Nothing is done yet. Ban {names} forever?"),
            String::from(phrases::ASK_FOREVER),
        ],
        rows: Row::numbered("subject", subjects.iter().map(row)),
        values: None,
    }
}

fn say(result: &TargetResult, now: Timestamp) -> Option<Said> {
    match result.ruling.as_ref().ok()? {
        Ruling::Ban(BanRuling::Amended { ban, before, .. }) => Some(Said::done(format!(
            "Extended {} {}: was {}, now {}{}",
            ban.id,
            ban.subject,
            by_then(*before),
            by_then_counted(ban.until, now),
            because(&ban.reason)
        ))),
        Ruling::Ban(BanRuling::NotBanned(subject, _)) => Some(Said::failed(format!(
            "{subject} is not banned, so there is nothing to extend. To ban: {}",
            typed(format_args!("ban {} DURATION REASON", subject.written()))
        ))),
        _ => None,
    }
}
