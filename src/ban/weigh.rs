//! From a reported login, or one by hand, to what the rules answer.
//!
//! One chain for both: exemptions, what is refused already, counting, rules, growth. What would
//! have been refused anyway is not counted, so a ban does not feed on itself.

use std::net::IpAddr;
use std::time::Duration;

use super::attempt::{Attempt, Outcome};
use super::event::{Actor, Change, Event, EventId, Origin, Personal, Role};
use super::ledger::{Ledger, Ruling, Verdict};
use super::policy::{Policy, Refusal};
use super::propose::{Proposal, Report, propose};
use super::rules::{Key, Rule};
use super::subject::{Account, Subject};
use super::time::{Timestamp, in_words};
use super::tracker::{Trace, Tracker, Who};

/// How many attempts by hand are taken at once.
pub const ATTEMPTS_AT_ONCE: u32 = 1_000;

/// Something an admin should hear of although nothing was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The rule whose limit was reached.
    pub rule: String,
    /// Whom it would have banned.
    pub subject: Subject,
    /// Until when.
    pub until: Timestamp,
    /// What led to it, for admins.
    pub evidence: String,
    /// Why it was not.
    pub spared: Spared,
}

/// Why a rule did not ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spared {
    /// The rule only tells.
    DryRun,
    /// Many accounts log in from there, or it is a declared proxy: pairs answer.
    Shared {
        /// How many accounts did.
        accounts: u32,
    },
    /// It is exempt, or a ban would hit what is.
    Exempt(String),
}

/// `dry run of address-failures: 203.0.113.7 would be banned until …: …`.
impl std::fmt::Display for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Notice {
            rule,
            subject,
            until,
            evidence,
            spared,
        } = self;
        match spared {
            Spared::DryRun => write!(
                f,
                "dry run of {rule}: {subject} would be banned until {until}: {evidence}"
            ),
            Spared::Shared { accounts } => write!(
                f,
                "{subject} is not banned by {rule}, because {accounts} accounts log in from there \
                 or it is a proxy; guessers there are refused account by account: {evidence}"
            ),
            Spared::Exempt(by) => write!(
                f,
                "{subject} is not banned by {rule}, because it is exempt ({by}): {evidence}"
            ),
        }
    }
}

/// From any report to events, or to an answer when there is nothing to append; and what admins
/// should hear of. Pure, as [`propose`] is, which decides what needs no counting.
pub fn weigh(
    ledger: &Ledger,
    tracker: &mut Tracker,
    policy: &Policy,
    report: &Report,
    now: Timestamp,
    fresh: &mut dyn FnMut() -> EventId,
) -> (Proposal, Vec<Notice>) {
    tracker.follow(&policy.rules);
    let mut scale = Scale {
        ledger,
        tracker,
        policy,
        now,
        notices: Vec::new(),
    };
    let proposal = match report {
        Report::Login(attempt) => Proposal::Events(scale.login(attempt, fresh)),
        Report::Attempt {
            actor,
            subject,
            times,
        } => scale.by_hand(actor, subject, *times, fresh),
        Report::Order(_) | Report::Recall(_) | Report::Tick | Report::Review => {
            propose(ledger, policy, report, now, fresh)
        }
    };
    (proposal, scale.notices)
}

struct Scale<'a> {
    ledger: &'a Ledger,
    tracker: &'a mut Tracker,
    policy: &'a Policy,
    now: Timestamp,
    notices: Vec<Notice>,
}

/// A ban a rule asks for.
struct Wanted<'a> {
    rule: &'a Rule,
    subject: Subject,
    until: Timestamp,
    ordinal: u32,
    id: EventId,
    evidence: String,
}

