//! Shared by commands that ask the server or the caller: time limits, and when to ask for confirmation.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use crate::command::call::Call;
use crate::command::context::Context;
use crate::core::{Subject, Term};

/// How long an answer waits for the server before it says "not yet".
pub(in crate::command) const WAIT: Duration = Duration::from_secs(2);
/// Time limit for a question to the server; after that it counts as "unknown".
pub(in crate::command) const ASK_WAIT: Duration = Duration::from_secs(3);
/// More subjects than this need confirmation.
pub(in crate::command) const MANY: usize = 5;

/// Whether a term needs confirmation: a permanent one, unless permanent is the default.
pub(in crate::command) fn asks_about(term: Option<Term>, call: &Call, context: &Context) -> bool {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let default = policy.default_term_for(call.caller.role(), now);
    term == Some(Term::Forever) && default != Term::Forever
}

/// Number of places of the caller that are compared with the subjects of a ban.
const HOMES: usize = 64;

/// The subjects that cover a place where the caller logged in before, each with one address there. The server does not
/// always tell where the caller is connected from ([`own_addresses`]).
pub(in crate::command) fn own_homes(
    subjects: &[Subject],
    call: &Call,
    context: &Context,
) -> Vec<(Subject, IpAddr)> {
    let Some(account) = call.caller.account() else {
        return Vec::new();
    };
    let homes = context.admission.homes(&account, HOMES);
    let policy = context.engine.policy();
    let covered = |net: IpNet| {
        let home = homes.iter().copied().find(|address| {
            let source = policy.rules.reach.source(*address);
            net.contains(&source) || source.contains(&net)
        });
        home.filter(|address| !policy.is_exempt(*address))
    };
    let pair = |subject: &Subject| Some((subject.clone(), covered(subject.net()?)?));
    subjects.iter().filter_map(pair).collect()
}

/// The addresses that the caller is connected from, if a ban could cover them and the server tells them.
pub(in crate::command) async fn own_addresses(
    subjects: &[Subject],
    call: &Call,
    context: &Context,
) -> Vec<IpAddr> {
    let account = call.caller.account();
    let (Some(account), true) = (
        account,
        subjects.iter().any(|subject| subject.net().is_some()),
    ) else {
        return Vec::new();
    };
    tokio::time::timeout(ASK_WAIT, context.delivery.server().addresses(&account))
        .await
        .unwrap_or_default()
}
