//! `[[rules]]`, `[tracker]` and what belongs to them, turned into the rules for automatic bans.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use toml::Spanned;

use super::{
    keys::{GROWTH, RULES},
    raw,
    reader::{Place, Reader, first},
    values::{network, one_of},
};
use crate::core::{
    Bounds, Rule, Rules, Term,
    rules::{Counts, Growth, Key, LIMIT_MAX, Milli},
};

/// The fewest keys that may be set as bound: below that an office fills it.
const FEWEST_KEYS: u32 = 1_000;
/// The most: 32 bits of places, and gigabytes of memory.
const MOST_KEYS: u32 = 100_000_000;

impl Reader<'_, '_> {
    /// The rules: the default ones, or those of the file in their place.
    pub(super) fn rules(
        &mut self,
        rules: Option<Vec<Spanned<raw::Rule>>>,
        tracker: raw::Tracker,
        proxies: &raw::Texts,
        grace: &raw::Text,
    ) -> Arc<Rules> {
        let mut all = Rules::default();
        let proxies = self.values("exempt", "proxies", proxies.clone(), network);
        all.proxies = proxies.into_iter().map(first).collect();
        let mut span = |name, typed, slot: &mut Duration| {
            if let Some(set) = self.span("tracker", name, typed) {
                *slot = set;
            }
        };
        span("quiet", tracker.quiet, &mut all.quiet);
        span("known_for", tracker.known_for, &mut all.known_for);
        if let Some(set) = self.span("ban", "grace", grace.clone()) {
            all.grace = set;
        }
        let mut whole = |name, typed, least, most| self.whole("tracker", name, typed, least, most);
        if let Some(set) = whole("unknown_weight", tracker.unknown_weight, 1, 100) {
            all.unknown_weight = set;
        }
        if let Some(set) = whole("shared_accounts", tracker.shared_accounts, 2, u32::MAX) {
            all.shared_accounts = set;
        }
        if let Some(set) = whole("ipv6_prefix", tracker.ipv6_prefix, 16, 128) {
            all.reach.ipv6 = u8::try_from(set).unwrap_or(64);
        }
        if let Some(set) = whole("max_keys", tracker.max_keys, FEWEST_KEYS, MOST_KEYS) {
            all.bounds = Bounds {
                keys: set as usize,
                known: set as usize,
            };
        }
        let ranges = self.values("tracker", "ranges", tracker.ranges, range);
        all.reach.ranges = ranges.into_iter().map(first).collect();
        if let Some(typed) = rules {
            all.table = self.table(typed);
        }
        Arc::new(all)
    }

    fn table(&mut self, typed: Vec<Spanned<raw::Rule>>) -> Vec<Rule> {
        let mut names = BTreeSet::new();
        let mut table = Vec::with_capacity(typed.len());
        for rule in typed {
            let place = rule.span();
            let Some(rule) = self.rule(rule.into_inner(), &place) else {
                continue;
            };
            if !names.insert(rule.name.clone()) {
                let said = format!("two of [[rules]] are called {:?}", rule.name);
                self.found.wrong(Some(place), said);
            }
            table.push(rule);
        }
        table
    }

    fn rule(&mut self, typed: raw::Rule, place: &Place) -> Option<Rule> {
        let name = self.required(&typed.name, "name", place);
        let name = name.and_then(|typed| self.value(RULES, "name", Some(typed), rule_name));
        let key = self.required(&typed.key, "key", place);
        let key = key.and_then(|typed| {
            self.value(RULES, "key", Some(typed), |text| one_of(text, &Key::NAMES))
        });
        let counts = self.required(&typed.counts, "counts", place);
        let counts = counts.and_then(|typed| {
            self.value(RULES, "counts", Some(typed), |text| {
                one_of(text, &Counts::NAMES)
            })
        });
        let limit = self.required(&typed.limit, "limit", place);
        let limit = limit.and_then(|typed| self.whole(RULES, "limit", Some(typed), 1, LIMIT_MAX));
        let window = self.required(&typed.window, "window", place);
        let window = window.and_then(|typed| self.span(RULES, "window", Some(typed)));
        let ban_place = typed.ban.as_ref().map(Spanned::span);
        let ban = self.required(&typed.ban, "ban", place);
        let ban = ban.and_then(|typed| self.span(RULES, "ban", Some(typed)));
        let growth = typed.growth.map(|growth| self.growth(growth));
        let (key, (counts, counts_place)) = (first(key?), counts?);
        if !counts.varies_within(key) {
            let said = format!(
                "a rule by {} cannot count {counts}: there is only one",
                name_of(&Key::NAMES, key)
            );
            self.wrong(RULES, "counts", counts_place, &said);
            return None;
        }
        let (growth, ban) = (growth.transpose_none()?, ban?);
        if let Some(growth) = &growth
            && ban > growth.cap
        {
            let said = format!(
                "`ban` in [[rules]]: {} is longer than `cap` of its growth, which is {}",
                Term::For(ban),
                Term::For(growth.cap)
            );
            self.found.wrong(ban_place, said);
            return None;
        }
        Some(Rule {
            name: first(name?),
            key,
            counts,
            limit: limit?,
            window: window?,
            ban,
            growth,
            dry_run: typed.dry_run.is_some_and(Spanned::into_inner),
        })
    }

