//! The list of all commands: the description of each, and the function that runs it.

use std::fmt;
use std::ops::Deref;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::request::Request;
use super::spec::Spec;
use super::standard;
use super::{
    allow, allowed, attempt, ban, check, extend, failures, forget, help, kick, list, note, policy,
    rehearse, show, status, unallow, unban, undo, watch,
};
use crate::core::Role;

/// A command: its description and the function that runs it.
pub struct Command {
    pub(super) spec: &'static Spec,
    pub(super) run: Run,
}

/// Runs a command. The caller's permission has been checked before.
pub(super) type Run = for<'a> fn(&'a Request<'a>, &'a Context) -> BoxFuture<'a, Outcome>;

impl Deref for Command {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        self.spec
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

macro_rules! commands {
    ($($name:ident),* $(,)?) => {
        &[$(Command {
            spec: &$name::SPEC,
            run: |call, context| outcome_of($name::run(call, context)).boxed(),
        }),*]
    };
}

/// The outcome, including one that ended the command early.
pub(super) async fn outcome_of(
    run: impl Future<Output = Result<Outcome, EarlyOutcome>>,
) -> Outcome {
    run.await.unwrap_or_else(|early| *early)
}

/// All commands, in the order of lists and help.
const COMMANDS: &[Command] = commands![
    ban, unban, list, show, extend, note, undo, kick, check, failures, attempt, forget, allow,
    unallow, allowed, watch, policy, rehearse, status, help,
];

/// Number of letters by which a mistyped name may differ.
const TYPOS: usize = 2;
/// The longest word, in bytes, that is compared with the names of commands.
const MISTYPED_MAX: usize = 32;

/// The descriptions of all commands, in the order of lists and help.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    COMMANDS.iter().map(|command| command.spec)
}

/// The command of this name; `None` if there is none.
pub fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// The command behind a node of forms: one of ours, or a node of XEP-0133.
pub fn form(node: &str) -> Option<&'static Command> {
    let ours = find(node).filter(|command| command.form);
    ours.or_else(|| standard::NODES.iter().find(|of| of.name == node))
}

/// The forms that are offered to a role.
pub fn forms(role: Role) -> impl Iterator<Item = &'static Spec> {
    let ours = specs().filter(|spec| spec.form);
    ours.chain(standard::specs())
        .filter(move |spec| permits(role, spec))
}

/// Whether a role sees a command and may run it; nothing else decides that. [`reach`](super::parts::reach) checks the
/// subjects it may be run on.
pub fn permits(role: Role, spec: &Spec) -> bool {
    role >= spec.needs
}

/// The commands that a role may run.
pub fn permitted(role: Role) -> impl Iterator<Item = &'static Spec> {
    specs().filter(move |spec| permits(role, spec))
}

/// The command with the nearest name that the role may run; `None` if no name is near enough.
pub fn nearest(role: Role, name: &str) -> Option<&'static str> {
    // Computing the distance costs time and memory in proportion to the length, and anybody in a room may write a word
    // of any length.
    if name.len() > MISTYPED_MAX {
        return None;
    }
    permitted(role)
        .map(|spec| (strsim::damerau_levenshtein(spec.name, name), spec.name))
        .filter(|(typos, right)| *typos <= TYPOS && *typos < right.len())
        .min_by_key(|(typos, _)| *typos)
        .map(|(_, right)| right)
}

/// Whether a word is the name of a command, or nearly one, so that the line may be addressed to us.
pub fn is_nearly(name: &str) -> bool {
    find(name).is_some() || nearest(Role::Admin, name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::Kind;
    use std::collections::HashSet;

    #[test]
    fn every_command_is_described_well_enough_for_every_door() {
        let mut names = HashSet::new();
        for spec in specs() {
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