impl<'a> Scale<'a> {
    fn login(&mut self, attempt: &Attempt, fresh: &mut dyn FnMut() -> EventId) -> Vec<Event> {
        let address = attempt.address.map(|address| address.to_canonical());
        let who = Who {
            account: attempt.account.as_ref(),
            address,
            unknown: attempt.unknown,
            ..Who::default()
        };
        let at = attempt.at.min(self.now);
        match attempt.outcome {
            Outcome::Refused | Outcome::Error => Vec::new(),
            Outcome::Success => {
                let trace = self.tracker.trace_of(&who, at, self.now);
                if !self.is_refused(&who, &trace) {
                    self.tracker.succeed(trace);
                }
                Vec::new()
            }
            Outcome::Failure => {
                if self.is_exempt(address) {
                    return Vec::new();
                }
                let trace = self.tracker.trace_of(&who, at, self.now);
                if self.is_refused(&who, &trace) {
                    return Vec::new();
                }
                let wanted = self.count(who, trace, at, fresh);
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
        let place = subject.place();
        // A whole IPv6 source is written as a network.
        let one_source = place.filter(|net| {
            let addr = net.addr();
            matches!(subject, Subject::Pair(..) | Subject::Address(_))
                || self.policy.rules.reach.source(addr) == *net
        });
        let who = Who {
            account: subject.whose(),
            address: one_source.map(|net| net.addr()),
            network: place.filter(|_| one_source.is_none()),
            by_hand: true,
            ..Who::default()
        };
        // What stands against it: a ban of exactly this, or one that refuses such a login.
        let trace = self.tracker.trace_of(&who, self.now, self.now);
        let refused_by = match self.verdict(&who, &trace) {
            Verdict::Refuse { ban, .. } => self.ledger.standing(ban),
            Verdict::LetIn => self.ledger.current(subject),
        };
        if let Some(ban) = refused_by.filter(|ban| ban.is_in_force(self.now)) {
            return Proposal::Answer(Ruling::Already(ban.clone()));
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
            self.policy.is_exempt(address) || self.ledger.is_exempt(address, self.now)
        })
    }

    fn is_refused(&self, who: &Who<'_>, trace: &Trace) -> bool {
        self.verdict(who, trace) != Verdict::LetIn
    }

    fn verdict(&self, who: &Who<'_>, trace: &Trace) -> Verdict {
        let known = || self.tracker.is_known(trace, self.now);
        self.ledger.check(who.account, who.address, known, self.now)
    }

    /// Counts one failure and asks every rule.
    fn count(
        &mut self,
        mut who: Who<'_>,
        mut trace: Trace,
        at: Timestamp,
        fresh: &mut dyn FnMut() -> EventId,
    ) -> Vec<Wanted<'a>> {
        who.shared = who
            .address
            .is_some_and(|address| self.tracker.is_shared(address));
        if who.shared {
            trace.share();
        }
        let known = self.tracker.is_known(&trace, self.now);
        self.tracker.count(&mut trace, known, self.now);
        let policy = self.policy;
        let mut wanted: Vec<Wanted<'a>> = Vec::new();
        for (number, rule) in policy.rules.table.iter().enumerate() {
            let Some(over) = self.over(number, rule, &who, &trace) else {
                continue;
            };
            let (subject, amount, count, before) = over;
            let id = fresh();
            let term = rule.term(count, before, chance(id));
            let until = at.saturating_add(term);
            if until <= self.now {
                // Told so late that it would be over: as in fail2ban, it never was.
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
            wanted.push(Wanted {
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

    /// Whom a rule would ban now: with what it counted, the bans that count, and the length of the
    /// last one.
    #[allow(clippy::type_complexity)]
    fn over(
        &self,
        number: usize,
        rule: &Rule,
        who: &Who<'_>,
        trace: &Trace,
    ) -> Option<(Subject, u32, u32, Option<Duration>)> {
        let long_ago = Timestamp::from_millis(i64::MIN);
        let most = self.tracker.amount(number, trace, long_ago);
        // Weighed by the worst record there can be: spares the look at the real one.
        let worst = rule.weight(u32::MAX);
        if most == 0 || most.saturating_mul(worst) < rule.limit {
            return None;
        }
        let subject = match (rule.key, who.network) {
            (Key::Network, Some(net)) => Subject::network(net),
            _ => self
                .policy
                .rules
                .subject(rule.key, who.account, who.address)?,
        };
        let (count, before) = bans_that_count(self.ledger, rule, &subject, self.now);
        let weight = rule.weight(count);
        if most.saturating_mul(weight) < rule.limit {
            return None;
        }
        let clean = clean_since(self.ledger, self.policy, &subject, self.now);
        let amount = match clean == long_ago {
            true => most,
            false => self.tracker.amount(number, trace, clean),
        };
        let weighed = amount.saturating_mul(weight);
        let stands = self.ledger.current(&subject);
        let is_over = weighed >= rule.limit && !stands.is_some_and(|ban| ban.is_in_force(self.now));
        is_over.then_some((subject, amount, count, before))
    }

    fn spared(&self, rule: &Rule, subject: &Subject, who: &Who<'_>) -> Option<Spared> {
        if rule.key == Key::Address && who.shared {
            let accounts = who
                .address
                .map_or(0, |address| self.tracker.accounts_at(address));
            return Some(Spared::Shared { accounts });
        }
        // A guard is no ban of the account: it keeps strangers away from it.
        if rule.key != Key::Account {
            let by_policy = self.policy.exempts(subject);
            let by_ledger = || {
                self.ledger
                    .exemption(subject, self.now)
                    .map(ToString::to_string)
            };
            if let Some(by) = by_policy.or_else(by_ledger) {
                return Some(Spared::Exempt(by));
            }
        }
        rule.dry_run.then_some(Spared::DryRun)
    }

    fn events(&self, actor: &Actor, wanted: Vec<Wanted<'_>>) -> Vec<Event> {
        wanted
            .into_iter()
            .map(|wanted| Event {
                id: wanted.id,
                at: self.now,
                actor: actor.clone(),
                origin: Origin::Automatic {
                    rule: wanted.rule.name.clone(),
                },
                based_on: self.ledger.version(&wanted.subject),
                subject: wanted.subject,
                change: Change::ImposedByRule {
                    reason: wanted.rule.reason().to_owned(),
                    until: wanted.until,
                    ordinal: wanted.ordinal,
                },
                personal: Personal {
                    evidence: Some(wanted.evidence),
                    ..Personal::default()
                },
            })
            .collect()
    }
}

/// Failures before this do not count for a subject: since then there was a ban of it, or it, its
/// account or its source was un-banned by hand (with a time of grace) or forgotten.
pub(super) fn clean_since(
    ledger: &Ledger,
    policy: &Policy,
    subject: &Subject,
    now: Timestamp,
) -> Timestamp {
    let account = subject.whose().cloned().map(Subject::Account);
    let guard = subject.whose().cloned().map(Subject::Guard);
    let place = subject.place().map(Subject::network);
    let network = subject
        .place()
        .and_then(|net| policy.rules.reach.network(net.addr()))
        .map(Subject::network);
    let own = ledger.record(subject, now).map(|record| record.clean);
    [Some(subject.clone()), account, guard, place, network]
        .into_iter()
        .flatten()
        .flat_map(|subject| {
            let pardoned = ledger.pardoned(&subject);
            let pardoned = pardoned.map(|at| at.saturating_add(policy.rules.grace));
            [pardoned, ledger.forgotten(&subject)]
        })
        .chain([own])
        .flatten()
        .max()
        .unwrap_or(Timestamp::from_millis(i64::MIN))
}

/// How many bans of a subject count for a rule, and how long the last one was meant to be.
pub(super) fn bans_that_count(
    ledger: &Ledger,
    rule: &Rule,
    subject: &Subject,
    now: Timestamp,
) -> (u32, Option<Duration>) {
    let Some(record) = ledger.record(subject, now) else {
        return (0, None);
    };
    let quiet = record.ended.map_or(Duration::ZERO, |end| now.since(end));
    let count = rule.remembered(record.count, quiet);
    // After decay the term is smaller again: the last one is no floor any more.
    (count, record.length.filter(|_| count == record.count))
}

/// One ban a subject, the longest; and none for what another one covers as long.
fn without_the_covered(mut wanted: Vec<Wanted<'_>>) -> Vec<Wanted<'_>> {
    if wanted.len() < 2 {
        return wanted;
    }
    // Wide ones first, so that the narrow ones are compared with what is kept.
    let width = |wanted: &Wanted<'_>| match wanted.rule.key {
        Key::Network => 0,
        Key::Address => 1,
        Key::Pair => 2,
        Key::Account => 3,
    };
    wanted.sort_by_key(|one| (width(one), std::cmp::Reverse(one.until)));
    let mut kept: Vec<Wanted<'_>> = Vec::with_capacity(wanted.len());
    for one in wanted {
        let covered = kept.iter().any(|other| {
            let covers = match (other.subject.net(), one.subject.place()) {
                (Some(net), Some(place)) => net.contains(&place),
                _ => false,
            };
            other.subject == one.subject || (covers && other.until >= one.until)
        });
        if !covered {
            kept.push(one);
        }
    }
    kept
}

/// The chance in a term comes from the event's id, which is nothing but chance.
fn chance(id: EventId) -> u64 {
    id.0.iter()
        .skip(8)
        .fold(0, |chance, byte| chance << 8 | u64::from(*byte))
}

fn evidence(rule: &Rule, amount: u32, who: &Who<'_>, at: Timestamp) -> String {
    let shown = |account: Option<&Account>| account.map_or("?".to_owned(), ToString::to_string);
    let from = match (who.address, who.network) {
        (Some(address), _) => address.to_string(),
        (None, Some(net)) => net.to_string(),
        (None, None) => "?".to_owned(),
    };
    let by_hand = if who.by_hand { ", by hand" } else { "" };
    format!(
        "{amount} {} within {} (limit {}); the last at {at}: {} from {from}{by_hand}",
        rule.counts,
        in_words(rule.window),
        rule.limit,
        shown(who.account),
    )
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
        return Err(Refusal::NeedsRole(needed, "Counting failures by hand"));
    }
    if let Some(by) = policy.exempts(subject) {
        return Err(Refusal::Exempt(subject.clone(), by));
    }
    match ledger.exemption(subject, now) {
        Some(exemption) => Err(Refusal::Allowed(subject.clone(), exemption.to_string())),
        None => Ok(()),
    }
}
