//! Forms: ad-hoc commands (XEP-0050) with data forms (XEP-0004).
//!
//! Real clients shape this (wrong input shown as an IQ error looks like "done" in one of them):
//! wrong input brings the same form again, values kept, with the error in title, instructions
//! and note. Only faults of protocol are IQ errors. There is one note, complete in itself; rows
//! are lines to read, and tables come on request.
//!
//! Nothing is done before the last stage, and the last stage is done once: [`Forms::receive`]
//! takes the session out before anything runs.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use xmpp_parsers::jid::Jid;
use xmpp_parsers::stanza_error::StanzaError;

use super::sessions::{FormStage, LIFETIME, Session, Sessions};
use super::work::{Work, Works};
use super::{render, text};
use crate::command::outcome::{Answer, Ask, Grade, Outcome, Page, Problem, Row};
use crate::command::parts::terms::terms_for;
use crate::command::spec::DEFAULT_TERM;
use crate::command::{self, Call, Caller, Context, Kind, Spec, Values, phrases};
use crate::core::{Door, Role, Timestamp};
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::command::{self as wire, Action, CommandRequest, NoteKind, Status};
use crate::xmpp::payload::form::{self, Body, Form, Purpose};

/// The `FORM_TYPE` of our forms.
pub const FORM_TYPE: &str = "urn:portcullis:command:1";

/// The forms that are open.
#[derive(Debug, Default)]
pub(super) struct Forms {
    sessions: Mutex<Sessions>,
    works: Works,
}

/// What a request leads to.
#[derive(Debug)]
pub(super) enum Step {
    /// This answer, at once.
    Answer(Box<wire::CommandAnswer>),
    /// The command must be run.
    Run(Box<FormRun>),
    /// It runs, and somebody wants to know how far it is.
    Look(Box<Session>),
}

/// A command that is ready to run.
#[derive(Debug)]
pub(super) struct FormRun {
    session: Session,
    call: Call,
}

impl Forms {
    /// Takes in a request. Decides everything about the exchange, and runs nothing.
    pub(super) fn receive(
        &self,
        request: CommandRequest,
        caller: Caller,
        context: &Context,
    ) -> Result<Step, Fault> {
        let now = context.gate.now();
        let spec = command::form(&request.node).ok_or(Fault::NotFound)?;
        if !command::permits(caller.role(), spec) {
            return Err(Fault::Forbidden);
        }
        let Some(id) = &request.session else {
            return self.begin(request, caller, spec, context);
        };
        let mut session = self.sessions().take(id, &caller.jid, spec.name, now)?;
        match (request.action, session.stage) {
            (Action::Cancel, _) => Ok(canceled(session)),
            (Action::Prev, FormStage::Fill | FormStage::Working) => {
                self.sessions().keep(session, now);
                Err(Fault::BadAction)
            }
            (Action::Prev, FormStage::Confirm) => {
                session.stage = FormStage::Fill;
                Ok(self.show(session, caller.role(), context, &[]))
            }
            // COMPAT: slixmpp and poezio send `next` whatever is offered. In either stage it
            // means what the requester sees: this form, sent.
            (Action::Execute | Action::Next | Action::Complete, FormStage::Fill) => {
                if let Some(filled) = request.filled {
                    session.values = known(spec, filled);
                }
                Ok(run(session, caller, false))
            }
            (Action::Execute | Action::Next | Action::Complete, FormStage::Working) => {
                Ok(Step::Look(Box::new(session)))
            }
            // What is done is what was asked about, whatever the form says now.
            (Action::Execute | Action::Next | Action::Complete, FormStage::Confirm) => {
                Ok(run(session, caller, true))
            }
        }
    }

    fn begin(
        &self,
        request: CommandRequest,
        caller: Caller,
        spec: &'static Spec,
        context: &Context,
    ) -> Result<Step, Fault> {
        if !matches!(request.action, Action::Execute | Action::Complete) {
            return Err(Fault::BadAction);
        }
        let mut session = Sessions::begin(caller.jid.clone(), spec, context.gate.now())
            .map_err(|_| Fault::Internal)?;
        let is_filled = request.filled.is_some();
        session.values = known(spec, request.filled.unwrap_or_default());
        if is_filled || request.action == Action::Complete || spec.fields.is_empty() {
            return Ok(run(session, caller, false));
        }
        Ok(self.show(session, caller.role(), context, &[]))
    }

    /// Runs it, and says what came of it, or how far it is. `wake`: whoever tells of the [`unseen`](Forms::unseen).
    pub(super) async fn run(
        &self,
        run: FormRun,
        place: OwnedSemaphorePermit,
        wake: Arc<Notify>,
        context: &Context,
    ) -> Result<wire::CommandAnswer, StanzaError> {
        let FormRun { session, call } = run;
        let role = call.caller.role();
        let work = Work::begin(&session.id, session.spec, call, context, place, wake);
        self.wait(session, work, role, context).await
    }

