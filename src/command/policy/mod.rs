//! `policy`: what is allowed and what the rules do, with where each of it is set.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Row};
use super::parts::holders;
use super::spec::Spec;
use super::specs;
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

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let policy = context.engine.policy();
    let allowed = context.engine.read(|ledger| {
        let now = context.engine.now();
        ledger
            .exemptions()
            .all()
            .filter(|one| one.is_in_force(now))
            .count()
    });
    let mut rows = vec![Row::new(
        "role",
        "Your role",
        call.caller.rights.to_string(),
    )];
    rows.extend(roles(call, &policy));
    rows.extend(holders::rows(&call.caller, context));
    rows.extend(terms(&policy));
    rows.extend(rules(&policy.rules));
    rows.extend(exempt(&policy, allowed));
    rows.extend(sources(&policy.rules));
    rows.push(Row::new(
        "asked",
        text::ASKED_LABEL,
        text::asked_about(super::parts::settle::MANY),
    ));
    Outcome::Done(
        Answer::new(
            Grade::Good,
            String::from(SPEC.title),
            text::policy(&policy.rules.table),
        )
        .with_rows(rows),
    )
}

/// What each role may do, beyond the one below it.
fn roles<'a>(call: &'a Call, policy: &'a Policy) -> impl Iterator<Item = Row> + 'a {
    let roles = [Role::Viewer, Role::Moderator, Role::Admin];
    // Higher ones are nobody's business who has not got them.
    let roles = roles.into_iter().filter(|role| *role <= call.caller.role());
    roles.map(|role| {
        let commands = specs().filter(|spec| spec.needs == role);
        let names: Vec<&str> = commands.map(|spec| spec.name).collect();
        let longest = (role > Role::Viewer).then(|| policy.longest_for(role));
        Row::new(
            format!("role_{role}"),
            text::role_label(role),
            text::role_may(&names, longest, role == Role::Moderator),
        )
    })
}

fn terms(policy: &Policy) -> Vec<Row> {
    vec![
        Row::new(
            "default_duration",
            "[ban] default_duration",
            text::default_duration(policy.default_term),
        ),
        Row::new("longest", "[ban] longest", text::longest(policy.longest)),
        Row::new(
            "moderator_longest",
            "[ban] moderator_longest",
            text::longest(policy.moderator_longest),
        ),
        Row::new("grace", "[ban] grace", text::grace(policy.rules.grace)),
        Row::new(
            "undo_for",
            "[ban] undo_for",
            text::undo_for(policy.undo_for),
        ),
        Row::new(
            "moderators_change",
            "[ban] moderators_change",
            text::moderators_change(policy.moderators_change),
        ),
    ]
}

fn rules(rules: &Rules) -> impl Iterator<Item = Row> {
    rules.table.iter().enumerate().map(|(place, rule)| {
        Row::new(
            format!("rule{}", place + 1),
            text::rule_label(rule),
            text::rule(rule),
        )
    })
}

fn exempt(policy: &Policy, allowed: usize) -> Vec<Row> {
    let list = |var: &str, label: &str, names: Vec<String>| {
        Row::new(var, label, text::exempt_list(&names))
    };
    let text = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect();
    let accounts = policy.exempt_accounts.iter().map(ToString::to_string);
    vec![
        list(
            "exempt_networks",
            "[exempt] networks, loopback",
            text(&policy.exempt_networks),
        ),
        list(
            "exempt_accounts",
            "[exempt] accounts, admins",
            accounts.collect(),
        ),
        list("proxies", "[exempt] proxies", text(&policy.rules.proxies)),
        Row::new(
            "allowed",
            text::ALLOWED_LABEL,
            text::allowed_number(allowed),
        ),
    ]
}

fn sources(rules: &Rules) -> Vec<Row> {
    let ranges = rules.reach.ranges.iter();
    let ranges: Vec<String> = ranges
        .map(|(net, length)| format!("{net} {length}"))
        .collect();
    vec![
        Row::new("quiet", "[tracker] quiet", text::quiet(rules.quiet)),
        Row::new(
            "unknown_weight",
            "[tracker] unknown_weight",
            text::unknown_weight(rules.unknown_weight),
        ),
        Row::new(
            "known_for",
            "[tracker] known_for",
            text::known_for(rules.known_for),
        ),
        Row::new(
            "shared_accounts",
            "[tracker] shared_accounts",
            text::shared_accounts(rules.shared_accounts),
        ),
        Row::new(
            "ipv6_prefix",
            "[tracker] ipv6_prefix, ranges",
            text::reach_of_sources(rules.reach.ipv6, &ranges),
        ),
    ]
}
