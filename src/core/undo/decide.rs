//! Undo of a subject's last change, by the person who made it or by an admin.

use super::fold::exemption_since;
use super::{UndoEntry, UndoKind, UndoRuling};
use crate::core::actor::Role;
use crate::core::bans::Ban;
use crate::core::event::{Change, Seq};
use crate::core::propose::{Case, Decision, alone};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::term::Term;

/// `change` is the position of the last change when the order was given; a later change is not undone.
pub(in crate::core) fn decide(case: &Case<'_>, change: Seq) -> Decision {
    case.needs(Role::Moderator, Permission::Undo)?;
    let subject = &case.order.subject;
    let last = case.ledger.undo().of(subject);
    let Some(entry) = last.filter(|last| last.seq == change) else {
        return Err(Box::new(UndoRuling::ChangedSince(subject.clone()).into()));
    };
    case.permits_undo(entry)?;
    if let Some(ban) = entry.ban_before() {
        case.permits_return(ban)?;
        if let Some(other) = exemption_since(case.ledger, entry, case.now) {
            return Err(Refusal::Allowed(subject.clone(), other.to_string()).into());
        }
    }
    alone(Change::Undone)
}

impl Case<'_> {
    fn permits_undo(&self, entry: &UndoEntry) -> Result<(), Refusal> {
        let (actor, subject) = (&self.order.actor, &self.order.subject);
        if actor.role < Role::Admin {
            let by = entry.by.bare_name();
            if by != actor.bare_name() {
                return Err(Refusal::NotYourChange(subject.clone(), by.to_owned()));
            }
            let is_admins = matches!(
                entry.kind,
                UndoKind::Allowed | UndoKind::Unallowed | UndoKind::Forgot
            );
            if is_admins || matches!(subject, Subject::Network(_)) {
                return Err(Refusal::NeedsRole(Role::Admin, Permission::UndoThis));
            }
        }
        match self.now.since(entry.at) > self.policy.undo_for {
            true => Err(Refusal::TooLate(entry.at, self.policy.undo_for)),
            false => Ok(()),
        }
    }

    /// Whether policy allows that a ban becomes active again, or gets its earlier terms back.
    fn permits_return(&self, ban: &Ban) -> Result<(), Refusal> {
        let subject = &self.order.subject;
        self.permits_own()?;
        self.permits_upward()?;
        let stands = self.ledger.bans().of(subject).is_some();
        if let Some(by) = self.policy.exempts(subject).filter(|_| !stands) {
            return Err(Refusal::Exempt(subject.clone(), by));
        }
        if let Some(end) = ban.until.filter(|end| *end <= self.now) {
            return Err(Refusal::OverByNow(ban.id, end));
        }
        // The actor's role may be lower than when the ban was made.
        let role = self.order.actor.role.max(ban.by.role);
        self.policy
            .allows_term(role, Term::up_to(ban.until), self.now)
    }
}
