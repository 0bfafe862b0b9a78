//! What commands share that ask the server: how long they wait for it, and about what they ask the caller back.

use std::net::IpAddr;
use std::time::Duration;

use crate::command::call::Call;
use crate::command::context::Context;
use crate::core::{Subject, Term};

/// How long an answer waits for the server before it says "not yet".
pub(in crate::command) const WAIT: Duration = Duration::from_secs(2);
/// How long a question to the server may take; after that it "does not tell".
pub(in crate::command) const ASK_WAIT: Duration = Duration::from_secs(3);
/// With more subjects than this one asks back.
pub(in crate::command) const MANY: usize = 5;

/// Whether a term is asked about: one without an end, where less is what one gets without a word.
/// Where the configuration bans for ever by default, saying it is no surprise.
pub(in crate::command) fn asks_about(term: Option<Term>, call: &Call, context: &Context) -> bool {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let default = policy.default_term_for(call.caller.role(), now);
    term == Some(Term::Forever) && default != Term::Forever
}

/// The caller's own addresses, where a ban could cover them.
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
