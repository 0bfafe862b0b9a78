//! What came of a call, as data: each door renders it its own way.

use serde_json::Value;

use super::values::Values;
use crate::core::Role;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done, or part of it: an answer in words.
    Done(Answer),
    /// A page of a list.
    Rows(Page),
    /// Nothing was done yet: this hits many; ask once, then call again with `confirmed`.
    Ask(Ask),
    /// Nothing was done: these fields cannot be read. All faults at once.
    Invalid(Vec<Problem>),
    /// Nothing was done: the rules do not allow it, for these reasons.
    Refused(Vec<Problem>),
    /// Nothing was done: the caller lacks the role.
    Forbidden {
        /// The role it needs.
        needs: Role,
    },
    /// Nothing was done: there is no such command.
    Unknown {
        /// The command whose name is nearest, among those the caller may run.
        nearest: Option<&'static str>,
    },
    /// Something of ours failed; the log says more under the same reference.
    Broken(Reference),
}

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// An answer in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How good the news is.
    pub grade: Grade,
    /// The whole of it in a few words.
    pub title: String,
    /// Complete in itself: what happened, how many, which number. What users supplied stands last on its line.
    pub lines: Vec<String>,
    /// Details, for those who look.
    pub rows: Vec<Row>,
    /// How to take it back; the last line of all.
    pub undo: Option<String>,
}

impl Answer {
    /// An answer without details, and without a way back.
    pub fn new(grade: Grade, title: String, lines: Vec<String>) -> Self {
        Answer {
            grade,
            title,
            lines,
            rows: Vec::new(),
            undo: None,
        }
    }

    /// Nothing was done, and this is why.
    pub fn not_done(why: String) -> Self {
        Answer::new(Grade::Bad, String::from("Not done"), vec![why])
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name for scripts, unique in its answer.
    pub var: String,
    /// What it is.
    pub label: String,
    /// What is the case.
    pub value: String,
    /// The same for programs, where there is more to it than the value: names and RFC 3339 times that stay
    /// (docs/terminal.md).
    pub fact: Option<Value>,
}

impl Row {
    /// A detail.
    pub fn new(var: impl Into<String>, label: impl Into<String>, value: impl Into<String>) -> Self {
        Row {
            var: var.into(),
            label: label.into(),
            value: value.into(),
            fact: None,
        }
    }

    /// It as a line; `None` for what has several. A sentence that [`names`] its subject needs no
    /// label in front.
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

    /// With what programs read.
    #[must_use]
    pub fn with(mut self, fact: Value) -> Self {
        self.fact = Some(fact);
        self
    }
}

/// Whether a sentence names what it is about, so that it needs no label. A plain word may stand in any sentence; subjects
/// have a dot, a colon or a number in them.
pub fn names(sentence: &str, label: &str) -> bool {
    let is_word = label.chars().all(char::is_alphabetic);
    sentence.starts_with(label) || (sentence.contains(label) && !is_word)
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Which page and how many there are, in words.
    pub title: String,
    /// What else to know of the whole of it.
    pub lines: Vec<String>,
    /// This page, from 1.
    pub page: usize,
    /// How many rows there are on all pages.
    pub total: usize,
    /// One entry a row.
    pub rows: Vec<ListEntry>,
    /// Names of the cells: variable and label.
    pub columns: &'static [(&'static str, &'static str)],
    /// The chat line for the next page, if there is one.
    pub next: Option<String>,
    /// Whether the caller asked for a table.
    pub table: bool,
}

/// One entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// As one line, for clients that draw no tables.
    pub row: Row,
    /// As cells, one a column.
    pub cells: Vec<String>,
}

/// A question to answer with yes before anything happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The action and how many it is for, in a few words.
    pub title: String,
    /// What would be done and why that is asked.
    pub lines: Vec<String>,
    /// Whom it would hit, one each.
    pub rows: Vec<Row>,
    /// What to call with when the answer is yes, if not with the same as before: so that a yes is
    /// for what was asked about, although more fits by then.
    pub values: Option<Values>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its name.
    pub field: &'static str,
    /// A sentence that says what to write instead.
    pub text: String,
}

/// A short number for a fault, the same in the answer and in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Outcome {
    /// With every text written as its reader needs it ([`phrases::typed`](super::phrases::typed)).
    #[must_use]
    pub fn written(mut self, how: impl Fn(&str) -> String) -> Outcome {
        let all = |texts: &mut [String]| texts.iter_mut().for_each(|text| *text = how(text));
        let rows = |rows: &mut [Row]| {
            for row in rows {
                row.value = how(&row.value);
            }
        };
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
            Outcome::Invalid(problems) | Outcome::Refused(problems) => {
                for problem in problems {
                    problem.text = how(&problem.text);
                }
            }
            Outcome::Forbidden { .. } | Outcome::Unknown { .. } | Outcome::Broken(_) => {}
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
            Outcome::Invalid(_) => "not understood",
            Outcome::Refused(_) => "refused",
            Outcome::Forbidden { .. } => "forbidden",
            Outcome::Unknown { .. } => "no such command",
            Outcome::Broken(_) => "failed",
        }
    }
}
