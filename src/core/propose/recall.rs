//! Takes in an event that was decided elsewhere.
//!
//! Policy here does not undo what it did there. But whatever would still be in force must be allowed here, as if the
//! person who imports it ordered it now.

use super::Proposal;
use crate::core::actor::Role;
use crate::core::bans::BanRuling;
use crate::core::event::{BanChange, Change, Event, ExemptionChange};
use crate::core::ledger::{Ledger, Ruling};
use crate::core::policy::Policy;
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::subscriptions::MOST_WATCHES;
use crate::core::term::Term;
use crate::core::time::{CLOCK_SKEW, Timestamp};

/// `role`: of the person who imports the event.
pub(super) fn recall(
    ledger: &Ledger,
    policy: &Policy,
    event: &Event,
    role: Role,
    now: Timestamp,
) -> Proposal {
    let recalled = Recalled {
        ledger,
        policy,
        event,
        role,
        now,
    };
    match recalled.decide() {
        Err(ruling) => Proposal::Answer(*ruling),
        Ok(()) => Proposal::Events(vec![Event {
            based_on: ledger.version(&event.subject),
            ..event.clone()
        }]),
    }
}

struct Recalled<'a> {
    ledger: &'a Ledger,
    policy: &'a Policy,
    event: &'a Event,
    role: Role,
    now: Timestamp,
}

impl Recalled<'_> {
    fn decide(&self) -> Result<(), Box<Ruling>> {
        let (subject, at) = (&self.event.subject, self.event.at);
        if self.role < Role::Admin {
            return Err(Refusal::NeedsRole(Role::Admin, Permission::Recall).into());
        }
        if at > self.now.saturating_add(CLOCK_SKEW) {
            return Err(Refusal::FromTheFuture(subject.clone(), at).into());
        }
        let standing = self.ledger.bans().of(subject);
        let is_expired = self.event.change == Change::Ban(BanChange::Expired);
        // The clock here may have recorded the end of the ban before this event arrived.
        if is_expired && standing.is_none() {
            let last = self.ledger.history(subject).last;
            return Err(Box::new(BanRuling::NotBanned(subject.clone(), last).into()));
        }
        // The ban here is another one, and lasts longer.
        let goes_on = is_expired && standing.is_some_and(|ban| ban.is_in_force(at));
        let last = self.ledger.subjects().changed(subject);
        if goes_on || last.is_some_and(|last| at < last) {
            return Err(Box::new(Ruling::Stale));
        }
        self.permits().map_err(Into::into)
    }

    fn permits(&self) -> Result<(), Refusal> {
        let subject = &self.event.subject;
        match &self.event.change {
            Change::Ban(BanChange::Imposed { until, .. }) => self.permits_ban(*until, true),
            Change::Ban(BanChange::ImposedByRule { until, .. }) => {
                self.permits_ban(Some(*until), true)
            }
            Change::Ban(BanChange::Amended { until, .. }) => self.permits_ban(*until, false),
            Change::Ban(BanChange::Forced { until, .. }) => {
                // Only a ban of one account or address can be forced.
                let is_one = matches!(subject, Subject::Account(_) | Subject::Address(_));
                self.permits_ban(*until, !is_one)
            }
            Change::Ban(BanChange::Lifted { .. } | BanChange::Expired) => Ok(()),
            Change::Exemption(ExemptionChange::Granted { until, .. }) => {
                self.permits_exemption(*until)
            }
            Change::Exemption(ExemptionChange::Revoked) | Change::History(_) => Ok(()),
            Change::Subscribed { watch } => {
                let all = self.ledger.subscriptions();
                let is_one_more = watch.is_some() && all.of(subject).is_none();
                match is_one_more && all.all().len() >= MOST_WATCHES {
                    true => Err(Refusal::TooManyWatches(MOST_WATCHES)),
                    false => Ok(()),
                }
            }
            Change::Undone => {
                let undone = self.ledger.undo().of(subject);
                let returns = undone.and_then(|entry| entry.ban_before());
                returns.map_or(Ok(()), |ban| self.permits_ban(ban.until, false))
            }
            // An export of a damaged store leaves out ban numbers; the fold limits how many.
            Change::PutBack { .. } => Ok(()),
        }
    }

    /// A forced ban, too, must not be of anybody whom the configuration here exempts: who imports a file forces nobody.
    /// `begins`: it is a new ban and not forced, so nobody may be exempt by `allow` either.
    fn permits_ban(&self, until: Option<Timestamp>, begins: bool) -> Result<(), Refusal> {
        let (subject, now) = (&self.event.subject, self.now);
        // The fold refuses it for an exemption of that time.
        let allowed = self.ledger.exemptions().covering(subject, self.event.at);
        if let Some(by) = allowed.filter(|_| begins) {
            return Err(Refusal::Allowed(subject.clone(), by.to_string()));
        }
        if !stands(until, now) {
            return Ok(());
        }
        if self.ledger.bans().of(subject).is_none() {
            self.policy.is_here(subject)?;
        }
        self.policy
            .allows(self.role, subject, Term::up_to(until), now)
    }

    fn permits_exemption(&self, until: Option<Timestamp>) -> Result<(), Refusal> {
        let subject = &self.event.subject;
        if matches!(subject, Subject::Pair(..) | Subject::Guard(_)) {
            return Err(Refusal::NoExemption(subject.clone()));
        }
        match until.filter(|end| *end <= self.now) {
            None => self.policy.is_here(subject),
            // One that is over may be in the history, but not lift bans that stand here.
            Some(end) => match self.lifts_any() {
                true => Err(Refusal::EndsInThePast(end)),
                false => Ok(()),
            },
        }
    }

    fn lifts_any(&self) -> bool {
        let mut bans = self.ledger.bans().newest_first();
        bans.any(|ban| ban.is_in_force(self.now) && self.event.subject.holds(&ban.subject))
    }
}

fn stands(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_none_or(|end| now < end)
}
