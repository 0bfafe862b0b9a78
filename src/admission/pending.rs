//! Bans that rules asked for and that are not in the log yet.
//!
//! A failure counts when it is reported, and the disk takes its time: what a rule decided holds
//! for the questions in between, or many guesses at the same moment would all be let in. Should
//! the log fail, it held for that moment only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::core::ledger::By;
use crate::core::rules::RuleKey;
use crate::core::{Account, BanChange, BanId, Change, Event, Rules, Subject, Timestamp, Verdict};

/// The table of them. One for each subject: a second one has nothing to add.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Subject, Terms>);

#[derive(Debug, Clone)]
struct Terms {
    reason: String,
    until: Timestamp,
}

impl Pending {
    /// Takes in events and leaves out those about subjects that have one pending already. Gives back the subjects that
    /// are refused from now on: only a ban by a rule refuses anybody before it is in the log.
    pub(super) fn admit(&mut self, events: &mut Vec<Event>) -> Vec<Subject> {
        let mut subjects = Vec::with_capacity(events.len());
        events.retain(|event| {
            let Change::Ban(BanChange::ImposedByRule { reason, until, .. }) = &event.change else {
                return true;
            };
            match self.0.entry(event.subject.clone()) {
                Entry::Occupied(_) => false,
                Entry::Vacant(free) => {
                    free.insert(Terms {
                        reason: reason.clone(),
                        until: *until,
                    });
                    subjects.push(event.subject.clone());
                    true
                }
            }
        });
        subjects
    }

    /// They are in the log, or never will be.
    pub(super) fn end(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.0.remove(subject);
        }
    }

    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What stands against a login, as [`Ledger::check`](crate::core::Ledger::check) will say it
    /// in a moment. It has no number yet.
    pub(super) fn against(
        &self,
        rules: &Rules,
        account: Option<&Account>,
        address: Option<IpAddr>,
        known: impl FnOnce() -> bool,
    ) -> Option<Verdict> {
        if self.0.is_empty() {
            return None;
        }
        let address = address.map(|address| address.to_canonical());
        let (by, terms) = [
            RuleKey::Pair,
            RuleKey::Address,
            RuleKey::Network,
            RuleKey::Account,
        ]
        .into_iter()
        .filter_map(|key| rules.subject(key, account, address))
        .find_map(|subject| Some((By::of(&subject), self.0.get(&subject)?)))?;
        // Whoever logged in from there before is judged by the pair alone.
        if by != By::Pair && known() {
            return None;
        }
        Some(Verdict::Refuse {
            ban: BanId(0),
            by,
            reason: terms.reason.clone(),
            until: Some(terms.until),
        })
    }
}
