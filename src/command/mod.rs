//! What people can have done, through whichever door they come.
//!
//! A [`Call`] goes in, an [`Outcome`] comes out; both are plain data. One [`Spec`] per command
//! is all that forms, chat lines, help, disco items, permissions and the manual know of it. No
//! XML here, no stanza, no rule about bans (those are in [`crate::core`]), and no sentence
//! outside [`words`].
//!
//! A new command is one file here, one `mod` line and one entry in [`COMMANDS`]. Start reading
//! at [`handle`], then [`ban`].

pub mod allow;
pub mod allowed;
pub mod attempt;
pub mod ban;
mod bans;
pub mod call;
pub mod check;
pub mod deed;
pub mod extend;
pub mod facts;
pub mod failures;
mod fields;
pub mod filter;
pub mod forget;
pub mod help;
mod holders;
pub mod kick;
pub mod list;
pub mod manual;
mod many;
pub mod note;
mod notes;
pub mod outcome;
pub mod pages;
pub mod policy;
pub mod progress;
pub mod reach;
pub mod rehearse;
mod roles;
pub mod seat;
pub mod show;
pub mod spec;
pub mod standard;
pub mod status;
pub mod subjects;
mod told;
pub mod unallow;
pub mod unban;
mod undelivered;
pub mod undo;
pub mod watch;
pub mod words;

pub use call::{Call, Caller, Context, Occupant, Recorded};
pub use deed::{Deed, Deeds};
pub use outcome::{Answer, Ask, Entry, Grade, Outcome, Page, Problem, Reference, Row};
pub use roles::Roles;
pub use seat::{HOLDERS, Seat, Seats, Trouble};
pub use spec::{Field, Kind, Place, Spec, Values};
pub use undelivered::Undelivered;

use crate::core::Role;
use crate::gate::clock::fresh_command;

/// All commands, in the order of lists and help.
pub const COMMANDS: &[&Spec] = &[
    &ban::SPEC,
    &unban::SPEC,
    &list::SPEC,
    &show::SPEC,
    &extend::SPEC,
    &note::SPEC,
    &undo::SPEC,
    &kick::SPEC,
    &check::SPEC,
    &failures::SPEC,
    &attempt::SPEC,
    &forget::SPEC,
    &allow::SPEC,
    &unallow::SPEC,
    &allowed::SPEC,
    &watch::SPEC,
    &policy::SPEC,
    &rehearse::SPEC,
    &status::SPEC,
    &help::SPEC,
];

/// How far a mistyped name may be from the right one, in letters.
const TYPOS: usize = 2;
/// How much of the subjects the audit line quotes, in characters.
const AUDITED: usize = 300;

/// The command of this name.
pub fn find(name: &str) -> Option<&'static Spec> {
    COMMANDS.iter().copied().find(|spec| spec.name == name)
}

/// What is offered as a form under this node: one of our commands, or a node of XEP-0133.
pub fn form(node: &str) -> Option<&'static Spec> {
    let ours = find(node).filter(|spec| spec.form);
    ours.or_else(|| standard::find(node))
}

/// The forms a role is offered.
pub fn forms(role: Role) -> impl Iterator<Item = &'static Spec> {
    let ours = COMMANDS.iter().filter(|spec| spec.form);
    let all = ours.chain(standard::NODES).copied();
    all.filter(move |spec| permits(role, spec))
}

/// Whether a role sees a command and may run it: the one place that says so. Over whom it may be
/// run is said by [`reach`].
pub fn permits(role: Role, spec: &Spec) -> bool {
    role >= spec.needs
}

/// The commands a role may run.
pub fn permitted(role: Role) -> impl Iterator<Item = &'static Spec> {
    COMMANDS
        .iter()
        .copied()
        .filter(move |spec| permits(role, spec))
}

/// The command a role may run whose name is nearest to what was written.
pub fn nearest(role: Role, name: &str) -> Option<&'static str> {
    permitted(role)
        .map(|spec| (strsim::damerau_levenshtein(spec.name, name), spec.name))
        .filter(|(typos, right)| *typos <= TYPOS && *typos < right.len())
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, right)| right)
}

