//! Counts failed logins and remembers successful ones, in bounded memory.
//!
//! A failure adds a stamp under each key that a rule counts by: its address, network, account and pair. A [`Series`]
//! is the table for one kind of key and one way of telling stamps apart; rules that count the same way share it. Keys
//! are hashed with a secret to 64 bits, so an outsider cannot make two collide. If two collide by chance, one is
//! counted for the other, but only a source that has just failed itself can be banned for it: the subject of a ban is
//! taken from the attempt, never from a table.
//!
//! Nothing here decides: `judge` asks for counts and compares them with the rules. Failures before a ban, un-ban or
//! `forget` of a subject no longer count. That time is read from the ledger, so a crash between counting and banning
//! loses nothing.
//!
//! Start reading at [`Tracker::count`].

mod hashed_attempt;
mod known;
mod secret;
mod snapshot;
mod stamps;
mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::rules::{Counts, Rule, RuleKey, Rules};
use super::subject::Account;
use super::time::Timestamp;
use hashed_attempt::{BY_HAND, IN_NETWORK, KNOWN, SHARED, SUCCESS, UNKNOWN};
use known::Known;
use secret::HashSecret;
use stamps::{FailureStamp, FailureStamps, INSIDE, LAST};
use table::{Table, TableRow};

pub(super) use hashed_attempt::{HashedAttempt, LoginOrigin};
pub use snapshot::{BadCounters, CountersInPieces, UnsavedOutcomes};

/// The most that a tracker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The most keys of each kind: addresses, networks, accounts, pairs.
    pub keys: usize,
    /// The most successful logins.
    pub known: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            keys: 250_000,
            known: 250_000,
        }
    }
}

/// How full a table is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fill {
    /// The kind of table: `pair`, `address`, `network`, `account`, or `known`.
    pub what: &'static str,
    /// Number of keys.
    pub keys: usize,
    /// The most keys it may have.
    pub most: usize,
    /// Keys that were evicted before they expired.
    pub evicted: u64,
    /// Bytes of memory.
    pub bytes: usize,
}

/// What distinguishes the stamps of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Nothing: every failure is a stamp.
    Each,
    Accounts,
    Addresses,
    Networks,
}

#[derive(Debug, Clone)]
struct Series {
    key: RuleKey,
    tells: Tells,
    /// The highest limit of its rules; more stamps are not kept.
    cap: usize,
    /// How long a stamp can matter, in milliseconds.
    span: u64,
    table: Table<FailureStamps>,
}

impl Series {
    /// Adds a stamp to a key. Of stamps with the same tag only the last one is kept, unless `alike_count`.
    fn add(&mut self, key: u64, stamp: FailureStamp, alike_count: bool, latest: u64) {
        let oldest = latest.saturating_sub(self.span);
        let Some(stamps) = self.table.get_mut(key) else {
            let over = |stamps: &FailureStamps| stamps.newest() < oldest;
            let gone = |_, _| {};
            return self.table.add(key, FailureStamps::from(stamp), over, gone);
        };
        let before = stamps.outside();
        stamps.no_later_than(latest);
        stamps.no_earlier_than(oldest);
        if !alike_count {
            stamps.keep(|old| old.tag() != stamp.tag());
        }
        stamps.add(stamp, self.cap);
        let now = stamps.outside();
        if now != before {
            self.table.moved_outside(before, now);
        }
    }
}

/// Counts of failed logins by every key, and successful logins.
#[derive(Debug, Clone)]
pub struct Tracker {
    rules: Arc<Rules>,
    bounds: Bounds,
    secret: HashSecret,
    /// The time in the middle of the range that a stamp can express, in Unix milliseconds.
    base: i64,
    series: Vec<Series>,
    /// Index of the series of each rule.
    routes: Vec<usize>,
    pairs_answer: bool,
    known: Known,
    /// Counter that gives every failure without a name a different tag.
    serial: u64,
    journal: snapshot::OutcomeLog,
}

impl Tracker {
    /// An empty tracker. `secret` must be random and known to nobody else.
    pub fn new(rules: Arc<Rules>, bounds: Bounds, secret: [u8; 16], now: Timestamp) -> Self {
        let mut tracker = Tracker {
            known: Known::new(bounds.known, 0),
            rules: Arc::clone(&rules),
            bounds,
            secret: HashSecret::new(secret),
            base: now.as_millis(),
            series: Vec::new(),
            routes: Vec::new(),
            pairs_answer: false,
            serial: 0,
            journal: snapshot::OutcomeLog::default(),
        };
        tracker.lay_out(rules);
        tracker
    }

