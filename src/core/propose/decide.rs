//! What an order changes, or the answer when it changes nothing. One function per kind of order.

use super::{Action, BanOrder, ExemptionOrder, HistoryOrder, Order};
use crate::core::actor::Role;
use crate::core::bans::Ban;
use crate::core::event::{BanChange, Change, ExemptionChange, HistoryChange, Personal};
use crate::core::ledger::{Ledger, Ruling};
use crate::core::policy::Policy;
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::subscriptions::Watch;
use crate::core::term::Term;
use crate::core::time::Timestamp;
use crate::core::{BanRuling, ExemptionRuling};

/// The change an order leads to, or the answer when it leads to none.
pub(super) type Decision = Result<(Change, Personal), Box<Ruling>>;

/// An order and everything that the decision about it depends on.
pub(super) struct Case<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) policy: &'a Policy,
    pub(super) order: &'a Order,
    /// The active ban of exactly this subject.
    pub(super) standing: Option<&'a Ban>,
    pub(super) now: Timestamp,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        ledger: &'a Ledger,
        policy: &'a Policy,
        order: &'a Order,
        now: Timestamp,
    ) -> Self {
        let standing = ledger.bans().of(&order.subject);
        Case {
            ledger,
            policy,
            order,
            standing: standing.filter(|ban| ban.is_in_force(now)),
            now,
        }
    }

    pub(super) fn decide(&self) -> Decision {
        match &self.order.what {
            Action::Ban(BanOrder::Impose { term, reason, note })
            | Action::Ban(BanOrder::Force { term, reason, note }) => {
                self.ban(*term, reason.as_deref(), note.as_deref())
            }
            Action::Ban(BanOrder::Import {
                reason, note, term, ..
            }) => self.adopt(reason, note.as_deref(), *term),
            Action::Ban(BanOrder::Extend { by }) => self.extend(*by),
            Action::Ban(BanOrder::Lift { reason }) => self.lift(reason),
            Action::History(HistoryOrder::Annotate { note, replaces }) => {
                self.annotate(note.as_deref(), *replaces)
            }
            Action::History(HistoryOrder::Kick { reason }) => self.kick(reason),
            Action::Exemption(ExemptionOrder::Grant { term, comment }) => {
                self.allow(*term, comment)
            }
            Action::Exemption(ExemptionOrder::Revoke) => self.unallow(),
            Action::History(HistoryOrder::Forget) => self.forget(),
            Action::Subscribe(watch) => self.watch(watch.as_ref()),
            Action::Undo { deed } => self.undo(*deed),
        }
    }

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
            return Err(Box::new(Ruling::Ban(BanRuling::Already(ban.clone()))));
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
            Some(ban) => Err(Box::new(Ruling::Ban(BanRuling::Already(ban.clone())))),
        }
    }

    /// Extends the active ban. A length is added to its end; a point in time becomes its end.
    fn extend(&self, by: Term) -> Decision {
        self.needs(Role::Moderator, Permission::Extend)?;
        let Some(ban) = self.standing else {
            return Err(Box::new(Ruling::Ban(BanRuling::NotBanned(
                self.order.subject.clone(),
                None,
            ))));
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
            None => Err(Box::new(Ruling::Ban(BanRuling::NotBanned(
                subject.clone(),
                self.ledger.history(subject).last,
            )))),
            Some(_) => alone(Change::Ban(BanChange::Lifted {
                reason: reason.to_owned(),
            })),
        }
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

    fn allow(&self, term: Option<Term>, comment: &str) -> Decision {
        let until = term.and_then(|term| term.ends(self.now));
        self.permits_allow(until, comment)?;
        let comment = comment.to_owned();
        alone(Change::Exemption(ExemptionChange::Granted {
            comment,
            until,
        }))
    }

    fn unallow(&self) -> Decision {
        self.needs(Role::Admin, Permission::Unexempt)?;
        let subject = &self.order.subject;
        match self.ledger.exemptions().of(subject).is_some() {
            true => alone(Change::Exemption(ExemptionChange::Revoked)),
            false => Err(Box::new(Ruling::Exemption(ExemptionRuling::NotExempt(
                subject.clone(),
            )))),
        }
    }

    fn forget(&self) -> Decision {
        self.needs(Role::Admin, Permission::Forget)?;
        alone(Change::History(HistoryChange::Forgotten))
    }

    fn watch(&self, watch: Option<&Watch>) -> Decision {
        self.permits_watch()?;
        match self.ledger.subscriptions().of(&self.order.subject) == watch {
            true => Err(Box::new(Ruling::Noted)),
            false => alone(Change::Subscribed {
                watch: watch.cloned(),
            }),
        }
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

/// A change without private note or evidence.
pub(super) fn alone(change: Change) -> Decision {
    Ok((change, Personal::default()))
}

fn noted(note: Option<&str>) -> Personal {
    Personal {
        note: note.map(str::to_owned),
        ..Personal::default()
    }
}
