//! Requests and reports of a module.

use std::net::IpAddr;
use std::time::Duration;

use minidom::Element;

use super::refusals::words;
use super::{HOLD, LOGINS, NS_HOOK, counted_outcome};
use crate::core::{Account, Attempt, LoginOutcome, Timestamp, as_written};
use crate::xmpp::payload::one_line;

/// Maximum length of a module's texts about itself, in bytes.
const WORDS: usize = 200;

/// A request of a module.
#[derive(Debug, Clone, PartialEq)]
pub enum HookRequest {
    /// The module is up (docs/hook-protocol.md, 1).
    Hello(Hello),
    /// May this login go on? (2)
    Check(Check),
    /// What changed since this state? `None`: everything. (3)
    Sync(Option<HeldState>),
    /// Outcomes of logins. (4)
    Report(Report),
}

/// What a module says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hello {
    /// Name of the server software, e.g. `ejabberd`.
    pub software: String,
    /// Version of the server.
    pub version: String,
    /// Version of the module.
    pub module: String,
    /// Name of the node in a cluster.
    pub node: String,
    /// The state of the bans it holds; `None`: it holds none.
    pub held: Option<HeldState>,
    /// Number of bans it holds.
    pub bans: u64,
    /// What is wrong with it; `None`: nothing.
    pub trouble: Option<String>,
    /// Its time; `None` if it does not say.
    pub now: Option<Timestamp>,
    /// Other modules on this virtual host that refuse logins by counting failures: `mod_fail2ban`.
    pub beside: Vec<String>,
}

/// A state of the bans: the id of the store, and a position in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldState {
    /// Id of the store.
    pub epoch: String,
    /// Position in the log.
    pub seq: u64,
}

/// A login that waits, or a stream that starts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// The account; `None` at the start of a stream.
    pub account: Option<Account>,
    /// The client's address.
    pub address: Option<IpAddr>,
    /// Set if the password is checked next: how long the answer may be held back.
    pub hold: Option<Duration>,
}

/// Outcomes of logins.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Name of the node in a cluster.
    pub node: String,
    /// Identifies this report among those of the node.
    pub batch: Option<String>,
    /// The valid logins.
    pub logins: Vec<ReportedLogin>,
}

/// A login of a report.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedLogin {
    /// What happened.
    pub attempt: Attempt,
    /// Its attributes, by which a repetition is recognised; empty if it has no time of its own.
    pub text: String,
    /// An earlier report of this node that it was in and that may not have arrived.
    pub earlier: Option<String>,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HookUnreadable {
    /// There is no such request.
    #[error("there is no such request in {NS_HOOK}")]
    Name,
    /// It is a get instead of a set, or the other way round.
    #[error("this request is of the wrong type")]
    Type,
    /// A check that names neither account nor address, or an invalid one.
    #[error("name an account (a bare JID), an address (IPv4 or IPv6), or both")]
    Who,
    /// A report of more than [`LOGINS`] logins.
    #[error("a report holds at most {LOGINS} logins")]
    Many,
}

impl HookRequest {
    /// Reads the payload of an IQ. `now` is the time of logins that carry none.
    ///
    /// # Errors
    /// [`HookUnreadable`] says what is wrong with it.
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
        beside: words(element.attr("beside")),
    }
}

/// Parses an account as servers and programs write it; `None` if it is invalid. A localpart beyond ASCII is taken as it is
/// written; no server has ASCII letters in upper case in the others.
pub fn account(text: &str) -> Option<Account> {
    let is_ascii = text.split('@').next().is_some_and(str::is_ascii);
    let jid = as_written::exact(text).or_else(|| {
        let folded = text.to_ascii_lowercase();
        as_written::exact(&folded).filter(|_| is_ascii)
    });
    match jid {
        Some(jid) => Account::from_jid(&jid),
        None => Account::from_server(text),
    }
}

fn check(element: &Element) -> Result<Check, HookUnreadable> {
    // An invalid account or address cannot be banned; the other one is judged all the same.
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

/// Parses how long an answer may be held back, in milliseconds, limited to [`HOLD`]; `None` if it is not a number.
pub fn hold(text: &str) -> Option<Duration> {
    let millis: u32 = text.parse().ok()?;
    Some(Duration::from_millis(u64::from(millis)).min(HOLD))
}

/// Parses an address without its zone; `None` if it is invalid.
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
    Ok(Report {
        node: word(element, "node"),
        batch: batch(element),
        // An invalid login is skipped, so that the others are not lost.
        logins: logins().filter_map(|one| login(one, now)).collect(),
    })
}

fn batch(element: &Element) -> Option<String> {
    Some(word(element, "batch")).filter(|batch| !batch.is_empty())
}

fn login(element: &Element, now: Timestamp) -> Option<ReportedLogin> {
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
    Some(ReportedLogin {
        attempt,
        text: at.map(|_| text).unwrap_or_default(),
        earlier: batch(element),
    })
}

/// The attributes of a `<login/>` (docs/hook-protocol.md, 4), before they are parsed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Login<'a> {
    /// The account.
    pub account: Option<&'a str>,
    /// The client's address.
    pub address: Option<&'a str>,
    /// SASL mechanism.
    pub mechanism: Option<&'a str>,
    /// `success`, `failure`, `refused` or `error`.
    pub outcome: &'a str,
    /// SASL condition.
    pub condition: Option<&'a str>,
    /// The server's text.
    pub reason: Option<&'a str>,
    /// Whether the server said that the account does not exist.
    pub unknown: bool,
}

/// What a login means for the counters; `None` if it is invalid.
pub fn attempt(login: &Login<'_>, at: Timestamp) -> Option<Attempt> {
    let outcome = match login.outcome {
        "success" => LoginOutcome::Success,
        "failure" => LoginOutcome::Failure,
        "refused" => LoginOutcome::Refused,
        "error" => LoginOutcome::Error,
        _ => return None,
    };
    // An invalid account was typed by somebody; the failure counts for the address.
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
