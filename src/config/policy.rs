//! `[ban]`, `[exempt]`, `[tracker]` and `[[rules]]`: who may be banned, for how long, and the rules for automatic bans.

use std::{collections::BTreeSet, sync::Arc};

use ipnet::IpNet;

use super::{
    key::{GROWTH, RULES},
    section::Section,
    values::{account, length, network},
};
use crate::core::{
    Account, Bounds, Policy, Rule, Rules, Term,
    policy::{LOOPBACK, UNDO_FOR, Whose},
    rules::{Counts, Growth, LIMIT_MAX, Milli, RuleKey},
};

/// Default of `moderator_longest`.
const MODERATOR_LONGEST: Term = Term::For(std::time::Duration::from_secs(30 * 86_400));
/// Minimum of `max_keys`: a single office could fill a smaller table.
const FEWEST_KEYS: u32 = 1_000;
/// Maximum of `max_keys`: rows have 32-bit numbers, and this many take gigabytes.
const MOST_KEYS: u32 = 100_000_000;
/// Maximum length of a rule's name in bytes, because every ban by the rule carries it.
const NAME_MAX: usize = 64;

/// Reads the whole policy. `admins` are exempt, too.
pub(super) fn policy(top: &mut Section<'_, '_>, admins: &[Account]) -> Policy {
    let mut rules = Rules::default();
    let mut policy = terms(top.section("ban"), &mut rules);
    exempt(top.section("exempt"), &mut policy, &mut rules);
    tracker(top.section("tracker"), &mut rules);
    let mut names = BTreeSet::new();
    let example = r#"[{ name = "address-failures", key = "address", counts = "failures", limit = 5, window = "10m", ban = "30m" }]"#;
    let table = top.tables("rules", RULES, example, |t| {
        let rule = rule(t)?;
        if !names.insert(rule.name.clone()) {
            let said = format!("two of [[rules]] are called {:?}", rule.name);
            t.wrong(t.place.clone(), said);
        }
        Some(rule)
    });
    rules.table = table.or(rules.table);
    policy.exempt_accounts.splice(0..0, admins.iter().cloned());
    policy.rules = Arc::new(rules);
    policy
}

fn terms(mut t: Section<'_, '_>, rules: &mut Rules) -> Policy {
    let default = t.term("default_duration", "forever").placed();
    let longest = t.term("longest", "1y").or(Term::Forever);
    let moderators = t.term("moderator_longest", "30d").placed();
    let mut within = |name, typed, default| {
        let term = match typed {
            None => shorter(default, longest),
            Some((term, place)) => {
                if shorter(term, longest) != term {
                    let said = format!(
                        "`{name}` in [ban]: {term} is longer than `longest`, which is {longest}"
                    );
                    t.wrong(Some(place), said);
                }
                term
            }
        };
        t.keep(name, &term);
        term
    };
    let default_term = within("default_duration", default, Term::Forever);
    let moderator_longest = within("moderator_longest", moderators, MODERATOR_LONGEST);
    let whose = [("any", Whose::Any), ("own", Whose::Own)];
    let moderators_change = t.word("moderators_change", &whose, "any").or(Whose::Any);
    let undo_for = t.duration("undo_for", "24h").or(UNDO_FOR);
    rules.grace = t.duration("grace", "5m").or(rules.grace);
    Policy {
        default_term,
        longest: length(longest),
        moderator_longest: length(moderator_longest),
        moderators_change,
        undo_for,
        ..Policy::default()
    }
}

