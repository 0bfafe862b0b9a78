//! Judges login attempts: from a reported login, or failures entered by a person, to the bans that rules impose.
//!
//! The steps for both: exemptions, active bans, counting, rules, escalation. A login that is refused anyway is not
//! counted, so a ban does not extend itself.

mod notice;
mod past;
#[cfg(test)]
mod tests;
mod wanted;

use std::net::IpAddr;
use std::time::Duration;

use super::actor::{Actor, Role};
use super::attempt::{Attempt, LoginOutcome};
use super::bans::BanRuling;
use super::event::{BanChange, Change, Event, EventId, Origin, Personal};
use super::exemptions::exempt_by;
use super::ledger::{Ledger, Ruling, Verdict};
use super::policy::Policy;
use super::propose::Proposal;
use super::refusal::{Permission, Refusal};
use super::rules::{Rule, RuleKey};
use super::subject::Subject;
use super::time::Timestamp;
use super::tracker::{HashedAttempt, LoginOrigin, Tracker};
use wanted::{WantedBan, chance, evidence, without_the_covered};

pub use notice::{Notice, Spared};
pub(super) use past::{bans_that_count, clean_since};

/// The most failures that a person may enter at once.
pub const ATTEMPTS_AT_ONCE: u32 = 1_000;

/// A login outcome to be counted and judged by the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A login that the server reports.
    Login(Attempt),
    /// Failed logins that a person enters. They count like reported ones.
    ByHand {
        /// The person who enters them.
        actor: Actor,
        /// The subject: an account, an address, a network or a pair.
        subject: Subject,
        /// Number of failures, at most [`ATTEMPTS_AT_ONCE`].
        times: u32,
    },
}

/// Counts a signal and evaluates the rules: returns the bans they impose, or why nothing was counted, and the notices
/// for admins. Pure like [`propose`](super::propose::propose()): `now` and `fresh` (a source of new event ids) are
/// arguments.
pub fn judge(
    ledger: &Ledger,
    tracker: &mut Tracker,
    policy: &Policy,
    signal: &Signal,
    now: Timestamp,
    fresh: &mut dyn FnMut() -> EventId,
) -> (Proposal, Vec<Notice>) {
    tracker.follow(&policy.rules);
    let mut judge = Judge {
        ledger,
        tracker,
        policy,
        now,
        notices: Vec::new(),
    };
    let proposal = match signal {
        Signal::Login(attempt) => Proposal::Events(judge.login(attempt, fresh)),
        Signal::ByHand {
            actor,
            subject,
            times,
        } => judge.by_hand(actor, subject, *times, fresh),
    };
    (proposal, judge.notices)
}

struct Judge<'a> {
    ledger: &'a Ledger,
    tracker: &'a mut Tracker,
    policy: &'a Policy,
    now: Timestamp,
    notices: Vec<Notice>,
}

/// A rule whose limit is reached.
struct Over {
    subject: Subject,
    /// Number of failures before they are weighted.
    amount: u32,
    /// Number of earlier bans that count.
    count: u32,
    /// Intended length of the last ban, if the next one may not be shorter.
    before: Option<Duration>,
}

impl<'a> Judge<'a> {
    fn login(&mut self, attempt: &Attempt, fresh: &mut dyn FnMut() -> EventId) -> Vec<Event> {
        let reach = &self.policy.rules.reach;
        let mut who = LoginOrigin::at(reach, attempt.account.as_ref(), attempt.address);
        who.unknown = attempt.unknown;
        let at = attempt.at.min(self.now);
        match attempt.outcome {
            LoginOutcome::Refused | LoginOutcome::Error => Vec::new(),
            LoginOutcome::Success => {
                let trace = self.tracker.hash_attempt(&who, at, self.now);
                if !self.is_refused(&who, &trace) {
                    self.tracker.succeed(trace);
                }
                Vec::new()
            }
            LoginOutcome::Failure => {
                if self.is_exempt(who.address) {
                    return Vec::new();
                }
                let trace = self.tracker.hash_attempt(&who, at, self.now);
                if self.is_refused(&who, &trace) {
                    return Vec::new();
                }
                let wanted = self.count(who, trace, at, fresh);
                if wanted.is_empty() {
                    return Vec::new();
                }
                self.events(&Actor::rules(), wanted)
            }
        }
    }

