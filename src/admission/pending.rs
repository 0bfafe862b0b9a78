//! Pending bans: proposed by a rule, not in the log yet.
//!
//! Writing to disk takes time, and a ban that only counted once written would let in all guesses sent meanwhile. So a
//! rule's ban applies as soon as it is proposed. If the log fails, for example because the disk is full, the ban
//! stays in force here until it ends, and [`Admission::persist`](super::Admission::persist) tries to write it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;

use crate::core::ledger::By;
use crate::core::rules::RuleKey;
use crate::core::{Account, BanChange, BanId, Change, Event, Rules, Subject, Timestamp, Verdict};

/// The most unwritten bans. Beyond this, those that end first are dropped.
pub(super) const UNWRITTEN: usize = 10_000;

/// The pending bans, at most one per subject.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bans: HashMap<Subject, Terms>,
    unwritten: usize,
}

#[derive(Debug)]
struct Terms {
    reason: String,
    until: Timestamp,
    /// The event, if writing it failed.
    unwritten: Option<Event>,
}

impl Pending {
    /// Adds the bans by rules among `events`, and removes those from `events` whose subject has a pending ban
    /// already. Returns the subjects that are refused from now on. Other events refuse nobody before they are in the
    /// log, and stay in `events`.
    pub(super) fn admit(&mut self, events: &mut Vec<Event>, now: Timestamp) -> Vec<Subject> {
        let mut subjects = Vec::with_capacity(events.len());
        events.retain(|event| {
            let Change::Ban(BanChange::ImposedByRule { reason, until, .. }) = &event.change else {
                return true;
            };
            let terms = Terms {
                reason: reason.clone(),
                until: *until,
                unwritten: None,
            };
            match self.bans.entry(event.subject.clone()) {
                Entry::Occupied(held) if now < held.get().until => return false,
                Entry::Occupied(mut over) => {
                    self.unwritten -= usize::from(over.insert(terms).unwritten.is_some());
                }
                Entry::Vacant(free) => {
                    free.insert(terms);
                }
            }
            subjects.push(event.subject.clone());
            true
        });
        subjects
    }

    /// Ends the pending bans of these subjects: they are in the log.
    pub(super) fn end<'a>(&mut self, subjects: impl IntoIterator<Item = &'a Subject>) {
        for subject in subjects {
            let gone = self.bans.remove(subject);
            self.unwritten -= usize::from(gone.is_some_and(|terms| terms.unwritten.is_some()));
        }
    }

    /// Keeps the bans among these events in force although writing them failed.
    pub(super) fn hold(&mut self, events: Vec<Event>) {
        let bans = events.into_iter().filter(|event| {
            let change = &event.change;
            matches!(change, Change::Ban(BanChange::ImposedByRule { .. }))
        });
        for event in bans {
            if let Some(terms) = self.bans.get_mut(&event.subject) {
                self.unwritten += usize::from(terms.unwritten.replace(event).is_none());
            }
        }
        if self.unwritten > UNWRITTEN {
            self.make_room();
        }
    }

    /// Drops the unwritten bans that end first, a tenth of [`UNWRITTEN`] more than needed, so that this rarely runs.
    fn make_room(&mut self) {
        let excess = self.unwritten.saturating_sub(UNWRITTEN - UNWRITTEN / 10);
        let held = self.bans.iter().filter(|(_, one)| one.unwritten.is_some());
        let mut ends: Vec<_> = held.map(|(subject, one)| (one.until, subject)).collect();
        ends.sort_unstable();
        let first: Vec<_> = ends
            .into_iter()
            .take(excess)
            .map(|(_, one)| one.clone())
            .collect();
        self.end(&first);
    }

    /// Drops unwritten bans that have ended.
    pub(super) fn drop_ended(&mut self, now: Timestamp) {
        self.bans
            .retain(|_, one| one.unwritten.is_none() || now < one.until);
        self.unwritten = self
            .bans
            .values()
            .filter(|one| one.unwritten.is_some())
            .count();
    }

    /// Up to `most` events whose writing failed.
    pub(super) fn unwritten(&self, most: usize) -> Vec<Event> {
        let events = self.bans.values().filter_map(|one| one.unwritten.clone());
        events.take(most).collect()
    }

    /// Number of unwritten bans.
    pub(super) fn unwritten_len(&self) -> usize {
        self.unwritten
    }

    /// Number of pending bans.
    pub(super) fn len(&self) -> usize {
        self.bans.len()
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
        now: Timestamp,
    ) -> Option<Verdict> {
        if self.bans.is_empty() {
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
        .find_map(|subject| {
            let terms = self.bans.get(&subject)?;
            (now < terms.until).then_some((By::of(&subject), terms))
        })?;
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
