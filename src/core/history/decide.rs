//! What an order about a history changes, and who may give it.

use super::{HistoryChange, HistoryOrder};
use crate::core::actor::Role;
use crate::core::event::Change;
use crate::core::policy::{NOTE_MAX, REASON_MAX, Whose};
use crate::core::propose::{Case, Decision, alone, noted, within};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;

pub(in crate::core) fn decide(case: &Case<'_>, order: &HistoryOrder) -> Decision {
    match order {
        HistoryOrder::Forget => case.forget(),
        HistoryOrder::Annotate { note, replaces } => case.annotate(note.as_deref(), *replaces),
        HistoryOrder::Kick { reason } => case.kick(reason),
    }
}

impl Case<'_> {
    fn forget(&self) -> Decision {
        self.needs(Role::Admin, Permission::Forget)?;
        alone(Change::History(HistoryChange::Forgotten))
    }

    fn annotate(&self, note: Option<&str>, replaces: bool) -> Decision {
        self.permits_note(note)?;
        Ok((
            Change::History(HistoryChange::Annotated { replaces }),
            noted(note),
        ))
    }

    fn kick(&self, reason: &str) -> Decision {
        self.permits_kick(reason)?;
        alone(Change::History(HistoryChange::Kicked {
            reason: reason.to_owned(),
        }))
    }

    fn permits_note(&self, note: Option<&str>) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Annotate)?;
        within("note", note, NOTE_MAX)?;
        match self.standing {
            Some(ban) if self.policy.moderators_change == Whose::Own => self.permits_change(ban),
            _ => Ok(()),
        }
    }

    fn permits_kick(&self, reason: &str) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Kick)?;
        within("reason", Some(reason), REASON_MAX)?;
        match &self.order.subject {
            Subject::Network(_) => self.needs(Role::Admin, Permission::KickNetwork)?,
            Subject::Pair(..) | Subject::Guard(_) => {
                return Err(Refusal::NoSessions(self.order.subject.clone()));
            }
            Subject::Account(_) | Subject::Address(_) => {}
        }
        self.policy.is_here(&self.order.subject)?;
        self.permits_own()?;
        self.permits_upward()
    }
}
