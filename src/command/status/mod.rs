//! `status`: shows what the server lets us do, what is missing, and unfinished work.

mod facts;
mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::request::Request;
use super::spec::Spec;
use crate::core::Role;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "status",
    title: "Status",
    summary: "Shows what is enforced, what is missing on the server and how to add it, unfinished work, and the rules with their counters.",
    needs: Role::Viewer,
    form: true,
    fields: &[],
    usage: "status",
    examples: &[("status", "level, server, missing lines, pending work")],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let facts = facts::StatusFacts::gather(&call.caller.rights, context).await?;
    Ok(Outcome::Done(text::answer(&facts).with_facts(&facts)))
}
