//! What came of a call: facts for programs, and the sentences that every entry point shows in its own layout.
//!
//! The names of fields and variants are those of `--json` and of the local socket (docs/terminal.md): a new name may be
//! added, a name that is there must not change its meaning.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::phrases;
use super::values::Values;
use crate::core::Role;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done, or part of it.
    Done(Answer),
    /// A page of a list.
    Rows(Page),
    /// Nothing was done yet: call again with `confirmed`.
    Ask(Ask),
    /// Nothing was done: these fields cannot be read.
    Invalid {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// Nothing was done: the rules do not allow it.
    Refused {
        /// For these reasons.
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
        /// The command whose name is nearest, among those the caller may run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
        /// The same as a sentence.
        text: String,
    },
    /// Something of ours failed; the log says more under the same reference.
    Broken {
        /// Where the log says more.
        reference: Reference,
        /// The same as a sentence.
        text: String,
    },
}

/// An outcome that ends a command early, for `?`.
pub type EarlyOutcome = Box<Outcome>;

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// All of it was done and holds.
    Good,
    /// All of it was done, and something is missing: nothing enforces it yet.
    Warning,
    /// Part of it was not done.
    Part,
    /// None of it was done.
    Bad,
}

/// What was done, or is the case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// How good the news is.
    pub grade: Grade,
    /// The whole of it in a few words.
    pub title: String,
    /// Complete in itself: what happened, how many, which number. Text that users supplied is last on its line.
    pub lines: Vec<String>,
    /// Details, for those who look.
    pub rows: Vec<Row>,
    /// How to take it back; shown last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<String>,
    /// The state of the subjects that the call named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectState>,
}

/// The state of one subject after a command, and what the command did to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectState {
    /// As people write it.
    pub subject: String,
    /// What came of the order about it, in one word of docs/terminal.md; `None`: no order was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Cow<'static, str>>,
    /// Its active ban ([`facts::ban`](super::parts::facts::ban)).
    pub ban: Option<Value>,
    /// Whether the server has not carried the last change out yet.
    pub pending: bool,
}

impl Answer {
    /// An answer without details, and without a way back.
    pub fn new(grade: Grade, title: impl Into<String>, lines: Vec<String>) -> Self {
        Answer {
            grade,
            title: title.into(),
            lines,
            rows: Vec::new(),
            undo: None,
            subjects: Vec::new(),
        }
    }

    /// All was done.
    pub fn done(line: String) -> Self {
        Answer::new(Grade::Good, "Done", vec![line])
    }

    /// Nothing was done, and this is why.
    pub fn failed(why: String) -> Self {
        Answer::new(Grade::Bad, "Not done", vec![why])
    }

    /// With these details.
    #[must_use]
    pub fn with_rows(self, rows: Vec<Row>) -> Self {
        Answer { rows, ..self }
    }

    /// With the way back, if there is one.
    #[must_use]
    pub fn with_undo(self, undo: Option<String>) -> Self {
        Answer { undo, ..self }
    }
}

/// One detail. The value may have several lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its name for scripts, unique in its answer.
    pub var: String,
    /// What it is.
    pub label: String,
    /// What is the case.
    pub value: String,
}

impl Row {
    /// A detail.
    pub fn new(var: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Row {
            var: var.into(),
            label: label.into(),
            value: value.into(),
        }
    }

    /// Rows of one kind, with the names `var1`, `var2` and so on.
    pub fn numbered<L: Into<String>, V: Into<String>>(
        var: &str,
        rows: impl IntoIterator<Item = (L, V)>,
    ) -> Vec<Row> {
        let rows = rows.into_iter().enumerate();
        rows.map(|(place, (label, value))| Row::new(format!("{var}{}", place + 1), label, value))
            .collect()
    }

    /// It as a line; `None` if the value has several lines. A sentence that [`names`] its subject needs no label in
    /// front.
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

/// Whether a sentence names what it is about, so that it needs no label. A plain word may occur in any sentence; subjects
/// have a dot, a colon or a number in them.
pub fn names(sentence: &str, label: &str) -> bool {
    let is_word = label.chars().all(char::is_alphabetic);
    sentence.starts_with(label) || (sentence.contains(label) && !is_word)
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Which page and how many there are, in words.
    pub title: String,
    /// What else to know of the whole of it.
    pub lines: Vec<String>,
    /// This page, from 1.
    pub page: usize,
    /// How many rows there are on all pages.
    pub total: usize,
    /// What programs read: one object a row.
    pub rows: Vec<Value>,
    /// What people read: the heads of the columns.
    pub columns: Vec<String>,
    /// One list a row, as long as `columns`.
    pub cells: Vec<Vec<String>>,
    /// The chat line for the next page, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The rows as lines, for clients that draw no tables.
    #[serde(skip)]
    pub shown: Vec<Row>,
    /// The names of the columns in a form.
    #[serde(skip)]
    pub vars: Vec<&'static str>,
    /// Whether the caller asked for a table.
    #[serde(skip)]
    pub table: bool,
}

/// One entry of a list, in its three forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// As one line.
    pub row: Row,
    /// As cells, one a column.
    pub cells: Vec<String>,
    /// For programs, with names and RFC 3339 times that stay (docs/terminal.md); `None`: the cells, by the names of the
    /// columns.
    pub fact: Option<Value>,
}

/// A question to answer with yes before anything happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// The action and how many it is for, in a few words.
    pub title: String,
    /// What would be done and why that is asked.
    pub lines: Vec<String>,
    /// Whom it would hit, one each.
    pub rows: Vec<Row>,
    /// What to call with, and no words, if the answer is yes: exactly what was asked about. `None`: the same call again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Values>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its name.
    pub field: Cow<'static, str>,
    /// A sentence that says what to write instead.
    pub text: String,
}

impl Problem {
    /// What is wrong with this field.
    pub fn new(field: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Self {
        Problem {
            field: field.into(),
            text: text.into(),
        }
    }

    /// Keeps what is wrong for later, so that all of it is told at once.
    pub(super) fn keep<T, P: IntoIterator<Item = Problem>>(
        problems: &mut Vec<Problem>,
        read: Result<T, P>,
    ) -> Option<T> {
        read.map_err(|wrong| problems.extend(wrong)).ok()
    }
}

/// A short number for a fault, the same in the answer and in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference(pub String);

impl Reference {
    /// A fresh one.
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

/// Problems with the fields of a call: it cannot be read.
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
    /// The rules do not allow it.
    pub fn refused(problem: Problem) -> Self {
        Outcome::Refused {
            problems: vec![problem],
        }
    }

    /// The caller lacks this role.
    pub fn forbidden(needs: Role) -> Self {
        Outcome::Forbidden {
            needs: needs.to_string(),
            text: phrases::forbidden(needs),
        }
    }

    /// With every text written as its reader needs it ([`phrases::typed`](super::phrases::typed)).
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
