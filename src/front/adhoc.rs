//! Forms: ad-hoc commands (XEP-0050) with data forms (XEP-0004).
//!
//! Real clients determined the design (one of them shows an IQ error for wrong input as "done"): after wrong input
//! the same form comes again with its values, and the error is in title, instructions and note. Only protocol errors
//! are IQ errors. There is one note, complete in itself. Lists are lines to read; tables come on request.
//!
//! Nothing is done before the last stage, and the last stage runs once: [`Forms::receive`] takes the session out
//! before anything runs.

mod view;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit};
use xmpp_parsers::jid::Jid;
use xmpp_parsers::stanza_error::StanzaError;

use super::sessions::{FormStage, LIFETIME, Session, Sessions};
use super::work::{Work, Works};
use super::{render, text};
use crate::command::outcome::{Ask, Outcome, Problem};
use crate::command::{self, Call, Caller, Command, Context, Spec, Values, phrases};
use crate::core::{EntryPoint, Role, Timestamp};
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::command::{
    self as wire, CommandAction, CommandRequest, NoteKind, Status,
};
use crate::xmpp::payload::form::{self, Body, Form, Purpose};
use view::{at_work, done, fields, form_type, listed, over, row};

/// The `FORM_TYPE` of our forms.
pub const FORM_TYPE: &str = "urn:portcullis:command:1";

/// The open forms.
#[derive(Debug, Default)]
pub(super) struct Forms {
    sessions: Mutex<Sessions>,
    works: Works,
}

/// What follows from a request.
#[derive(Debug)]
pub(super) enum Step {
    /// An answer that is ready.
    Answer(Box<wire::CommandAnswer>),
    /// A command to run.
    Run(Box<FormRun>),
    /// A running command whose progress is asked for.
    Look(Box<Session>),
}

/// A command that is ready to run.
#[derive(Debug)]
pub(super) struct FormRun {
    session: Session,
    call: Call,
}

impl Forms {
    /// Handles a request: decides everything about the session, and runs nothing.
    pub(super) fn receive(
        &self,
        request: CommandRequest,
        caller: Caller,
        context: &Context,
    ) -> Result<Step, Box<StanzaError>> {
        let now = context.engine.now();
        let command = command::form(&request.node).ok_or(error(Fault::NotFound))?;
        if !command::permits(caller.role(), command) {
            // That there is such a command is no secret to those who work here.
            return Err(match caller.role() {
                Role::Stranger => error(Fault::Forbidden),
                _ => Box::new(Fault::Forbidden.with_text(phrases::forbidden(command.needs))),
            });
        }
        let Some(id) = &request.session else {
            let begun = self.begin(request, caller, command, context);
            return begun.map_err(error);
        };
        let session = self.sessions().take(id, &caller.jid, command.name, now);
        let mut session = session.map_err(error)?;
        match (request.action, session.stage) {
            (CommandAction::Cancel, _) => Ok(canceled(session)),
            (CommandAction::Prev, FormStage::Fill | FormStage::Working) => {
                self.sessions().keep(session, now);
                Err(error(Fault::BadAction))
            }
            (CommandAction::Prev, FormStage::Confirm) => {
                session.stage = FormStage::Fill;
                Ok(self.show(session, caller.role(), context, &[]))
            }
            // COMPAT: slixmpp and poezio send `next` whatever is offered. In either stage it means submitting the
            // current form.
            (
                CommandAction::Execute | CommandAction::Next | CommandAction::Complete,
                FormStage::Fill,
            ) => {
                if let Some(filled) = request.filled {
                    session.values = known(command, filled);
                }
                Ok(run(session, caller, false))
            }
            (
                CommandAction::Execute | CommandAction::Next | CommandAction::Complete,
                FormStage::Working,
            ) => Ok(Step::Look(Box::new(session))),
            // The confirmed values are run, whatever the form says now.
            (
                CommandAction::Execute | CommandAction::Next | CommandAction::Complete,
                FormStage::Confirm,
            ) => Ok(run(session, caller, true)),
        }
    }

    fn begin(
        &self,
        request: CommandRequest,
        caller: Caller,
        command: &'static Command,
        context: &Context,
    ) -> Result<Step, Fault> {
        if !matches!(
            request.action,
            CommandAction::Execute | CommandAction::Complete
        ) {
            return Err(Fault::BadAction);
        }
        let mut session = Sessions::begin(caller.jid.clone(), command, context.engine.now())
            .map_err(|_| Fault::Internal)?;
        let is_filled = request.filled.is_some();
        session.values = known(command, request.filled.unwrap_or_default());
        if is_filled || request.action == CommandAction::Complete || command.fields.is_empty() {
            return Ok(run(session, caller, false));
        }
        Ok(self.show(session, caller.role(), context, &[]))
    }