/// Whether a word is the name of a command, or a slip of one: whoever wrote it may have meant us.
pub fn is_nearly(name: &str) -> bool {
    find(name).is_some() || nearest(Role::Admin, name).is_some()
}

/// Runs a command for a caller, if they may, and writes down who wanted what and what came of
/// it.
pub async fn handle(call: &Call, context: &Context) -> Outcome {
    // Without randomness the gate refuses every change, so that none goes without its mark.
    let call = &Call {
        id: call.id.or_else(|| fresh_command().ok()),
        ..call.clone()
    };
    let outcome = dispatch(call, context).await;
    if let Some(deed) = Deed::of(call, &outcome) {
        context.deeds.tell(deed);
    }
    let quoted = |field| -> String {
        let text = call.values.words(field).join(" ");
        text.chars().take(AUDITED).collect()
    };
    tracing::info!(
        target: "portcullis::audit",
        who = %call.caller.name(call.door),
        role = %call.caller.rights,
        door = %call.door,
        occupant = call.caller.occupant.as_ref().map(|one| words::clean(one.jid.as_str())),
        command = %words::clean(&call.name),
        subject = %words::clean(&(quoted("subject") + &quoted("accountjids"))),
        filter = %words::clean(&quoted("filter")),
        confirmed = call.confirmed,
        outcome = outcome.in_a_word(),
        "{}", words::plain(&words::audit(&outcome)),
    );
    outcome
}

async fn dispatch(call: &Call, context: &Context) -> Outcome {
    let Some(spec) = find(&call.name).or_else(|| standard::find(&call.name)) else {
        return Outcome::Unknown {
            nearest: nearest(call.caller.role(), &call.name),
        };
    };
    if !permits(call.caller.role(), spec) {
        return Outcome::Forbidden { needs: spec.needs };
    }
    let beyond = reach::beyond(call, spec, context);
    if !beyond.is_empty() {
        return Outcome::Refused(beyond);
    }
    (spec.run)(call, context).await
}

/// Notes a fault of ours in the log and gives the reference to show instead of it.
pub(crate) fn broken(what: &str, why: &dyn std::fmt::Display) -> Reference {
    let reference = Reference::fresh();
    tracing::error!(reference = reference.0, error = %why, "could not {what}");
    reference
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_command_is_described_well_enough_for_every_door() {
        let mut names = HashSet::new();
        for spec in COMMANDS {
            assert!(names.insert(spec.name), "{} twice", spec.name);
            assert!(spec.usage.starts_with(spec.name), "{}", spec.name);
            assert!(spec.summary.ends_with('.'), "{}", spec.name);
            assert!(!spec.title.is_empty() && !spec.examples.is_empty());
            for (line, _) in spec.examples {
                assert!(line.starts_with(spec.name), "{line}");
            }
            assert!(spec.fields.len() <= 8, "{}: too long a form", spec.name);
            let mut fields = HashSet::new();
            for field in spec.fields {
                assert!(fields.insert(field.name), "{} twice", field.name);
                assert!(
                    !field.label.is_empty() && field.label.chars().count() < 30,
                    "{}",
                    field.label
                );
                assert!(field.desc.ends_with('.'), "{}", field.desc);
                if let Kind::Term { other } = field.kind {
                    assert!(spec.fields.iter().any(|field| field.name == other));
                }
            }
        }
    }

    #[test]
    fn strangers_may_run_nothing_and_are_offered_nothing() {
        assert_eq!(permitted(Role::Stranger).count(), 0);
        assert_eq!(nearest(Role::Stranger, "bann"), None);
    }

    #[test]
    fn typos_lead_to_the_nearest_command() {
        assert_eq!(nearest(Role::Admin, "bann"), Some("ban"));
        assert_eq!(nearest(Role::Admin, "ubnan"), Some("unban"));
        assert_eq!(nearest(Role::Admin, "lsit"), Some("list"));
        assert_eq!(nearest(Role::Admin, "hello there"), None);
        assert_eq!(nearest(Role::Admin, ""), None);
    }
}
