//! What an order about a ban changes, and who may give it: by role, term and author of the ban.

use super::{Ban, BanChange, BanOrder, BanRuling};
use crate::core::actor::{Actor, Role};
use crate::core::event::{Change, Origin};
use crate::core::policy::{NOTE_MAX, Policy, REASON_MAX, Whose};
use crate::core::propose::{Action, Case, Decision, alone, noted, within};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::term::Term;
use crate::core::time::Timestamp;

pub(in crate::core) fn decide(case: &Case<'_>, order: &BanOrder) -> Decision {
    match order {
        BanOrder::Impose { term, reason, note } | BanOrder::Force { term, reason, note } => {
            case.ban(*term, reason.as_deref(), note.as_deref())
        }
        BanOrder::Import {
            reason, note, term, ..
        } => case.adopt(reason, note.as_deref(), *term),
        BanOrder::Extend { by } => case.extend(*by),
        BanOrder::Lift { reason } => case.lift(reason),
    }
}

impl Case<'_> {
    /// Imposes a ban, or changes the terms of the active one. Whatever the order leaves open stays as it is.
    fn ban(&self, term: Option<Term>, reason: Option<&str>, note: Option<&str>) -> Decision {
        let insists = matches!(self.order.what, Action::Ban(BanOrder::Force { .. }));
        let wanted = match (term, self.standing) {
            (Some(term), _) => term,
            (None, Some(ban)) => Term::up_to(ban.until),
            (None, None) => self
                .policy
                .default_term_for(self.order.actor.role, self.now),
        };
        self.permits_ban(wanted, reason, note)?;
        // Only a ban of one account or address can be forced. A forced ban of a network or pair would not refuse an
        // exempt address (`Ledger::check`), so the exemption must be revoked first.
        let is_one = matches!(
            self.order.subject,
            Subject::Account(_) | Subject::Address(_)
        );
        if !(insists && is_one) {
            self.nobody_allowed()?;
        }
        let until = wanted.ends(self.now);
        let Some(ban) = self.standing else {
            let reason = reason.unwrap_or_default().to_owned();
            let change = match insists {
                true => Change::Ban(BanChange::Forced { reason, until }),
                false => Change::Ban(BanChange::Imposed { reason, until }),
            };
            return Ok((change, noted(note)));
        };
        // An undo may restore an exemption over an older ban. That ban stays on record but is not enforced until an
        // admin forces it.
        let newly_insists = insists && !ban.insisted && self.nobody_allowed().is_err();
        let reason = reason.unwrap_or(&ban.reason).to_owned();
        let is_same = until == ban.until && reason == ban.reason && note.is_none();
        if is_same && !newly_insists {
            return Err(Box::new(BanRuling::Already(ban.clone()).into()));
        }
        self.permits_change(ban)?;
        let change = match newly_insists {
            true => Change::Ban(BanChange::Forced { reason, until }),
            false => Change::Ban(BanChange::Amended { reason, until }),
        };
        Ok((change, noted(note)))
    }

    /// Imports a ban. The active ban may be extended by it, and keeps its reason.
    fn adopt(&self, reason: &str, note: Option<&str>, term: Term) -> Decision {
        self.permits_ban(term, Some(reason), note)?;
        self.nobody_allowed()?;
        let reason = reason.to_owned();
        let until = term.ends(self.now);
        match self.standing {
            None => Ok((
                Change::Ban(BanChange::Imposed { reason, until }),
                noted(note),
            )),
            Some(ban) if lasts_longer(term, ban, self.now) => {
                let reason = match ban.reason.is_empty() {
                    true => reason,
                    false => ban.reason.clone(),
                };
                Ok((
                    Change::Ban(BanChange::Amended { reason, until }),
                    noted(note),
                ))
            }
            Some(ban) => Err(Box::new(BanRuling::Already(ban.clone()).into())),
        }
    }

    /// Extends the active ban. A length is added to its end; a point in time becomes its end.
    fn extend(&self, by: Term) -> Decision {
        self.needs(Role::Moderator, Permission::Extend)?;
        let Some(ban) = self.standing else {
            return Err(Box::new(
                BanRuling::NotBanned(self.order.subject.clone(), None).into(),
            ));
        };
        let Some(end) = ban.until else {
            return Err(Refusal::NotLonger(ban.id, None).into());
        };
        let until = match by {
            Term::For(length) => Some(end.saturating_add(length)),
            other => other.ends(self.now),
        };
        if until.is_some_and(|until| until <= end) {
            return Err(Refusal::NotLonger(ban.id, Some(end)).into());
        }
        self.permits_upward()?;
        self.permits_change(ban)?;
        let term = Term::up_to(until);
        self.policy
            .allows_term(self.order.actor.role, term, self.now)?;
        let reason = ban.reason.clone();
        alone(Change::Ban(BanChange::Amended { reason, until }))
    }

    fn lift(&self, reason: &str) -> Decision {
        self.permits_lift(reason)?;
        let subject = &self.order.subject;
        match self.standing {
            None => Err(Box::new(
                BanRuling::NotBanned(subject.clone(), self.ledger.history(subject).last).into(),
            )),
            Some(_) => alone(Change::Ban(BanChange::Lifted {
                reason: reason.to_owned(),
            })),
        }
    }

    fn permits_ban(
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
            _ => {
                self.policy.allows(role, subject, term, self.now)?;
                if self.standing.is_none() {
                    self.policy.is_here(subject)?;
                }
            }
        }
        self.permits_upward()?;
        self.permits_own_address()?;
        within("reason", reason, REASON_MAX)?;
        within("note", note, NOTE_MAX)
    }

    /// Whether the actor may lift this ban or change its terms.
    pub(in crate::core) fn permits_change(&self, ban: &Ban) -> Result<(), Refusal> {
        let actor = &self.order.actor;
        self.policy.permits_change(actor, ban, self.now)
    }

    fn permits_lift(&self, reason: &str) -> Result<(), Refusal> {
        within("reason", Some(reason), REASON_MAX)?;
        self.needs(Role::Moderator, Permission::Lift)?;
        if self.standing.is_none() && matches!(self.order.subject, Subject::Network(_)) {
            // It also ends what a rule or the server holds against addresses in it.
            self.needs(Role::Admin, Permission::ChangeNetworkBan)?;
        }
        self.standing.map_or(Ok(()), |ban| self.permits_change(ban))
    }

    /// Refuses the ban if an exemption granted by `allow` covers the subject.
    fn nobody_allowed(&self) -> Result<(), Refusal> {
        let subject: &Subject = &self.order.subject;
        match self.ledger.exemptions().covering(subject, self.now) {
            None => Ok(()),
            Some(by) => Err(Refusal::Allowed(subject.clone(), by.to_string())),
        }
    }
}

