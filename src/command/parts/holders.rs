//! Who holds which role, for the admin who asks who may ban here: by configuration, and by the rooms.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::text;
use crate::command::call::Caller;
use crate::command::context::Context;
use crate::command::outcome::Row;
use crate::core::Role;

/// So many rows, and names in one of them. Who has more looks at the configuration.
const MOST: usize = 50;

/// One row for each role and place it holds in, the highest role first. Names are for admins: for those of some
/// virtual hosts, what holds on none of theirs is left out.
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
    let held = held.into_iter().take(MOST).enumerate();
    let mut rows: Vec<Row> = held
        .map(|(place, ((Reverse(role), host), mut who))| {
            who.sort_unstable();
            let var = format!("holders{}", place + 1);
            Row::new(
                var,
                text::holders_label(role, host),
                text::holders(&who, MOST),
            )
        })
        .collect();
    if let Some(left_out) = all.checked_sub(MOST).filter(|number| *number > 0) {
        let text = text::holders_left_out(left_out);
        rows.push(Row::new("holders_more", "More", text));
    }
    let seats = context.front.rooms();
    let granting = seats.iter().enumerate().filter(|(_, seat)| {
        let grants = seat.grants.iter();
        grants.max().is_some_and(|role| *role > Role::Stranger)
    });
    rows.extend(granting.map(|(place, seat)| {
        let var = format!("room_holders{}", place + 1);
        Row::new(var, text::room_label(seat), text::room_holders(seat))
    }));
    rows
}
