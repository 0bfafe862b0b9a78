//! The elements of `urn:portcullis:hook:1` (docs/hook-protocol.md): what a module asks, what it is answered, what it is
//! told to do.

use std::net::IpAddr;
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::jid::Jid;

use super::{leaf, one_line, set, text_of, with};
use crate::ban::{Account, Attempt, Ban, Changed, Outcome, Seq, Subject, Timestamp, Verdict};
use crate::ban::{ledger::By, told::told};

/// The namespace.
pub const NS_HOOK: &str = "urn:portcullis:hook:1";
/// Most logins of one report.
pub const LOGINS: usize = 1_000;
/// Longest time an answer is held back.
pub const HOLD: Duration = Duration::from_secs(5);
/// Longest words of a module about itself, in bytes.
const WORDS: usize = 200;

/// What a module asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// It is there.
    Hello(Hello),
    /// May this login go on?
    Check(Check),
    /// What changed since then?
    Sync(Option<Held>),
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
    pub held: Option<Held>,
    /// How many bans.
    pub bans: u64,
    /// What is wrong with it; `None`: nothing.
    pub trouble: Option<String>,
}

/// A state of the bans: the store it is from, and the place in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
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
pub enum Unreadable {
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

impl Request {
    /// Reads the payload of an IQ; `now` is when a login happened that does not say.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(payload: &Element, is_get: bool, now: Timestamp) -> Result<Request, Unreadable> {
        let (request, of_get) = match payload.name() {
            "check" => (Request::Check(check(payload)?), true),
            "sync" => (Request::Sync(held(payload, "since")), true),
            "hello" => (Request::Hello(hello(payload)), false),
            "report" => (Request::Report(report(payload, now)?), false),
            _ => return Err(Unreadable::Name),
        };
        match is_get == of_get {
            true => Ok(request),
            false => Err(Unreadable::Type),
        }
    }
}

fn word(element: &Element, name: &str) -> String {
    one_line(element.attr(name).unwrap_or_default(), WORDS)
}

