//! May somebody log in? Reads only, and from memory.

use std::net::IpAddr;

use super::Ledger;
use crate::core::record::{Ban, BanId};
use crate::core::subject::{Account, Subject};
use crate::core::time::Timestamp;

/// May somebody log in?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing stands against it.
    LetIn,
    /// A ban does.
    Refuse {
        /// Which one; number 0 while it is being written down.
        ban: BanId,
        /// What kind of subject it is about.
        by: By,
        /// Public reason.
        reason: String,
        /// Its end.
        until: Option<Timestamp>,
    },
}

/// What stands against a login: the `by` of the hook protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The account is banned.
    Account,
    /// The address is.
    Address,
    /// The network is.
    Network,
    /// This account from this address is.
    Pair,
    /// The account is under attack and this source never logged in to it.
    Guard,
}

impl By {
    /// What a ban of this subject stands by.
    pub fn of(subject: &Subject) -> By {
        match subject {
            Subject::Account(_) => By::Account,
            Subject::Address(_) => By::Address,
            Subject::Network(_) => By::Network,
            Subject::Pair(..) => By::Pair,
            Subject::Guard(_) => By::Guard,
        }
    }

    /// The word for it in the hook protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Account => "account",
            By::Address => "address",
            By::Network => "network",
            By::Pair => "pair",
            By::Guard => "guard",
        }
    }
}

impl Ledger {
    /// May this account log in from this address? Reads only; the cost does not grow with the
    /// number of bans. Without an account: may a stream from there start?
    ///
    /// In this order: a ban of the account holds everywhere. A ban of an address or network that a
    /// person decided, or that came from a list or the server, holds for everybody there. A ban of
    /// the pair holds for the pair. What rules decided about addresses and networks, and a guard,
    /// holds for strangers: `known` says whether this account logged in from there before (without
    /// an account: whether anybody did), and is asked only when that matters.
    ///
    /// An exemption of the address keeps off everything but a ban of the account, and of this very
    /// address when an admin insisted on it although it was exempt.
    pub fn check(
        &self,
        account: Option<&Account>,
        address: Option<IpAddr>,
        known: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Verdict {
        if self.active.is_empty() {
            return Verdict::LetIn;
        }
        let address = address.map(|address| address.to_canonical());
        if let Some(by_account) = account.and_then(|account| self.active.account(account))
            && by_account.is_in_force(now)
        {
            return refusal(&by_account.ban);
        }
        let found = self.active.against(account, address, now);
        let Some((worst, touches_known)) = found else {
            return Verdict::LetIn;
        };
        if let Some(address) = address
            && self.exemptions.holds(address, now)
        {
            // Any other ban was made while nothing was exempt: before an undo brought the exemption back, or before the
            // clock was put back.
            let insisted = self.current(&Subject::Address(address));
            let insisted = insisted.filter(|ban| ban.insisted && ban.is_in_force(now));
            return insisted.map_or(Verdict::LetIn, refusal);
        }
        if !touches_known && known() {
            return Verdict::LetIn;
        }
        refusal(&worst.ban)
    }

    /// Whether a ban of an address or network may refuse at the start of a stream, where no
    /// account is named yet (`door='start'`): when it holds for everybody, or when nobody has
    /// logged in from there before; `lives_in` says that.
    pub fn holds_at_start(ban: &Ban, lives_in: impl FnOnce(ipnet::IpNet) -> bool) -> bool {
        match ban.subject.net() {
            None => false,
            Some(net) => ban.origin.rule().is_none() || !lives_in(net),
        }
    }

    /// The ban in force that covers an address and holds longest.
    pub fn covering(&self, address: IpAddr, now: Timestamp) -> Option<&Ban> {
        let stands = self.active.covering(address.to_canonical(), now)?;
        Some(&stands.ban)
    }

    /// Whether an address is exempt.
    pub fn is_exempt(&self, address: IpAddr, now: Timestamp) -> bool {
        self.exemptions.holds(address.to_canonical(), now)
    }
}

fn refusal(ban: &Ban) -> Verdict {
    Verdict::Refuse {
        ban: ban.id,
        by: By::of(&ban.subject),
        reason: ban.reason.clone(),
        until: ban.until,
    }
}