    fn by_hand(
        &mut self,
        actor: &Actor,
        subject: &Subject,
        times: u32,
        fresh: &mut dyn FnMut() -> EventId,
    ) -> Proposal {
        if let Err(refusal) = permits_attempt(self.ledger, self.policy, actor, subject, self.now) {
            return Proposal::Answer(Ruling::Refused(refusal));
        }
        let reach = &self.policy.rules.reach;
        let place = subject.place();
        // One IPv6 source is written as a network.
        let one_source = place.filter(|net| {
            let addr = net.addr();
            matches!(subject, Subject::Pair(..) | Subject::Address(_)) || reach.source(addr) == *net
        });
        let mut who = LoginOrigin::at(reach, subject.whose(), one_source.map(|net| net.addr()));
        who.network = who.network.or(place.filter(|_| one_source.is_none()));
        who.by_hand = true;
        // Refused by an active ban of exactly this subject, or by one that refuses such a login.
        let trace = self.tracker.hash_attempt(&who, self.now, self.now);
        let refused_by = match self.verdict(&who, &trace) {
            Verdict::Refuse { ban, .. } => self.ledger.bans().get(ban),
            Verdict::LetIn => self.ledger.bans().of(subject),
        };
        if let Some(ban) = refused_by.filter(|ban| ban.is_in_force(self.now)) {
            return Proposal::Answer(Ruling::Ban(BanRuling::Already(ban.clone())));
        }
        for _ in 0..times.min(ATTEMPTS_AT_ONCE) {
            let wanted = self.count(who, trace, self.now, fresh);
            if !wanted.is_empty() {
                return Proposal::Events(self.events(actor, wanted));
            }
        }
        Proposal::Answer(Ruling::Noted)
    }

    fn is_exempt(&self, address: Option<IpAddr>) -> bool {
        address.is_some_and(|address| {
            self.policy.is_exempt(address) || self.ledger.exemptions().holds(address, self.now)
        })
    }

    fn is_refused(&self, who: &LoginOrigin<'_>, trace: &HashedAttempt) -> bool {
        self.verdict(who, trace) != Verdict::LetIn
    }

    fn verdict(&self, who: &LoginOrigin<'_>, trace: &HashedAttempt) -> Verdict {
        let known = || self.tracker.is_known(trace, self.now);
        self.ledger.check(who.account, who.address, known, self.now)
    }