fn exempt(mut t: Section<'_, '_>, policy: &mut Policy, rules: &mut Rules) {
    const NETWORKS: &str = "a list of addresses and networks";
    if t.flag("loopback", true).or(true) {
        policy
            .exempt_networks
            .extend(LOOPBACK.iter().filter_map(|net| net.parse::<IpNet>().ok()));
    }
    let networks = t
        .texts(
            "networks",
            NETWORKS,
            r#"["192.0.2.0/24", "2001:db8::1"]"#,
            network,
        )
        .placed();
    let mut kept: Vec<IpNet> = Vec::new();
    for (net, place) in networks.into_iter().flat_map(|(list, _)| list) {
        if net.prefix_len() == 0 {
            t.odd(Some(place), format!("{net} exempts every address there is"));
        }
        if !kept.contains(&net) {
            kept.push(net);
        }
    }
    t.keep("networks", &kept);
    policy.exempt_networks.extend(kept);
    let accounts = t.texts(
        "accounts",
        "a list of accounts",
        r#"["monitor@example.org"]"#,
        account,
    );
    policy.exempt_accounts = accounts.list();
    rules.proxies = t
        .texts("proxies", NETWORKS, r#"["10.0.0.5"]"#, network)
        .list();
}

fn tracker(mut t: Section<'_, '_>, rules: &mut Rules) {
    let Bounds { keys, .. } = rules.bounds;
    rules.quiet = t.duration("quiet", "1h").or(rules.quiet);
    rules.unknown_weight = t
        .whole("unknown_weight", 1..=100, 2)
        .or(rules.unknown_weight);
    rules.known_for = t.duration("known_for", "90d").or(rules.known_for);
    rules.shared_accounts = t
        .whole("shared_accounts", 2..=u32::MAX, 10)
        .or(rules.shared_accounts);
    let ipv6 = t
        .whole("ipv6_prefix", 16..=128, 64)
        .or(rules.reach.ipv6.into());
    rules.reach.ipv6 = u8::try_from(ipv6).unwrap_or(rules.reach.ipv6);
    let takes = "a list of networks, each with the prefix length of one source in it";
    rules.reach.ranges = t
        .texts("ranges", takes, r#"["fd87:d87e:eb43::/48 128"]"#, range)
        .list();
    t.restart = true;
    let keys = u32::try_from(keys).unwrap_or(MOST_KEYS);
    let keys = t
        .whole("max_keys", FEWEST_KEYS..=MOST_KEYS, 250_000)
        .or(keys) as usize;
    rules.bounds = Bounds { keys, known: keys };
}

fn rule(t: &mut Section<'_, '_>) -> Option<Rule> {
    let name = t
        .text("name", "a name of your own", "address-failures", rule_name)
        .required()
        .placed();
    let key = t
        .word("key", &RuleKey::NAMES, "address")
        .required()
        .placed();
    let counts = t
        .word("counts", &Counts::NAMES, "failures")
        .required()
        .placed();
    let limit = t.whole("limit", 1..=LIMIT_MAX, 5).required().placed();
    let window = t.duration("window", "10m").required().placed();
    let ban = t.duration("ban", "30m").required().placed();
    let example = r#"{ cap = "7d", known_bad_weight = true }"#;
    let growth = t.inner("growth", GROWTH, example).map(growth);
    let dry_run = t.flag("dry_run", true).or(false);
    if let (Some((key, _)), Some((counts, place))) = (&key, &counts)
        && !counts.varies_within(*key)
    {
        let by = RuleKey::NAMES
            .iter()
            .find(|(_, other)| other == key)
            .map_or("", |(name, _)| name);
        let said = format!(
            "`counts` in [[rules]]: a rule by {by} cannot count {counts}: there is only one"
        );
        t.wrong(Some(place.clone()), said);
    }
    if let (Some((ban, place)), Some(growth)) = (&ban, &growth)
        && *ban > growth.cap
    {
        let (ban, cap) = (Term::For(*ban), Term::For(growth.cap));
        let said =
            format!("`ban` in [[rules]]: {ban} is longer than `cap` of its growth, which is {cap}");
        t.wrong(Some(place.clone()), said);
    }
    Some(Rule {
        name: name?.0,
        key: key?.0,
        counts: counts?.0,
        limit: limit?.0,
        window: window?.0,
        ban: ban?.0,
        growth,
        dry_run,
    })
}

fn growth(mut t: Section<'_, '_>) -> Growth {
    let usual = Growth::default();
    let multipliers = t.numbers(
        "multipliers",
        "[1, 5, 30, 60]",
        |number, before: &[(Milli, _)]| {
            let milli =
                Milli::from_f64(number).ok_or_else(|| format!("{number} is not {MILLI}"))?;
            match before.last() {
                Some((last, _)) if *last > milli => {
                    Err("each must be at least as large as the one before: bans grow".to_owned())
                }
                _ => Ok(milli),
            }
        },
    );
    Growth {
        multipliers: multipliers.list(),
        factor: t
            .number("factor", MILLI, "1", Milli::from_f64)
            .or(usual.factor),
        cap: t.duration("cap", "7d").or(usual.cap),
        jitter: t.duration("jitter", "5m").or(usual.jitter),
        known_bad_weight: t.flag("known_bad_weight", true).or(false),
        memory: t.duration("memory", "90d").optional(),
        decay: t.duration("decay", "30d").optional(),
    }
}

/// The range of [`Milli::from_f64`], in words.
const MILLI: &str = "a number from 0 to a million";

fn rule_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    match name.is_empty() || name.len() > NAME_MAX || name.contains(char::is_control) {
        true => Err(format!("a name has 1 to {NAME_MAX} letters")),
        false => Ok(name.to_owned()),
    }
}

/// Parses `NETWORK LENGTH`, e.g. `fd87:d87e:eb43::/48 128`.
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

/// The shorter of two terms; neither may be a date.
fn shorter(a: Term, b: Term) -> Term {
    match (a, b) {
        (Term::For(x), Term::For(y)) => Term::For(x.min(y)),
        (Term::For(_), _) => a,
        _ => b,
    }
}
