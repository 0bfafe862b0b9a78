//! Outcomes of calls: facts for programs, and sentences that every entry point shows in its own layout.
//!
//! The names of fields and variants are those of `--json` and of the local socket (docs/terminal.md): names may be
//! added, but an existing name must not change its meaning.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::phrases;
use super::values::Values;
use crate::core::Role;

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done, at least partly.
    Done(Answer),
    /// A page of a list.
    Rows(Page),
    /// Nothing was done: call again with `confirmed`.
    Ask(Ask),
    /// Nothing was done: the input cannot be read.
    Invalid {
        /// All problems at once.
        problems: Vec<Problem>,
    },
    /// Nothing was done: the rules do not allow it.
    Refused {
        /// The reasons.
        problems: Vec<Problem>,
    },
    /// Nothing was done: the caller lacks the role.
    Forbidden {
        /// The role it needs.
        needs: String,
        /// The same as a sentence.
        text: String,
    },
    /// Nothing was done: there is no such command.
    Unknown {
        /// The command with the nearest name, among those the caller may run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
        /// The same as a sentence.
        text: String,
    },
    /// An internal failure; the log has details under the same reference.
    Broken {
        /// The reference in the log.
        reference: Reference,
        /// The same as a sentence.
        text: String,
    },
}

/// An outcome that ends a command early; for `?`.
pub type EarlyOutcome = Box<Outcome>;

/// How well a command succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Everything was done and is in force.
    Good,
    /// Everything was done, and something is missing: nothing enforces it yet.
    Warning,
    /// Part of it was not done.
    Part,
    /// None of it was done.
    Bad,
}

/// What was done, or the answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How well it succeeded.
    pub grade: Grade,
    /// Summary of a few words.
    pub title: String,
    /// Complete in themselves: what happened, how many, which number. Text supplied by users comes last on its line.
    pub lines: Vec<String>,
    /// Details.
    pub rows: Vec<Row>,
    /// How to undo it, as a sentence; shown last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// The state of the subjects in the call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectState>,
    /// For programs: the facts behind the sentences, if the command answers a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Value>,
}

/// The state of one subject after a command, and the result of the command for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectState {
    /// The subject, as people write it.
    pub subject: String,
    /// The result of the order about it, as one word of docs/terminal.md; `None`: there was no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'static, str>>,
    /// Its active ban as JSON ([`Fact::json`](super::parts::facts::Fact::json)).
    pub ban: Option<Value>,
    /// Whether the server has yet to carry out the last change.
    pub pending: bool,
}

impl Answer {
    /// An answer without rows and undo.
    pub fn new(grade: Grade, title: impl Into<String>, lines: Vec<String>) -> Self {
        Answer {
            grade,
            title: title.into(),
            lines,
            rows: Vec::new(),
            undo: None,
            subjects: Vec::new(),
            facts: None,
        }
    }

    /// An answer after which everything is done.
    pub fn done(line: String) -> Self {
        Answer::new(Grade::Good, "Done", vec![line])
    }

    /// An answer after which nothing is done, with the reason.
    pub fn failed(why: String) -> Self {
        Answer::new(Grade::Bad, "Not done", vec![why])
    }

    /// Adds rows.
    #[must_use]
    pub fn with_rows(self, rows: Vec<Row>) -> Self {
        Answer { rows, ..self }
    }

    /// Adds the facts that the sentences tell.
    #[must_use]
    pub fn with_facts(self, facts: &impl Serialize) -> Self {
        // Facts have text as keys, and so can be written as JSON.
        let facts = serde_json::to_value(facts).ok();
        Answer { facts, ..self }
    }

    /// Adds how to undo it, if that is possible.
    #[must_use]
    pub fn with_undo(self, undo: Option<String>) -> Self {
        Answer { undo, ..self }
    }
}

/// One detail of an answer. The value may have several lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Name for scripts, unique in its answer.
    pub var: String,
    /// Label for people.
    pub label: String,
    /// Value for people.
    pub value: String,
}

impl Row {
    /// A row with this name for scripts, label and value.
    pub fn new(var: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Row {
            var: var.into(),
            label: label.into(),
            value: value.into(),
        }
    }

    /// Rows of one kind, named `var1`, `var2` and so on.
    pub fn numbered<L: Into<String>, V: Into<String>>(
        var: &str,
        rows: impl IntoIterator<Item = (L, V)>,
    ) -> Vec<Row> {
        let rows = rows.into_iter().enumerate();
        rows.map(|(place, (label, value))| Row::new(format!("{var}{}", place + 1), label, value))
            .collect()
    }

    /// The row as one line; `None` if the value has several lines. A sentence that [`names`] its subject gets no
    /// label.
    #[must_use]
    pub fn line(&self) -> Option<String> {
        if self.value.contains('\n') {
            None
        } else if names(&self.value, &self.label) {
            Some(self.value.clone())
        } else {
            Some(format!("{}: {}", self.label, self.value))
        }
    }
}

