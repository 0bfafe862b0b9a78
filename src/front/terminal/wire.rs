//! What is said over the local socket: one JSON object a line, each with its version (docs/terminal.md).
//!
//! Scripts rely on these names. They stand here, apart from the types of the program, so that those can
//! change and these stay. What is added later is a new name; a name that changes its meaning is a new
//! [`VERSION`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{self, Values};
use crate::delivery::ports::Enforcement;
use crate::exchange::export::{ExportSelection, Piece};
use crate::exchange::import::ImportTally;

/// The version of the language.
pub const VERSION: u32 = 1;

/// One line, either way: `{"v":1,"call":{…}}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireLine<T> {
    /// [`VERSION`].
    pub v: u32,
    /// What is said.
    #[serde(flatten)]
    pub said: T,
}

/// What can be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// What the server lets us do; for `doctor`.
    Standing {},
    /// A command.
    Call(RemoteCall),
    /// Take over what stands in some lines of an export.
    Import(Import),
    /// A piece of an export.
    Export(Export),
}

/// Lines of an export (docs/exchange.md) to take over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The lines; no more than fit into a question.
    pub lines: Vec<String>,
    /// Only say what would come of it.
    #[serde(default)]
    pub dry_run: bool,
}

/// A piece of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What to write.
    pub wanted: ExportSelection,
    /// Which piece; what the answer before named as the next one.
    #[serde(default)]
    pub piece: Piece,
}

/// A piece of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Its lines, perhaps none.
    pub lines: Vec<String>,
    /// The piece behind it; null behind the last.
    pub next: Option<Piece>,
}

/// A command, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteCall {
    /// Its name.
    pub command: String,
    /// What stands behind the name, as in a chat line. A word with spaces in it is one word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Fields by name; these are not looked for among the words.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Vec<String>>,
    /// Yes to the question it would ask back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// Another part of the command before it: one undo takes all of them back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
}

/// What is answered: any number of [`RemoteAnswer::Progress`], then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteAnswer {
    /// It goes on.
    Progress(RemoteProgress),
    /// To [`Question::Standing`].
    Standing(Enforcement),
    /// To [`Question::Call`].
    Outcome(RemoteOutcome),
    /// To [`Question::Import`].
    Imported(ImportTally),
    /// To [`Question::Export`].
    Exported(Exported),
    /// It was no question, or there is no time for it; a sentence says which.
    Wrong(String),
}

/// How far long work is. It is said at least every [`BEAT`](super::BEAT), also when nothing can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteProgress {
    /// How many are done.
    pub done: u64,
    /// Of how many, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

/// What came of a call: [`command::Outcome`] for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum RemoteOutcome {
    /// It was done, or part of it.
    Done {
        /// How good the news is.
        grade: RemoteGrade,
        /// The whole of it in a few words.
        title: String,
        /// Sentences.
        lines: Vec<String>,
        /// Details.
        rows: Vec<RemoteRow>,
        /// How to take it back, as typed in a shell: the last line of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<String>,
        /// Where those stand now that the call named: [`command::parts::facts::standing`].
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        subjects: Vec<Value>,
    },
    /// A page of a list.
    Rows {
        /// Which page of how many, in words.
        title: String,
        /// What else to know of the whole of it.
        lines: Vec<String>,
        /// This page, from 1.
        page: usize,
        /// How many rows there are on all pages.
        total: usize,
        /// What programs read: one object a row.
        rows: Vec<Value>,
        /// What people read: the heads of the columns.
        columns: Vec<String>,
        /// One list a row, as long as `columns`.
        cells: Vec<Vec<String>>,
        /// The chat line for the next page, if there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<String>,
    },
    /// Nothing was done yet: call again with `confirmed`.
    Ask {
        /// The action, in a few words.
        title: String,
        /// What would be done and why that is asked.
        lines: Vec<String>,
        /// Whom it would hit.
        rows: Vec<RemoteRow>,
        /// The fields to call with, and no words, when the answer is yes: exactly what was asked about. The same
        /// call as before, when they are not there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        values: Option<BTreeMap<String, Vec<String>>>,
    },
    /// Nothing was done: these fields cannot be read.
    Invalid {
        /// All of them.
        problems: Vec<RemoteProblem>,
    },
    /// Nothing was done: the rules do not allow it.
    Refused {
        /// For these reasons.
        problems: Vec<RemoteProblem>,
    },
    /// Nothing was done: the role is missing.
    Forbidden {
        /// The role it needs.
        needs: String,
        /// The same as a sentence.
        text: String,
    },
    /// Nothing was done: there is no such command.
    Unknown {
        /// The one that may be meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        nearest: Option<String>,
        /// The same as a sentence.
        text: String,
    },
    /// Something of ours failed.
    Broken {
        /// Where the log says more.
        reference: String,
        /// The same as a sentence.
        text: String,
    },
}

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteGrade {
    /// All of it was done and holds.
    Good,
    /// All of it was done, and something is missing: nothing enforces it yet.
    Warning,
    /// Part of it was not done.
    Part,
    /// None of it was done.
    Bad,
}

