//! An outcome as text: what a chat, a private message and a room say.
//!
//! Styled so that it reads well raw (XEP-0393): nothing but fences around what has several lines.

use super::text;
use crate::command::outcome::{Answer, Outcome, Page, Problem};
use crate::command::{Spec, phrases};
use crate::xmpp::payload::hints::FENCE;

/// An outcome as text.
pub(super) fn render(outcome: &Outcome, spec: Option<&Spec>) -> String {
    match outcome {
        Outcome::Done(answer) => text(answer),
        Outcome::Rows(page) => rows(page),
        Outcome::Ask(ask) => {
            let mut lines = ask.lines.clone();
            lines.push(String::from(text::CONFIRM_CHAT));
            lines.join("\n")
        }
        Outcome::Invalid(problems) => wrong(problems, spec),
        Outcome::Refused(problems) => wrong(problems, None),
        Outcome::Forbidden { needs } => phrases::forbidden(*needs),
        Outcome::Unknown { .. } => phrases::nothing_was_done(None),
        Outcome::Broken(reference) => phrases::broken(reference),
    }
}

/// Lines that answer an outcome, for clients that offer them.
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
        page.rows
            .iter()
            .map(|entry| format!("{}: {}", entry.row.label, entry.row.value)),
    );
    lines.extend(page.next.as_deref().map(text::more));
    lines.join("\n")
}

fn text(answer: &Answer) -> String {
    let mut all = answer.lines.clone();
    all.extend(answer.rows.iter().map(|row| {
        row.line().unwrap_or_else(|| {
            // A line of a user's may not end the block.
            let value = row.value.replace(
                "
```", "
 ```",
            );
            let value = match value.starts_with(FENCE) {
                true => format!(" {value}"),
                false => value,
            };
            format!(
                "{}:
{FENCE}
{value}
{FENCE}",
                row.label
            )
        })
    }));
    all.extend(answer.undo.clone());
    all.join("\n")
}
