//! Counts failed logins, and remembers good ones. In memory, bounded, quick.
//!
//! One failure leaves a mark with each key a rule counts by: its address, network, account and
//! pair. A lane is the table of one key and of what its marks tell apart; rules that count the
//! same way share one. Keys are hashed with a secret (64 bits): nobody outside can make two of
//! them meet, and should two meet by chance, a failure of the one is counted for the other, but
//! whoever is banned for it has just failed themselves: a subject is taken from the attempt at
//! hand, never from a table.
//!
//! Nothing here decides: `judge` asks how much there is and compares with the rules. What lies
//! before a ban, un-ban or `forget` of a subject does not count any more; that is read from the
//! ledger, so a crash between counting and banning loosens nothing.
//!
//! Start reading at [`Tracker::count`].

mod known;
mod marks;
mod secret;
mod snapshot;
mod table;
mod trace;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::rules::{Counts, Key, Rule, Rules};
use super::subject::Account;
use super::time::Timestamp;
use known::Known;
use marks::{INSIDE, LAST, Mark, Marks};
use secret::Secret;
use table::{Row, Table};
use trace::{BY_HAND, KNOWN, SHARED, SUCCESS, UNKNOWN};

pub use snapshot::{BadSnapshot, Recent};
pub(super) use trace::{Trace, Who};

/// How much a tracker may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Keys of one kind: so many addresses, networks, accounts, pairs.
    pub keys: usize,
    /// Good logins.
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
    /// What it is a table of: `pair`, `address`, `network`, `account`, or `known`.
    pub what: &'static str,
    /// Keys in it.
    pub keys: usize,
    /// Keys it may have.
    pub most: usize,
    /// Keys that had to make room before they were over.
    pub evicted: u64,
    /// Bytes of memory.
    pub bytes: usize,
}

/// What the marks of a lane tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    /// Nothing: each failure is a mark.
    Each,
    Accounts,
    Addresses,
    Networks,
}

#[derive(Debug, Clone)]
struct Lane {
    key: Key,
    tells: Tells,
    /// The highest limit of its rules: more marks need not be kept.
    cap: usize,
    /// The longest time a mark matters, in milliseconds.
    span: u64,
    table: Table<Marks>,
}

impl Lane {
    /// Adds a mark to those of a key; of marks that tell the same the last one stays, unless
    /// `alike_count`.
    fn add(&mut self, key: u64, mark: Mark, alike_count: bool, latest: u64) {
        let oldest = latest.saturating_sub(self.span);
        let Some(marks) = self.table.get_mut(key) else {
            let over = |marks: &Marks| marks.newest() < oldest;
            return self.table.add(key, Marks::from(mark), over, drop);
        };
        let before = marks.outside();
        marks.no_later_than(latest);
        marks.no_earlier_than(oldest);
        if !alike_count && marks.all().iter().any(|old| Mark(*old).tag() == mark.tag()) {
            marks.keep(|old| old.tag() != mark.tag());
        }
        marks.add(mark, self.cap);
        let now = marks.outside();
        if now != before {
            self.table.moved_outside(before, now);
        }
    }
}

/// Failed logins by every key, and good ones.
#[derive(Debug, Clone)]
pub struct Tracker {
    rules: Arc<Rules>,
    bounds: Bounds,
    secret: Secret,
    /// The point in time that lies in the middle of what a mark can tell.
    base: i64,
    lanes: Vec<Lane>,
    /// The lane of each rule.
    routes: Vec<usize>,
    pairs_answer: bool,
    known: Known,
    /// Tells apart what has no name.
    serial: u64,
    journal: snapshot::Journal,
}

impl Tracker {
    /// An empty one. `secret` is chance nobody else knows.
    pub fn new(rules: Arc<Rules>, bounds: Bounds, secret: [u8; 16], now: Timestamp) -> Self {
        let mut tracker = Tracker {
            known: Known::new(bounds.known, 0),
            rules: Arc::clone(&rules),
            bounds,
            secret: Secret::new(secret),
            base: now.as_millis(),
            lanes: Vec::new(),
            routes: Vec::new(),
            pairs_answer: false,
            serial: 0,
            journal: snapshot::Journal::default(),
        };
        tracker.lay_out(rules);
        tracker
    }

    /// Takes over other rules; what is counted the same way by both goes on.
    pub fn follow(&mut self, rules: &Arc<Rules>) {
        if !Arc::ptr_eq(&self.rules, rules) {
            self.lay_out(Arc::clone(rules));
        }
    }

