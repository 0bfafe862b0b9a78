//! `check`: explains whether a login would be let in.

mod facts;
mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Problem};
use super::parts::subjects::{self, NO_LOGIN};
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{Role, Subject};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "check",
    title: "Check a login",
    summary: "Tells whether a login would be let in, and why: bans, exemptions, earlier logins, counters, guard.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        Field::new(subjects::FIELD, "Account, address or both", Kind::Line)
            .required()
            .at(Place::Login)
            .desc(
                "Whose login, from where, or an account and an address with a space between them.",
            ),
    ],
    usage: "check ACCOUNT [ADDRESS] | ADDRESS",
    examples: &[
        (
            "check alice@example.org 203.0.113.7",
            "may she log in from there, and why",
        ),
        ("check 203.0.113.7", "may anybody connect from there"),
    ],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = call.login()?;
    if let Subject::Network(_) = subject {
        return Err(Problem::new(subjects::FIELD, NO_LOGIN).into());
    }
    let facts = facts::CheckFacts::gather(subject, &call.caller.rights, context).await;
    Ok(Outcome::Done(text::answer(&facts).with_facts(&facts)))
}