    /// Runs a command; answers with its result or its progress. `wake` is notified when a result becomes
    /// [`unseen`](Forms::unseen).
    pub(super) async fn run(
        &self,
        run: FormRun,
        place: OwnedSemaphorePermit,
        wake: Arc<Notify>,
        context: &Context,
    ) -> Result<wire::CommandAnswer, StanzaError> {
        let FormRun { session, call } = run;
        let role = call.caller.role();
        let work = Work::begin(&session.id, call, context, place, wake);
        self.wait(session, work, role, context).await
    }

    /// Answers with the result or the progress of a running command.
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

    /// The results to send as messages because nobody refreshed their form, with their receivers, and when to ask
    /// again.
    pub(super) fn unseen(
        &self,
        now: Timestamp,
        is_end: bool,
    ) -> (Vec<(Jid, String)>, Option<Timestamp>) {
        let (works, next) = self.works.unseen(now, is_end);
        let tell = |(work, outcome): (Work, Outcome)| {
            // A result without an effect is not sent.
            let is_told = matches!(
                outcome,
                Outcome::Done(_) | Outcome::Rows(_) | Outcome::Broken { .. }
            );
            let text = render::render(&outcome, work.command);
            let text = format!("{}\n{text}", text::form_is_done(work.command.title));
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
            self.sessions().keep(session, context.engine.now());
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
            Outcome::Invalid { problems } | Outcome::Refused { problems } => {
                session.stage = FormStage::Fill;
                Ok(self.form(session, role, context, &problems))
            }
            Outcome::Forbidden { text, .. } => Err(Fault::Forbidden.with_text(text)),
            Outcome::Unknown { .. } => Err(Fault::NotFound.stanza_error()),
            Outcome::Broken { text, .. } => Ok(over(&session, (NoteKind::Error, text), None)),
        }
    }

    fn show(&self, session: Session, role: Role, context: &Context, wrong: &[Problem]) -> Step {
        Step::Answer(Box::new(self.form(session, role, context, wrong)))
    }

    /// The form to fill in, with its errors.
    fn form(
        &self,
        session: Session,
        role: Role,
        context: &Context,
        wrong: &[Problem],
    ) -> wire::CommandAnswer {
        let spec: &Spec = session.command;
        let minutes = LIFETIME.as_secs() / 60;
        let mut title = spec.title.to_owned();
        let mut instructions = Vec::new();
        let mut note = None;
        if let Some(first) = wrong.first() {
            // Clients show one of title, instructions and note, and none shows all three.
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
            actions: &[CommandAction::Complete],
            note,
            form: Some(Form {
                purpose: Purpose::Form,
                form_type: form_type(spec),
                title,
                instructions,
                body: Body::Fields(fields(&session, role, context)),
            }),
        };
        self.sessions().keep(session, context.engine.now());
        answer
    }

    /// The form that asks for confirmation.
    fn ask(&self, session: Session, ask: Ask, context: &Context) -> wire::CommandAnswer {
        let mut instructions = ask.lines;
        instructions.push(String::from(text::CONFIRM_FORM));
        let answer = wire::CommandAnswer {
            node: session.command.name.to_owned(),
            session: session.id.clone(),
            status: Status::Executing,
            actions: &[CommandAction::Complete, CommandAction::Prev],
            note: Some((NoteKind::Warn, form::run_on(&instructions))),
            form: Some(Form {
                purpose: Purpose::Form,
                form_type: form_type(session.command),
                title: ask.title,
                instructions,
                body: Body::Fields(ask.rows.into_iter().map(row).collect()),
            }),
        };
        self.sessions().keep(session, context.engine.now());
        answer
    }

    fn sessions(&self) -> std::sync::MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(fault: Fault) -> Box<StanzaError> {
    Box::new(fault.stanza_error())
}

fn run(mut session: Session, caller: Caller, confirmed: bool) -> Step {
    let agreed = session.agreed.take().filter(|_| confirmed);
    let call = Call::new(caller, EntryPoint::AdHoc, session.command)
        .with_values(agreed.unwrap_or_else(|| session.values.clone()))
        .confirmed(confirmed);
    Step::Run(Box::new(FormRun { session, call }))
}

/// The fields of a command among the submitted ones; others are ignored.
fn known(spec: &Spec, filled: Vec<(String, Vec<String>)>) -> Values {
    let mut values = Values::new();
    for (var, sent) in filled {
        if spec.fields.iter().any(|field| field.name == var) {
            values.set(&var, sent);
        }
    }
    values
}

fn canceled(session: Session) -> Step {
    let note = match session.stage {
        FormStage::Fill | FormStage::Confirm => String::from(text::CANCELED),
        FormStage::Working => text::canceled_at_work(),
    };
    Step::Answer(Box::new(wire::CommandAnswer {
        node: session.command.name.to_owned(),
        session: session.id,
        status: Status::Canceled,
        actions: &[],
        note: Some((NoteKind::Info, note)),
        form: None,
    }))
}