/// Whether a sentence names its subject, so that it needs no label. A plain word may occur in any sentence; subjects
/// contain a dot, a colon or a digit.
pub fn names(sentence: &str, label: &str) -> bool {
    let is_word = label.chars().all(char::is_alphabetic);
    sentence.starts_with(label) || (sentence.contains(label) && !is_word)
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Page and number of pages, in words.
    pub title: String,
    /// Further sentences about the list.
    pub lines: Vec<String>,
    /// Number of this page, from 1.
    pub page: usize,
    /// Number of rows on all pages.
    pub total: usize,
    /// For programs: one object per row.
    pub rows: Vec<Value>,
    /// For people: the heads of the columns.
    pub columns: Vec<String>,
    /// For people: one list per row, as long as `columns`.
    pub cells: Vec<Vec<String>>,
    /// The chat line for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The rows as lines, for clients that show no tables.
    #[serde(skip)]
    pub shown: Vec<Row>,
    /// The field names of the columns in a form.
    #[serde(skip)]
    pub vars: Vec<&'static str>,
    /// Whether the caller asked for a table.
    #[serde(skip)]
    pub table: bool,
}

/// One entry of a list, in its three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// As a line.
    pub row: Row,
    /// As cells, one per column.
    pub cells: Vec<String>,
    /// As JSON with the names of docs/terminal.md and RFC 3339 times; `None`: made of the cells and the names of the
    /// columns.
    pub fact: Option<Value>,
}

/// A question that must be confirmed before anything happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The action and the number of subjects, in a few words.
    pub title: String,
    /// What would be done, and why confirmation is needed.
    pub lines: Vec<String>,
    /// The affected subjects, one row each.
    pub rows: Vec<Row>,
    /// The values to call with after a yes, without words: exactly what was asked about. `None`: repeat the same
    /// call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// A problem with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Name of the field.
    pub field: Cow<'static, str>,
    /// A sentence that says what to write instead.
    pub text: String,
}

impl Problem {
    /// A problem with this field.
    pub fn new(field: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Problem {
            field: field.into(),
            text: text.into(),
        }
    }

    /// Keeps problems for later, so that all of them are reported at once.
    pub(super) fn keep<T, P: IntoIterator<Item = Problem>>(
        problems: &mut Vec<Problem>,
        read: Result<T, P>,
    ) -> Option<T> {
        read.map_err(|wrong| problems.extend(wrong)).ok()
    }
}

/// A short id of an internal failure, the same in the answer and in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference(pub String);

impl Reference {
    /// A new random reference.
    pub fn fresh() -> Self {
        let mut bytes = [0; 3];
        // Without randomness the reference is all zeros, and still leads to the line in the log.
        let _ = getrandom::fill(&mut bytes);
        Reference(hex::encode(bytes))
    }
}

impl From<Reference> for Outcome {
    fn from(reference: Reference) -> Self {
        Outcome::Broken {
            text: phrases::broken(&reference),
            reference,
        }
    }
}

impl From<Reference> for EarlyOutcome {
    fn from(reference: Reference) -> Self {
        Box::new(reference.into())
    }
}

/// The problems make the call unreadable.
impl From<Vec<Problem>> for EarlyOutcome {
    fn from(problems: Vec<Problem>) -> Self {
        Box::new(Outcome::Invalid { problems })
    }
}

impl From<Problem> for EarlyOutcome {
    fn from(problem: Problem) -> Self {
        vec![problem].into()
    }
}

impl From<Ask> for EarlyOutcome {
    fn from(ask: Ask) -> Self {
        Box::new(Outcome::Ask(ask))
    }
}

impl From<Answer> for EarlyOutcome {
    fn from(answer: Answer) -> Self {
        Box::new(Outcome::Done(answer))
    }
}

impl Outcome {
    /// The outcome [`Outcome::Refused`] with one problem.
    pub fn refused(problem: Problem) -> Self {
        Outcome::Refused {
            problems: vec![problem],
        }
    }

    /// The outcome [`Outcome::Forbidden`] for this role.
    pub fn forbidden(needs: Role) -> Self {
        Outcome::Forbidden {
            needs: needs.to_string(),
            text: phrases::forbidden(needs),
        }
    }

    /// Rewrites every text for its reader ([`phrases::typed`]).
    #[must_use]
    pub fn written(mut self, how: impl Fn(&str) -> String) -> Outcome {
        let all = |texts: &mut [String]| texts.iter_mut().for_each(|text| *text = how(text));
        let rows = |rows: &mut [Row]| rows.iter_mut().for_each(|row| row.value = how(&row.value));
        match &mut self {
            Outcome::Done(answer) => {
                all(&mut answer.lines);
                rows(&mut answer.rows);
                all(answer.undo.as_mut_slice());
            }
            Outcome::Rows(page) => all(&mut page.lines),
            Outcome::Ask(ask) => {
                all(&mut ask.lines);
                rows(&mut ask.rows);
            }
            Outcome::Invalid { problems } | Outcome::Refused { problems } => {
                problems
                    .iter_mut()
                    .for_each(|problem| problem.text = how(&problem.text));
            }
            Outcome::Forbidden { text, .. }
            | Outcome::Unknown { text, .. }
            | Outcome::Broken { text, .. } => *text = how(text),
        }
        self
    }

    /// One word for the audit log.
    pub fn in_a_word(&self) -> &'static str {
        match self {
            Outcome::Done(answer) => match answer.grade {
                Grade::Good => "done",
                Grade::Warning => "done, with a warning",
                Grade::Part => "done in part",
                Grade::Bad => "not done",
            },
            Outcome::Rows(_) => "shown",
            Outcome::Ask(_) => "asked back",
            Outcome::Invalid { .. } => "not understood",
            Outcome::Refused { .. } => "refused",
            Outcome::Forbidden { .. } => "forbidden",
            Outcome::Unknown { .. } => "no such command",
            Outcome::Broken { .. } => "failed",
        }
    }
}