    /// Switches to other rules. Counts carry over where both rules count the same way.
    pub fn follow(&mut self, rules: &Arc<Rules>) {
        if !Arc::ptr_eq(&self.rules, rules) {
            self.lay_out(Arc::clone(rules));
        }
    }

    fn lay_out(&mut self, rules: Arc<Rules>) {
        let mut old = std::mem::take(&mut self.series);
        self.pairs_answer = rules.pairs_answer();
        self.routes.clear();
        for rule in &rules.table {
            let tells = self.tells(rule);
            let same = |series: &Series| (series.key, series.tells) == (rule.key, tells);
            let at = self.series.iter().position(same).unwrap_or_else(|| {
                let table = match old.iter().position(same) {
                    Some(at) => old.swap_remove(at).table,
                    None => Table::new(self.bounds.keys),
                };
                self.series.push(Series {
                    key: rule.key,
                    tells,
                    cap: INSIDE,
                    span: 0,
                    table,
                });
                self.series.len() - 1
            });
            let series = &mut self.series[at];
            series.cap = series.cap.max(rule.limit as usize);
            series.span = series.span.max(whole_millis(rule.window));
            if rule.key == RuleKey::Pair {
                // The newest stamp of a pair also decides whether a failure is a repeat.
                series.span = series.span.max(whole_millis(rules.quiet));
            }
            self.routes.push(at);
        }
        self.known.lasts = whole_millis(rules.known_for);
        self.rules = rules;
    }

    fn tells(&self, rule: &Rule) -> Tells {
        match rule.counts {
            // Without repeats, an address has one stamp per account, so both ways of counting share a series.
            Counts::Failures if rule.key == RuleKey::Address && self.pairs_answer => {
                Tells::Accounts
            }
            Counts::Failures => Tells::Each,
            Counts::Accounts => Tells::Accounts,
            Counts::Addresses => Tells::Addresses,
            Counts::Networks => Tells::Networks,
        }
    }

    /// Whether the account logged in from this source before, or from so many sources of its IPv6 network that the
    /// whole network counts as one. Changes nothing.
    pub fn knows(&self, account: &Account, address: IpAddr, now: Timestamp) -> bool {
        let who = LoginOrigin::at(&self.rules.reach, Some(account), Some(address));
        self.is_known(&self.hash_attempt(&who, now, now), now)
    }

    /// The first addresses of the sources where an account logged in before, the latest first, at most `most`.
    pub fn homes(&self, account: &Account, most: usize) -> Vec<IpAddr> {
        self.known.homes(self.secret.account(account), most)
    }

    /// Whether any account logged in from this source before.
    pub fn knows_source(&self, address: IpAddr) -> bool {
        self.accounts_at(address) > 0
    }

    /// Number of accounts that logged in from this source.
    pub fn accounts_at(&self, address: IpAddr) -> u32 {
        self.known
            .accounts_at(self.rules.reach.source(address.to_canonical()))
    }

    /// Whether any account logged in from this network. If so, a ban of the network by a rule can only be checked
    /// once the account is known, not at the start of a stream.
    pub fn lives_in(&self, net: IpNet) -> bool {
        self.known.lives_in(net)
    }

    /// Whether the source is shared by so many accounts that its failures say little about any one of them: an
    /// office, a carrier's NAT or a proxy.
    pub fn is_shared(&self, address: IpAddr) -> bool {
        self.rules.is_proxy(address) || self.accounts_at(address) >= self.rules.shared_accounts
    }

    /// The hashed form of an attempt. Its time is at most `now`.
    pub(super) fn hash_attempt(
        &self,
        who: &LoginOrigin<'_>,
        at: Timestamp,
        now: Timestamp,
    ) -> HashedAttempt {
        let mut trace = who.trace(&self.secret, self.millis(at.min(now)));
        self.widen(&mut trace);
        trace
    }

    /// The key of the account in the whole IPv6 network of the source; 0: none.
    fn network_pair(&self, trace: &HashedAttempt) -> u64 {
        match trace.flags & IN_NETWORK {
            0 => 0,
            _ => self.secret.pair(trace.account, trace.network),
        }
    }

