//! What an order about an exemption changes, and who may give it.

use super::{ExemptionChange, ExemptionOrder, ExemptionRuling};
use crate::core::actor::Role;
use crate::core::event::Change;
use crate::core::policy::REASON_MAX;
use crate::core::propose::{Case, Decision, alone, within};
use crate::core::refusal::{Permission, Refusal};
use crate::core::subject::Subject;
use crate::core::term::Term;
use crate::core::time::Timestamp;

pub(in crate::core) fn decide(case: &Case<'_>, order: &ExemptionOrder) -> Decision {
    match order {
        ExemptionOrder::Grant { term, comment } => case.allow(*term, comment),
        ExemptionOrder::Revoke => case.unallow(),
    }
}

impl Case<'_> {
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
            false => Err(Box::new(ExemptionRuling::NotExempt(subject.clone()).into())),
        }
    }

    fn permits_allow(&self, until: Option<Timestamp>, comment: &str) -> Result<(), Refusal> {
        let subject = &self.order.subject;
        self.needs(Role::Admin, Permission::Exempt)?;
        within("comment", Some(comment), REASON_MAX)?;
        if matches!(subject, Subject::Pair(..) | Subject::Guard(_)) {
            return Err(Refusal::NoExemption(subject.clone()));
        }
        self.policy.is_here(subject)?;
        match until {
            Some(end) if end <= self.now => Err(Refusal::EndsInThePast(end)),
            _ => Ok(()),
        }
    }
}
