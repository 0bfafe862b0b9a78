//! `policy`: shows limits, roles, rules and exemptions, and where each is configured.

mod facts;
mod holders;
mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::request::Request;
use super::spec::Spec;
use crate::core::Role;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "policy",
    title: "Policy",
    summary: "Shows what is in force: terms, roles and, to admins, who holds them, rules with their growth, exemptions; and where each is set.",
    needs: Role::Viewer,
    form: true,
    fields: &[],
    usage: "policy",
    examples: &[("policy", "terms, roles, rules, exemptions")],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let facts = facts::PolicyFacts::gather(call, context);
    Ok(Outcome::Done(text::answer(&facts).with_facts(&facts)))
}
