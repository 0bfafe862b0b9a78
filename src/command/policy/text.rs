//! Sentences of `policy`.

mod rule;

use std::time::Duration;

use super::SPEC;
use super::facts::PolicyFacts;
use super::holders::{Holders, NameList, RoomGrants};
use crate::command::outcome::{Answer, Grade, Row};
use crate::command::phrases::{clean, count, typed};
use crate::command::specs;
use crate::core::policy::Whose;
use crate::core::time::in_words;
use crate::core::{Policy, Role, Rules};

/// The answer with these facts.
pub(super) fn answer(facts: &PolicyFacts) -> Answer {
    let (policy, rules) = (&*facts.policy, &facts.policy.rules);
    let mut rows = vec![Row::new("role", "Your role", facts.rights.clone())];
    rows.extend(roles(facts.role, policy));
    rows.extend(holders(&facts.holders));
    rows.extend(terms(policy));
    let table = rules.table.iter();
    rows.extend(Row::numbered(
        "rule",
        table.map(|rule| {
            let dry_run = if rule.dry_run { " (DRY RUN)" } else { "" };
            (format!("{}{dry_run}", clean(&rule.name)), rule::rule(rule))
        }),
    ));
    rows.extend(exempt(facts));
    rows.extend(sources(rules));
    let many = facts.asked_above;
    rows.push(Row::new("asked", "Asked about once", format!(
        "bans of networks wider than a /24 or an IPv6 /48, of more than {many} at once, and un-bans by filter"
    )));
    let lines = vec![
        in_force(facts),
        String::from(
            "What stands in [brackets] is set in the configuration file; systemctl reload portcullis takes changes over.",
        ),
    ];
    Answer::new(Grade::Good, SPEC.title, lines).with_rows(rows)
}

/// `4 rules in force, 1 more in dry run.`
fn in_force(facts: &PolicyFacts) -> String {
    let (all, dry) = facts.rules();
    let all = count(all, "rule");
    match dry {
        0 => format!("{all} in force."),
        dry => format!("{all} in force, {dry} more in dry run."),
    }
}

/// What each role may do beyond the one below it. Callers do not see roles above their own.
fn roles(own: Role, policy: &Policy) -> impl Iterator<Item = Row> {
    let roles = [
        (Role::Viewer, "A viewer may"),
        (Role::Moderator, "A moderator also"),
        (Role::Admin, "An admin also"),
    ];
    let roles = roles.into_iter().filter(move |(role, _)| *role <= own);
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

/// Who holds which role.
fn holders(holders: &Holders) -> Vec<Row> {
    let held = holders.by_configuration.iter();
    let held = held.map(|one| (label(one.role, one.host.as_deref()), names(&one.accounts)));
    let mut rows = Row::numbered("holders", held);
    if holders.left_out > 0 {
        let text = format!(
            "{} more roles on virtual hosts; [[roles]] in the configuration has them all",
            holders.left_out
        );
        rows.push(Row::new("holders_more", "More", text));
    }
    rows.extend(holders.by_rooms.iter().map(|room| {
        let label = format!("By the room {}", clean(&room.room));
        Row::new(
            format!("room_holders{}", room.place),
            label,
            of_a_room(room),
        )
    }));
    rows
}

/// The heading of a row: `Admins`, `Moderators on a.example`.
fn label(role: Role, host: Option<&str>) -> String {
    let who = match role {
        Role::Admin => "Admins",
        Role::Moderator => "Moderators",
        Role::Viewer => "Viewers",
        Role::Stranger => "Strangers",
    };
    match host {
        Some(host) => format!("{who} on {}", clean(host)),
        None => String::from(who),
    }
}

fn names(who: &NameList) -> String {
    match (who.number, who.more()) {
        (0, _) => String::from("nobody"),
        (_, 0) => listed(who),
        (_, more) => format!(
            "{} and {more} more; the configuration has them all",
            listed(who)
        ),
    }
}

fn listed(who: &NameList) -> String {
    let names: Vec<String> = who.names.iter().map(|name| clean(name)).collect();
    names.join(", ")
}

/// The roles that a room grants, and the occupants who have one now.
fn of_a_room(room: &RoomGrants) -> String {
    let people = ["owners", "admins", "members"].into_iter().zip(room.grants);
    let grants: Vec<String> = people
        .filter(|(_, role)| *role > Role::Stranger)
        .map(|(who, role)| format!("its {who} are {role}s here"))
        .collect();
    let there = room.there.iter();
    let there: Vec<String> = there
        .map(|one| format!("{} ({})", clean(&one.account), one.role))
        .collect();
    let there = match (there.is_empty(), room.maybe_more) {
        (true, _) => String::from("nobody"),
        (false, false) => there.join(", "),
        (false, true) => format!("{} and maybe more", there.join(", ")),
    };
    format!("{}; now there: {there}", grants.join(", "))
}

fn exempt(facts: &PolicyFacts) -> [Row; 4] {
    let allowed = match facts.allowed {
        0 => format!("nobody; {} exempts somebody", typed("allow")),
        number => format!(
            "{}; {} lists them",
            count(number, "exemption"),
            typed("allowed")
        ),
    };
    [
        Row::new(
            "exempt_networks",
            "[exempt] networks, loopback",
            exempt_names(&facts.exempt_networks),
        ),
        Row::new(
            "exempt_accounts",
            match facts.sees_all {
                true => "[exempt] accounts, admins",
                false => "[exempt] accounts, admins, of your hosts",
            },
            exempt_names(&facts.exempt_accounts),
        ),
        Row::new("proxies", "[exempt] proxies", exempt_names(&facts.proxies)),
        Row::new("allowed", "Exempt by command", allowed),
    ]
}

/// The names in a list, or that there are none.
fn exempt_names(names: &NameList) -> String {
    match (names.number, names.more()) {
        (0, _) => String::from("none"),
        (_, 0) => listed(names),
        (_, more) => format!(
            "{} and {more} more; {} lists them",
            listed(names),
            typed("allowed")
        ),
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
