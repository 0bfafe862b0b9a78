//! `help`: explains the commands that the caller may run. Only in chat; forms explain themselves.

mod text;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem};
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::{find, nearest, permits, permitted};
use crate::core::Role;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "help",
    title: "Help",
    summary: "Explains the commands, or one of them.",
    needs: Role::Viewer,
    form: false,
    fields: &[Field::new("command", "Command", Kind::Line)
        .at(Place::Rest)
        .desc("The one to explain.")],
    usage: "help [COMMAND]",
    examples: &[("help ban", "all about ban")],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, _: &Context) -> Result<Outcome, EarlyOutcome> {
    let role = call.caller.role();
    let lines = match call.values.line("command") {
        None => text::help(permitted(role)),
        Some(name) => {
            let name = name.to_lowercase();
            let spec = find(&name).filter(|spec| permits(role, spec));
            let spec = spec.ok_or_else(|| {
                let text = phrases::no_such_command(&name, nearest(role, &name));
                Problem::new("command", text)
            })?;
            text::help_for(spec)
        }
    };
    Ok(Outcome::Done(Answer::new(Grade::Good, SPEC.title, lines)))
}
