//! What may stand in a line: a login, an order, or that time went on.

use std::net::IpAddr;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::core::{
    Account, Action, Actor, Attempt, BanOrder, Door, ExemptionOrder, HistoryOrder, Order, Outcome,
    Role, Subject, Term, Timestamp,
};

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    pub(super) at: Value,
    pub(super) kind: Kind,
    #[serde(default)]
    pub(super) account: Option<String>,
    #[serde(default)]
    pub(super) address: Option<String>,
    #[serde(default)]
    pub(super) subject: Option<String>,
    #[serde(default)]
    pub(super) times: Option<u32>,
    #[serde(default)]
    pub(super) duration: Option<String>,
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// The server said that there is no such account.
    #[serde(default)]
    pub(super) unknown: bool,
    /// What a recorded login also has; it takes part in what is counted at all.
    #[serde(default)]
    pub(super) mechanism: Option<String>,
    #[serde(default)]
    pub(super) condition: Option<String>,
    /// Of a recorded login; nothing depends on it.
    #[serde(default, rename = "node")]
    _node: Option<String>,
}

/// What happened.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Failure,
    Success,
    Attempt,
    Ban,
    Unban,
    Forget,
    Allow,
    Unallow,
    Restart,
    Tick,
}

/// How times are written.
#[derive(Clone, Copy)]
pub(super) enum Style {
    Seconds,
    Rfc3339,
}

pub(super) fn time(typed: &Value) -> Result<(Timestamp, Style), String> {
    match typed {
        Value::Number(number) => {
            let seconds = number.as_f64().filter(|seconds| seconds.abs() < 2.5e11);
            let seconds = seconds.ok_or_else(|| format!("`at`: {number} is too far away"))?;
            // The bound makes the cast exact to the millisecond.
            let millis = (seconds * 1_000.0).round() as i64;
            Ok((Timestamp::from_millis(millis), Style::Seconds))
        }
        Value::String(text) => match Timestamp::parse(text) {
            Some(at) => Ok((at, Style::Rfc3339)),
            None => Err(format!(
                "`at`: {text:?} is no time; write seconds, or for example \"2026-11-22T04:00:00Z\""
            )),
        },
        _ => Err(String::from(
            "`at` must be a number of seconds or a time in RFC 3339",
        )),
    }
}

impl Style {
    pub(super) fn write(self, at: Timestamp) -> Value {
        let millis = at.as_millis();
        match self {
            Style::Seconds if millis % 1_000 == 0 => json!(millis / 1_000),
            Style::Seconds => json!(millis as f64 / 1_000.0),
            Style::Rfc3339 => json!(at.to_exact()),
        }
    }
}

pub(super) fn actor() -> Actor {
    Actor::person("rehearsal", Role::Admin, Door::Chat)
}

pub(super) fn account(text: &str) -> Result<Account, String> {
    match Subject::parse(text).map_err(|why| why.to_string())? {
        Subject::Account(account) => Ok(account),
        other => Err(format!("`account`: {other} is no account")),
    }
}

pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    match Subject::parse(text).map_err(|why| why.to_string())? {
        Subject::Address(address) => Ok(address),
        other => Err(format!("`address`: {other} is no address")),
    }
}

pub(super) fn attempt(typed: &Typed, at: Timestamp) -> Result<Attempt, String> {
    let account = typed.account.as_deref().map(account).transpose()?;
    let address = typed.address.as_deref().map(address).transpose()?;
    if account.is_none() && address.is_none() {
        return Err(String::from("a login needs `account`, `address` or both"));
    }
    let outcome = match typed.kind {
        Kind::Success => Outcome::Success,
        _ => Outcome::Failure.weighed(
            typed.mechanism.as_deref(),
            typed.condition.as_deref(),
            typed.reason.as_deref(),
        ),
    };
    Ok(Attempt {
        account,
        address,
        outcome,
        unknown: typed.unknown,
        at,
    })
}

/// `subject`, or what `account` and `address` make up.
pub(super) fn subject(typed: &Typed) -> Result<Subject, String> {
    if let Some(text) = &typed.subject {
        return Subject::parse(text).map_err(|why| why.to_string());
    }
    let account = typed.account.as_deref().map(account).transpose()?;
    let address = typed.address.as_deref().map(address).transpose()?;
    match (account, address) {
        (Some(account), Some(address)) => Ok(Subject::Pair(account, address.into())),
        (Some(account), None) => Ok(Subject::Account(account)),
        (None, Some(address)) => Ok(Subject::address(address)),
        (None, None) => Err(String::from("this needs a `subject`")),
    }
}

pub(super) fn order(typed: &Typed) -> Result<Order, String> {
    let term = typed.duration.as_deref().map(Term::parse).transpose();
    let term = term.map_err(|why| format!("`duration`: {why}"))?;
    let reason = typed.reason.clone();
    let what = match typed.kind {
        Kind::Ban => Action::Ban(BanOrder::Impose {
            term,
            reason,
            note: None,
        }),
        Kind::Allow => Action::Exemption(ExemptionOrder::Grant {
            term,
            comment: reason.unwrap_or_default(),
        }),
        Kind::Unallow => Action::Exemption(ExemptionOrder::Revoke),
        Kind::Forget => Action::History(HistoryOrder::Forget),
        _ => Action::Ban(BanOrder::Lift {
            reason: reason.unwrap_or_default(),
        }),
    };
    Ok(Order::new(actor(), subject(typed)?, what))
}
