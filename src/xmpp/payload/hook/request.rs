//! What a module asks, reports and says of itself.

use std::net::IpAddr;
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::jid::Jid;

use super::{HOLD, LOGINS, NS_HOOK, counted_outcome};
use crate::core::{Account, Attempt, LoginOutcome, Timestamp};
use crate::xmpp::payload::one_line;

/// Longest words of a module about itself, in bytes.
const WORDS: usize = 200;

/// What a module asks.
#[derive(Debug, Clone, PartialEq)]
pub enum HookRequest {
    /// It is there.
    Hello(Hello),
    /// May this login go on?
    Check(Check),
    /// What changed since then?
    Sync(Option<HeldState>),
    /// What came of logins.
    Report(Report),
}

/// A module about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// The server's name, as `ejabberd`.
    pub software: String,
    /// Its version.
    pub version: String,
    /// The version of the module.
    pub module: String,
    /// Which node of a cluster.
    pub node: String,
    /// Which state of the bans it holds.
    pub held: Option<HeldState>,
    /// How many bans.
    pub bans: u64,
    /// What is wrong with it; `None`: nothing.
    pub trouble: Option<String>,
    /// What time it is there; `None`: it does not say.
    pub now: Option<Timestamp>,
}

/// A state of the bans: the store it is from, and the place in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldState {
    /// The store.
    pub epoch: String,
    /// The place.
    pub seq: u64,
}

/// A login that waits, or a stream that starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Whose.
    pub account: Option<Account>,
    /// From where.
    pub address: Option<IpAddr>,
    /// The password is looked at next and its outcome reported: how long the answer may be held
    /// back while others are looked at.
    pub hold: Option<Duration>,
}

/// What came of logins.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Which node of a cluster.
    pub node: String,
    /// Names this report among those of the node.
    pub batch: Option<String>,
    /// The logins that can be understood, each with its text for telling whether it came before.
    pub logins: Vec<(Attempt, String)>,
}

/// Why a request cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookUnreadable {
    /// No such request.
    #[error("there is no such request in {NS_HOOK}")]
    Name,
    /// Of type get where a set is wanted, or the other way round.
    #[error("this request is of the wrong type")]
    Type,
    /// A check that names neither, or something that is none.
    #[error("name an account (a bare JID), an address (IPv4 or IPv6), or both")]
    Who,
    /// More than [`LOGINS`].
    #[error("a report holds at most {LOGINS} logins")]
    Many,
}

impl HookRequest {
    /// Reads the payload of an IQ; `now` is when a login happened that does not say.
    ///
    /// # Errors
    /// [`HookUnreadable`].
    pub fn read(
        payload: &Element,
        is_get: bool,
        now: Timestamp,
    ) -> Result<HookRequest, HookUnreadable> {
        let (request, of_get) = match payload.name() {
            "check" => (HookRequest::Check(check(payload)?), true),
            "sync" => (HookRequest::Sync(held(payload, "since")), true),
            "hello" => (HookRequest::Hello(hello(payload)), false),
            "report" => (HookRequest::Report(report(payload, now)?), false),
            _ => return Err(HookUnreadable::Name),
        };
        match is_get == of_get {
            true => Ok(request),
            false => Err(HookUnreadable::Type),
        }
    }
}

fn word(element: &Element, name: &str) -> String {
    one_line(element.attr(name).unwrap_or_default(), WORDS)
}

fn held(element: &Element, place: &str) -> Option<HeldState> {
    Some(HeldState {
        epoch: word(element, "epoch"),
        seq: element.attr(place)?.parse().ok()?,
    })
}

fn hello(element: &Element) -> Hello {
    let trouble = word(element, "health");
    Hello {
        software: word(element, "software"),
        version: word(element, "version"),
        module: word(element, "module"),
        node: word(element, "node"),
        held: held(element, "seq"),
        bans: element
            .attr("bans")
            .and_then(|bans| bans.parse().ok())
            .unwrap_or_default(),
        trouble: Some(trouble).filter(|trouble| !matches!(trouble.as_str(), "" | "ok")),
        now: element.attr("now").and_then(Timestamp::parse),
    }
}

