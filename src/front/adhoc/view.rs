//! Renders what a command asks and answers as forms and notes.
//!
//! There is one note, complete in itself; lists are lines to read, and tables come on request, because real clients
//! show a note, a form or a table, and few of them all three.

use super::FORM_TYPE;
use crate::command::outcome::{Answer, Grade, Page, Row};
use crate::command::parts::terms::terms_for;
use crate::command::spec::DEFAULT_TERM;
use crate::command::{self, Context, Kind, Spec, phrases};
use crate::core::Role;
use crate::front::sessions::Session;
use crate::front::text;
use crate::xmpp::payload::command::{self as wire, CommandAction, NoteKind, Status};
use crate::xmpp::payload::form::{self, Body, Form, Purpose};

pub(super) fn fields(session: &Session, role: Role, context: &Context) -> Vec<form::FormField> {
    let values = &session.values;
    let mut shown: Vec<form::FormField> = Vec::new();
    // Clients that insist on the choices would lose a term that is not among them.
    let mut typed: Option<(&str, String)> = None;
    for field in session.command.fields {
        let line = || Vec::from_iter(values.line(field.name));
        let mut options = Vec::new();
        let (kind, held) = match field.kind {
            Kind::Lines => {
                let lines = values
                    .raw(field.name)
                    .iter()
                    .flat_map(|value| value.lines());
                (
                    form::FieldType::TextMulti,
                    lines.map(str::to_owned).collect(),
                )
            }
            Kind::Line | Kind::Number { .. } => (form::FieldType::TextSingle, line()),
            Kind::Jids => (form::FieldType::JidMulti, values.raw(field.name).to_vec()),
            Kind::Choice(choices) => {
                let told = choices.iter().copied();
                options = told
                    .map(|(value, label)| (value.to_owned(), label.to_owned()))
                    .collect();
                let chosen = values.line(field.name);
                let chosen =
                    chosen.filter(|chosen| choices.iter().any(|(value, _)| value == chosen));
                let first = choices.first().map(|(value, _)| (*value).to_owned());
                (
                    form::FieldType::ListSingle,
                    Vec::from_iter(chosen.or(first)),
                )
            }
            Kind::Flag => {
                let flag = values.flag(field.name).unwrap_or(false);
                (form::FieldType::Boolean, vec![u8::from(flag).to_string()])
            }
            Kind::Term { other } => {
                options = terms_for(role, context);
                let mut chosen = values
                    .line(field.name)
                    .unwrap_or_else(|| DEFAULT_TERM.to_owned());
                if !options.iter().any(|(value, _)| *value == chosen) {
                    typed = Some((
                        other,
                        std::mem::replace(&mut chosen, DEFAULT_TERM.to_owned()),
                    ));
                }
                (form::FieldType::ListSingle, vec![chosen])
            }
        };
        shown.push(form::FormField {
            var: field.name.to_owned(),
            kind,
            label: field.label.to_owned(),
            desc: field.desc.to_owned(),
            required: field.required,
            values: held,
            options,
            range: match field.kind {
                Kind::Number { from, to } => Some((from, to)),
                _ => None,
            },
        });
    }
    if let Some((other, term)) = typed
        && let Some(field) = shown.iter_mut().find(|field| field.var == other)
        && field.values.is_empty()
    {
        field.values.push(term);
    }
    shown
}

/// Each command has its own FORM_TYPE; the nodes of XEP-0133 share theirs.
pub(super) fn form_type(spec: &Spec) -> String {
    let standard = command::standard::form_type(spec);
    standard.unwrap_or(FORM_TYPE).to_owned()
}

/// COMPAT: a line to read is `fixed`, with its label in the value. Converse cuts a `text-single` to the width of an
/// input, and shows what was typed there if the form before had an input in the same place. profanity and Converse
/// show only the first value of a `fixed` field, without the label; libraries tell fields apart by `var`.
pub(super) fn row(row: Row) -> form::FormField {
    let (kind, label, values) = match row.line() {
        Some(line) => (form::FieldType::Fixed, String::new(), vec![line]),
        None => {
            let lines = row.value.lines().map(str::to_owned).collect();
            (form::FieldType::TextMulti, row.label, lines)
        }
    };
    form::FormField {
        var: row.var,
        kind,
        label,
        values,
        ..form::FormField::default()
    }
}

