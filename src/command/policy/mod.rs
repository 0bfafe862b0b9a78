//! `policy`: shows limits, roles, rules and exemptions, and where each is configured.

mod text;

use std::time::Duration;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Row};
use super::parts::holders;
use super::parts::settle::MANY;
use super::phrases::{NAMED, clean, count, typed};
use super::request::Request;
use super::spec::Spec;
use super::specs;
use crate::core::policy::Whose;
use crate::core::time::in_words;
use crate::core::{Policy, Role, Rules};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "policy",
    title: "Policy",
    summary: "Shows what is in force: terms, roles and, to admins, who holds them, rules with their growth, exemptions; and where each is set.",
    needs: Role::Viewer,
    form: true,
    fields: &[],
    usage: "policy",
    examples: &[("policy", "terms, roles, rules, exemptions")],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let policy = context.engine.policy();
    let now = context.engine.now();
    let allowed = context.engine.read(|ledger| {
        let all = ledger.exemptions().all();
        all.filter(|one| one.is_in_force(now)).count()
    });
    let rules = &policy.rules;
    let mut rows = vec![Row::new(
        "role",
        "Your role",
        call.caller.rights.to_string(),
    )];
    rows.extend(roles(call, &policy));
    rows.extend(holders::rows(&call.caller, context));
    rows.extend(terms(&policy));
    let table = rules.table.iter();
    rows.extend(Row::numbered(
        "rule",
        table.map(|rule| {
            let dry_run = if rule.dry_run { " (DRY RUN)" } else { "" };
            (format!("{}{dry_run}", clean(&rule.name)), text::rule(rule))
        }),
    ));
    rows.extend(exempt(&policy, allowed));
    rows.extend(sources(rules));
    rows.push(Row::new("asked", "Asked about once", format!(
        "bans of networks wider than a /24 or an IPv6 /48, of more than {MANY} at once, and un-bans by filter"
    )));
    let lines = vec![
        in_force(rules),
        String::from(
            "What stands in [brackets] is set in the configuration file; systemctl reload portcullis takes changes over.",
        ),
    ];
    let answer = Answer::new(Grade::Good, SPEC.title, lines);
    Ok(Outcome::Done(answer.with_rows(rows)))
}

/// `4 rules in force, 1 more in dry run.`
fn in_force(rules: &Rules) -> String {
    let dry = rules.table.iter().filter(|rule| rule.dry_run).count();
    let all = count(rules.table.len() - dry, "rule");
    match dry {
        0 => format!("{all} in force."),
        dry => format!("{all} in force, {dry} more in dry run."),
    }
}

/// What each role may do beyond the one below it.
fn roles<'a>(call: &'a Request<'_>, policy: &'a Policy) -> impl Iterator<Item = Row> + 'a {
    let roles = [
        (Role::Viewer, "A viewer may"),
        (Role::Moderator, "A moderator also"),
        (Role::Admin, "An admin also"),
    ];
    // Callers do not see roles above their own.
    let roles = roles
        .into_iter()
        .filter(|(role, _)| *role <= call.caller.role());
    roles.map(|(role, label)| {
        let commands = specs().filter(|spec| spec.needs == role);
        let names: Vec<&str> = commands.map(|spec| spec.name).collect();
        let mut may = names.join(", ");
        if role > Role::Viewer {
            may = format!("{may}; bans {}", longest(policy.longest_for(role)));
        }
        if role == Role::Moderator {
            may.push_str("; no networks");
        }
        Row::new(format!("role_{role}"), label, may)
    })
}

/// The longest term.
fn longest(longest: Option<Duration>) -> String {
    match longest {
        None => String::from("of any length, also forever"),
        Some(most) => format!("of {} at most", in_words(most)),
    }
}

/// A row with a value, its section and its key in the configuration.
fn set_in(section: &str, key: &str, value: impl Into<String>) -> Row {
    Row::new(key, format!("[{section}] {key}"), value)
}

fn terms(policy: &Policy) -> [Row; 6] {
    let term = policy.default_term;
    let (grace, undo_for) = (in_words(policy.rules.grace), in_words(policy.undo_for));
    [
        set_in(
            "ban",
            "default_duration",
            format!("{term}, where a ban names no duration"),
        ),
        set_in("ban", "longest", longest(policy.longest)),
        set_in(
            "ban",
            "moderator_longest",
            longest(policy.moderator_longest),
        ),
        set_in(
            "ban",
            "grace",
            format!("{grace} after an un-ban, in which no rule bans the same again"),
        ),
        set_in(
            "ban",
            "undo_for",
            format!("undo takes back what is not older than {undo_for}"),
        ),
        set_in(
            "ban",
            "moderators_change",
            match policy.moderators_change {
                Whose::Any => {
                    "moderators may end and change any ban that they could have made themselves"
                }
                Whose::Own => "moderators end and change their own bans only",
            },
        ),
    ]
}

fn exempt(policy: &Policy, allowed: usize) -> [Row; 4] {
    let allowed = match allowed {
        0 => format!("nobody; {} exempts somebody", typed("allow")),
        _ => format!(
            "{}; {} lists them",
            count(allowed, "exemption"),
            typed("allowed")
        ),
    };
    [
        Row::new(
            "exempt_networks",
            "[exempt] networks, loopback",
            names(&policy.exempt_networks),
        ),
        Row::new(
            "exempt_accounts",
            "[exempt] accounts, admins",
            names(&policy.exempt_accounts),
        ),
        Row::new("proxies", "[exempt] proxies", names(&policy.rules.proxies)),
        Row::new("allowed", "Exempt by command", allowed),
    ]
}

/// The names in a list, or that there are none.
fn names<'a, T: ToString + 'a>(
    all: impl IntoIterator<Item = &'a T, IntoIter: ExactSizeIterator>,
) -> String {
    let all = all.into_iter();
    let number = all.len();
    let shown: Vec<String> = all
        .take(NAMED)
        .map(|name| clean(&name.to_string()))
        .collect();
    let shown = shown.join(", ");
    match number.saturating_sub(NAMED) {
        _ if number == 0 => String::from("none"),
        0 => shown,
        more => format!("{shown} and {more} more; {} lists them", typed("allowed")),
    }
}

fn sources(rules: &Rules) -> [Row; 5] {
    let quiet = in_words(rules.quiet);
    let (weight, number) = (rules.unknown_weight, rules.shared_accounts);
    let known_for = in_words(rules.known_for);
    let ipv6 = rules.reach.ipv6;
    let ranges = rules.reach.ranges.iter();
    let ranges: Vec<String> = ranges
        .map(|(net, length)| format!("{net} {length}"))
        .collect();
    let ranges = match ranges.is_empty() {
        true => String::new(),
        false => format!("; else {}", ranges.join(", ")),
    };
    [
        set_in(
            "tracker",
            "quiet",
            format!(
                "failures of one account from one address count once toward the address until they pause for {quiet}"
            ),
        ),
        set_in(
            "tracker",
            "unknown_weight",
            format!("an account that does not exist counts as {weight} different ones"),
        ),
        set_in(
            "tracker",
            "known_for",
            format!("who logged in from a place is known there for {known_for}"),
        ),
        set_in(
            "tracker",
            "shared_accounts",
            format!(
                "an address from which {number} accounts logged in is shared, and not banned by rules"
            ),
        ),
        Row::new(
            "ipv6_prefix",
            "[tracker] ipv6_prefix, ranges",
            format!("one IPv6 source is a /{ipv6}{ranges}"),
        ),
    ]
}
