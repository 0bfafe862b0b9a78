//! Pending bans: proposed by a rule, not in the log yet.
//!
//! Writing to disk takes time, and a ban that only counted once written would let in all guesses sent meanwhile. So a
//! rule's ban applies as soon as it is proposed. If the log fails, for example because the disk is full, the ban
//! stays in force here until it ends, and [`Admission::persist`](super::Admission::persist) tries to write it.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::core::ledger::By;
use crate::core::rules::RuleKey;
use crate::core::{
    Account, Ban, BanChange, BanId, Change, Event, Rules, Seq, Subject, Timestamp, Verdict,
};

/// The most unwritten bans. Beyond this, those that end first are dropped.
pub(super) const UNWRITTEN: usize = 10_000;

/// The pending bans, at most one per subject.
#[derive(Debug, Default)]
pub(super) struct Pending {
    bans: HashMap<Subject, PendingBan>,
    unwritten: usize,
}

#[derive(Debug)]
struct PendingBan {
    /// With the number 0.
    ban: Ban,
    event: Event,
    /// Writing the event failed.
    is_unwritten: bool,
}

impl PendingBan {
    /// `None` unless the event is a ban by a rule: no other event refuses anybody before it is in the log.
    fn new(event: &Event) -> Option<Self> {
        let Change::Ban(BanChange::ImposedByRule {
            reason,
            until,
            ordinal,
        }) = &event.change
        else {
            return None;
        };
        let ban = Ban {
            id: BanId(0),
            subject: event.subject.clone(),
            reason: reason.clone(),
            by: event.actor.clone(),
            origin: event.origin.clone(),
            since: event.at,
            until: Some(*until),
            ordinal: *ordinal,
            insisted: false,
            version: Seq(0),
        };
        Some(PendingBan {
            ban,
            event: event.clone(),
            is_unwritten: false,
        })
    }
}

impl Pending {
    /// Adds the bans by rules among `events`, and removes those from `events` whose subject has a pending ban
    /// already. Other events stay in `events`.
    pub(super) fn admit(&mut self, events: &mut Vec<Event>, now: Timestamp) {
        events.retain(|event| {
            let Some(new) = PendingBan::new(event) else {
                return true;
            };
            if self.of(&event.subject, now).is_some() {
                return false;
            }
            let over = self.bans.insert(event.subject.clone(), new);
            self.unwritten -= usize::from(over.is_some_and(|over| over.is_unwritten));
            true
        });
    }

    /// The pending ban of a subject, with the number 0.
    pub(super) fn of(&self, subject: &Subject, now: Timestamp) -> Option<&Ban> {
        let pending = self.bans.get(subject)?;
        Some(&pending.ban).filter(|ban| ban.is_in_force(now))
    }

    /// All pending bans.
    pub(super) fn all(&self) -> impl Iterator<Item = &Ban> {
        self.bans.values().map(|pending| &pending.ban)
    }

    /// Ends the bans of these events: they are in the log.
    pub(super) fn end(&mut self, events: &[Event]) {
        for event in events {
            let is_it = |pending: &PendingBan| pending.event.id == event.id;
            if self.bans.get(&event.subject).is_some_and(is_it) {
                self.remove(&event.subject);
            }
        }
    }

    /// Ends the pending ban of a subject and those it covers, as far as `may_end` says. Returns the number.
    pub(super) fn release(
        &mut self,
        subject: &Subject,
        mut may_end: impl FnMut(&Ban) -> bool,
    ) -> usize {
        let covered = |one: &Subject| one == subject || subject.holds(one);
        let all = self.all().filter(|ban| covered(&ban.subject));
        let released = all.filter(|ban| may_end(ban));
        let released: Vec<Subject> = released.map(|ban| ban.subject.clone()).collect();
        for subject in &released {
            self.remove(subject);
        }
        released.len()
    }

    /// Keeps the bans of these events in force although writing them failed. Returns the number of others that were
    /// dropped to make room.
    pub(super) fn hold(&mut self, events: &[Event]) -> usize {
        for event in events {
            if let Some(pending) = self.bans.get_mut(&event.subject)
                && pending.event.id == event.id
            {
                self.unwritten += usize::from(!pending.is_unwritten);
                pending.is_unwritten = true;
            }
        }
        match self.unwritten > UNWRITTEN {
            true => self.make_room(),
            false => 0,
        }
    }

    /// Drops the unwritten bans that end first, a tenth of [`UNWRITTEN`] more than needed, so that this rarely runs.
    fn make_room(&mut self) -> usize {
        let excess = self.unwritten.saturating_sub(UNWRITTEN - UNWRITTEN / 10);
        let held = self.bans.values().filter(|one| one.is_unwritten);
        let mut ends: Vec<_> = held.map(|one| (one.ban.until, &one.ban.subject)).collect();
        ends.sort_unstable();
        let first: Vec<Subject> = ends.iter().take(excess).map(|end| end.1.clone()).collect();
        for subject in &first {
            self.remove(subject);
        }
        first.len()
    }

    fn remove(&mut self, subject: &Subject) {
        let gone = self.bans.remove(subject);
        self.unwritten -= usize::from(gone.is_some_and(|gone| gone.is_unwritten));
    }

    /// Drops unwritten bans that have ended.
    pub(super) fn drop_ended(&mut self, now: Timestamp) {
        self.bans
            .retain(|_, one| !one.is_unwritten || one.ban.is_in_force(now));
        self.unwritten = self.bans.values().filter(|one| one.is_unwritten).count();
    }

    /// Up to `most` events whose writing failed.
    pub(super) fn unwritten(&self, most: usize) -> Vec<Event> {
        let held = self.bans.values().filter(|one| one.is_unwritten);
        held.take(most).map(|one| one.event.clone()).collect()
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
        let ban = [
            RuleKey::Pair,
            RuleKey::Address,
            RuleKey::Network,
            RuleKey::Account,
        ]
        .into_iter()
        .filter_map(|key| rules.subject(key, account, address))
        .find_map(|subject| self.of(&subject, now))?;
        let by = By::of(&ban.subject);
        // A login from a trusted source is refused by a ban of its pair only.
        if by != By::Pair && known() {
            return None;
        }
        Some(Verdict::Refuse {
            ban: ban.id,
            by,
            reason: ban.reason.clone(),
            until: ban.until,
        })
    }
}
