//! Bans that rules asked for and that are not in the log yet.
//!
//! A failure counts when it is reported, and the disk takes its time: what a rule decided holds
//! for the questions in between, or many guesses at the same moment would all be let in. Should
//! the log fail, it held for that moment only.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::core::ledger::By;
use crate::core::rules::Key;
use crate::core::{Account, BanChange, BanId, Change, Event, Rules, Subject, Timestamp, Verdict};

/// The table of them. One for each subject: a second one has nothing to add.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// Spares every question the lock, nearly always.
    count: AtomicUsize,
    table: Mutex<HashMap<Subject, Terms>>,
}

#[derive(Debug, Clone)]
struct Terms {
    reason: String,
    until: Timestamp,
}

/// Bans that rules ask for, to be made durable by [`Gate::impose`](super::Gate::impose). They
/// hold from now on until this is dropped.
#[derive(Debug)]
#[must_use = "bans that are not imposed end at once"]
pub struct Wanted {
    pub(super) events: Vec<Event>,
    subjects: Vec<Subject>,
    home: Arc<UnderWay>,
}

impl Wanted {
    /// Whether rules ask for nothing.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// How many bans.
    pub fn len(&self) -> usize {
        self.events.len()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut table = lock(&self.home.table);
        for subject in &self.subjects {
            table.remove(subject);
        }
        self.home.count.store(table.len(), Ordering::Release);
    }
}

impl UnderWay {
    /// Takes in events, without those about subjects that have one on its way already. Only a ban by a rule refuses
    /// anybody before it is in the log.
    pub(super) fn admit(self: &Arc<Self>, mut events: Vec<Event>) -> Wanted {
        let mut table = lock(&self.table);
        let mut subjects = Vec::with_capacity(events.len());
        events.retain(|event| {
            let Change::Ban(BanChange::ImposedByRule { reason, until, .. }) = &event.change else {
                return true;
            };
            match table.entry(event.subject.clone()) {
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
        self.count.store(table.len(), Ordering::Release);
        Wanted {
            subjects,
            events,
            home: Arc::clone(self),
        }
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
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let address = address.map(|address| address.to_canonical());
        let found = {
            let table = lock(&self.table);
            [Key::Pair, Key::Address, Key::Network, Key::Account]
                .into_iter()
                .filter_map(|key| rules.subject(key, account, address))
                .find_map(|subject| Some((By::of(&subject), table.get(&subject)?.clone())))
        };
        let (by, terms) = found?;
        // Whoever logged in from there before is judged by the pair alone.
        if by != By::Pair && known() {
            return None;
        }
        Some(Verdict::Refuse {
            ban: BanId(0),
            by,
            reason: terms.reason,
            until: Some(terms.until),
        })
    }
}