/// The standard's fields keep their types, because programs read them (XEP-0133).
pub(super) fn standard_row(row: Row) -> form::FormField {
    let several = row.value.contains('\n');
    form::FormField {
        kind: match several {
            _ if row.var.ends_with("jids") => form::FieldType::JidMulti,
            true => form::FieldType::TextMulti,
            false => form::FieldType::TextSingle,
        },
        var: row.var,
        label: row.label,
        values: row.value.lines().map(str::to_owned).collect(),
        ..form::FormField::default()
    }
}

/// COMPAT: a form without fields, because some clients show nothing but forms.
pub(super) fn at_work(session: &Session, progress: Option<(usize, usize)>) -> wire::CommandAnswer {
    let lines = text::at_work(progress);
    wire::CommandAnswer {
        node: session.command.name.to_owned(),
        session: session.id.clone(),
        status: Status::Executing,
        actions: &[CommandAction::Next],
        note: Some((NoteKind::Info, form::run_on(&lines))),
        form: Some(Form {
            purpose: Purpose::Form,
            form_type: form_type(session.command),
            title: text::at_work_title(progress),
            instructions: lines,
            body: Body::Fields(Vec::new()),
        }),
    }
}

pub(super) fn over(
    session: &Session,
    note: (NoteKind, String),
    form: Option<Form>,
) -> wire::CommandAnswer {
    wire::CommandAnswer {
        node: session.command.name.to_owned(),
        session: session.id.clone(),
        status: Status::Completed,
        actions: &[],
        note: Some(note),
        form,
    }
}

/// Short answers are only a note, because some clients show no note beside a form.
pub(super) fn done(session: &Session, answer: Answer) -> wire::CommandAnswer {
    let kind = match answer.grade {
        Grade::Good => NoteKind::Info,
        Grade::Warning | Grade::Part => NoteKind::Warn,
        Grade::Bad => NoteKind::Error,
    };
    let mut lines = answer.lines;
    let undo = answer.undo;
    let mut note = lines.clone();
    note.extend(undo.clone());
    let mut fields: Vec<form::FormField> = Vec::new();
    match command::standard::form_type(session.command) {
        // Only the standard's fields.
        Some(_) => {
            lines.extend(undo);
            fields.extend(answer.rows.into_iter().map(standard_row));
        }
        None => {
            let undo = undo.filter(|_| !answer.rows.is_empty());
            let undo = undo.map(|undo| Row::new("undo", "Undo", undo));
            fields.extend(answer.rows.into_iter().chain(undo).map(row));
        }
    }
    let form = (!fields.is_empty()).then(|| Form {
        purpose: Purpose::Result,
        form_type: form_type(session.command),
        title: answer.title,
        instructions: lines,
        body: Body::Fields(fields),
    });
    over(session, (kind, form::run_on(&note)), form)
}

pub(super) fn listed(session: &Session, page: Page) -> wire::CommandAnswer {
    let mut lines = vec![page.title.clone()];
    lines.extend(page.lines);
    lines.extend(
        page.next
            .as_ref()
            .map(|_| text::more_in_form(page.page + 1)),
    );
    let body = if page.table {
        Body::Table {
            columns: page
                .vars
                .iter()
                .zip(page.columns)
                .map(|(var, label)| ((*var).to_owned(), label))
                .collect(),
            rows: page.cells,
        }
    } else {
        Body::Fields(page.shown.into_iter().map(row).collect())
    };
    let form = (page.total > 0).then(|| Form {
        purpose: Purpose::Result,
        form_type: form_type(session.command),
        title: page.title,
        instructions: lines[1..].to_vec(),
        body,
    });
    let sentences = lines.iter().map(|line| phrases::sentence(line));
    let hint = (page.table && page.total > 0).then(|| String::from(text::NO_TABLE));
    let note = Vec::from_iter(sentences.chain(hint)).join(" ");
    over(session, (NoteKind::Info, note), form)
}
