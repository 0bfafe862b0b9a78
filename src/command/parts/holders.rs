//! Who holds which role, by configuration and through rooms; for admins.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::command::call::Caller;
use crate::command::context::Context;
use crate::command::front::{HOLDERS, RoomStatus};
use crate::command::outcome::Row;
use crate::command::phrases::clean;
use crate::core::Role;

/// Maximum number of rows, and of names in a row. Beyond that, the configuration has the rest.
const MOST: usize = 50;

/// One row for each role and host, the highest role first. Names are shown to admins only; admins of some virtual
/// hosts do not see roles that hold on none of theirs.
pub(in crate::command) fn rows(caller: &Caller, context: &Context) -> Vec<Row> {
    if caller.role() < Role::Admin {
        return Vec::new();
    }
    let roles = context.roles.load();
    let mut held: BTreeMap<(Reverse<Role>, Option<&str>), Vec<String>> = BTreeMap::new();
    held.entry((Reverse(Role::Admin), None)).or_default();
    for (account, rights) in roles.all() {
        for (host, role) in rights.parts() {
            if host.is_none_or(|host| caller.rights.reach(host)) {
                let who = held.entry((Reverse(role), host)).or_default();
                who.push(account.to_string());
            }
        }
    }
    let all = held.len();
    let held = held.into_iter().take(MOST);
    let mut rows = Row::numbered(
        "holders",
        held.map(|((Reverse(role), host), mut who)| {
            who.sort_unstable();
            (label(role, host), names(&who))
        }),
    );
    if let Some(left_out @ 1..) = all.checked_sub(MOST) {
        let text = format!(
            "{left_out} more roles on virtual hosts; [[roles]] in the configuration has them all"
        );
        rows.push(Row::new("holders_more", "More", text));
    }
    for (place, seat) in context.front.rooms().iter().enumerate() {
        if seat.grants.iter().any(|role| *role > Role::Stranger) {
            let var = format!("room_holders{}", place + 1);
            let label = format!("By the room {}", clean(&seat.room));
            rows.push(Row::new(var, label, of_a_room(seat)));
        }
    }
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

fn names(who: &[String]) -> String {
    let shown: Vec<String> = who.iter().take(MOST).map(|name| clean(name)).collect();
    let shown = shown.join(", ");
    match who.len().checked_sub(MOST) {
        _ if who.is_empty() => String::from("nobody"),
        Some(more @ 1..) => format!("{shown} and {more} more; the configuration has them all"),
        _ => shown,
    }
}

/// The roles that a room grants, and the occupants who have one now.
fn of_a_room(seat: &RoomStatus) -> String {
    let people = ["owners", "admins", "members"].into_iter().zip(seat.grants);
    let grants: Vec<String> = people
        .filter(|(_, role)| *role > Role::Stranger)
        .map(|(who, role)| format!("its {who} are {role}s here"))
        .collect();
    let there = seat.holders.iter();
    let there: Vec<String> = there
        .map(|(who, role)| format!("{} ({role})", clean(who.as_str())))
        .collect();
    let there = match (there.is_empty(), there.len() < HOLDERS) {
        (true, _) => String::from("nobody"),
        (false, true) => there.join(", "),
        (false, false) => format!("{} and maybe more", there.join(", ")),
    };
    format!("{}; now there: {there}", grants.join(", "))
}
