//! Who may give which order: by role, term and author of the ban; and nobody may lock themselves out.

use super::decide::Case;
use super::{Action, BanOrder};
use crate::core::actor::Role;
use crate::core::bans::Ban;
use crate::core::event::Origin;
use crate::core::policy::{NOTE_MAX, REASON_MAX, Whose};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::subscriptions::MOST_WATCHES;
use crate::core::term::Term;
use crate::core::time::Timestamp;

impl Case<'_> {
    /// Whether the actor's role is enough for `what`.
    pub(super) fn needs(&self, role: Role, what: Permission) -> Result<(), Refusal> {
        match self.order.actor.role >= role {
            true => Ok(()),
            false => Err(Refusal::NeedsRole(role, what)),
        }
    }

    pub(super) fn permits_ban(
        &self,
        term: Term,
        reason: Option<&str>,
        note: Option<&str>,
    ) -> Result<(), Refusal> {
        let (role, subject) = (self.order.actor.role, &self.order.subject);
        self.permits_own_account()?;
        match self.order.what {
            Action::Ban(BanOrder::Force { .. }) => {
                self.policy
                    .allows_insisting(role, subject, term, self.now)?;
            }
            _ => self.policy.allows(role, subject, term, self.now)?,
        }
        self.permits_own_address()?;
        within("reason", reason, REASON_MAX)?;
        within("note", note, NOTE_MAX)
    }

    /// Whether the actor may lift this ban or change its terms. A moderator may not if it bans a network, if an admin
    /// made it longer than a moderator could, or if moderators may only change their own bans and it is not theirs.
    pub(super) fn permits_change(&self, ban: &Ban) -> Result<(), Refusal> {
        let actor = &self.order.actor;
        if actor.role == Role::Admin {
            return Ok(());
        }
        if matches!(ban.subject, Subject::Network(_)) {
            return Err(Refusal::NeedsRole(
                Role::Admin,
                Permission::ChangeNetworkBan,
            ));
        }
        let is_own = ban.origin == Origin::Manual && ban.by.bare_name() == actor.bare_name();
        if self.policy.moderators_change == Whose::Own && !is_own {
            let by = match ban.origin.rule() {
                Some(rule) => format!("the rule {rule}"),
                None => ban.by.bare_name().to_owned(),
            };
            return Err(Refusal::NotYours(ban.id, by));
        }
        let term = Term::up_to(ban.until);
        let may_give_it = self.policy.allows_term(actor.role, term, self.now).is_ok();
        if ban.by.role > actor.role && !may_give_it {
            return Err(Refusal::NeedsRole(Role::Admin, Permission::ChangeAdminsBan));
        }
        Ok(())
    }

    pub(super) fn permits_lift(&self, reason: &str) -> Result<(), Refusal> {
        within("reason", Some(reason), REASON_MAX)?;
        self.needs(Role::Moderator, Permission::Lift)?;
        self.standing.map_or(Ok(()), |ban| self.permits_change(ban))
    }

    pub(super) fn permits_note(&self, note: Option<&str>) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Annotate)?;
        within("note", note, NOTE_MAX)?;
        match self.standing {
            Some(ban) if self.policy.moderators_change == Whose::Own => self.permits_change(ban),
            _ => Ok(()),
        }
    }

    pub(super) fn permits_kick(&self, reason: &str) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Kick)?;
        within("reason", Some(reason), REASON_MAX)?;
        match &self.order.subject {
            Subject::Network(_) => self.needs(Role::Admin, Permission::KickNetwork)?,
            Subject::Pair(..) | Subject::Guard(_) => {
                return Err(Refusal::NoSessions(self.order.subject.clone()));
            }
            Subject::Account(_) | Subject::Address(_) => {}
        }
        self.permits_own()
    }

    pub(super) fn permits_allow(
        &self,
        until: Option<Timestamp>,
        comment: &str,
    ) -> Result<(), Refusal> {
        let subject = &self.order.subject;
        self.needs(Role::Admin, Permission::Exempt)?;
        within("comment", Some(comment), REASON_MAX)?;
        if matches!(subject, Subject::Pair(..) | Subject::Guard(_)) {
            return Err(Refusal::NoExemption(subject.clone()));
        }
        match until {
            Some(end) if end <= self.now => Err(Refusal::EndsInThePast(end)),
            _ => Ok(()),
        }
    }

    /// Everybody with a role may choose their own notifications; for others and for rooms only an admin may.
    pub(super) fn permits_watch(&self) -> Result<(), Refusal> {
        self.needs(Role::Moderator, Permission::Subscribe)?;
        let own = self.order.own_account.clone().map(Subject::Account);
        if own.as_ref() != Some(&self.order.subject) {
            self.needs(Role::Admin, Permission::SubscribeOthers)?;
        }
        let is_one_more = self
            .ledger
            .subscriptions()
            .of(&self.order.subject)
            .is_none();
        if is_one_more && self.ledger.subscriptions().all().len() >= MOST_WATCHES {
            return Err(Refusal::TooManyWatches(MOST_WATCHES));
        }
        Ok(())
    }

    /// Nobody may ban their own account or an address they are connected from.
    pub(super) fn permits_own(&self) -> Result<(), Refusal> {
        self.permits_own_account()?;
        self.permits_own_address()
    }

    fn permits_own_account(&self) -> Result<(), Refusal> {
        if let Some(own) = &self.order.own_account
            && self.order.subject.whose() == Some(own)
        {
            return Err(Refusal::OwnAccount(own.clone()));
        }
        Ok(())
    }

    fn permits_own_address(&self) -> Result<(), Refusal> {
        let addresses = self.order.own_addresses.iter();
        if let Some(net) = self.order.subject.net()
            && let Some(own) = addresses
                .map(|address| address.to_canonical())
                .find(|address| net.contains(address))
        {
            return Err(Refusal::OwnAddress(self.order.subject.clone(), own));
        }
        Ok(())
    }
}

fn within(what: &'static str, text: Option<&str>, most: usize) -> Result<(), Refusal> {
    match text {
        Some(text) if text.chars().count() > most => Err(Refusal::TextTooLong(what, most)),
        _ => Ok(()),
    }
}
