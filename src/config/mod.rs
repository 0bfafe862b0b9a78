//! The configuration: from a file people write to values that cannot be wrong.
//!
//! Never here: connecting, listening, or deciding anything with those values. No room imports this one; `app` hands
//! each room its part. Secrets come from files or the environment, and nothing here prints them.
//!
//! Start reading at [`Config::load`]. `keys.rs` lists every key; `shape.rs` checks that the file holds only those, of
//! the right type; `meaning.rs` turns them into values; `changes.rs` says what a reload can take over.

mod changes;
mod files;
mod keys;
mod link;
mod meaning;
mod nearest;
mod notices;
mod problem;
mod raw;
mod reader;
mod recording;
mod roles;
mod rooms;
mod rules;
mod secrets;
mod shape;
#[cfg(test)]
mod tests;
mod values;

use std::{
    ffi::OsString, fmt, net::SocketAddr, path::Path, path::PathBuf, sync::Arc, time::Duration,
};

use ipnet::IpNet;
use xmpp_parsers::jid::DomainPart;
use zeroize::Zeroizing;

use crate::{
    core::{
        Account, Policy, Rights, Role, Rules, Term,
        policy::{LOOPBACK, Whose},
        seal::Keyring,
    },
    front::notices::Settings as Notices,
    front::rooms::Settings as RoomSettings,
    logs::{Format, Levels},
    store::recording::Settings as Recording,
};

pub use crate::xmpp::secret::Secret;
pub use keys::{KEYS, Key, Kind, ROLE_KEYS, ROOM_KEYS, RULE_KEYS, key};
pub use problem::{Problem, Problems};

use problem::Found;

/// Where the configuration is looked for when nobody says otherwise.
pub const DEFAULT_FILE: &str = "/etc/portcullis/portcullis.toml";
/// The component secret, before `secret` and `secret_file`.
pub const ENV_SECRET: &str = "PORTCULLIS_COMPONENT_SECRET";
/// The content of the seal key file, before `seal_key_file`.
pub const ENV_SEAL_KEYS: &str = "PORTCULLIS_SEAL_KEYS";
/// ejabberd's cookie, before `ejabberd_cookie_file`.
pub const ENV_COOKIE: &str = "PORTCULLIS_EJABBERD_COOKIE";

/// The token of HTTP, before `token` and `token_file`.
pub const ENV_TOKEN: &str = "PORTCULLIS_HTTP_TOKEN";

/// Reads one variable of the environment; a map in tests.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// Everything that was configured, valid and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// Accounts that may do everything.
    pub admins: Vec<Account>,
    /// Accounts that may ban accounts and single addresses for a limited time. None of them is in `admins`.
    pub moderators: Vec<Account>,
    /// Accounts that may look and change nothing.
    pub viewers: Vec<Account>,
    /// `[[roles]]`: more roles, and those that hold on some virtual hosts only.
    pub roles: Vec<Granted>,
    /// The link to the server.
    pub component: Component,
    /// ejabberd 24.12 only: the admin in whose name admin commands are sent.
    pub act_as: Option<Account>,
    /// Folder of our own durable state.
    pub store: PathBuf,
    /// What protects the records on the server.
    pub record: Record,
    /// Where health checks are answered; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// Who may ask `/v1/check` and `/v1/report`; `None`: nobody.
    pub http_token: Option<Secret>,
    /// More virtual hosts whose hook modules are believed.
    pub hook_hosts: Vec<String>,
    /// Terms of bans by hand.
    pub ban: Terms,
    /// Who is never banned.
    pub exempt: Exempt,
    /// The rules for automatic bans and what they know of sources.
    pub rules: Arc<Rules>,
    /// The rooms to be in.
    pub rooms: Vec<RoomSettings>,
    /// Where what was weighed is recorded; `None`: nowhere.
    pub record_attempts: Option<Recording>,
    /// How much is told at once.
    pub notices: Notices,
    /// The log.
    pub log: Log,
    /// What is odd about it, for the log and `check-config`.
    pub warnings: Vec<Problem>,
}

/// One of `[[roles]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// To whom.
    pub accounts: Vec<Account>,
    /// Which role.
    pub role: Role,
    /// What it is worth: on which hosts.
    pub rights: Rights,
}

/// `[component]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Our own domain.
    pub domain: DomainPart,
    /// The server's component listener.
    pub server: Address,
    /// The shared secret (XEP-0114).
    pub secret: Secret,
    /// Direct TLS, if wanted. Without it the server is on this machine, or `allow_plain_remote` was set.
    pub tls: Option<Tls>,
    /// Plain TCP to another machine is meant.
    pub allow_plain_remote: bool,
}

/// How to recognise the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of authorities to trust; `None`: the system's.
    pub ca_file: Option<PathBuf>,
    /// Name or address the certificate must be for.
    pub name: String,
}

/// host:port. The host is a name or an address without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

/// `[record]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Keys of the seal.
    pub keyring: Keyring,
    /// ejabberd's cookie, which lets us write records the server itself obeys.
    pub cookie: Option<Secret>,
    /// From one look at the server's records to the next.
    pub check_every: Duration,
}

/// `check_every` in `[record]`, when nothing else is set.
pub const CHECK_EVERY: Duration = Duration::from_secs(600);

/// `[ban]`. No term is [`Term::Until`], and none is longer than `longest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When a command names none.
    pub default: Term,
    /// The longest an admin may give.
    pub longest: Term,
    /// The longest a moderator may give.
    pub moderator_longest: Term,
    /// Whose bans moderators may end and change.
    pub moderators_change: Whose,
    /// How long something can be undone.
    pub undo_for: Duration,
}

