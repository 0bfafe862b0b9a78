//! `help`: what the caller may do, with lines that work. In chat only; forms explain themselves.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem};
use super::spec::{Field, Kind, Place, Spec};
use super::{find, nearest, permits, permitted, phrases};
use crate::core::Role;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "help",
    title: "Help",
    summary: "Explains the commands, or one of them.",
    needs: Role::Viewer,
    form: false,
    fields: &[Field {
        name: "command",
        label: "Command",
        kind: Kind::Line,
        required: false,
        desc: "The one to explain.",
        place: Place::Rest,
    }],
    usage: "help [COMMAND]",
    examples: &[("help ban", "all about ban")],
    changes: false,
};

pub(super) async fn run(call: &Call, _: &Context) -> Outcome {
    let role = call.caller.role();
    let lines = match call.values.line("command") {
        None => text::help(permitted(role)),
        Some(name) => {
            let name = name.to_lowercase();
            match find(&name).filter(|spec| permits(role, spec)) {
                Some(spec) => text::help_for(spec),
                None => {
                    return Outcome::Invalid(vec![Problem {
                        field: "command",
                        text: phrases::no_such_command(&name, nearest(role, &name)),
                    }]);
                }
            }
        }
    };
    Outcome::Done(Answer::new(Grade::Good, String::from(SPEC.title), lines))
}