fn held(element: &Element, place: &str) -> Option<Held> {
    Some(Held {
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
    }
}

/// Reads an account as servers and programs write it.
pub fn account(text: &str) -> Option<Account> {
    Account::from_jid(&Jid::new(text).ok()?)
}

fn check(element: &Element) -> Result<Check, Unreadable> {
    // What cannot be read cannot be banned; the other half is judged all the same.
    let check = Check {
        account: element.attr("account").and_then(account),
        address: element.attr("address").and_then(address),
        hold: element.attr("hold").and_then(hold),
    };
    match (&check.account, check.address) {
        (None, None) => Err(Unreadable::Who),
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

fn report(element: &Element, now: Timestamp) -> Result<Report, Unreadable> {
    let logins = || {
        element
            .children()
            .filter(|child| child.is("login", NS_HOOK))
    };
    if logins().nth(LOGINS).is_some() {
        return Err(Unreadable::Many);
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
        "success" => Outcome::Success,
        "failure" => Outcome::Failure,
        "refused" => Outcome::Refused,
        "error" => Outcome::Error,
        _ => return None,
    };
    // An account that is none was typed by somebody: the address counts all the same.
    let account = login.account.and_then(account);
    let address = login.address.and_then(address);
    (account.is_some() || address.is_some()).then(|| Attempt {
        unknown: login.unknown,
        outcome: outcome.weighed(login.mechanism, login.condition, login.reason),
        account,
        address,
        at,
    })
}

/// `<welcome/>`
pub fn welcome(epoch: &str, seq: Seq) -> Element {
    let attributes = [
        ("version", "1"),
        ("epoch", epoch),
        ("seq", &seq.0.to_string()),
    ];
    with("welcome", NS_HOOK, &attributes)
}

/// `<verdict/>`
pub fn verdict(verdict: &Verdict, seq: Seq) -> Element {
    let mut element = Element::bare("verdict", NS_HOOK);
    match verdict {
        Verdict::LetIn => set(&mut element, "action", "allow"),
        Verdict::Refuse {
            ban,
            by,
            reason,
            until,
        } => {
            set(&mut element, "action", "refuse");
            set(&mut element, "by", by.as_str());
            if ban.0 != 0 {
                set(&mut element, "ban", &ban.0.to_string());
            }
            if let Some(until) = until {
                set(&mut element, "until", &until.to_xmpp());
            }
            let text = told(*by, reason, *until);
            element.append_child(leaf("text", NS_HOOK, &text));
        }
    }
    set(&mut element, "seq", &seq.0.to_string());
    element
}

/// What a module is told of one change; `None` for what it cannot hold by itself. `at_start`: the ban may refuse at the
/// start of a stream.
pub fn change(changed: &Changed, at_start: bool) -> Option<Element> {
    match changed {
        Changed::Ended(subject) => Some(subject_element("lift", subject)?),
        Changed::Stands(ban) => {
            let mut element = subject_element("ban", &ban.subject)?;
            set(&mut element, "id", &ban.id.0.to_string());
            if let Some(until) = ban.until {
                set(&mut element, "until", &until.to_xmpp());
            }
            if at_start {
                set(&mut element, "door", "start");
            }
            element.append_child(leaf("text", NS_HOOK, &text_for(ban)));
            Some(element)
        }
    }
}

fn subject_element(name: &str, subject: &Subject) -> Option<Element> {
    let (text, other_half) = match subject {
        Subject::Account(_) | Subject::Address(_) | Subject::Network(_) => {
            (subject.to_string(), None)
        }
        Subject::Pair(account, net) => (
            account.to_string(),
            Some(Subject::network(*net).to_string()),
        ),
        // Needs to know who logged in before from where.
        Subject::Guard(_) => return None,
    };
    let mut element = with(
        name,
        NS_HOOK,
        &[("subject", &text), ("kind", subject.kind())],
    );
    if let Some(address) = other_half {
        set(&mut element, "address", &address);
    }
    Some(element)
}

/// The public text of a ban.
pub fn text_for(ban: &Ban) -> String {
    told(By::of(&ban.subject), &ban.reason, ban.until)
}

/// The public text for whose sessions are ended without a ban.
pub fn text_for_kick(reason: &str) -> String {
    match reason {
        "" => String::from("An admin ended this session."),
        reason => format!("An admin ended this session: {reason}"),
    }
}

/// `<changes/>`
pub fn changes(
    epoch: &str,
    seq: u64,
    more: bool,
    fresh: bool,
    list: impl IntoIterator<Item = Element>,
) -> Element {
    let flag = |flag| if flag { "true" } else { "false" };
    let mut element = with(
        "changes",
        NS_HOOK,
        &[
            ("epoch", epoch),
            ("seq", &seq.to_string()),
            ("more", flag(more)),
            ("fresh", flag(fresh)),
        ],
    );
    for change in list {
        element.append_child(change);
    }
    element
}

/// `<news/>`
pub fn news(epoch: &str, seq: Seq) -> Element {
    with(
        "news",
        NS_HOOK,
        &[("epoch", epoch), ("seq", &seq.0.to_string())],
    )
}

/// `<kick/>`; `None` for a subject nobody can be kicked by.
pub fn kick(subject: &Subject, text: &str) -> Option<Element> {
    let by = match subject {
        Subject::Account(_) => "account",
        Subject::Address(_) => "address",
        Subject::Network(_) => "network",
        Subject::Pair(..) | Subject::Guard(_) => return None,
    };
    let mut element = with("kick", NS_HOOK, &[(by, &subject.to_string())]);
    element.append_child(leaf("text", NS_HOOK, text));
    Some(element)
}

/// How many streams a `<kicked/>` says were ended.
pub fn kicked(answer: &Element) -> Option<u64> {
    if !answer.is("kicked", NS_HOOK) {
        return None;
    }
    answer.attr("count")?.parse().ok()
}

/// `<hash/>`, the question.
pub fn hash(account: &Account) -> Element {
    with("hash", NS_HOOK, &[("account", account.as_str())])
}

/// The value of a `<hash/>`.
pub fn hash_value(answer: &Element) -> Option<String> {
    let value = answer.is("hash", NS_HOOK).then(|| answer.attr("value"))??;
    (!value.is_empty() && value.len() <= 1_000).then(|| value.to_owned())
}

/// The text of a kick or verdict, `""` when there is none.
pub fn text(element: &Element) -> String {
    text_of(element, "text", NS_HOOK)
}