/// `[exempt]`, as configured; [`Config::policy`] has the whole of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exempt {
    /// The addresses of this machine.
    pub loopback: bool,
    /// Networks and single addresses, host bits cleared.
    pub networks: Vec<IpNet>,
    /// Accounts.
    pub accounts: Vec<Account>,
}

/// `[log]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// How lines look.
    pub format: Format,
    /// What is written.
    pub levels: Levels,
}

impl Config {
    /// Reads and checks the configuration and the files it names. Relative paths are taken from the folder of the
    /// configuration file.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Config, Problems> {
        let (text, metadata) = text_of(path)?;
        let mut found = Found::new(&text);
        let folder = path.parent().unwrap_or(Path::new(""));
        let config = shape::read(&text, &mut found).and_then(|shaped| {
            let raw = &shaped.raw;
            let rooms = raw.rooms.iter().flatten();
            let passwords = rooms.map(|room| &room.get_ref().password);
            let secrets = [&raw.component.secret, &raw.http.token]
                .into_iter()
                .chain(passwords);
            for secret in secrets.flatten() {
                if let Err(said) = files::refuse_open(path, &metadata) {
                    found.wrong(Some(secret.span()), said);
                }
            }
            meaning::read(shaped, folder, env, &mut found)
        });
        let (config, warnings) = found.unless_wrong(path, config)?;
        Ok(Config { warnings, ..config })
    }

    /// Reads only what decides about bans: no secret and no file beside it need be there. For `rehearse`, which may
    /// run where the program does not.
    ///
    /// # Errors
    /// Everything that is wrong in the file, except what is missing or in other files.
    pub fn load_rules(path: &Path) -> Result<Policy, Problems> {
        let (text, _) = text_of(path)?;
        let mut found = Found::new(&text);
        let read =
            shape::read(&text, &mut found).map(|shaped| meaning::read_rules(shaped, &mut found));
        found.unless_wrong(path, read).map(|(read, _)| read)
    }

    /// Reads only where the store is, and with it the socket of the portcullis that runs: no secret need be readable.
    ///
    /// # Errors
    /// Everything that is wrong in the file itself.
    pub fn load_store(path: &Path) -> Result<PathBuf, Problems> {
        let (text, _) = text_of(path)?;
        let mut found = Found::new(&text);
        let folder = path.parent().unwrap_or(Path::new(""));
        let read = shape::read(&text, &mut found)
            .map(|shaped| meaning::read_store(shaped, folder, &mut found));
        found.unless_wrong(path, read).map(|(read, _)| read)
    }

    /// What a reload from this configuration to `new` would change.
    pub fn changes(&self, new: &Config) -> Vec<&'static Key> {
        changes::between(self, new)
    }

    /// The rules for bans: admins are exempt, those of single hosts too, and loopback unless it was taken out.
    pub fn policy(&self) -> Policy {
        policy_of(
            &every_admin(&self.admins, &self.roles),
            self.ban,
            &self.exempt,
            &self.rules,
        )
    }

    /// Who has which rights; somebody may be named several times.
    pub fn granted(&self) -> impl Iterator<Item = (Account, Rights)> {
        let plain = [
            (Role::Admin, &self.admins),
            (Role::Moderator, &self.moderators),
            (Role::Viewer, &self.viewers),
        ];
        let plain = plain.into_iter().flat_map(|(role, accounts)| {
            let accounts = accounts.iter().cloned();
            accounts.map(move |account| (account, Rights::everywhere(role)))
        });
        let listed = self.roles.iter().flat_map(|granted| {
            let accounts = granted.accounts.iter().cloned();
            accounts.map(|account| (account, granted.rights.clone()))
        });
        plain.chain(listed)
    }
}

/// All admins, wherever.
fn every_admin(admins: &[Account], roles: &[Granted]) -> Vec<Account> {
    let listed = roles.iter().filter(|granted| granted.role == Role::Admin);
    let listed = listed.flat_map(|granted| &granted.accounts);
    admins.iter().chain(listed).cloned().collect()
}

fn policy_of(admins: &[Account], ban: Terms, exempt: &Exempt, rules: &Arc<Rules>) -> Policy {
    let length = |term| {
        if let Term::For(length) = term {
            Some(length)
        } else {
            None
        }
    };
    let loopback = LOOPBACK
        .iter()
        .filter(|_| exempt.loopback)
        .filter_map(|net| net.parse().ok());
    Policy {
        default_term: ban.default,
        longest: length(ban.longest),
        moderator_longest: length(ban.moderator_longest),
        moderators_change: ban.moderators_change,
        undo_for: ban.undo_for,
        exempt_networks: loopback.chain(exempt.networks.iter().copied()).collect(),
        exempt_accounts: admins.iter().chain(&exempt.accounts).cloned().collect(),
        rules: Arc::clone(rules),
    }
}

/// The configuration file's text; a missing one is told what to do.
fn text_of(path: &Path) -> Result<(Zeroizing<String>, std::fs::Metadata), Problems> {
    files::read(path, files::MAX_CONFIG_FILE, files::hand_over).map_err(|said| {
        let hint = "copy the example config/portcullis.toml there and edit it, or name another file with -c FILE";
        let message = match path.try_exists() {
            Ok(false) => format!("there is no such file; {hint}"),
            _ => said,
        };
        Problems {
            file: path.to_owned(),
            list: vec![Problem {
                place: None,
                message,
            }],
        }
    })
}

impl Address {
    /// Whether it can only be this machine.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => self
                .host
                .trim_end_matches('.')
                .eq_ignore_ascii_case("localhost"),
        }
    }
}

/// `127.0.0.1:5347`, `[::1]:5347`, `xmpp.example.org:5347`.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}
