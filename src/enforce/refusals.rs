//! Asks a hook module what of the server itself refuses a login, and lets addresses go that the server holds
//! (docs/hook-protocol.md, 8 and 9).

use std::net::IpAddr;

use ipnet::IpNet;
use xmpp_parsers::jid::Jid;

use super::XmppServer;
use super::record::BanRecord;
use crate::core::{Account, BanId};
use crate::delivery::ports::Existence;
use crate::delivery::refusals::{ServerAsked, ServerRefusal, ServerRefusals};
use crate::xmpp::iq::{IqRequest, Unanswered, Verb};
use crate::xmpp::payload::hook::{self, HookRefusal, HookRefusals};

/// Maximum number of addresses that are asked about with an account.
const ADDRESSES: usize = 4;

impl XmppServer {
    /// What of the server refuses an account, an address, or the account at each of a few addresses.
    pub(super) async fn refused_by_server(
        &self,
        account: Option<&Account>,
        addresses: &[IpAddr],
    ) -> ServerRefusals {
        let Some(module) = self.module_for(account) else {
            return self.refused_by_record(account).await;
        };
        let Some((first, more)) = addresses.split_first() else {
            return self.ask_refusals(&module, account, None).await;
        };
        let mut all = self.ask_refusals(&module, account, Some(*first)).await;
        let (more, left_out) = more.split_at(more.len().min(ADDRESSES - 1));
        for address in more {
            if all.asked != ServerAsked::Yes {
                break;
            }
            let one = self.ask_refusals(&module, account, Some(*address)).await;
            all = all.and(one);
        }
        all.more_addresses += left_out.len();
        all
    }

    /// Without a module, only what the record of the account says can be told, if its hash is known to be the server's.
    async fn refused_by_record(&self, account: Option<&Account>) -> ServerRefusals {
        let recorded = match account {
            Some(account) => self.record_of(account).await,
            None => None,
        };
        let found = recorded.map(|found| match found.ban {
            Some(ban) => ServerRefusal::OurRecord { ban },
            None => ServerRefusal::OwnBan {
                reason: found.reason,
            },
        });
        ServerRefusals {
            found: found.into_iter().collect(),
            ..ServerRefusals::default()
        }
    }

    /// Lets `mod_fail2ban` let a network go; the number of addresses that it refused, `None` if nobody could be
    /// asked.
    pub(super) async fn unblock_by_module(&self, net: IpNet) -> Option<u64> {
        let module = self.module_for(None)?;
        let question = IqRequest::new(module, Verb::Set, hook::unblock(net), self.limits.probe);
        match self.requests.plain(question).await {
            Ok(answer) => answer.as_ref().and_then(hook::unblocked),
            Err(why) => {
                tracing::debug!(%net, "no module could be asked to let a network go: {why}");
                None
            }
        }
    }

    /// The module on the account's virtual host; for an address any one, best one with `mod_fail2ban` beside it.
    fn module_for(&self, account: Option<&Account>) -> Option<Jid> {
        match account {
            Some(account) => self.module_at(account.domain()),
            None => {
                let state = self.state();
                let mut modules = state.modules.addresses();
                let beside = modules.find(|(vhost, _)| {
                    let mut nodes = state.modules.nodes(vhost);
                    nodes.any(|node| !node.hello.beside.is_empty())
                });
                let chosen = beside.or_else(|| state.modules.addresses().next());
                chosen.map(|(_, address)| address.clone())
            }
        }
    }

    /// Whether the account exists, as the module says.
    pub(super) async fn find_by_module(&self, module: &Jid, account: &Account) -> Existence {
        match self.read_refusals(module, Some(account), None).await {
            Ok(read) if read.found.iter().any(|one| one.by == "no-account") => Existence::Missing,
            Ok(read) if read.asked.iter().any(|what| what == "account") => Existence::Exists,
            _ => Existence::Unknown,
        }
    }

    async fn ask_refusals(
        &self,
        module: &Jid,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> ServerRefusals {
        match self.read_refusals(module, account, address).await {
            Ok(read) => {
                let found = read.found.into_iter();
                ServerRefusals {
                    asked: ServerAsked::Yes,
                    found: found
                        .filter_map(|one| self.understood(one, account, address))
                        .collect(),
                    left_out: read.not_asked,
                    more_addresses: 0,
                }
            }
            Err(asked) => ServerRefusals {
                asked,
                ..ServerRefusals::default()
            },
        }
    }

    /// The module's answer, or why there is none.
    async fn read_refusals(
        &self,
        module: &Jid,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Result<HookRefusals, ServerAsked> {
        let question = hook::refusals(account, address, module.domain().as_str());
        let limit = self.limits.probe;
        let answer = self
            .requests
            .plain(IqRequest::new(module.clone(), Verb::Get, question, limit))
            .await;
        match answer {
            Ok(answer) => answer.as_ref().and_then(hook::read_refusals),
            Err(Unanswered::Refused(_)) => None,
            Err(why) => {
                tracing::warn!(%module, "the hook module did not say what else the server refuses: {why}");
                return Err(ServerAsked::Silent);
            }
        }
        .ok_or(ServerAsked::TooOld)
    }

    fn understood(
        &self,
        one: HookRefusal,
        account: Option<&Account>,
        address: Option<IpAddr>,
    ) -> Option<ServerRefusal> {
        Some(match one.by.as_str() {
            "ban" => {
                let record = one.record.as_ref().map(BanRecord::parse);
                match record.and_then(|record| self.sealed(&record, account?)) {
                    Some(ban) => ServerRefusal::OurRecord { ban },
                    None => ServerRefusal::OwnBan { reason: one.reason },
                }
            }
            "disabled" => ServerRefusal::Disabled,
            "no-account" => ServerRefusal::NoAccount,
            "access" => ServerRefusal::AccessRule,
            "mod_fail2ban" => ServerRefusal::Fail2ban {
                address: address?,
                until: one.until,
            },
            _ => return None,
        })
    }

    /// The number of the ban of ours in a record under our seal.
    fn sealed(&self, record: &BanRecord, account: &Account) -> Option<BanId> {
        let ours = record.ours.as_ref()?;
        record
            .is_sealed(account, &self.keyring)
            .then_some(BanId(ours.id))
    }
}
