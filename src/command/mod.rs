//! Commands of people, independent of the entry point.
//!
//! A [`Call`] goes in, an [`Outcome`] comes out; both are plain data. Forms, chat lines, help, disco items,
//! permissions and the manual are all derived from one [`Spec`] per command. There is no XML here, and no rule about
//! bans (those are in [`crate::core`]). The sentences of a command are beside it; shared ones are in [`phrases`].
//!
//! A new command is one folder here, one `mod` line and one word in the list of [`catalogue`]. Code shared by several
//! commands is in [`parts`]. Start reading at [`handle`], then [`ban`].

// The commands.
mod allow;
mod allowed;
mod attempt;
mod ban;
mod check;
mod extend;
mod failures;
mod forget;
mod help;
mod kick;
mod list;
mod note;
mod policy;
mod rehearse;
mod show;
pub mod standard;
mod status;
mod unallow;
mod unban;
mod undo;
mod watch;

// What they are made of.
pub mod audit;
pub mod call;
pub mod catalogue;
pub mod context;
pub mod front;
pub mod outcome;
pub mod parts;
pub(crate) mod phrases;
mod request;
mod roles;
pub mod spec;
mod superiors;
mod text;
pub mod values;

pub use audit::{AuditEvent, AuditEvents};
pub use call::{Call, Caller, Occupant};
pub use catalogue::{Command, find, form, forms, is_nearly, nearest, permits, permitted, specs};
pub use context::{Context, OnProgress};
pub use front::{FrontState, HOLDERS, RoomStatus, RoomTrouble, Undelivered};
pub use outcome::{Answer, Ask, EarlyOutcome, Grade, Outcome, Page, Problem, Reference, Row};
pub use rehearse::rehearsal_note;
pub use roles::Roles;
pub use spec::{Field, Kind, Place, Spec};
pub use values::Values;

use parts::{facts, subjects};
use request::Request;

use crate::engine::clock::fresh_command;

/// Maximum number of characters of the subjects in an audit line.
const AUDITED: usize = 300;

/// Runs a command for a caller, if they may run it, and logs the call with its outcome.
pub async fn handle(call: &Call, context: &Context) -> Outcome {
    // Without randomness the engine refuses every change, so no event lacks an id.
    let call = &Call {
        id: call.id.or_else(|| fresh_command().ok()),
        ..call.clone()
    };
    let outcome = dispatch(call, context).await;
    context.audit.tell_of(call, &outcome);
    let quoted = |field| -> String {
        let text = call.values.words(field).join(" ");
        text.chars().take(AUDITED).collect()
    };
    tracing::info!(
        target: "portcullis::audit",
        who = %call.caller.name(call.door),
        role = %call.caller.rights,
        door = %call.door,
        occupant = call.caller.occupant.as_ref().map(|one| phrases::clean(one.jid.as_str())),
        command = call.command.name,
        subject = %phrases::clean(&(quoted(subjects::FIELD) + &quoted(standard::ACCOUNTS))),
        filter = %phrases::clean(&quoted("filter")),
        confirmed = call.confirmed,
        outcome = outcome.in_a_word(),
        "{}", phrases::plain(&text::audit(&outcome)),
    );
    outcome
}

async fn dispatch(call: &Call, context: &Context) -> Outcome {
    if !permits(call.caller.role(), call.command) {
        return Outcome::forbidden(call.command.needs);
    }
    let request = Request::read(call, context);
    let problems = request.beyond();
    if !problems.is_empty() {
        return Outcome::Refused { problems };
    }
    let mut outcome = (call.command.run)(&request, context).await;
    if let Outcome::Done(answer) = &mut outcome
        && answer.subjects.is_empty()
    {
        let named = request.subjects().unwrap_or_default();
        let state = |subject| facts::state(subject, None, context);
        answer.subjects = named.iter().map(state).collect();
    }
    outcome
}

/// Logs an internal failure, and returns the reference to show instead of it.
pub(crate) fn broken(what: &str, why: &dyn std::fmt::Display) -> Reference {
    let reference = Reference::fresh();
    tracing::error!(reference = reference.0, error = %why, "could not {what}");
    reference
}