/// Reads an account as servers and programs write it.
pub fn account(text: &str) -> Option<Account> {
    Account::from_jid(&Jid::new(text).ok()?)
}

fn check(element: &Element) -> Result<Check, HookUnreadable> {
    // What cannot be read cannot be banned; the other half is judged all the same.
    let check = Check {
        account: element.attr("account").and_then(account),
        address: element.attr("address").and_then(address),
        hold: element.attr("hold").and_then(hold),
    };
    match (&check.account, check.address) {
        (None, None) => Err(HookUnreadable::Who),
        _ => Ok(check),
    }
}

/// Reads how long an answer may be held back, in milliseconds; never longer than [`HOLD`].
pub fn hold(text: &str) -> Option<Duration> {
    let millis: u32 = text.parse().ok()?;
    Some(Duration::from_millis(u64::from(millis)).min(HOLD))
}

/// Reads an address; the zone of a link-local one is left out.
pub fn address(text: &str) -> Option<IpAddr> {
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse().ok()
}

fn report(element: &Element, now: Timestamp) -> Result<Report, HookUnreadable> {
    let logins = || {
        element
            .children()
            .filter(|child| child.is("login", NS_HOOK))
    };
    if logins().nth(LOGINS).is_some() {
        return Err(HookUnreadable::Many);
    }
    let batch = word(element, "batch");
    Ok(Report {
        node: word(element, "node"),
        batch: Some(batch).filter(|batch| !batch.is_empty()),
        // One that nobody can understand is no reason to lose the others.
        logins: logins().filter_map(|one| login(one, now)).collect(),
    })
}

fn login(element: &Element, now: Timestamp) -> Option<(Attempt, String)> {
    let at = element.attr("at");
    let attempt = attempt(
        &Login {
            account: element.attr("account"),
            address: element.attr("address"),
            mechanism: element.attr("mechanism"),
            outcome: element.attr("outcome")?,
            condition: element.attr("condition"),
            reason: element.attr("reason"),
            unknown: matches!(element.attr("unknown"), Some("true" | "1")),
        },
        at.and_then(Timestamp::parse).unwrap_or(now),
    )?;
    let mut text = String::new();
    for (name, value) in element
        .attrs()
        .into_iter()
        .map(|((_, name), value)| (name, value))
    {
        text.push_str(&format!("{name}={value}\n"));
    }
    Some((attempt, at.map(|_| text).unwrap_or_default()))
}

/// A login in the words of the protocol.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// Whose.
    pub account: Option<&'a str>,
    /// From where.
    pub address: Option<&'a str>,
    /// SASL mechanism.
    pub mechanism: Option<&'a str>,
    /// `success`, `failure`, `refused` or `error`.
    pub outcome: &'a str,
    /// SASL condition.
    pub condition: Option<&'a str>,
    /// The server's words.
    pub reason: Option<&'a str>,
    /// There is no such account.
    pub unknown: bool,
}

/// What a login means for the counters; `None` when it cannot be understood.
pub fn attempt(login: &Login<'_>, at: Timestamp) -> Option<Attempt> {
    let outcome = match login.outcome {
        "success" => LoginOutcome::Success,
        "failure" => LoginOutcome::Failure,
        "refused" => LoginOutcome::Refused,
        "error" => LoginOutcome::Error,
        _ => return None,
    };
    // An account that is none was typed by somebody: the address counts all the same.
    let account = login.account.and_then(account);
    let address = login.address.and_then(address);
    (account.is_some() || address.is_some()).then(|| Attempt {
        unknown: login.unknown,
        outcome: counted_outcome(outcome, login.mechanism, login.condition, login.reason),
        account,
        address,
        at,
    })
}
