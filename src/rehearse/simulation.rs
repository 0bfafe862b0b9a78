//! The simulation: a ledger, a tracker, and a list of events instead of log, server and clock.

use super::Note;
use super::line::{EventInput, EventLine};
use crate::core::{
    Ban, BanRuling, Event, EventId, ExemptionRuling, Intent, Ledger, Policy, Proposal, Ruling, Seq,
    Signal, Subject, Timestamp, Tracker, judge, propose,
};

/// A change of bans by a rule, an order or the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SimulatedChange {
    /// A ban was made or changed.
    Ban(Ban),
    /// A ban ended.
    Lift {
        /// The subject of the ban.
        subject: Subject,
        /// When it ended.
        at: Timestamp,
        /// `expired`, or the reason given in the line.
        why: String,
    },
}

/// The state of a rehearsal.
pub(super) struct Simulation {
    policy: Policy,
    ledger: Ledger,
    tracker: Tracker,
    log: Vec<Event>,
    now: Timestamp,
    pub(super) changes: Vec<SimulatedChange>,
    pub(super) notes: Vec<Note>,
    /// Number of ids handed out.
    ids: u64,
}

impl Simulation {
    pub(super) fn new(policy: Policy, at: Timestamp) -> Self {
        // A fixed key makes the result repeatable. Only a live tracker needs a random one, against deliberate hash
        // collisions.
        let secret = *b"portcullis stage";
        let tracker = Tracker::new(policy.rules.clone(), policy.rules.bounds, secret, at);
        Simulation {
            policy,
            ledger: Ledger::default(),
            tracker,
            log: Vec::new(),
            now: at,
            changes: Vec::new(),
            notes: Vec::new(),
            ids: 0,
        }
    }

    pub(super) fn play(&mut self, line: &EventLine, at: Timestamp) -> Result<(), String> {
        self.pass_time(at);
        match line.input(at)? {
            EventInput::Signal(signal) => self.judge(&signal),
            EventInput::Order(order, why) => self.submit(&Intent::Order(order), &why),
            EventInput::Restart => self.restart(at)?,
            EventInput::Tick => {}
        }
        Ok(())
    }

    /// Ends each ban at its own time, before anything later happens.
    fn pass_time(&mut self, at: Timestamp) {
        while let Some(end) = self.ledger.bans().next_end().filter(|end| *end <= at) {
            self.now = self.now.max(end);
            let before = self.log.len();
            self.submit(&Intent::Tick { upto: self.now }, "expired");
            if self.log.len() == before {
                break;
            }
        }
        // The clock of decisions never goes back; an event out of order keeps its own time.
        self.now = self.now.max(at);
    }

    /// Submits an intent; `why` is the reason of bans that it ends.
    fn submit(&mut self, intent: &Intent, why: &str) {
        let proposal = propose(
            &self.ledger,
            &self.policy,
            intent,
            self.now,
            &mut fresh(&mut self.ids),
        );
        self.carry_out(proposal, why);
    }

    fn judge(&mut self, signal: &Signal) {
        let (proposal, notices) = judge(
            &self.ledger,
            &mut self.tracker,
            &self.policy,
            signal,
            self.now,
            &mut fresh(&mut self.ids),
        );
        self.notes.extend(notices.into_iter().map(Note::Spared));
        self.carry_out(proposal, "");
    }

    fn carry_out(&mut self, proposal: Proposal, why: &str) {
        match proposal {
            Proposal::Answer(refused @ Ruling::Refused(_)) => self.take(refused, why),
            Proposal::Answer(_) => {}
            Proposal::Events(events) => {
                for event in events {
                    let seq = Seq(self.log.len() as u64 + 1);
                    let (ruling, _) = self.ledger.fold(seq, &event);
                    self.log.push(event);
                    self.take(ruling, why);
                }
            }
        }
    }

    fn take(&mut self, ruling: Ruling, why: &str) {
        let lift = |subject, at| SimulatedChange::Lift {
            subject,
            at,
            why: why.to_owned(),
        };
        match ruling {
            Ruling::Ban(BanRuling::Banned(ban) | BanRuling::Amended { ban, .. }) => {
                self.changes.push(SimulatedChange::Ban(ban))
            }
            Ruling::Ban(BanRuling::Lifted(ban)) => {
                let at = ban.until.filter(|end| *end <= self.now).unwrap_or(self.now);
                self.changes.push(lift(ban.subject, at));
            }
            Ruling::Exemption(ExemptionRuling::Granted { lifted, .. }) => {
                let lifted = lifted.into_iter().map(|ban| lift(ban.subject, self.now));
                self.changes.extend(lifted);
            }
            Ruling::Refused(refusal) => self.notes.push(Note::Refused(refusal)),
            _ => {}
        }
    }

    /// Simulates a restart: writes and reads the counters, and replays the log.
    fn restart(&mut self, now: Timestamp) -> Result<(), String> {
        let saved = self.tracker.save();
        let rules = self.policy.rules.clone();
        let bounds = rules.bounds;
        self.tracker =
            Tracker::restore(&[saved], rules, bounds, now).map_err(|why| why.to_string())?;
        let mut ledger = Ledger::default();
        for (place, event) in self.log.iter().enumerate() {
            let bytes = event.to_bytes().map_err(|why| why.to_string())?;
            let event =
                Event::from_bytes(&bytes, event.personal.clone()).map_err(|why| why.to_string())?;
            ledger.fold(Seq(place as u64 + 1), &event);
        }
        self.ledger = ledger;
        Ok(())
    }
}

/// Hands out ids in order.
fn fresh(ids: &mut u64) -> impl FnMut() -> EventId {
    move || {
        *ids += 1;
        invented(*ids)
    }
}

/// An id that looks random and is the same in every run.
fn invented(count: u64) -> EventId {
    let mut word = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&count.to_be_bytes());
    id[8..].copy_from_slice(&(word ^ word >> 31).to_be_bytes());
    EventId(id)
}
