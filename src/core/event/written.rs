//! The stored and exported form of a change: one flat enum. Postcard numbers the variants by position and exported
//! JSON names them, so new variants go to the end and none is renamed.

use serde::{Deserialize, Serialize};

use super::{BanChange, Change, ExemptionChange, HistoryChange};
use crate::core::bans::BanId;
use crate::core::subscriptions::Watch;
use crate::core::time::Timestamp;
use crate::core::words::public;

#[derive(Serialize, Deserialize)]
pub(super) enum Written {
    Imposed {
        #[serde(deserialize_with = "public")]
        reason: String,
        until: Option<Timestamp>,
    },
    Amended {
        #[serde(deserialize_with = "public")]
        reason: String,
        until: Option<Timestamp>,
    },
    Lifted {
        #[serde(deserialize_with = "public")]
        reason: String,
    },
    Expired,
    ImposedByRule {
        #[serde(deserialize_with = "public")]
        reason: String,
        until: Timestamp,
        ordinal: u32,
    },
    Allowed {
        #[serde(deserialize_with = "public")]
        comment: String,
        until: Option<Timestamp>,
    },
    Unallowed,
    Forgotten,
    Watched {
        watch: Option<Watch>,
    },
    Undone,
    Annotated {
        replaces: bool,
    },
    ImposedOnExempt {
        #[serde(deserialize_with = "public")]
        reason: String,
        until: Option<Timestamp>,
    },
    Kicked {
        #[serde(deserialize_with = "public")]
        reason: String,
    },
    PutBack {
        next: u64,
    },
}

impl From<Written> for Change {
    fn from(written: Written) -> Change {
        match written {
            Written::Imposed { reason, until } => BanChange::Imposed { reason, until }.into(),
            Written::Amended { reason, until } => BanChange::Amended { reason, until }.into(),
            Written::Lifted { reason } => BanChange::Lifted { reason }.into(),
            Written::Expired => BanChange::Expired.into(),
            Written::ImposedByRule {
                reason,
                until,
                ordinal,
            } => BanChange::ImposedByRule {
                reason,
                until,
                ordinal,
            }
            .into(),
            Written::Allowed { comment, until } => {
                Change::Exemption(ExemptionChange::Granted { comment, until })
            }
            Written::Unallowed => Change::Exemption(ExemptionChange::Revoked),
            Written::Forgotten => Change::History(HistoryChange::Forgotten),
            Written::Watched { watch } => Change::Subscribed { watch },
            Written::Undone => Change::Undone,
            Written::Annotated { replaces } => {
                Change::History(HistoryChange::Annotated { replaces })
            }
            Written::ImposedOnExempt { reason, until } => {
                BanChange::Forced { reason, until }.into()
            }
            Written::Kicked { reason } => Change::History(HistoryChange::Kicked { reason }),
            Written::PutBack { next } => Change::PutBack { next: BanId(next) },
        }
    }
}

impl From<BanChange> for Change {
    fn from(change: BanChange) -> Change {
        Change::Ban(change)
    }
}

impl From<Change> for Written {
    fn from(change: Change) -> Written {
        match change {
            Change::Ban(change) => change.into(),
            Change::Exemption(ExemptionChange::Granted { comment, until }) => {
                Written::Allowed { comment, until }
            }
            Change::Exemption(ExemptionChange::Revoked) => Written::Unallowed,
            Change::History(HistoryChange::Forgotten) => Written::Forgotten,
            Change::History(HistoryChange::Annotated { replaces }) => {
                Written::Annotated { replaces }
            }
            Change::History(HistoryChange::Kicked { reason }) => Written::Kicked { reason },
            Change::Subscribed { watch } => Written::Watched { watch },
            Change::Undone => Written::Undone,
            Change::PutBack { next } => Written::PutBack { next: next.0 },
        }
    }
}

impl From<BanChange> for Written {
    fn from(change: BanChange) -> Written {
        match change {
            BanChange::Imposed { reason, until } => Written::Imposed { reason, until },
            BanChange::Forced { reason, until } => Written::ImposedOnExempt { reason, until },
            BanChange::ImposedByRule {
                reason,
                until,
                ordinal,
            } => Written::ImposedByRule {
                reason,
                until,
                ordinal,
            },
            BanChange::Amended { reason, until } => Written::Amended { reason, until },
            BanChange::Lifted { reason } => Written::Lifted { reason },
            BanChange::Expired => Written::Expired,
        }
    }
}