    /// Counts one failure and evaluates every rule.
    fn count(
        &mut self,
        mut who: LoginOrigin<'_>,
        mut trace: HashedAttempt,
        at: Timestamp,
        fresh: &mut dyn FnMut() -> EventId,
    ) -> Vec<WantedBan<'a>> {
        who.shared = who
            .address
            .is_some_and(|address| self.tracker.is_shared(address));
        if who.shared {
            trace.share();
        }
        let known = self.tracker.is_known(&trace, self.now);
        self.tracker.count(&mut trace, known, self.now);
        let policy = self.policy;
        let mut wanted: Vec<WantedBan<'a>> = Vec::new();
        for (number, rule) in policy.rules.table.iter().enumerate() {
            let Some(over) = self.over(number, rule, &who, &trace) else {
                continue;
            };
            let Over {
                subject,
                amount,
                count,
                before,
            } = over;
            let id = fresh();
            let term = rule.term(count, before, chance(id));
            let until = at.saturating_add(term);
            if until <= self.now {
                // Reported so late that the ban would be over by now. As in fail2ban, it is not imposed.
                continue;
            }
            let evidence = evidence(rule, amount, &who, at);
            if let Some(spared) = self.spared(rule, &subject, &who) {
                self.tracker.clear(number, &trace);
                self.notices.push(Notice {
                    rule: rule.name.clone(),
                    subject,
                    until,
                    evidence,
                    spared,
                });
                continue;
            }
            wanted.push(WantedBan {
                rule,
                subject,
                until,
                ordinal: count.saturating_add(1),
                id,
                evidence,
            });
        }
        without_the_covered(wanted)
    }

    /// The subject that a rule would ban now; `None` if it is below its limit. Most failures are far below every
    /// limit, so the cheap checks come first.
    fn over(
        &self,
        number: usize,
        rule: &Rule,
        who: &LoginOrigin<'_>,
        trace: &HashedAttempt,
    ) -> Option<Over> {
        let at_most = self.tracker.at_most(number, trace);
        // Upper bound with the heaviest repeat-offender weight, so that most failures skip the ledger.
        if at_most.saturating_mul(rule.weight(u32::MAX)) < rule.limit {
            return None;
        }
        let subject = who.subject(rule.key)?;
        let (count, before) = bans_that_count(self.ledger, rule, &subject, self.now);
        let weight = rule.weight(count);
        if at_most.saturating_mul(weight) < rule.limit {
            return None;
        }
        let long_ago = Timestamp::from_millis(i64::MIN);
        let most = self.tracker.amount(number, trace, long_ago);
        if most.saturating_mul(weight) < rule.limit {
            return None;
        }
        let clean = clean_since(self.ledger, self.policy, &subject, self.now);
        let amount = match clean == long_ago {
            true => most,
            false => self.tracker.amount(number, trace, clean),
        };
        let weighed = amount.saturating_mul(weight);
        let stands = self.ledger.bans().of(&subject);
        let is_over = weighed >= rule.limit && !stands.is_some_and(|ban| ban.is_in_force(self.now));
        is_over.then_some(Over {
            subject,
            amount,
            count,
            before,
        })
    }

    fn spared(&self, rule: &Rule, subject: &Subject, who: &LoginOrigin<'_>) -> Option<Spared> {
        if rule.key == RuleKey::Address && who.shared {
            let accounts = who
                .address
                .map_or(0, |address| self.tracker.accounts_at(address));
            return Some(Spared::Shared { accounts });
        }
        // An account lockdown does not ban an exempt account: it only refuses sources that never logged in to it.
        if rule.key != RuleKey::Account
            && let Some(by) = exempt_by(self.ledger, self.policy, subject, self.now)
        {
            return Some(Spared::Exempt(by));
        }
        rule.dry_run.then_some(Spared::DryRun)
    }

    fn events(&self, actor: &Actor, wanted: Vec<WantedBan<'_>>) -> Vec<Event> {
        wanted
            .into_iter()
            .map(|wanted| {
                let based_on = self.ledger.version(&wanted.subject);
                let change = Change::Ban(BanChange::ImposedByRule {
                    reason: wanted.rule.reason().to_owned(),
                    until: wanted.until,
                    ordinal: wanted.ordinal,
                });
                let (id, subject) = (wanted.id, wanted.subject);
                Event::decided(id, self.now, actor.clone(), subject, based_on, change)
                    .with_origin(Origin::Automatic {
                        rule: wanted.rule.name.clone(),
                    })
                    .with_personal(Personal {
                        evidence: Some(wanted.evidence),
                        ..Personal::default()
                    })
            })
            .collect()
    }
}

fn permits_attempt(
    ledger: &Ledger,
    policy: &Policy,
    actor: &Actor,
    subject: &Subject,
    now: Timestamp,
) -> Result<(), Refusal> {
    let needed = match subject {
        Subject::Network(_) => Role::Admin,
        _ => Role::Moderator,
    };
    if actor.role < needed {
        return Err(Refusal::NeedsRole(needed, Permission::CountFailures));
    }
    if let Some(by) = policy.exempts(subject) {
        return Err(Refusal::Exempt(subject.clone(), by));
    }
    match ledger.exemptions().covering(subject, now) {
        Some(exemption) => Err(Refusal::Allowed(subject.clone(), exemption.to_string())),
        None => Ok(()),
    }
}
