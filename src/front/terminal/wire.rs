//! The protocol of the local socket: one JSON object per line, each with its version (docs/terminal.md).
//!
//! Scripts rely on these names, and on those of [`Outcome`]. Additions get new names; changing the meaning of a name
//! requires a new [`VERSION`].

use serde::{Deserialize, Serialize};

use crate::command::{Outcome, Values};
use crate::delivery::ports::Enforcement;
use crate::exchange::export::{ExportSelection, Piece};
use crate::exchange::import::ImportTally;

/// Version of the protocol.
pub const VERSION: u32 = 1;

/// One line in either direction: `{"v":1,"call":{…}}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WireLine<T> {
    /// Version of the protocol, see [`VERSION`].
    pub v: u32,
    /// The content.
    #[serde(flatten)]
    pub said: T,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Asks what the server lets us do; for `doctor`.
    Standing {},
    /// Runs a command.
    Call(RemoteCall),
    /// Imports some lines of an export.
    Import(Import),
    /// Asks for a piece of an export.
    Export(Export),
}

/// Lines of an export (docs/exchange.md) to import.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// The lines; together within [`LONGEST_QUESTION`](super::LONGEST_QUESTION).
    pub lines: Vec<String>,
    /// Only report what would change.
    #[serde(default)]
    pub dry_run: bool,
    /// Whether the decisions of another portcullis among them are to be imported; otherwise they are left out.
    #[serde(default)]
    pub history: bool,
}

/// Asks for a piece of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// What to export.
    pub wanted: ExportSelection,
    /// The piece: `next` of the previous answer.
    #[serde(default)]
    pub piece: Piece,
}

/// A piece of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// Its lines, possibly none.
    pub lines: Vec<String>,
    /// The next piece; null after the last one.
    pub next: Option<Piece>,
}

/// A command, as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteCall {
    /// Name of the field.
    pub command: String,
    /// The words after the name, as in a chat line; a word may contain spaces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// Values of fields by name; these fields are not looked for among the words.
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub values: Values,
    /// Confirms in advance.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirmed: bool,
    /// Another portion of the previous command: one undo takes back all portions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
}

/// An answer: any number of [`RemoteAnswer::Progress`], then one of the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemoteAnswer {
    /// The work continues.
    Progress(RemoteProgress),
    /// The answer to [`Question::Standing`].
    Standing(Enforcement),
    /// The answer to [`Question::Call`].
    Outcome(Outcome),
    /// The answer to [`Question::Import`].
    Imported(ImportTally),
    /// The answer to [`Question::Export`].
    Exported(Exported),
    /// The line was not a request, or there are too many clients; a sentence says which.
    Wrong(String),
}

/// Progress of long work. It is sent at least every [`BEAT`](super::BEAT), even if nothing can be counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteProgress {
    /// Number done.
    pub done: u64,
    /// Total number, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::command::{self, outcome::SubjectState};
    use crate::core::Role;

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

    /// If this fails, scripts fail too: add a name, do not change one.
    #[test]
    fn the_lines_of_version_1_stay_as_they_are() {
        is_written(Question::Standing {}, r#"{"v":1,"standing":{}}"#);
        let call = RemoteCall {
            command: "ban".into(),
            words: vec!["a@b".into(), "3d".into()],
            values: Values::new().with("note", "x"),
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
        let done = Outcome::Done(command::Answer {
            rows: vec![command::Row::new("by", "By", "me")],
            undo: Some("Undo.".into()),
            subjects: vec![SubjectState {
                subject: "a@b".into(),
                status: Some("banned".into()),
                ban: None,
                pending: true,
            }],
            ..command::Answer::new(command::Grade::Warning, "Done", vec!["Banned.".into()])
        });
        is_written(
            RemoteAnswer::Outcome(done),
            r#"{"v":1,"outcome":{"kind":"done","grade":"warning","title":"Done","lines":["Banned."],"rows":[{"var":"by","label":"By","value":"me"}],"undo":"Undo.","subjects":[{"subject":"a@b","status":"banned","ban":null,"pending":true}]}}"#,
        );
        let refused = Outcome::refused(command::Problem::new("subject", "No."));
        is_written(
            RemoteAnswer::Outcome(refused),
            r#"{"v":1,"outcome":{"kind":"refused","problems":[{"field":"subject","text":"No."}]}}"#,
        );
        is_written(
            RemoteAnswer::Outcome(Outcome::forbidden(Role::Admin)),
            r#"{"v":1,"outcome":{"kind":"forbidden","needs":"admin","text":"You need the role admin for that."}}"#,
        );
        let unknown = Outcome::Unknown {
            nearest: Some("ban".into()),
            text: "No.".into(),
        };
        is_written(
            RemoteAnswer::Outcome(unknown),
            r#"{"v":1,"outcome":{"kind":"unknown","nearest":"ban","text":"No."}}"#,
        );
        let page = command::Page {
            title: "Bans 1-1 of 1".into(),
            lines: Vec::new(),
            page: 1,
            total: 1,
            rows: vec![serde_json::json!({"number": 1})],
            columns: vec!["Number".into()],
            cells: vec![vec!["1".into()]],
            next: None,
            shown: Vec::new(),
            vars: Vec::new(),
            table: false,
        };
        is_written(
            RemoteAnswer::Outcome(Outcome::Rows(page)),
            r#"{"v":1,"outcome":{"kind":"rows","title":"Bans 1-1 of 1","lines":[],"page":1,"total":1,"rows":[{"number":1}],"columns":["Number"],"cells":[["1"]]}}"#,
        );
    }
}