    /// Treats an unknown source in an IPv6 network as the whole network, if the account logged in from many sources there:
    /// failures at all of them count together.
    fn widen(&self, trace: &mut HashedAttempt) {
        let pair = self.network_pair(trace);
        let is_good = |pair| self.known.is_good(pair, trace.at);
        if pair != 0 && !is_good(trace.pair) && is_good(pair) {
            trace.pair = pair;
        }
    }

    /// Trusts a network no longer whose failures reach the limit of a rule by pair. Sources in it that the account logged in
    /// from stay trusted, and strangers there meet every other rule.
    fn distrust_network(&mut self, trace: &HashedAttempt) {
        if trace.pair == 0 || trace.pair != self.network_pair(trace) {
            return;
        }
        let ever = Timestamp::from_millis(i64::MIN);
        let mut rules = self.rules.table.iter().enumerate();
        if rules.any(|(at, rule)| {
            rule.key == RuleKey::Pair && self.amount(at, trace, ever) >= rule.limit
        }) {
            self.known.remove(trace.pair);
        }
    }

    /// Whether the account of an attempt logged in from its source before.
    pub(super) fn is_known(&self, trace: &HashedAttempt, now: Timestamp) -> bool {
        trace.pair != 0 && self.known.is_good(trace.pair, self.millis(now))
    }

    /// Records a success: the pair becomes trusted, and earlier failures of this account from this source are
    /// forgiven, but not those of other accounts.
    pub(super) fn succeed(&mut self, mut trace: HashedAttempt) {
        if trace.pair != 0 {
            trace.flags |= SUCCESS;
            self.take(trace);
            self.journal.push(trace);
        }
    }

    /// Records a failure. Stamps are kept in order of time, in whatever order failures arrive.
    pub(super) fn count(&mut self, trace: &mut HashedAttempt, known: bool, now: Timestamp) {
        if known {
            trace.flags |= KNOWN;
        }
        self.stamp(trace, self.millis(now));
        self.journal.push(*trace);
    }

    fn take(&mut self, mut trace: HashedAttempt) {
        self.widen(&mut trace);
        if trace.flags & SUCCESS == 0 {
            return self.stamp(&trace, trace.at);
        }
        let pair = trace.pair;
        if pair == 0 {
            return;
        }
        self.known.note(&trace, self.network_pair(&trace));
        for series in &mut self.series {
            // The names that distinguish the stamps of this account or this source.
            let (key, hash) = match (series.key, series.tells) {
                (RuleKey::Pair, _) => (pair, None),
                (RuleKey::Address, _) => (trace.source, Some(trace.account)),
                (RuleKey::Account, Tells::Networks) => (trace.account, Some(trace.network)),
                (RuleKey::Account, _) => (trace.account, Some(trace.source)),
                // Stamps of a network may belong to other accounts, so they stay.
                (RuleKey::Network, _) => continue,
            };
            series.table.change(key, |stamps| match hash {
                None => stamps.keep(|_| false),
                Some(hash) => {
                    let tag = FailureStamp::new(1, false, hash).tag();
                    stamps.keep(|stamp| stamp.tag() != tag);
                }
            });
        }
    }

    fn stamp(&mut self, trace: &HashedAttempt, latest: u64) {
        let has = |flag| trace.flags & flag != 0;
        let only_pair = has(KNOWN) && self.pairs_answer;
        let repeated = self.pairs_answer && self.is_repeated(trace);
        for series in &mut self.series {
            let skip = match series.key {
                RuleKey::Pair => false,
                RuleKey::Address => only_pair || repeated,
                RuleKey::Network => only_pair || has(SHARED),
                RuleKey::Account => only_pair,
            };
            let key = trace.key(series.key);
            if skip || key == 0 {
                continue;
            }
            let told = match (series.tells, series.key) {
                (Tells::Each, RuleKey::Pair) => 1,
                (Tells::Each, RuleKey::Account) | (Tells::Addresses, _) => trace.source,
                (Tells::Each, _) | (Tells::Accounts, _) => trace.account,
                (Tells::Networks, _) => trace.network,
            };
            let told = match told {
                // A failure without an account is counted as a separate one. A failure without an address does not
                // count as coming from one more address.
                0 if has(BY_HAND)
                    || series.tells == Tells::Each
                    || series.key == RuleKey::Address =>
                {
                    self.serial = self.serial.wrapping_add(1);
                    self.serial
                }
                0 => continue,
                told => told,
            };
            // Repeats after a pause count again as failures of an address.
            let alike_count = series.tells == Tells::Each
                || (series.key == RuleKey::Address && self.pairs_answer);
            series.add(
                key,
                FailureStamp::new(trace.at, has(UNKNOWN), told),
                alike_count,
                latest,
            );
        }
        self.distrust_network(trace);
    }