    fn lay_out(&mut self, rules: Arc<Rules>) {
        let mut old = std::mem::take(&mut self.lanes);
        self.pairs_answer = rules.pairs_answer();
        self.routes.clear();
        for rule in &rules.table {
            let tells = self.tells(rule);
            let same = |lane: &Lane| (lane.key, lane.tells) == (rule.key, tells);
            let at = self.lanes.iter().position(same).unwrap_or_else(|| {
                let table = match old.iter().position(same) {
                    Some(at) => old.swap_remove(at).table,
                    None => Table::new(self.bounds.keys),
                };
                self.lanes.push(Lane {
                    key: rule.key,
                    tells,
                    cap: INSIDE,
                    span: 0,
                    table,
                });
                self.lanes.len() - 1
            });
            let lane = &mut self.lanes[at];
            lane.cap = lane.cap.max(rule.limit as usize);
            lane.span = lane.span.max(whole_millis(rule.window));
            if rule.key == Key::Pair {
                // The newest mark of a pair also says whether a failure is a repeated one.
                lane.span = lane.span.max(whole_millis(rules.quiet));
            }
            self.routes.push(at);
        }
        self.known.lasts = whole_millis(rules.known_for);
        self.rules = rules;
    }

    fn tells(&self, rule: &Rule) -> Tells {
        match rule.counts {
            // With repeats left out, failures and accounts of an address are the same marks.
            Counts::Failures if rule.key == Key::Address && self.pairs_answer => Tells::Accounts,
            Counts::Failures => Tells::Each,
            Counts::Accounts => Tells::Accounts,
            Counts::Addresses => Tells::Addresses,
            Counts::Networks => Tells::Networks,
        }
    }

    /// Whether this account logged in from there before. Reads only.
    pub fn knows(&self, account: &Account, address: IpAddr, now: Timestamp) -> bool {
        let source = self.rules.reach.source(address.to_canonical());
        let pair = (self.secret).pair(self.secret.account(account), self.secret.net(source));
        self.known.is_good(pair, self.millis(now))
    }

    /// Whether any account logged in from this source before.
    pub fn knows_source(&self, address: IpAddr) -> bool {
        self.accounts_at(address) > 0
    }

    /// How many accounts logged in from this source.
    pub fn accounts_at(&self, address: IpAddr) -> u32 {
        self.known
            .accounts_at(self.rules.reach.source(address.to_canonical()))
    }

    /// Whether any account logged in from anywhere in this network: then a ban of it by a rule
    /// must be asked about at the password, and cannot refuse at the start of a stream.
    pub fn lives_in(&self, net: IpNet) -> bool {
        self.known.lives_in(net)
    }

    /// Whether so many accounts log in from this source that it says little about any of them:
    /// an office, a carrier's or somebody's proxy.
    pub fn is_shared(&self, address: IpAddr) -> bool {
        self.rules.is_proxy(address) || self.accounts_at(address) >= self.rules.shared_accounts
    }

    /// An attempt as it is counted. Its time is no later than now.
    pub(super) fn trace_of(&self, who: &Who<'_>, at: Timestamp, now: Timestamp) -> Trace {
        who.trace(&self.secret, self.millis(at.min(now)))
    }

    /// Whether an attempt is of an account that logged in from there before.
    pub(super) fn is_known(&self, trace: &Trace, now: Timestamp) -> bool {
        trace.pair != 0 && self.known.is_good(trace.pair, self.millis(now))
    }

    /// Takes in a success: it is remembered, and what the account got wrong from there forgiven.
    /// What others did there is not.
    pub(super) fn succeed(&mut self, mut trace: Trace) {
        if trace.pair != 0 {
            trace.flags |= SUCCESS;
            self.take(trace);
            self.journal.push(trace);
        }
    }

    /// Takes in a failure. Its marks are in order of time, whatever order they come in.
    pub(super) fn count(&mut self, trace: &mut Trace, known: bool, now: Timestamp) {
        if known {
            trace.flags |= KNOWN;
        }
        self.mark(trace, self.millis(now));
        self.journal.push(*trace);
    }

    fn take(&mut self, trace: Trace) {
        if trace.flags & SUCCESS == 0 {
            return self.mark(&trace, trace.at);
        }
        let pair = trace.pair;
        if pair == 0 {
            return;
        }
        self.known.note(pair, trace.home, trace.at);
        for lane in &mut self.lanes {
            // What the marks of this account, or from this source, are told apart by.
            let (key, hash) = match (lane.key, lane.tells) {
                (Key::Pair, _) => (pair, None),
                (Key::Address, _) => (trace.source, Some(trace.account)),
                (Key::Account, Tells::Networks) => (trace.account, Some(trace.network)),
                (Key::Account, _) => (trace.account, Some(trace.source)),
                // Others at that address may have failed too.
                (Key::Network, _) => continue,
            };
            lane.table.change(key, |marks| match hash {
                None => marks.keep(|_| false),
                Some(hash) => {
                    let tag = Mark::new(1, false, hash).tag();
                    marks.keep(|mark| mark.tag() != tag);
                }
            });
        }
    }

