//! Finds out what a virtual host lets us do, by asking and never from its version.

use std::collections::BTreeSet;
use std::time::Duration;

use minidom::Element;
use xmpp_parsers::jid::{BareJid, Jid};

use super::admin::{self, NS_COMMANDS, Route};
use super::privilege::{Grant, Right, Spelling};
use super::record::{BanRecord, NS_PRIVATE};
use super::requests::Requests;
use crate::xmpp::iq::{IqRequest, Unanswered, Verb};
use crate::xmpp::payload::{one_line, text_of};

const NS_VERSION: &str = "jabber:iq:version";
const NS_DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// The program that runs a virtual host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Software {
    /// Another program, or it does not say.
    #[default]
    Unknown,
    /// ejabberd.
    Ejabberd,
    /// Prosody.
    Prosody,
}

impl Software {
    fn named(name: &str) -> Self {
        match name.trim().to_ascii_lowercase() {
            name if name.starts_with("ejabberd") => Software::Ejabberd,
            name if name.starts_with("prosody") => Software::Prosody,
            _ => Software::Unknown,
        }
    }
}

/// What one virtual host lets us do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostCapabilities {
    /// Its domain, in the form that accounts use.
    pub vhost: String,
    /// The name of the virtual host as the server spells it, such as `xn--bcher-kva.example` for bücher.example.
    pub domain: String,
    /// The program that runs it.
    pub kind: Software,
    /// Its version, if it reports one.
    pub version: Option<String>,
    /// Whether it sent a grant.
    pub granted: bool,
    /// The granted right to `jabber:iq:private` of its accounts.
    pub record: Right,
    /// Whether a request under that right was answered. Silence means that the grant is gone, or that `mod_private`
    /// is missing.
    pub answers: bool,
    /// How requests to an account itself must be written.
    pub spelling: Spelling,
    /// Whether a question in our own name was not answered in time, so that what is not known may only be late.
    pub is_late: bool,
    /// How admin commands reach it; `None`: they do not.
    pub route: Option<Route>,
    /// The XEP-0133 commands it offers us.
    pub commands: BTreeSet<String>,
    /// Prosody: whether its accounts can be disabled. Asking would do it, so this is learnt at the first ban and
    /// kept.
    pub disables: Option<bool>,
    /// ejabberd: whether the hash made with the configured cookie equals the server's own; `None` if unknown.
    pub cookie: Option<bool>,
}

impl HostCapabilities {
    /// A virtual host about which nothing is known.
    pub fn unknown(vhost: &str, domain: &str) -> Self {
        HostCapabilities {
            vhost: vhost.to_owned(),
            domain: domain.to_owned(),
            kind: Software::Unknown,
            version: None,
            granted: false,
            record: Right::None,
            answers: false,
            spelling: Spelling::Plain,
            is_late: false,
            route: None,
            commands: BTreeSet::new(),
            disables: None,
            cookie: None,
        }
    }

    /// Whether records can be read and written.
    pub fn keeps_records(&self) -> bool {
        self.record == Right::Both && self.answers
    }

    /// Whether it offers an admin command and lets us run it.
    pub fn offers(&self, command: &str) -> bool {
        self.route.is_some() && self.commands.contains(command)
    }

    /// Whether it is an ejabberd up to 24.12, recognised by its echo. COMPAT.
    pub fn is_echoing(&self) -> bool {
        self.spelling == Spelling::OtherCase
    }

    /// Name and version, for people.
    pub fn software(&self) -> String {
        let version = self
            .version
            .as_deref()
            .map(|version| format!(" {version}"))
            .unwrap_or_default();
        match self.kind {
            Software::Unknown if self.version.is_none() => {
                String::from("an XMPP server that does not say which")
            }
            Software::Unknown => format!("an unknown server{version}"),
            Software::Ejabberd if self.version.is_none() && self.is_echoing() => {
                String::from("ejabberd 24.12 or older")
            }
            Software::Ejabberd => format!("ejabberd{version}"),
            Software::Prosody => format!("Prosody{version}"),
        }
    }

    /// Whether it belongs to this server, as far as we know: it sent a grant, or we may run commands there.
    pub fn is_ours(&self) -> bool {
        self.granted || self.route.is_some()
    }
}

/// A localpart for a record request if we know no account; the request changes nothing. It is random at each start:
/// somebody could register a known name and store a record that makes the answers look like a fault.
pub(crate) fn nobody() -> String {
    // Without randomness the name is predictable; even then an unreadable answer counts as an answer.
    let random = getrandom::u64().unwrap_or_default();
    format!("portcullis-{random:016x}")
}

/// Probes one virtual host. `admin` is an account whose name may be borrowed for commands, with the right that her
/// own host grants; `nobody` is made by [`nobody`].
///
/// # Errors
/// Only [`Unanswered::LinkDown`]; everything else is a result.
pub(crate) async fn probe(
    requests: &Requests,
    vhost: &str,
    domain: &str,
    grant: Option<&Grant>,
    admin: Option<(&BareJid, Right)>,
    nobody: &str,
    limit: Duration,
) -> Result<HostCapabilities, Unanswered> {
    let mut found = HostCapabilities::unknown(vhost, domain);
    let Ok(host) = Jid::new(domain) else {
        return Ok(found);
    };
    if let Some(grant) = grant {
        found.granted = true;
        found.record = grant.iq(NS_PRIVATE);
        if grant.names_refusals {
            found.kind = Software::Ejabberd;
        }
    }
    if let Some(account) = somebody(&host, admin.map(|(admin, _)| admin), nobody)
        && found.record.allows(Verb::Get)
    {
        probe_record(requests, &account, &mut found, limit).await?;
    }
    if !found.is_echoing() {
        probe_directly(requests, &host, &mut found, limit).await?;
    }
    if found.route.is_none()
        && let Some((admin, right)) = admin
        && right.allows(Verb::Set)
    {
        probe_borrowed(requests, &host, admin, &mut found, limit).await?;
    }
    Ok(found)
}