impl Policy {
    /// Whether the actor may lift this ban or change its terms, also one that is in no log yet. A moderator may not if it
    /// bans a network, if an admin made it longer than a moderator could, or if moderators may only change their own
    /// bans and it is not theirs.
    ///
    /// # Errors
    /// Why not.
    pub fn permits_change(&self, actor: &Actor, ban: &Ban, now: Timestamp) -> Result<(), Refusal> {
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
        if self.moderators_change == Whose::Own && !is_own {
            let by = match ban.origin.rule() {
                Some(rule) => format!("the rule {rule}"),
                None => ban.by.bare_name().to_owned(),
            };
            return Err(Refusal::NotYours(ban.id, by));
        }
        let term = Term::up_to(ban.until);
        let may_give_it = self.allows_term(actor.role, term, now).is_ok();
        if ban.by.role > actor.role && !may_give_it {
            return Err(Refusal::NeedsRole(Role::Admin, Permission::ChangeAdminsBan));
        }
        Ok(())
    }
}

/// Whether an imported ban lasts longer than the active one. A length is compared with the length, not with the end;
/// otherwise each import of the same list would extend its bans.
fn lasts_longer(term: Term, ban: &Ban, now: Timestamp) -> bool {
    match (ban.until, term) {
        (None, _) => false,
        (Some(_), Term::Forever) => true,
        (Some(end), Term::Until(other)) => end < other,
        (Some(end), Term::For(span)) => {
            end.since(ban.since) < span && end < now.saturating_add(span)
        }
    }
}