    fn mark(&mut self, trace: &Trace, latest: u64) {
        let has = |flag| trace.flags & flag != 0;
        let only_pair = has(KNOWN) && self.pairs_answer;
        let repeated = self.pairs_answer && self.is_repeated(trace);
        for lane in &mut self.lanes {
            let skip = match lane.key {
                Key::Pair => false,
                Key::Address => only_pair || repeated,
                Key::Network => only_pair || has(SHARED),
                Key::Account => only_pair,
            };
            let key = trace.key(lane.key);
            if skip || key == 0 {
                continue;
            }
            let told = match (lane.tells, lane.key) {
                (Tells::Each, Key::Pair) => 1,
                (Tells::Each, Key::Account) | (Tells::Addresses, _) => trace.source,
                (Tells::Each, _) | (Tells::Accounts, _) => trace.account,
                (Tells::Networks, _) => trace.network,
            };
            let told = match told {
                // Failures that name no account count one by one; what names no address does not
                // count as coming from many.
                0 if has(BY_HAND) || lane.tells == Tells::Each || lane.key == Key::Address => {
                    self.serial = self.serial.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    self.serial >> 13 | 1
                }
                0 => continue,
                told => told,
            };
            // Repeats after a pause count again as failures of an address.
            let alike_count =
                lane.tells == Tells::Each || (lane.key == Key::Address && self.pairs_answer);
            lane.add(
                key,
                Mark::new(trace.at, has(UNKNOWN), told),
                alike_count,
                latest,
            );
        }
    }

    /// Whether the pair failed before without a pause: a stale saved password, or a guesser whom
    /// the rule by pair answers.
    fn is_repeated(&self, trace: &Trace) -> bool {
        let pair = trace.pair;
        let quiet = whole_millis(self.rules.quiet);
        pair != 0
            && self
                .lanes
                .iter()
                .filter(|lane| lane.key == Key::Pair)
                .any(|lane| {
                    let newest = lane.table.get(pair).map_or(0, Marks::newest);
                    newest != 0 && trace.at <= newest.saturating_add(quiet)
                })
    }

    /// More than this a rule does not count for the key of an attempt: a quick look before [`Tracker::amount`].
    pub(super) fn at_most(&self, rule: usize, trace: &Trace) -> u32 {
        let (Some(known), Some(lane)) = (self.rules.table.get(rule), self.routes.get(rule)) else {
            return 0;
        };
        let lane = &self.lanes[*lane];
        let marks = lane.table.get(trace.key(lane.key));
        let count = marks.map_or(0, |marks| marks.all().len() as u32);
        count.saturating_mul(self.rules.heaviest(known.counts))
    }

    /// How much a rule counts for the key of an attempt, since a point in time. Marks before it
    /// do not count, nor do those outside of the window that ends with the newest one.
    pub(super) fn amount(&self, rule: usize, trace: &Trace, since: Timestamp) -> u32 {
        let (Some(known), Some(lane)) = (self.rules.table.get(rule), self.routes.get(rule)) else {
            return 0;
        };
        let lane = &self.lanes[*lane];
        let Some(marks) = lane.table.get(trace.key(lane.key)) else {
            return 0;
        };
        let window = whole_millis(known.window);
        let start = marks
            .newest()
            .saturating_sub(window)
            .max(self.millis(since));
        let marks = marks.since(start);
        if known.counts == Counts::Failures {
            return u32::try_from(marks.count()).unwrap_or(u32::MAX);
        }
        let weight = self.rules.heaviest(known.counts);
        let mut amount: u32 = 0;
        for (at, mark) in marks.clone().enumerate() {
            if !marks
                .clone()
                .take(at)
                .any(|other| other.tag() == mark.tag())
            {
                let one = if mark.is_unknown() { weight } else { 1 };
                amount = amount.saturating_add(one);
            }
        }
        amount
    }

    /// Starts to count anew for one rule's key.
    pub(super) fn clear(&mut self, rule: usize, trace: &Trace) {
        if let Some(lane) = self.routes.get(rule).copied() {
            let key = trace.key(self.lanes[lane].key);
            self.lanes[lane]
                .table
                .change(key, |marks| marks.keep(|_| false));
        }
    }

    /// What the rules count for an account, an address or both at present, by rule; what lies
    /// before `since` does not count.
    pub(super) fn tally(
        &self,
        who: &Who<'_>,
        since: impl Fn(&Rule) -> Timestamp,
    ) -> Vec<(&Rule, u32)> {
        let trace = who.trace(&self.secret, 1);
        let rules = self.rules.table.iter().enumerate();
        rules
            .map(|(at, rule)| (rule, self.amount(at, &trace, since(rule))))
            .filter(|(_, amount)| *amount > 0)
            .collect()
    }

    /// How full each table is.
    pub fn fill(&self) -> Vec<Fill> {
        let lanes = self.lanes.iter().map(|lane| {
            let name = Key::NAMES.iter().find(|(_, key)| *key == lane.key);
            Fill {
                what: name.map_or("", |(name, _)| name),
                keys: lane.table.len(),
                most: self.bounds.keys,
                evicted: lane.table.evicted,
                bytes: lane.table.bytes(),
            }
        });
        let known = Fill {
            what: "known",
            keys: self.known.table.len(),
            most: self.bounds.known,
            evicted: self.known.table.evicted,
            bytes: self.known.bytes(),
        };
        lanes.chain([known]).collect()
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