/// One detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteRow {
    /// Its name, unique in its answer.
    pub var: String,
    /// What it is.
    pub label: String,
    /// What is the case, for people; may have several lines.
    pub value: String,
    /// The same for programs, where there is more to it than the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fact: Option<Value>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteProblem {
    /// Its name.
    pub field: String,
    /// A sentence that says what to write instead.
    pub text: String,
}

impl RemoteOutcome {
    /// What came of a call for the command `name`.
    pub(super) fn of(outcome: command::Outcome, name: &str) -> RemoteOutcome {
        use command::{Outcome as From, phrases};
        match outcome.written(phrases::in_a_shell) {
            From::Done(answer) => RemoteOutcome::Done {
                grade: answer.grade.into(),
                title: answer.title,
                lines: answer.lines,
                rows: rows(answer.rows),
                undo: answer.undo,
                subjects: Vec::new(),
            },
            From::Rows(page) => listed(page),
            From::Ask(ask) => RemoteOutcome::Ask {
                title: ask.title,
                lines: ask.lines,
                rows: rows(ask.rows),
                values: ask.values.map(Values::into_fields),
            },
            From::Invalid(found) => RemoteOutcome::Invalid {
                problems: problems(found),
            },
            From::Refused(found) => RemoteOutcome::Refused {
                problems: problems(found),
            },
            From::Forbidden { needs } => RemoteOutcome::Forbidden {
                needs: needs.to_string(),
                text: phrases::forbidden(needs),
            },
            From::Unknown { nearest } => RemoteOutcome::Unknown {
                nearest: nearest.map(str::to_owned),
                text: phrases::in_a_shell(&phrases::no_such_command(name, nearest)),
            },
            From::Broken(reference) => RemoteOutcome::Broken {
                text: phrases::broken(&reference),
                reference: reference.0,
            },
        }
    }
}

fn rows(rows: Vec<command::Row>) -> Vec<RemoteRow> {
    let wire = |row: command::Row| RemoteRow {
        var: row.var,
        label: row.label,
        value: row.value,
        fact: row.fact,
    };
    rows.into_iter().map(wire).collect()
}

pub(super) fn problems(problems: Vec<command::Problem>) -> Vec<RemoteProblem> {
    let wire = |problem: command::Problem| RemoteProblem {
        field: problem.field.to_owned(),
        text: command::phrases::in_a_shell(&problem.text),
    };
    problems.into_iter().map(wire).collect()
}

/// A row without facts of its own is read from its cells, by the names of the columns.
fn listed(page: command::Page) -> RemoteOutcome {
    let columns = page.columns;
    let (mut facts, mut cells) = (Vec::new(), Vec::new());
    for entry in page.rows {
        facts.push(entry.row.fact.unwrap_or_else(|| {
            let names = columns.iter().map(|(name, _)| (*name).to_owned());
            let values = entry.cells.iter().cloned().map(Value::String);
            Value::Object(names.zip(values).collect())
        }));
        cells.push(entry.cells);
    }
    RemoteOutcome::Rows {
        title: page.title,
        lines: page.lines,
        page: page.page,
        total: page.total,
        rows: facts,
        columns: columns
            .iter()
            .map(|(_, label)| (*label).to_owned())
            .collect(),
        cells,
        next: page.next,
    }
}

