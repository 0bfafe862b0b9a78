//! The road of a signal: a login or failures by hand are counted, and the bans that rules ask for are made durable.

use super::notices::News;
use super::ports::LogFault;
use super::under_way::Wanted;
use super::{Gate, clock};
use crate::core::{Attempt, EventId, Notice, Proposal, Ruling, Signal, Timestamp, judge};

impl Gate {
    /// Counts failures by hand. Gives back all that came of it: the bans that began (or one ruling that says why
    /// nothing was counted), and what rules would have done but did not.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same.
    pub async fn by_hand(&self, signal: &Signal) -> Result<(Vec<Ruling>, Vec<Notice>), LogFault> {
        let (proposal, notices) = self.judge(signal, self.clock.now())?;
        let rulings = match proposal {
            Proposal::Answer(ruling) => vec![ruling],
            Proposal::Events(events) => {
                let wanted = self.counters.under_way().admit(events);
                self.impose(wanted).await?
            }
        };
        Ok((rulings, notices))
    }

    /// Takes many logins at once: all are counted, then what the rules answer is made durable together. Gives back the
    /// bans that began.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same,
    /// and the next one asks for the ban again.
    pub async fn report(&self, attempts: Vec<Attempt>) -> Result<Vec<Ruling>, LogFault> {
        let wanted = self.count(attempts)?;
        self.impose(wanted).await
    }

    /// Counts many logins, in memory and at once; gives back the bans that rules ask for, which
    /// [`Gate::impose`] then makes. A question asked after this knows of them all.
    ///
    /// # Errors
    /// [`LogFault`] when the system gives no randomness.
    pub fn count(&self, attempts: Vec<Attempt>) -> Result<Wanted, LogFault> {
        let mut wanted = Vec::new();
        for attempt in &attempts {
            let signal = Signal::Login(attempt.clone());
            if let Proposal::Events(events) = self.judge(&signal, self.clock.now())?.0 {
                wanted.extend(events);
            }
        }
        let wanted = self.counters.under_way().admit(wanted);
        self.through(&attempts);
        Ok(wanted)
    }

    /// Makes the bans that rules ask for durable. It is not tried again when somebody else was
    /// first: then the subject is judged anew by its next failure.
    ///
    /// # Errors
    /// [`LogFault`] when they could not be made durable; then they were not made.
    pub async fn impose(&self, mut wanted: Wanted) -> Result<Vec<Ruling>, LogFault> {
        let events = std::mem::take(&mut wanted.events);
        let all = events.iter().map(|event| event.id).collect();
        self.append(events, all).await
    }

    fn judge(&self, signal: &Signal, now: Timestamp) -> Result<(Proposal, Vec<Notice>), LogFault> {
        let policy = self.policy.load();
        let mut no_chance = None;
        let mut fresh = || {
            clock::fresh_id().unwrap_or_else(|why| {
                no_chance = Some(why);
                EventId([0; 16])
            })
        };
        // The ledger before the counters, here as in `check`: two signals could wait for each other.
        let (proposal, notices) = self.read(|ledger| {
            let mut tracker = self.counters.tracker();
            judge(ledger, &mut tracker, &policy, signal, now, &mut fresh)
        });
        for notice in self.counters.saw(signal, &proposal, &notices, now) {
            self.announce(News::Spared(notice.clone()));
        }
        self.teller.judged(signal, &proposal, now);
        match no_chance {
            Some(why) => Err(LogFault::Broken(format!("no randomness: {why}"))),
            None => Ok((proposal, notices)),
        }
    }
}
