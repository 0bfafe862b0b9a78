//! `allow`: exempts a subject from bans by people and rules, until somebody revokes the exemption.

mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Problem};
use super::parts::fields::WHOM;
use super::parts::results::{Said, answer, carry_out, settled};
use super::parts::subjects;
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::superiors::Superiors;
use crate::core::{
    Action, Ban, BanRuling, Exemption, ExemptionOrder, ExemptionRuling, Order, Refusal, Role,
    Ruling, Subject, Term,
};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "allow",
    title: "Exempt from bans",
    summary: "Exempts an account, address or network from all bans, and lifts those it covers.",
    needs: Role::Admin,
    form: true,
    fields: &[
        WHOM
            .desc("An account, an address, a network, or the number of the ban that hit them (#17)."),
        Field::new("duration", "For how long", Kind::Line).at(Place::Term)
            .desc("30d, 12h, until 2030-01-01, forever. If left out: forever, or unchanged for an existing exemption."),
        Field::new("comment", "Comment, for the list", Kind::Line).at(Place::Rest)
            .desc("Why; those with a role here see it, with allowed."),
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

/// Maximum number of lifted bans with their own row.
const NAMED: usize = 20;

struct Allow {
    subject: Subject,
    term: Option<Term>,
    comment: String,
    /// The existing exemption, if there is one.
    before: Option<Exemption>,
}

impl Allow {
    fn parse(call: &Request<'_>, context: &Context) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let subject = Problem::keep(&mut problems, call.subject());
        let term = Problem::keep(&mut problems, call.term("duration")).flatten();
        let (Some(subject), true) = (subject, problems.is_empty()) else {
            return Err(problems);
        };
        let now = context.engine.now();
        let before = context.engine.read(|ledger| {
            let own = ledger.exemptions().of(&subject);
            own.filter(|one| one.is_in_force(now)).cloned()
        });
        // Values that are not given stay unchanged.
        let as_it_was = before.as_ref();
        let term = term.or_else(|| as_it_was?.until.map(Term::Until));
        let comment = call
            .clean_line("comment")
            .or_else(|| Some(as_it_was?.comment.clone()))
            .unwrap_or_default();
        Ok(Allow {
            subject,
            term,
            comment,
            before,
        })
    }

    fn order(&self, call: &Request<'_>) -> Order {
        call.order(
            &self.subject,
            Action::Exemption(ExemptionOrder::Grant {
                term: self.term,
                comment: self.comment.clone(),
            }),
        )
    }
}

/// The field to correct when the rules refuse.
fn blame(why: &Refusal) -> &'static str {
    match why {
        Refusal::EndsInThePast(_) => "duration",
        Refusal::TextTooLong(..) => "comment",
        _ => subjects::FIELD,
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let allow = Allow::parse(call, context)?;
    let superiors = Superiors::of(&call.caller, context);
    if let Some(why) = context.would_refuse(allow.order(call), &superiors) {
        let text = phrases::refusal(&why, call.caller.rights.over(&allow.subject));
        return Ok(Outcome::refused(Problem::new(blame(&why), text)));
    }
    let now = context.engine.now();
    let is_wide = context.engine.policy().is_risky(&allow.subject);
    call.confirm(is_wide && allow.before.is_none(), || {
        text::question(&allow, now)
    })?;
    let mut results = carry_out(call, vec![allow.order(call)], blame, context).await?;
    let mut lifted: Vec<Ban> = Vec::new();
    for result in &mut results {
        result.releases(call, context);
        if let Ok(Ruling::Exemption(ExemptionRuling::Granted { lifted: bans, .. })) = &result.ruling
        {
            // A ban that had already expired was not lifted by this command.
            lifted.extend(bans.iter().filter(|ban| ban.is_in_force(now)).cloned());
        }
    }
    let ended = lifted.iter().take(NAMED).map(|ban| {
        let ruling = Ruling::Ban(BanRuling::Lifted(ban.clone()));
        (ban.subject.clone(), Ok(ruling))
    });
    let released: Vec<_> = settled(ended, context)
        .await
        .iter()
        .filter_map(|one| one.on_server(context))
        .collect();
    let mut answer = answer(&results, context, |result| match &result.ruling {
        Ok(Ruling::Exemption(ExemptionRuling::Granted { exemption, .. })) => {
            let mut own = Vec::new();
            if !lifted.is_empty() {
                own.push(phrases::lifted_by_it(&lifted));
                let lines = released.iter().map(|(_, line)| line.as_str());
                own.extend(phrases::shared(lines, released.len()));
            }
            own.extend(text::what_exempt_means(&exemption.subject));
            Some(Said::done(phrases::allowed(exemption, allow.before.as_ref(), now)).with(own))
        }
        _ => None,
    });
    for (grade, _) in released {
        answer.grade = answer.grade.max(grade);
    }
    let rows = lifted.iter().take(NAMED).map(text::lifted);
    Ok(Outcome::Done(answer.with_rows(rows.collect())))
}