    /// Whether the pair failed within the repeat window: a client with a stale password, or a guesser that a rule by
    /// pair stops.
    fn is_repeated(&self, trace: &HashedAttempt) -> bool {
        let pair = trace.pair;
        let quiet = whole_millis(self.rules.quiet);
        pair != 0
            && self
                .series
                .iter()
                .filter(|series| series.key == RuleKey::Pair)
                .filter_map(|series| series.table.get(pair))
                .any(|stamps| trace.at <= stamps.newest().saturating_add(quiet))
    }

    /// An upper bound of [`Tracker::amount`] that is cheap to compute.
    pub(super) fn at_most(&self, rule: usize, trace: &HashedAttempt) -> u32 {
        let (Some(known), Some(series)) = (self.rules.table.get(rule), self.routes.get(rule))
        else {
            return 0;
        };
        let series = &self.series[*series];
        let stamps = series.table.get(trace.key(series.key));
        let count = stamps.map_or(0, |stamps| stamps.all().len() as u32);
        count.saturating_mul(self.rules.heaviest(known.counts))
    }

    /// The count of a rule for the key of an attempt: its stamps since a point in time, within the rule's window,
    /// which ends with the newest stamp.
    pub(super) fn amount(&self, rule: usize, trace: &HashedAttempt, since: Timestamp) -> u32 {
        let (Some(known), Some(series)) = (self.rules.table.get(rule), self.routes.get(rule))
        else {
            return 0;
        };
        let series = &self.series[*series];
        let Some(stamps) = series.table.get(trace.key(series.key)) else {
            return 0;
        };
        let window = whole_millis(known.window);
        let start = stamps
            .newest()
            .saturating_sub(window)
            .max(self.millis(since));
        let stamps = stamps.since(start);
        if known.counts == Counts::Failures {
            return u32::try_from(stamps.count()).unwrap_or(u32::MAX);
        }
        let weight = self.rules.heaviest(known.counts);
        let mut amount: u32 = 0;
        for (at, stamp) in stamps.clone().enumerate() {
            if !stamps
                .clone()
                .take(at)
                .any(|other| other.tag() == stamp.tag())
            {
                let one = if stamp.is_unknown() { weight } else { 1 };
                amount = amount.saturating_add(one);
            }
        }
        amount
    }

    /// Resets the count of one rule for the key of an attempt.
    pub(super) fn clear(&mut self, rule: usize, trace: &HashedAttempt) {
        if let Some(series) = self.routes.get(rule).copied() {
            let key = trace.key(self.series[series].key);
            self.series[series]
                .table
                .change(key, |stamps| stamps.keep(|_| false));
        }
    }

    /// The current counts of the rules for an account, an address or both, by rule. Failures before `since` do not
    /// count.
    pub(super) fn tally(
        &self,
        who: &LoginOrigin<'_>,
        now: Timestamp,
        since: impl Fn(&Rule) -> Timestamp,
    ) -> Vec<(&Rule, u32)> {
        let trace = self.hash_attempt(who, now, now);
        let rules = self.rules.table.iter().enumerate();
        rules
            .map(|(at, rule)| (rule, self.amount(at, &trace, since(rule))))
            .filter(|(_, amount)| *amount > 0)
            .collect()
    }

    /// How full each table is.
    pub fn fill(&self) -> Vec<Fill> {
        let series = self.series.iter().map(|series| {
            let name = RuleKey::NAMES.iter().find(|(_, key)| *key == series.key);
            Fill {
                what: name.map_or("", |(name, _)| name),
                keys: series.table.len(),
                most: self.bounds.keys,
                evicted: series.table.evicted,
                bytes: series.table.bytes(),
            }
        });
        let known = Fill {
            what: "known",
            keys: self.known.table.len(),
            most: self.bounds.known,
            evicted: self.known.table.evicted,
            bytes: self.known.bytes(),
        };
        series.chain([known]).collect()
    }

    fn millis(&self, at: Timestamp) -> u64 {
        const MIDDLE: i64 = 1 << 39;
        let from_base = at
            .as_millis()
            .saturating_sub(self.base)
            .clamp(-MIDDLE, MIDDLE);
        ((from_base + MIDDLE) as u64).clamp(1, LAST)
    }
}

fn whole_millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(LAST).min(LAST)
}
