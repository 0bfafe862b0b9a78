//! Sentences of the doors themselves: help, forms, chat.

use super::{NAMED, broken, typed};
use crate::command::outcome::Outcome;
use crate::command::spec::{DEFAULT_TERM, Kind, PRESETS, Place, Spec};
use crate::core::Role;

/// All commands, a line each.
pub fn help(specs: impl Iterator<Item = &'static Spec>) -> Vec<String> {
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

/// One command.
pub fn help_for(spec: &Spec) -> Vec<String> {
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

/// The role that is missing.
pub fn forbidden(needs: Role) -> String {
    format!("You need the role {needs} for that.")
}

/// In front of what is wrong with a form.
pub fn error_title(text: &str) -> String {
    format!("Error: {text}")
}

/// Below what is wrong in a chat line.
pub fn nothing_was_done(spec: Option<&Spec>) -> String {
    match spec {
        Some(spec) => format!("Nothing was done. Write: {}", typed(spec.usage)),
        None => String::from("Nothing was done."),
    }
}

/// Above an empty form.
pub fn instructions(spec: &Spec, minutes: u64) -> String {
    format!(
        "{} This form stays open for {minutes} minutes.",
        spec.summary
    )
}

/// Below a question in a form.
pub fn confirm_form() -> String {
    String::from("Complete does it; previous changes it; cancel drops it.")
}

/// Below a question in chat.
pub fn confirm_chat() -> String {
    String::from("Answer yes within 2 minutes to do it; anything else drops it.")
}

/// What a question is answered with.
pub const YES_OR_NO: [&str; 2] = ["yes", "no"];

/// A reply to a message of ours that was about several, or about nobody.
pub fn reply_to_nobody(spec: &Spec) -> String {
    format!(
        "That message is about several, or about nobody in particular: name whom you mean. Nothing was done. Write: {}",
        typed(spec.usage)
    )
}

/// A reply to a message we do not remember.
pub fn reply_to_unknown(spec: &Spec) -> String {
    format!(
        "I no longer know what that message was about: name whom you mean. Nothing was done. Write: {}",
        typed(spec.usage)
    )
}

/// A question was dropped.
pub fn dropped() -> String {
    String::from("Dropped; nothing was done.")
}

/// A yes without a question.
pub fn nothing_to_confirm() -> String {
    String::from(
        "There is nothing to say yes to; a question waits for 2 minutes only. Nothing was done.",
    )
}

/// A form was cancelled.
pub fn canceled() -> String {
    String::from("Cancelled; nothing was done.")
}

/// A form whose work goes on was cancelled.
pub fn canceled_at_work() -> String {
    String::from(
        "The form is closed; what it began goes on, and a message tells you what came of it.",
    )
}

/// Work that takes long, in a few words.
pub fn at_work_title(progress: Option<(usize, usize)>) -> String {
    match progress {
        Some((done, of)) => format!("At work: {done} of {of} done"),
        None => String::from("At work"),
    }
}

/// How far long work is, and what to do meanwhile.
pub fn at_work(progress: Option<(usize, usize)>) -> Vec<String> {
    vec![
        format!("{}.", at_work_title(progress)),
        String::from(
            "It goes on by itself. Next looks again; if you do not look, a message tells you what came of it.",
        ),
    ]
}

/// In front of what came of a form at which nobody looked again.
pub fn form_is_done(title: &str) -> String {
    format!("Your form “{title}”:")
}

/// To people without a role.
pub fn stranger() -> String {
    String::from(
        "This is portcullis, which keeps abusers off this server. It takes orders from the server's admins only.",
    )
}

/// To an encrypted message.
pub fn encrypted() -> String {
    String::from(
        "I cannot read encrypted messages; please switch encryption off for this chat. Nothing was done.",
    )
}

/// To a corrected line that had been carried out, or had not been said to us.
pub fn corrected() -> String {
    String::from(
        "A corrected line does not run again: the first one did run, or was not said to me. Send it as a new message if you mean it.",
    )
}

/// Several commands in one message.
pub fn one_command() -> String {
    String::from("One command a message, please. Nothing was done.")
}

/// More lines than a person writes.
pub fn too_fast() -> String {
    String::from("That is too fast for me; I am silent until it is quiet for 10 seconds.")
}

/// More work than fits.
pub fn busy() -> String {
    String::from("Too much is waiting just now; nothing was done. Try again in a moment.")
}

/// Who we are, in lists of contacts.
pub fn presence() -> String {
    format!("Write {}", typed("help"))
}

/// What came of a call, for the audit log.
pub fn audit(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done(answer) => answer.lines.first().cloned().unwrap_or_default(),
        Outcome::Rows(page) => page.title.clone(),
        Outcome::Ask(ask) => ask.title.clone(),
        Outcome::Invalid(problems) | Outcome::Refused(problems) => problems
            .iter()
            .take(NAMED)
            .map(|problem| problem.text.as_str())
            .collect::<Vec<_>>()
            .join(" "),
        Outcome::Forbidden { needs } => forbidden(*needs),
        Outcome::Unknown { .. } => String::from("No such command."),
        Outcome::Broken(reference) => broken(reference),
    }
}

/// What a preset term means in the manual.
pub fn manual_presets() -> String {
    format!(
        "`{DEFAULT_TERM}` or {}; any other duration is taken too",
        PRESETS.map(|preset| format!("`{preset}`")).join(", ")
    )
}

/// The values of a choice in the manual.
pub fn manual_choices(choices: &[(&str, &str)]) -> String {
    let values: Vec<String> = choices
        .iter()
        .map(|(value, _)| format!("`{value}`"))
        .collect();
    values.join(", ")
}