/// Whether a host that answered before still does: reads one record. An error is an answer.
pub(crate) async fn still_answers(
    requests: &Requests,
    host: &HostCapabilities,
    admin: Option<&BareJid>,
    nobody: &str,
    limit: Duration,
) -> bool {
    let account = Jid::new(&host.domain)
        .ok()
        .and_then(|vhost| somebody(&vhost, admin, nobody));
    let Some(account) = account else {
        return true;
    };
    requests.read_record(&account, host.spelling, limit).await != Err(Unanswered::Silent)
}

/// An account of a host whose record may be read to see what happens.
fn somebody(host: &Jid, admin: Option<&BareJid>, nobody: &str) -> Option<BareJid> {
    match admin {
        Some(admin) if admin.domain() == host.domain() => Some(admin.clone()),
        _ => BareJid::new(&format!("{nobody}@{}", host.domain())).ok(),
    }
}

/// Reads one record: is there an answer, and does the server send our own request back?
async fn probe_record(
    requests: &Requests,
    account: &BareJid,
    found: &mut HostCapabilities,
    limit: Duration,
) -> Result<(), Unanswered> {
    for spelling in [Spelling::Plain, Spelling::OtherCase] {
        let answer = requests
            .as_self(account, spelling, Verb::Get, BanRecord::query(), limit)
            .await;
        match answer {
            Err(Unanswered::LinkDown) => return Err(Unanswered::LinkDown),
            Err(Unanswered::Echoed) => {
                found.kind = Software::Ejabberd;
                found.spelling = Spelling::OtherCase;
                continue;
            }
            // Prosody: the account does not exist. The grant works; otherwise Prosody would say so for every account,
            // which the first ban would show.
            Ok(_) | Err(Unanswered::Refused(_) | Unanswered::Unreadable) => found.answers = true,
            Err(Unanswered::Silent | Unanswered::Unsent(_)) => {}
        }
        break;
    }
    Ok(())
}

/// Asks for version, name and commands in our own name, concurrently: ejabberd 24.12 drops these, and then silence
/// costs one time limit instead of three.
async fn probe_directly(
    requests: &Requests,
    host: &Jid,
    found: &mut HostCapabilities,
    limit: Duration,
) -> Result<(), Unanswered> {
    let ask = |payload| requests.plain(IqRequest::new(host.clone(), Verb::Get, payload, limit));
    let (version, info, commands) = futures::join!(
        ask(Element::bare("query", NS_VERSION)),
        ask(Element::bare("query", NS_DISCO_INFO)),
        ask(admin::list_commands()),
    );
    for answer in [&version, &info, &commands] {
        match answer {
            Err(Unanswered::LinkDown) => return Err(Unanswered::LinkDown),
            Err(Unanswered::Silent) => found.is_late = true,
            _ => {}
        }
    }
    if let Ok(Some(info)) = info {
        let identities = info
            .children()
            .filter(|child| child.is("identity", NS_DISCO_INFO));
        let server = identities.filter(|identity| identity.attr("category") == Some("server"));
        if let Some(kind) = server
            .filter_map(|server| server.attr("name"))
            .map(Software::named)
            .find(|kind| *kind != Software::Unknown)
        {
            found.kind = kind;
        }
    }
    if let Ok(Some(version)) = version {
        let kind = Software::named(&text_of(&version, "name", NS_VERSION));
        if kind != Software::Unknown {
            found.kind = kind;
        }
        let number = one_line(&text_of(&version, "version", NS_VERSION), 40);
        found.version = Some(number).filter(|number| !number.is_empty());
    }
    if let Ok(commands) = commands {
        let offered = admin::read_list(commands.as_ref());
        if offered.contains("end-user-session") || offered.contains("disable-user") {
            found.route = Some(Route::Direct);
            found.commands = offered;
        }
    }
    Ok(())
}

/// Commands in the name of an admin. Their list cannot be requested (it has another namespace), so one harmless
/// command is run.
async fn probe_borrowed(
    requests: &Requests,
    host: &Jid,
    admin: &BareJid,
    found: &mut HostCapabilities,
    limit: Duration,
) -> Result<(), Unanswered> {
    let route = Route::As(admin.clone());
    match requests
        .command(host, &route, admin::last_login(admin.as_str()), limit)
        .await
    {
        Err(Unanswered::LinkDown) => return Err(Unanswered::LinkDown),
        Ok(done) if done.complaint().is_none() => {
            tracing::debug!(vhost = %found.vhost, %admin, "admin commands work in the name of an admin ({NS_COMMANDS})");
            found.kind = Software::Ejabberd;
            found.route = Some(route);
            found.commands = ["end-user-session", "user-stats", "get-user-lastlogin"]
                .map(str::to_owned)
                .into();
        }
        _ => {}
    }
    Ok(())
}
