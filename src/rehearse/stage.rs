//! The stage: a ledger, a tracker and a list of events in the place of everything a gate has.

use serde::Serialize;
use serde_json::Value;

use super::typed::{Kind, Style, Typed, actor, attempt, order, subject};
use crate::core::{
    Ban, BanRuling, Event, EventId, ExemptionRuling, Intent, Ledger, Policy, Proposal, Ruling, Seq,
    Signal, Subject, Timestamp, Tracker, judge, propose,
};

/// Everything a rehearsal has.
pub(super) struct Stage {
    policy: Policy,
    ledger: Ledger,
    tracker: Tracker,
    log: Vec<Event>,
    now: Timestamp,
    pub(super) style: Style,
    pub(super) changes: Vec<String>,
    pub(super) notes: Vec<String>,
    /// How many ids were given out.
    ids: u64,
}

impl Stage {
    pub(super) fn new(policy: Policy, at: Timestamp) -> Self {
        // The same secret each time: there is nobody to keep it from.
        let tracker = Tracker::new(
            policy.rules.clone(),
            policy.rules.bounds,
            *b"portcullis stage",
            at,
        );
        Stage {
            policy,
            ledger: Ledger::default(),
            tracker,
            log: Vec::new(),
            now: at,
            style: Style::Seconds,
            changes: Vec::new(),
            notes: Vec::new(),
            ids: 0,
        }
    }

    pub(super) fn play(&mut self, typed: Typed, at: Timestamp) -> Result<(), String> {
        self.pass_time(at);
        match typed.kind {
            Kind::Tick => {}
            Kind::Restart => self.restart(at)?,
            Kind::Failure | Kind::Success => {
                let attempt = attempt(&typed, at)?;
                self.judge(&Signal::Login(attempt));
            }
            Kind::Attempt => {
                let signal = Signal::ByHand {
                    actor: actor(),
                    subject: subject(&typed)?,
                    times: typed.times.unwrap_or(1),
                };
                self.judge(&signal);
            }
            Kind::Ban | Kind::Unban | Kind::Forget | Kind::Allow | Kind::Unallow => {
                let why = match (&typed.reason, typed.kind) {
                    (Some(reason), _) => reason.clone(),
                    (None, Kind::Allow) => String::from("allowed"),
                    (None, _) => String::from("unban"),
                };
                let order = order(&typed)?;
                self.submit(&Intent::Order(order), &why);
            }
        }
        Ok(())
    }

    /// Bans end at their time, each by itself, before anything later happens.
    fn pass_time(&mut self, at: Timestamp) {
        while let Some(end) = self.ledger.next_end().filter(|end| *end <= at) {
            self.now = self.now.max(end);
            let before = self.log.len();
            self.submit(&Intent::Tick, "expired");
            if self.log.len() == before {
                break;
            }
        }
        // Time never runs backwards for whoever decides; an old event keeps its own time.
        self.now = self.now.max(at);
    }

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
        self.notes.extend(notices.iter().map(ToString::to_string));
        self.carry_out(proposal, "");
    }

    fn carry_out(&mut self, proposal: Proposal, why: &str) {
        match proposal {
            Proposal::Answer(Ruling::Refused(refusal)) => self.notes.push(refusal.to_string()),
            Proposal::Answer(_) => {}
            Proposal::Events(events) => {
                for event in events {
                    let ruling = self.fold(event);
                    self.tell(ruling, why);
                }
            }
        }
    }

    fn fold(&mut self, event: Event) -> Ruling {
        let seq = Seq(self.log.len() as u64 + 1);
        let (ruling, _) = self.ledger.fold(seq, &event);
        self.log.push(event);
        ruling
    }

    fn tell(&mut self, ruling: Ruling, why: &str) {
        match ruling {
            Ruling::Ban(BanRuling::Banned(ban)) | Ruling::Ban(BanRuling::Amended { ban, .. }) => {
                self.tell_ban(&ban)
            }
            Ruling::Ban(BanRuling::Lifted(ban)) => {
                let at = ban.until.filter(|end| *end <= self.now).unwrap_or(self.now);
                self.tell_lift(&ban.subject, at, why);
            }
            Ruling::Exemption(ExemptionRuling::Granted { lifted, .. }) => {
                for ban in lifted {
                    self.tell_lift(&ban.subject, self.now, why);
                }
            }
            Ruling::Refused(refusal) => self.notes.push(refusal.to_string()),
            _ => {}
        }
    }

    fn tell_ban(&mut self, ban: &Ban) {
        self.write(&Change::Ban {
            subject: ban.subject.to_string(),
            from: self.style.write(ban.since),
            until: ban.until.map(|end| self.style.write(end)),
            ordinal: ban.ordinal,
            rule: ban.origin.rule(),
        });
    }

    fn tell_lift(&mut self, subject: &Subject, at: Timestamp, why: &str) {
        self.write(&Change::Lift {
            subject: subject.to_string(),
            at: self.style.write(at),
            why,
        });
    }

    fn write(&mut self, change: &Change<'_>) {
        // Texts and numbers only: they cannot fail to be written.
        self.changes.extend(serde_json::to_string(change));
    }

    /// What a stop and a start do: the counters through their bytes, the bans through the log's.
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

/// Fresh ids, numbered on.
fn fresh(ids: &mut u64) -> impl FnMut() -> EventId {
    move || {
        *ids += 1;
        invented(*ids)
    }
}

/// Ids that look like chance and are the same each time.
fn invented(count: u64) -> EventId {
    let mut word = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&count.to_be_bytes());
    id[8..].copy_from_slice(&(word ^ word >> 31).to_be_bytes());
    EventId(id)
}

/// A line of the answer; the fields in this order.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum Change<'a> {
    Ban {
        subject: String,
        from: Value,
        until: Option<Value>,
        ordinal: u32,
        rule: Option<&'a str>,
    },
    Lift {
        subject: String,
        at: Value,
        why: &'a str,
    },
}
