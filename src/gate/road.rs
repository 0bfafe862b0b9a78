//! The road a report takes: rules, log, and the answer when its event was folded.

use crate::core::{
    Attempt, Deed, Event, EventId, Notice, Proposal, Report, Ruling, Seq, Timestamp, weigh,
};

use super::notices::News;
use super::ports::LogFault;
use super::under_way::Wanted;
use super::{Gate, clock};
use crate::journal;

/// How often a person's order is proposed again when somebody else changed the subject first.
pub(super) const STALE_RETRIES: u32 = 5;

impl Gate {
    /// Takes a report down the road: rules, log, fold. When it returns, the change is durable
    /// and in force, or it was not made.
    ///
    /// # Errors
    /// [`LogFault`] when it could not be made durable; then it did not happen.
    pub async fn submit(&self, report: Report) -> Result<Ruling, LogFault> {
        if matches!(report, Report::Login(_) | Report::Attempt { .. }) {
            let (rulings, _) = self.attempt(&report).await?;
            return Ok(rulings.into_iter().next().unwrap_or(Ruling::Noted));
        }
        let mut rival = None;
        for _ in 0..STALE_RETRIES {
            let now = self.clock.now();
            let events = match self.propose(&report, now)?.0 {
                Proposal::Answer(ruling) => return Ok(ruling),
                Proposal::Events(events) => events,
            };
            // What was ordered without knowing of it must not overturn what somebody else decided.
            if let Some(deed) = rival {
                return Ok(Ruling::Overtaken(Box::new(deed)));
            }
            let decided_on = events.last().map_or(Seq(0), |event| event.based_on);
            let last = events.last().map(|event| event.id);
            let ruled = self.append(events, last.into_iter().collect()).await?;
            match ruled.into_iter().next().unwrap_or(Ruling::Noted) {
                Ruling::Stale => rival = self.rival(&report, decided_on),
                ruling => {
                    self.teller.ordered(&report, &ruling, now);
                    return Ok(ruling);
                }
            }
        }
        Ok(Ruling::Stale)
    }

    /// What another person did to the subject of an order since a version of it.
    fn rival(&self, report: &Report, since: Seq) -> Option<Deed> {
        let Report::Order(order) = report else {
            return None;
        };
        self.read(|ledger| {
            let deed = ledger.undoable(&order.subject)?;
            let is_anothers = deed.by.bare_name() != order.actor.bare_name();
            (deed.seq > since && is_anothers).then(|| deed.clone())
        })
    }

    /// Takes a login or an attempt by hand down the road, as [`Gate::submit`] does. Gives back all
    /// that came of it: the bans that began (or one ruling that says why none could), and what
    /// rules would have done but did not.
    ///
    /// # Errors
    /// [`LogFault`] when a ban could not be made durable. The failures are counted all the same.
    pub async fn attempt(&self, report: &Report) -> Result<(Vec<Ruling>, Vec<Notice>), LogFault> {
        let (proposal, notices) = self.propose(report, self.clock.now())?;
        let rulings = match proposal {
            Proposal::Answer(ruling) => vec![ruling],
            Proposal::Events(events) => {
                let wanted = self.counters.under_way().admit(events);
                if let Report::Login(attempt) = report {
                    self.through(std::slice::from_ref(attempt));
                }
                self.impose(wanted).await?
            }
        };
        Ok((rulings, notices))
    }

    /// Takes many logins down the road at once: all are counted, then what the rules answer is
    /// made durable together. Gives back the bans that began.
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
            let report = Report::Login(attempt.clone());
            if let Proposal::Events(events) = self.propose(&report, self.clock.now())?.0 {
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

    fn propose(
        &self,
        report: &Report,
        now: Timestamp,
    ) -> Result<(Proposal, Vec<Notice>), LogFault> {
        let policy = self.policy.load();
        let mut no_chance = None;
        let mut fresh = || {
            clock::fresh_id().unwrap_or_else(|why| {
                no_chance = Some(why);
                EventId([0; 16])
            })
        };
        // The ledger before the counters, here as in `check`: two orders could wait for each other.
        let (proposal, notices) = self.read(|ledger| {
            let mut tracker = self.counters.tracker();
            weigh(ledger, &mut tracker, &policy, report, now, &mut fresh)
        });
        for notice in self.counters.saw(report, &proposal, &notices, now) {
            self.announce(News::Spared(notice.clone()));
        }
        self.teller.weighed(report, &proposal, now);
        match no_chance {
            Some(why) => Err(LogFault::Broken(format!("no randomness: {why}"))),
            None => Ok((proposal, notices)),
        }
    }

    /// Appends events, all of them or none, and waits until they have been folded: the rulings on
    /// those that are `asked` about, in that order.
    pub(super) async fn append(
        &self,
        events: Vec<Event>,
        asked: Vec<EventId>,
    ) -> Result<Vec<Ruling>, LogFault> {
        journal::append(&*self.journal, &self.rulings, &events, asked).await
    }
}
