//! `show`: shows everything known about one subject.

mod facts;
mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::parts::fields::WHOM;
use super::request::Request;
use super::spec::Spec;
use crate::core::Role;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "show",
    title: "Show a ban",
    summary: "Shows one subject: its ban, what the server made of it, what is counted, and its history.",
    needs: Role::Viewer,
    form: true,
    fields: &[WHOM.desc("An account, an address, a network, one from the other (alice@example.org from 203.0.113.7), or the number of a ban (#17), also of one that is over.")],
    usage: "show SUBJECT|#N",
    examples: &[
        (
            "show spam@example.org",
            "with private notes and who did what",
        ),
        ("show #17", "the same by number"),
    ],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let facts = facts::ShowFacts::gather(call.subject()?, &call.caller, context).await?;
    Ok(Outcome::Done(text::answer(&facts).with_facts(&facts)))
}
