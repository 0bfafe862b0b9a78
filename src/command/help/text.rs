//! Sentences of `help`.

use crate::command::phrases::typed;
use crate::command::spec::{Kind, Place, Spec};

/// All commands, one line each.
pub(super) fn help(specs: impl Iterator<Item = &'static Spec>) -> Vec<String> {
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
pub(super) fn help_for(spec: &Spec) -> Vec<String> {
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
