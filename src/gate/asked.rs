//! What may be asked of the gate: verdicts and outlooks from memory, histories from the log, and how far the server is.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::Gate;
use super::ports::{Entry, Held, LogFault, Task};
use crate::core::outlook::bans_of;
use crate::core::{
    Account, Ban, EndedBan, Ledger, Outlook, Seq, Subject, Verdict, outlook, subject,
};

/// How many ends of bans are looked through at most, newest first.
pub const ENDS: usize = 2_000;

/// Whether the server is in line with the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settled {
    /// It is.
    Done(Held),
    /// Not yet; why, for people, when it is known.
    Pending(Option<String>),
}

impl Gate {
    /// May this account log in from this address, now? Without an account: may a stream start?
    /// From memory. What rules decided and the disk has not taken yet holds already.
    pub fn check(&self, account: Option<&Account>, address: Option<IpAddr>) -> Verdict {
        let now = self.clock.now();
        let known = || {
            address.is_some_and(|address| {
                let tracker = self.counters.tracker();
                let is_known = match account {
                    Some(account) => tracker.knows(account, address, now),
                    None => tracker.knows_source(address),
                };
                is_known || self.policy.load().is_exempt(address)
            })
        };
        match self.read(|ledger| ledger.check(account, address, known, now)) {
            Verdict::LetIn => {
                let policy = self.policy.load();
                let under_way = self.counters.under_way();
                let found = under_way.against(&policy.rules, account, address, known);
                found.unwrap_or(Verdict::LetIn)
            }
            refuse => refuse,
        }
    }

    /// What stands for and against a login of an account, from a place, or both; from memory.
    pub fn outlook(&self, account: Option<&Account>, place: Option<IpNet>) -> Outlook {
        let (now, policy) = (self.clock.now(), self.policy.load());
        self.read(|ledger| {
            let bans = bans_of(ledger, account, place, now);
            let mut tracker = self.counters.tracker();
            let whom = (account, place);
            outlook(ledger, &mut tracker, &policy, whom, bans, now)
        })
    }

    /// Whether the ban of an address or network may refuse at the start of a stream, where no
    /// account is named yet (`door='start'` of the hook protocol): not where anybody lives whom
    /// it does not touch, or who is exempt.
    pub fn holds_at_start(&self, ban: &Ban) -> bool {
        let Some(net) = ban.subject.net() else {
            return false;
        };
        let holds = Ledger::holds_at_start(ban, |net| self.counters.tracker().lives_in(net));
        let policy = self.policy.load();
        let mut exempt = policy.exempt_networks.iter();
        holds
            && !exempt.any(|other| subject::overlaps(other, &net))
            && self.read(|ledger| {
                let mut nets = ledger.exemptions().filter_map(|one| one.subject.net());
                !nets.any(|other| subject::overlaps(&other, &net))
            })
    }

    /// Everything the log holds of a subject, oldest first, with its personal parts.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn history(&self, subject: &Subject) -> Result<Vec<Entry>, LogFault> {
        let trail = self.read(|ledger| ledger.trail(subject).to_vec());
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.trail(&trail))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// The bans that ended last, newest end first, at most [`ENDS`]; and whether there were more.
    pub fn ended(&self) -> (Vec<EndedBan>, bool) {
        self.read(|ledger| {
            let mut last = ledger.last_ended();
            let ended = last.by_ref().take(ENDS).cloned().collect();
            (ended, last.next().is_some())
        })
    }

    /// Up to `most` entries of the log from `from` on, oldest first, those that changed nothing
    /// among them.
    ///
    /// # Errors
    /// [`LogFault`] when the log cannot be read.
    pub async fn entries(&self, from: Seq, most: usize) -> Result<Vec<Entry>, LogFault> {
        let replica = Arc::clone(&self.replica);
        tokio::task::spawn_blocking(move || replica.read(from, most))
            .await
            .map_err(|why| LogFault::Broken(why.to_string()))?
    }

    /// The unfinished work on the server for one subject.
    pub fn task(&self, subject: &Subject) -> Option<Task> {
        self.desk.task(subject)
    }

    /// All unfinished work on the server.
    pub fn tasks(&self) -> Vec<Task> {
        self.desk.tasks()
    }

    /// Waits until the server is in line with the ledger for a subject, or the first try failed,
    /// at most so long.
    pub async fn settled(&self, subject: &Subject, wait: Duration) -> Settled {
        let fault = match tokio::time::timeout(wait, self.desk.tried(subject)).await {
            Ok(None) => return Settled::Done(self.means(subject)),
            Ok(Some(fault)) => Some(fault),
            Err(_) => self.desk.task(subject).and_then(|task| task.fault),
        };
        Settled::Pending(fault)
    }

    /// How a ban of this subject takes hold on the server as it is now.
    fn means(&self, subject: &Subject) -> Held {
        let level = self.server.standing().borrow().level;
        match subject {
            Subject::Account(_) => Held::Enforced,
            _ if level >= 2 => Held::Enforced,
            _ => Held::NeedsModule,
        }
    }
}