impl From<command::Grade> for RemoteGrade {
    fn from(grade: command::Grade) -> Self {
        match grade {
            command::Grade::Good => RemoteGrade::Good,
            command::Grade::Warning => RemoteGrade::Warning,
            command::Grade::Part => RemoteGrade::Part,
            command::Grade::Bad => RemoteGrade::Bad,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn is_written<T>(said: T, text: &str)
    where
        T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
    {
        let line = WireLine { v: VERSION, said };
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        let back: WireLine<T> = serde_json::from_str(text).unwrap();
        assert_eq!(back.said, line.said);
    }

    /// If one of these fails, scripts fail too: add a name, do not change one.
    #[test]
    fn the_lines_of_version_1_stay_as_they_are() {
        is_written(Question::Standing {}, r#"{"v":1,"standing":{}}"#);
        let call = RemoteCall {
            command: "ban".into(),
            words: vec!["a@b".into(), "3d".into()],
            values: [("note".into(), vec!["x".into()])].into(),
            confirmed: true,
            goes_on: true,
        };
        is_written(
            Question::Call(call),
            r#"{"v":1,"call":{"command":"ban","words":["a@b","3d"],"values":{"note":["x"]},"confirmed":true,"goes_on":true}}"#,
        );
        is_written(
            RemoteAnswer::Progress(RemoteProgress {
                done: 2,
                of: Some(7),
            }),
            r#"{"v":1,"progress":{"done":2,"of":7}}"#,
        );
        is_written(
            RemoteAnswer::Wrong("No.".into()),
            r#"{"v":1,"wrong":"No."}"#,
        );
        let row = command::Row::new("until", "Until", "for ever").with(Value::Null);
        let done = command::Outcome::Done(command::Answer {
            grade: command::Grade::Warning,
            title: "Done".into(),
            lines: vec!["Banned.".into()],
            rows: vec![command::Row::new("by", "By", "me"), row],
            undo: None,
        });
        let text = r#"{"kind":"done","grade":"warning","title":"Done","lines":["Banned."],"rows":[{"var":"by","label":"By","value":"me"},{"var":"until","label":"Until","value":"for ever","fact":null}]}"#;
        let done = RemoteOutcome::of(done, "ban");
        assert_eq!(serde_json::to_string(&done).unwrap(), text);
        let refused = command::Outcome::Refused(vec![command::Problem {
            field: "subject",
            text: "No.".into(),
        }]);
        is_written(
            RemoteAnswer::Outcome(RemoteOutcome::of(refused, "ban")),
            r#"{"v":1,"outcome":{"kind":"refused","problems":[{"field":"subject","text":"No."}]}}"#,
        );
        let unknown = command::Outcome::Unknown {
            nearest: Some("ban"),
        };
        is_written(
            RemoteAnswer::Outcome(RemoteOutcome::of(unknown, "bann")),
            r#"{"v":1,"outcome":{"kind":"unknown","nearest":"ban","text":"There is no command “bann”. Did you mean ban?"}}"#,
        );
    }

    #[test]
    fn rows_without_facts_are_read_from_their_cells() {
        let entry = |fact: Option<Value>| command::ListEntry {
            row: command::Row {
                fact,
                ..command::Row::new("x", "x", "x")
            },
            cells: vec!["1".into(), "a@b".into()],
        };
        let page = command::Page {
            title: "Bans 1-2 of 2".into(),
            lines: Vec::new(),
            page: 1,
            total: 2,
            rows: vec![entry(None), entry(Some(serde_json::json!({"number": 1})))],
            columns: &[("number", "Number"), ("subject", "Subject")],
            next: None,
            table: false,
        };
        let RemoteOutcome::Rows {
            rows,
            columns,
            cells,
            ..
        } = listed(page)
        else {
            panic!("no list");
        };
        assert_eq!(
            rows[0],
            serde_json::json!({"number": "1", "subject": "a@b"})
        );
        assert_eq!(rows[1], serde_json::json!({"number": 1}));
        assert_eq!((columns.len(), cells.len()), (2, 2));
    }
}
