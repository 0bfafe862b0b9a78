//! Pending bans: proposed by a rule, not in the log yet.
//!
//! Writing to disk takes time, and a ban that only counted once written would let in all guesses sent meanwhile. So a
//! rule's ban applies as soon as it is proposed. If the log fails, it ends again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::core::ledger::By;
use crate::core::rules::RuleKey;
use crate::core::{Account, BanChange, BanId, Change, Event, Rules, Subject, Timestamp, Verdict};

/// The pending bans, at most one per subject.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Subject, Terms>);

#[derive(Debug, Clone)]
struct Terms {
    reason: String,
    until: Timestamp,
}

impl Pending {
    /// Adds the bans by rules among `events`, and removes those from `events` whose subject has a pending ban
    /// already. Returns the subjects that are refused from now on. Other events refuse nobody before they are in the
    /// log, and stay in `events`.
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

    /// Ends the pending bans of these subjects: they are in the log, or failed.
    pub(super) fn end(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.0.remove(subject);
        }
    }

    /// Number of pending bans.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The refusal of a login by a pending ban, as [`Ledger::check`](crate::core::Ledger::check) will give it once
    /// the ban is in the log; its number is still 0. `None` if no pending ban applies. `known` says whether the login
    /// comes from a trusted source.
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
        // A login from a trusted source is refused by a ban of its pair only.
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