    /// Looks at it again.
    pub(super) async fn look(
        &self,
        session: Session,
        role: Role,
        context: &Context,
    ) -> Result<wire::CommandAnswer, StanzaError> {
        match self.works.take(&session.id) {
            Some(work) => self.wait(session, work, role, context).await,
            None => Err(Fault::SessionExpired.stanza_error()),
        }
    }

    /// What is to be told of work at which nobody looked again, to whom, and when to ask again.
    pub(super) fn unseen(
        &self,
        now: Timestamp,
        is_end: bool,
    ) -> (Vec<(Jid, String)>, Option<Timestamp>) {
        let (works, next) = self.works.unseen(now, is_end);
        let tell = |(work, outcome): (Work, Outcome)| {
            // Of what did nothing there is nothing to tell.
            let is_told = matches!(
                outcome,
                Outcome::Done(_) | Outcome::Rows(_) | Outcome::Broken(_)
            );
            let text = render::render(&outcome, Some(work.spec));
            let text = format!("{}\n{text}", text::form_is_done(work.spec.title));
            is_told.then(|| (work.owner, phrases::plain(&text)))
        };
        (works.into_iter().filter_map(tell).collect(), next)
    }

    async fn wait(
        &self,
        mut session: Session,
        mut work: Work,
        role: Role,
        context: &Context,
    ) -> Result<wire::CommandAnswer, StanzaError> {
        let Some(outcome) = work.outcome().await else {
            session.stage = FormStage::Working;
            let answer = at_work(&session, work.progress.get());
            self.works.keep(work);
            self.sessions().keep(session, context.gate.now());
            return Ok(answer);
        };
        match outcome.written(phrases::plain) {
            Outcome::Done(answer) => Ok(done(&session, answer)),
            Outcome::Rows(page) => Ok(listed(&session, page)),
            Outcome::Ask(ask) => {
                session.stage = FormStage::Confirm;
                session.agreed.clone_from(&ask.values);
                Ok(self.ask(session, ask, context))
            }
            Outcome::Invalid(problems) | Outcome::Refused(problems) => {
                session.stage = FormStage::Fill;
                Ok(self.form(session, role, context, &problems))
            }
            Outcome::Forbidden { needs } => {
                Err(Fault::Forbidden.with_text(phrases::forbidden(needs)))
            }
            Outcome::Unknown { .. } => Err(Fault::NotFound.stanza_error()),
            Outcome::Broken(reference) => Ok(over(
                &session,
                (NoteKind::Error, phrases::broken(&reference)),
                None,
            )),
        }
    }

    fn show(&self, session: Session, role: Role, context: &Context, wrong: &[Problem]) -> Step {
        Step::Answer(Box::new(self.form(session, role, context, wrong)))
    }

    /// The form to fill in, with what is wrong with it.
    fn form(
        &self,
        session: Session,
        role: Role,
        context: &Context,
        wrong: &[Problem],
    ) -> wire::CommandAnswer {
        let spec = session.spec;
        let minutes = LIFETIME.as_secs() / 60;
        let mut title = spec.title.to_owned();
        let mut instructions = Vec::new();
        let mut note = None;
        if let Some(first) = wrong.first() {
            // Clients show one of the three each, and none shows all.
            let all: Vec<&str> = wrong.iter().map(|problem| problem.text.as_str()).collect();
            let all = text::error_title(&form::run_on(&all));
            title = text::error_title(&first.text);
            note = Some((NoteKind::Error, all.clone()));
            instructions.push(all);
        }
        instructions.push(text::instructions(spec, minutes));
        let answer = wire::CommandAnswer {
            node: spec.name.to_owned(),
            session: session.id.clone(),
            status: Status::Executing,
            actions: &[Action::Complete],
            note,
            form: Some(Form {
                purpose: Purpose::Form,
                form_type: form_type(spec),
                title,
                instructions,
                body: Body::Fields(fields(&session, role, context)),
            }),
        };
        self.sessions().keep(session, context.gate.now());
        answer
    }