    /// `None` when something in it is wrong.
    fn growth(&mut self, typed: raw::Growth) -> Option<Growth> {
        let before = self.found.problems.len();
        let mut growth = Growth::default();
        if let Some(factor) = typed.factor {
            growth.factor = self.milli("factor", &factor).unwrap_or(growth.factor);
        }
        for multiplier in typed.multipliers.unwrap_or_default() {
            let Some(milli) = self.milli("multipliers", &multiplier) else {
                continue;
            };
            if growth.multipliers.last().is_some_and(|last| *last > milli) {
                let said = "each must be at least as large as the one before: bans grow";
                self.wrong(GROWTH, "multipliers", multiplier.span(), said);
            }
            growth.multipliers.push(milli);
        }
        if let Some(cap) = self.span(GROWTH, "cap", typed.cap) {
            growth.cap = cap;
        }
        if let Some(jitter) = self.span(GROWTH, "jitter", typed.jitter) {
            growth.jitter = jitter;
        }
        growth.memory = self.span(GROWTH, "memory", typed.memory);
        growth.decay = self.span(GROWTH, "decay", typed.decay);
        growth.known_bad_weight = typed.known_bad_weight.is_some_and(Spanned::into_inner);
        (self.found.problems.len() == before).then_some(growth)
    }

    fn required<T: Clone>(
        &mut self,
        typed: &Option<Spanned<T>>,
        name: &'static str,
        place: &Place,
    ) -> Option<Spanned<T>> {
        if typed.is_none() {
            self.left_out(RULES, "rule", name, place);
        }
        typed.clone()
    }

    fn milli(&mut self, name: &'static str, typed: &Spanned<f64>) -> Option<Milli> {
        let number = *typed.get_ref();
        let milli = Milli::from_f64(number);
        if milli.is_none() {
            let said = format!("{number} cannot be; it is a number from 0 to a million");
            self.wrong(GROWTH, name, typed.span(), &said);
        }
        milli
    }
}

/// `None` inside is an error that was told; outside it is simply not there.
trait TransposeNone<T> {
    fn transpose_none(self) -> Option<Option<T>>;
}

impl<T> TransposeNone<T> for Option<Option<T>> {
    fn transpose_none(self) -> Option<Option<T>> {
        match self {
            None => Some(None),
            Some(None) => None,
            Some(Some(value)) => Some(Some(value)),
        }
    }
}

/// The longest name of a rule: it stands in every ban it makes.
const NAME_MAX: usize = 64;

fn rule_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
        true => Err(format!("a name has 1 to {NAME_MAX} letters")),
        false => Ok(name.to_owned()),
    }
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names
        .iter()
        .find(|(_, other)| *other == value)
        .map_or("", |(name, _)| name)
}

/// `fd87:d87e:eb43::/48 128`.
fn range(text: &str) -> Result<(IpNet, u8), String> {
    let wrong = || format!("{text:?} is not a network and the prefix length of one source in it");
    let (net, length) = text
        .trim()
        .split_once(char::is_whitespace)
        .ok_or_else(wrong)?;
    let net = network(net)?;
    let length: u8 = length
        .trim()
        .trim_start_matches('/')
        .parse()
        .map_err(|_| wrong())?;
    match (net.prefix_len()..=net.max_prefix_len()).contains(&length) {
        true => Ok((net, length)),
        false => Err(format!(
            "a source in {net} has a prefix length from {} to {}, not {length}",
            net.prefix_len(),
            net.max_prefix_len()
        )),
    }
}
