//! Bans of accounts on domains that the configuration does not name as virtual hosts.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::command::context::Context;
use crate::command::phrases::{clean, count, named};
use crate::core::Subject;
use crate::core::words::quoted;
use crate::delivery::ports::Gap;

/// Maximum number of domains that are counted.
const DOMAINS: usize = 64;

/// The warning about them; `None` if there are none, or the configuration accepts every domain.
pub fn unnamed_hosts(context: &Context) -> Option<Gap> {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    if policy.hosts.is_empty() {
        return None;
    }
    let mut domains: BTreeMap<String, usize> = BTreeMap::new();
    context.engine.each_ban(|ban| {
        if let Subject::Account(account) = &ban.subject
            && ban.is_in_force(now)
            && !policy.hosts.iter().any(|host| host == account.domain())
            && (domains.len() < DOMAINS || domains.contains_key(account.domain()))
        {
            *domains.entry(account.domain().to_owned()).or_default() += 1;
        }
        ControlFlow::Continue(())
    });
    if domains.is_empty() {
        return None;
    }
    let told: Vec<String> = domains
        .iter()
        .map(|(domain, bans)| format!("{} ({})", clean(domain), count(*bans, "ban")))
        .collect();
    let hosts: Vec<String> = domains.keys().map(|domain| quoted(domain)).collect();
    Some(Gap {
        what: format!(
            "accounts are banned on domains that the configuration does not name: {}",
            named(told.iter())
        ),
        effect: String::from("These bans are kept here and are not in force on the server."),
        remedy: format!(
            "If a domain is on your server, in portcullis.toml:\n\n[hook]\nhosts = [{}]\n\nIf it is not, un-ban its accounts.",
            named(hosts.iter())
        ),
    })
}
