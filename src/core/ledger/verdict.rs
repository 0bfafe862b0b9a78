//! The verdict on a login. Reads memory only and changes nothing.

use std::net::IpAddr;

use super::Ledger;
use crate::core::bans::{Ban, BanId};
use crate::core::subject::{Account, Subject};
use crate::core::time::Timestamp;

/// The verdict on a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No ban refuses the login.
    LetIn,
    /// A ban refuses the login.
    Refuse {
        /// Number of the ban; 0 while the ban is not in the log yet.
        ban: BanId,
        /// Kind of the banned subject.
        by: By,
        /// Public reason.
        reason: String,
        /// When the ban ends; `None`: permanent.
        until: Option<Timestamp>,
    },
}

/// The kind of ban that refuses a login: `by` in the hook protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum By {
    /// The account is banned.
    Account,
    /// The address is banned.
    Address,
    /// The network is banned.
    Network,
    /// This account is banned at this address.
    Pair,
    /// The account is locked down, and this source never logged in to it.
    Guard,
}

impl By {
    /// The kind for a ban of this subject.
    pub fn of(subject: &Subject) -> By {
        match subject {
            Subject::Account(_) => By::Account,
            Subject::Address(_) => By::Address,
            Subject::Network(_) => By::Network,
            Subject::Pair(..) => By::Pair,
            Subject::Guard(_) => By::Guard,
        }
    }

    /// The word in the hook protocol.
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
    /// The verdict on a login of `account` from `address`; without an account, on the start of a stream. The cost
    /// does not grow with the number of bans.
    ///
    /// - A ban of the account applies everywhere.
    /// - A ban of an address or network by a person, an import or the server applies to everybody there.
    /// - A ban of a pair applies to that account at that source.
    /// - A ban of an address or network by a rule, and an account lockdown, spare trusted sources: `known` says
    ///   whether the account logged in from there before (without an account: whether any account did). It is called
    ///   only if the answer matters.
    ///
    /// An exempt address is refused only for a ban of the account, or for a ban of exactly this address that an admin
    /// forced.
    pub fn check(
        &self,
        account: Option<&Account>,
        address: Option<IpAddr>,
        known: impl FnOnce() -> bool,
        now: Timestamp,
    ) -> Verdict {
        let active = self.bans.index();
        if active.is_empty() {
            return Verdict::LetIn;
        }
        let address = address.map(|address| address.to_canonical());
        if let Some(by_account) = account.and_then(|account| active.account(account))
            && by_account.is_in_force(now)
        {
            return refusal(&by_account.ban);
        }
        let found = active.against(account, address, now);
        let Some((worst, touches_known)) = found else {
            return Verdict::LetIn;
        };
        if let Some(address) = address
            && self.exemptions.holds(address, now)
        {
            // Only a forced ban applies to an exempt address. Any other was made before an undo restored the
            // exemption, or before the clock was set back.
            let insisted = self.bans.of(&Subject::Address(address));
            let insisted = insisted.filter(|ban| ban.insisted && ban.is_in_force(now));
            return insisted.map_or(Verdict::LetIn, refusal);
        }
        if !touches_known && known() {
            return Verdict::LetIn;
        }
        refusal(&worst.ban)
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