    /// The question whether to do it.
    fn ask(&self, session: Session, ask: Ask, context: &Context) -> wire::CommandAnswer {
        let mut instructions = ask.lines;
        instructions.push(String::from(text::CONFIRM_FORM));
        let answer = wire::CommandAnswer {
            node: session.spec.name.to_owned(),
            session: session.id.clone(),
            status: Status::Executing,
            actions: &[Action::Complete, Action::Prev],
            note: Some((NoteKind::Warn, form::run_on(&instructions))),
            form: Some(Form {
                purpose: Purpose::Form,
                form_type: form_type(session.spec),
                title: ask.title,
                instructions,
                body: Body::Fields(ask.rows.into_iter().map(row).collect()),
            }),
        };
        self.sessions().keep(session, context.gate.now());
        answer
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run(mut session: Session, caller: Caller, confirmed: bool) -> Step {
    let agreed = session.agreed.take().filter(|_| confirmed);
    let call = Call::new(caller, Door::AdHoc, session.spec.name.to_owned())
        .with_values(agreed.unwrap_or_else(|| session.values.clone()))
        .confirmed(confirmed);
    Step::Run(Box::new(FormRun { session, call }))
}

/// The fields of a command among those sent; others mean nothing.
fn known(spec: &Spec, filled: Vec<(String, Vec<String>)>) -> Values {
    let mut values = Values::new();
    for (var, sent) in filled {
        if spec.fields.iter().any(|field| field.name == var) {
            values.set(&var, sent);
        }
    }
    values
}

fn fields(session: &Session, role: Role, context: &Context) -> Vec<form::FormField> {
    let values = &session.values;
    let mut shown: Vec<form::FormField> = Vec::new();
    // A term that is not among the choices would be lost by clients that insist on them.
    let mut typed: Option<(&str, String)> = None;
    for field in session.spec.fields {
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

/// Each has its own, but for the nodes of XEP-0133.
fn form_type(spec: &Spec) -> String {
    let standard = command::standard::form_type(spec);
    standard.unwrap_or(FORM_TYPE).to_owned()
}

/// COMPAT: a line to read is `fixed`, with its label in the value. As `text-single` Converse cuts it
/// to the width of an input, and where the form before had an input in the same place it shows
/// what was typed there instead. Of a `fixed` field profanity and Converse show the first value
/// alone, without the label; libraries tell them apart by `var`.
fn row(row: Row) -> form::FormField {
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

/// The standard's fields keep their types: programs read them (XEP-0133).
fn standard_row(row: Row) -> form::FormField {
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
fn at_work(session: &Session, progress: Option<(usize, usize)>) -> wire::CommandAnswer {
    let lines = text::at_work(progress);
    wire::CommandAnswer {
        node: session.spec.name.to_owned(),
        session: session.id.clone(),
        status: Status::Executing,
        actions: &[Action::Next],
        note: Some((NoteKind::Info, form::run_on(&lines))),
        form: Some(Form {
            purpose: Purpose::Form,
            form_type: form_type(session.spec),
            title: text::at_work_title(progress),
            instructions: lines,
            body: Body::Fields(Vec::new()),
        }),
    }
}

fn canceled(session: Session) -> Step {
    let note = match session.stage {
        FormStage::Fill | FormStage::Confirm => String::from(text::CANCELED),
        FormStage::Working => text::canceled_at_work(),
    };
    Step::Answer(Box::new(wire::CommandAnswer {
        node: session.spec.name.to_owned(),
        session: session.id,
        status: Status::Canceled,
        actions: &[],
        note: Some((NoteKind::Info, note)),
        form: None,
    }))
}

fn over(session: &Session, note: (NoteKind, String), form: Option<Form>) -> wire::CommandAnswer {
    wire::CommandAnswer {
        node: session.spec.name.to_owned(),
        session: session.id.clone(),
        status: Status::Completed,
        actions: &[],
        note: Some(note),
        form,
    }
}

/// Short answers are a note alone: some clients show no note beside a form.
fn done(session: &Session, answer: Answer) -> wire::CommandAnswer {
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
    match command::standard::form_type(session.spec) {
        // No field beside those of the standard.
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
        form_type: form_type(session.spec),
        title: answer.title,
        instructions: lines,
        body: Body::Fields(fields),
    });
    over(session, (kind, form::run_on(&note)), form)
}

fn listed(session: &Session, page: Page) -> wire::CommandAnswer {
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
                .columns
                .iter()
                .map(|(var, label)| ((*var).to_owned(), (*label).to_owned()))
                .collect(),
            rows: page.rows.into_iter().map(|entry| entry.cells).collect(),
        }
    } else {
        Body::Fields(page.rows.into_iter().map(|entry| row(entry.row)).collect())
    };
    let form = (page.total > 0).then(|| Form {
        purpose: Purpose::Result,
        form_type: form_type(session.spec),
        title: page.title,
        instructions: lines[1..].to_vec(),
        body,
    });
    let sentences = lines.iter().map(|line| phrases::sentence(line));
    let hint = (page.table && page.total > 0).then(|| String::from(text::NO_TABLE));
    let note = Vec::from_iter(sentences.chain(hint)).join(" ");
    over(session, (NoteKind::Info, note), form)
}
