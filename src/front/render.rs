//! An outcome as text, for chats, private messages and rooms.
//!
//! The styling (XEP-0393) also reads well unrendered: only fences around blocks of several lines.

use super::text;
use crate::command::outcome::{Answer, Outcome, Page, Problem};
use crate::command::{Spec, phrases};
use crate::xmpp::payload::hints::FENCE;

/// The outcome of a command as text.
pub(super) fn render(outcome: &Outcome, spec: &Spec) -> String {
    match outcome {
        Outcome::Done(answer) => text(answer),
        Outcome::Rows(page) => rows(page),
        Outcome::Ask(ask) => {
            let mut lines = ask.lines.clone();
            lines.push(String::from(text::CONFIRM_CHAT));
            lines.join("\n")
        }
        Outcome::Invalid { problems } => wrong(problems, Some(spec)),
        Outcome::Refused { problems } => wrong(problems, None),
        Outcome::Forbidden { text, .. }
        | Outcome::Unknown { text, .. }
        | Outcome::Broken { text, .. } => text.clone(),
    }
}

/// Lines that answer an outcome, for clients that offer quick responses.
pub(super) fn quick(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Ask(_) => text::YES_OR_NO.map(String::from).to_vec(),
        Outcome::Rows(page) => page.next.iter().map(phrases::typed).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn wrong(problems: &[Problem], spec: Option<&Spec>) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .map(|problem| problem.text.clone())
        .collect();
    lines.push(phrases::nothing_was_done(spec));
    lines.join("\n")
}

fn rows(page: &Page) -> String {
    let mut lines = vec![format!("{}.", page.title)];
    lines.extend(page.lines.iter().cloned());
    lines.extend(
        page.shown
            .iter()
            .map(|row| format!("{}: {}", row.label, row.value)),
    );
    lines.extend(page.next.as_deref().map(text::more));
    lines.join("\n")
}

fn text(answer: &Answer) -> String {
    let mut all = answer.lines.clone();
    all.extend(answer.rows.iter().map(|row| {
        row.line().unwrap_or_else(|| {
            // Text of a user must not close the block.
            let value = row.value.replace("\n```", "\n ```");
            let value = match value.starts_with(FENCE) {
                true => format!(" {value}"),
                false => value,
            };
            format!("{}:\n{FENCE}\n{value}\n{FENCE}", row.label)
        })
    }));
    all.extend(answer.undo.clone());
    all.join("\n")
}
