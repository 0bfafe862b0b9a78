//! Answers as text for a terminal and as JSON for programs.

use std::io::IsTerminal;

use clap::builder::styling::{AnsiColor, Style};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use super::CommandArgs;
use super::columns;
use crate::command::outcome::names;
use crate::command::parts::subjects;
use crate::command::phrases;
use crate::command::{Answer, Ask, Grade, Outcome, Problem, Row};

/// Maximum width of a label with its value on the same line; the value of a wider one begins on the next line.
const LABEL: usize = 28;

/// Width and colours of the output.
pub(super) struct Printer {
    /// Width in columns; `None` if it is not a terminal.
    width: Option<usize>,
    colours: bool,
}

impl Printer {
    /// A terminal has its width, and colours unless `NO_COLOR` is set; any other output has neither.
    pub(super) fn of(stream: &(impl IsTerminal + std::os::fd::AsFd)) -> Printer {
        let is_terminal = stream.is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty());
        let width = || terminal_size::terminal_size_of(stream).map(|(width, _)| width.0.into());
        Printer {
            width: if is_terminal { width() } else { None },
            colours: is_terminal && !plain,
        }
    }

    /// The whole answer, without a line end.
    pub(super) fn answer(&self, outcome: &Outcome, call: &CommandArgs) -> String {
        let lines = match outcome {
            Outcome::Done(answer) => {
                let mut lines = self.told(answer);
                lines.extend(answer.undo.as_deref().map(phrases::clean));
                lines
            }
            Outcome::Rows(page) => {
                let mut lines = vec![format!("{}.", phrases::clean(&page.title))];
                lines.extend(page.lines.iter().map(|line| phrases::clean(line)));
                if !page.cells.is_empty() {
                    lines.extend(self.table(&page.columns, &page.cells));
                }
                let next = page.next.as_ref();
                let more = |_| format!("More: --page {}, or --all", page.page + 1);
                lines.extend(next.map(more));
                lines
            }
            Outcome::Ask(ask) => vec![question(ask)],
            Outcome::Invalid { problems } => {
                let (usage, name) = (call.spec.usage, call.spec.name);
                let help = format!(
                    "Nothing was done. Write: portcullis {usage}   (more: portcullis {name} --help)"
                );
                let mut lines = wrong(problems, help);
                if call.words.is_empty() && problems.iter().any(|one| one.field == subjects::FIELD)
                {
                    let quote =
                        "A number needs quotes in a shell, which takes # for a comment: '#17'.";
                    lines.insert(1, String::from(quote));
                }
                lines
            }
            Outcome::Refused { problems } => wrong(problems, phrases::nothing_was_done(None)),
            Outcome::Forbidden { text, .. }
            | Outcome::Unknown { text, .. }
            | Outcome::Broken { text, .. } => vec![phrases::clean(text)],
        };
        lines.join("\n")
    }

    fn told(&self, answer: &Answer) -> Vec<String> {
        let style = match answer.grade {
            Grade::Good => Style::new(),
            Grade::Warning | Grade::Part => AnsiColor::Yellow.on_default(),
            Grade::Bad => AnsiColor::Red.on_default(),
        };
        let lines = answer.lines.iter();
        let mut told: Vec<String> = lines.map(|line| phrases::clean(line)).collect();
        if let Some(first) = told.first_mut() {
            *first = self.painted(first, style);
        }
        let labels = answer.rows.iter().filter(|row| !is_sentence(row));
        let widest = labels
            .map(|row| row.label.width() + 1)
            .filter(|width| *width <= LABEL)
            .max()
            .unwrap_or(0);
        for row in &answer.rows {
            told.extend(self.detail(row, widest));
        }
        told
    }

    /// `Label:  value`. A value of several lines keeps its lines, so that it can be copied.
    fn detail(&self, row: &Row, widest: usize) -> Vec<String> {
        if is_sentence(row) {
            return vec![phrases::clean(&row.value)];
        }
        let label = format!("{}:", phrases::clean(&row.label));
        let value = clean_verbatim(&row.value);
        let indent = widest + 1;
        let mut values: Vec<String> = if value.contains('\n') {
            value.lines().map(str::to_owned).collect()
        } else {
            let room = self.width.map(|width| width.saturating_sub(indent));
            match room.filter(|room| *room > LABEL) {
                Some(room) => columns::fold(&value, room),
                None => vec![value],
            }
        };
        let mut lines = Vec::new();
        if label.width() > widest || values.len() > 1 && value_is_block(row) {
            lines.push(label);
        } else {
            let first = if values.is_empty() {
                String::new()
            } else {
                values.remove(0)
            };
            let padding = " ".repeat(indent.saturating_sub(label.width()));
            lines.push(format!("{label}{padding}{first}").trim_end().to_owned());
        }
        let indent = " ".repeat(indent);
        lines.extend(values.into_iter().map(|line| format!("{indent}{line}")));
        lines
    }

    fn table(&self, columns: &[String], cells: &[Vec<String>]) -> Vec<String> {
        let clean = |cells: &[String]| cells.iter().map(|cell| phrases::clean(cell)).collect();
        let cells: Vec<Vec<String>> = cells.iter().map(|row| clean(row)).collect();
        let heads: Vec<String> = clean(columns);
        let mut lines = columns::lines(&heads, &cells, self.width);
        if let Some(heads) = lines.first_mut() {
            *heads = self.painted(heads, Style::new().bold());
        }
        lines
    }

    fn painted(&self, text: &str, style: Style) -> String {
        if self.colours {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }
}

/// Like `clean`, but keeps spaces, for lines that are copied.
fn clean_verbatim(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line: String = line.chars().filter(|c| !phrases::is_trick(*c)).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a row is a sentence that names its subject, and so needs no label.
fn is_sentence(row: &Row) -> bool {
    !row.value.contains('\n') && names(&row.value, &row.label)
}

fn value_is_block(row: &Row) -> bool {
    row.value.contains('\n')
}

fn wrong(problems: &[Problem], last: String) -> Vec<String> {
    let texts = problems.iter().map(|problem| phrases::clean(&problem.text));
    texts.chain([last]).collect()
}

/// The question before a risky command.
pub(super) fn question(ask: &Ask) -> String {
    let lines = ask.lines.iter().map(|line| phrases::clean(line));
    let rows = ask.rows.iter().map(|row| {
        let (label, value) = (phrases::clean(&row.label), phrases::clean(&row.value));
        format!("  {label}: {value}")
    });
    let told: Vec<String> = std::iter::once(phrases::clean(&ask.title))
        .chain(lines)
        .chain(rows)
        .collect();
    told.join("\n")
}

/// One JSON document: the outcome, or an array if there are several. Lists are printed without the texts for people.
pub(super) fn json(outcomes: &[Outcome]) -> String {
    let mut all: Vec<Value> = outcomes.iter().map(one).collect();
    let document = match (all.len(), all.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            all.extend(last);
            json!({ "kind": "several", "outcomes": all })
        }
    };
    format!("{document:#}")
}

fn one(outcome: &Outcome) -> Value {
    let mut document = serde_json::to_value(outcome).unwrap_or_default();
    if let (Outcome::Rows(_), Some(fields)) = (outcome, document.as_object_mut()) {
        fields.remove("cells");
        fields.remove("columns");
    }
    document
}
