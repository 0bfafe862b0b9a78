//! `help`: explains the commands that the caller may run. Only in chat; forms explain themselves.

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem};
use super::phrases::{self, typed};
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
        None => help(permitted(role)),
        Some(name) => {
            let name = name.to_lowercase();
            let spec = find(&name).filter(|spec| permits(role, spec));
            let spec = spec.ok_or_else(|| {
                let text = phrases::no_such_command(&name, nearest(role, &name));
                Problem::new("command", text)
            })?;
            help_for(spec)
        }
    };
    Ok(Outcome::Done(Answer::new(Grade::Good, SPEC.title, lines)))
}

/// All commands, one line each.
fn help(specs: impl Iterator<Item = &'static Spec>) -> Vec<String> {
    let mut lines: Vec<String> = specs
        .map(|spec| format!("{}: {}", typed(spec.usage), spec.summary))
        .collect();
    lines.push(String::from(
        "Durations: 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01, forever. Without one the configuration decides.",
    ));
    lines.push(format!(
        "For example: {}",
        typed("ban spam@example.org 3d spam in rooms")
    ));
    lines.push(format!(
        "After a list: {} and {} turn its pages.",
        typed("next"),
        typed("previous")
    ));
    lines.push(String::from(
        "The same as forms: your client's menu of commands, at this address.",
    ));
    lines
}

/// The help for one command.
fn help_for(spec: &Spec) -> Vec<String> {
    let mut lines = vec![
        spec.summary.to_owned(),
        format!("Write: {}", typed(spec.usage)),
    ];
    for field in spec.fields {
        let how = match field.place {
            Place::Nowhere => continue,
            Place::Option => format!("--{}", field.name),
            _ => field.name.to_uppercase(),
        };
        lines.push(format!("{how}: {}", field.desc));
    }
    if spec
        .fields
        .iter()
        .any(|f| matches!(f.kind, Kind::Term { .. }))
    {
        lines.push(String::from(
            "A duration is 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01 or forever; a number needs its unit.",
        ));
    }
    for (line, what) in spec.examples {
        lines.push(format!("`{}`: {what}", typed(line)));
    }
    lines
}
