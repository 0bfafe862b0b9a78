//! What of the server itself refuses somebody, besides portcullis: asks for it within the time limit of an answer.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::facts::Fact;
use super::settle::ASK_WAIT;
use crate::command::context::Context;
use crate::command::phrases;
use crate::core::{Account, Subject, Timestamp};
use crate::delivery::refusals::{ServerAsked, ServerRefusal, ServerRefusals};

/// What was asked of the server about a subject, and whom the question was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::command) struct ServerReply {
    /// The account in question.
    pub(in crate::command) account: Option<Account>,
    /// What refuses it.
    pub(in crate::command) refusals: ServerRefusals,
}

impl Fact for ServerReply {
    fn json(&self) -> Value {
        let found = self.refusals.found.iter();
        json!({
            "asked": self.refusals.asked == ServerAsked::Yes,
            "refused_by": found.map(refusal).collect::<Vec<_>>(),
            "not_asked": self.refusals.left_out,
            "more_addresses": self.refusals.more_addresses,
        })
    }
}

fn refusal(one: &ServerRefusal) -> Value {
    match one {
        ServerRefusal::OwnBan { reason } => json!({ "by": "ban", "reason": reason }),
        ServerRefusal::OurRecord { ban } => json!({ "by": "record", "number": ban.0 }),
        ServerRefusal::Disabled => json!({ "by": "disabled" }),
        ServerRefusal::NoAccount => json!({ "by": "no-account" }),
        ServerRefusal::AccessRule => json!({ "by": "access" }),
        ServerRefusal::Fail2ban { address, until } => json!({
            "by": "mod_fail2ban",
            "address": address.to_string(),
            "until": until.map(Timestamp::to_xmpp),
        }),
    }
}

impl ServerReply {
    /// The sentences about it.
    pub(in crate::command) fn lines(&self) -> Vec<String> {
        phrases::by_the_server(&self.refusals, self.account.as_ref())
    }

    /// The same without the sentence that there is no module to ask. Only `check` says so: it would stand in every answer of a
    /// server without the module.
    pub(in crate::command) fn lines_with_module(&self) -> Vec<String> {
        let mut known = self.clone();
        if known.refusals.asked == ServerAsked::NoModule {
            known.refusals.asked = ServerAsked::Yes;
            known.refusals.left_out.clear();
            known.refusals.more_addresses = 0;
        }
        known.lines()
    }

    /// Leaves out what the record of the account says, because that is told by itself.
    pub(in crate::command) fn beside_the_record(mut self) -> ServerReply {
        let of_record = |one: &ServerRefusal| {
            matches!(
                one,
                ServerRefusal::OwnBan { .. } | ServerRefusal::OurRecord { .. }
            )
        };
        self.refusals.found.retain(|one| !of_record(one));
        self
    }
}

/// Asks about a subject; about an account also at the places where it logged in before (`homes`). `None`: a network of
/// many addresses, about which there is nothing to ask.
pub(in crate::command) async fn look(
    subject: &Subject,
    homes: &[IpAddr],
    context: &Context,
) -> Option<ServerReply> {
    let account = subject.whose().cloned();
    let addresses: Vec<IpAddr> = match subject.place() {
        Some(net) => single(net).into_iter().collect(),
        None => homes.to_vec(),
    };
    if account.is_none() && addresses.is_empty() {
        return None;
    }
    // A record that is about to be written or removed is no news.
    let is_at_work = account.as_ref().is_some_and(|account| {
        let subject = Subject::Account(account.clone());
        context.delivery.task(&subject).is_some() || context.active_ban(&subject).is_some()
    });
    let server = context.delivery.server();
    let asking = server.refusals(account.as_ref(), &addresses);
    let refusals = tokio::time::timeout(ASK_WAIT, asking).await;
    let mut refusals = refusals.unwrap_or(ServerRefusals {
        asked: ServerAsked::Silent,
        ..ServerRefusals::default()
    });
    if is_at_work {
        let is_ours = |one: &ServerRefusal| matches!(one, ServerRefusal::OurRecord { .. });
        refusals.found.retain(|one| !is_ours(one));
    }
    Some(ServerReply { account, refusals })
}

/// Lets the server let the addresses of a subject go that it refuses for their failed logins. Returns how many there
/// were; 0 also if nobody could be asked.
pub(in crate::command) async fn unblock(subject: &Subject, context: &Context) -> u64 {
    let net = match subject {
        Subject::Address(_) | Subject::Network(_) => subject.place(),
        _ => None,
    };
    let Some(net) = net else {
        return 0;
    };
    let unblocked = tokio::time::timeout(ASK_WAIT, context.delivery.server().unblock(net)).await;
    unblocked.ok().flatten().unwrap_or_default()
}

fn single(net: IpNet) -> Option<IpAddr> {
    (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
}
