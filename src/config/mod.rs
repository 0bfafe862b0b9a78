//! The configuration: reads the file into values that are valid.
//!
//! This room never connects, listens or decides anything with those values. No room imports it; it fills the settings
//! types of the rooms. Secrets come from files or the environment and are never printed.
//!
//! Start reading at [`Config::load`]. Each file below reads some tables and describes their keys where it reads them;
//! `section.rs` provides the functions for that.

mod component;
mod files;
mod key;
mod nearest;
mod policy;
mod problem;
mod read;
mod roles;
mod rooms;
mod secrets;
mod section;
mod services;
#[cfg(test)]
mod tests;
mod unknown;
mod values;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::de::DeTable;
use zeroize::Zeroizing;

use crate::{
    core::{Account, Policy, Rights},
    enforce,
    front::notices::Settings as Notices,
    front::rooms::Settings as Room,
    logs::{Levels, LogFormat},
    store::{EngineKind, recording::Settings as Recording},
    xmpp::link,
};

pub use crate::xmpp::secret::Secret;
pub use key::ConfigKey;
pub use problem::{ConfigProblem, ConfigProblems};

use key::{GROWTH, ROLES, RULES, Setting};
use section::{FileReader, Section};

/// The default path of the configuration.
pub const DEFAULT_FILE: &str = "/etc/portcullis/portcullis.toml";
/// Environment variable for the component secret; overrides `secret` and `secret_file`.
pub const ENV_SECRET: &str = "PORTCULLIS_COMPONENT_SECRET";
/// Environment variable for the content of the seal key file; overrides `seal_key_file`.
pub const ENV_SEAL_KEYS: &str = "PORTCULLIS_SEAL_KEYS";
/// Environment variable for ejabberd's cookie; overrides `ejabberd_cookie_file`.
pub const ENV_COOKIE: &str = "PORTCULLIS_EJABBERD_COOKIE";
/// Environment variable for the HTTP token; overrides `token` and `token_file`.
pub const ENV_TOKEN: &str = "PORTCULLIS_HTTP_TOKEN";

/// Reads an environment variable; in tests from a map.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The whole configuration, valid and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// The rights of each account; an account may occur several times.
    pub granted: Vec<(Account, Rights)>,
    /// The link to the server.
    pub link: link::Settings,
    /// Settings for enforcement on the server.
    pub server: enforce::Settings,
    /// Interval between two checks of the server's records.
    pub check_every: Duration,
    /// Folder of the store.
    pub store: PathBuf,
    /// Storage engine of the store; `None`: the one it is on, or the default for a new store.
    pub store_engine: Option<EngineKind>,
    /// Address for health checks and the HTTP requests; `None`: no HTTP.
    pub http: Option<SocketAddr>,
    /// Token for `/v1/check` and `/v1/report`; `None`: both answer 404.
    pub http_token: Option<Secret>,
    /// Who may be banned, for how long, and the rules. Admins are exempt, including those of single hosts; so is
    /// loopback unless it is switched off.
    pub policy: Policy,
    /// The rooms to join.
    pub rooms: Vec<Room>,
    /// Where judged logins are recorded; `None`: nowhere.
    pub record_attempts: Option<Recording>,
    /// Rate limits of notices.
    pub notices: Notices,
    /// Format of the log; only read at start.
    pub log_format: LogFormat,
    /// Levels of the log.
    pub log_levels: Levels,
    /// Things that work but are probably not intended, for the log and `check-config`.
    pub warnings: Vec<ConfigProblem>,
    /// Every key with its value, for reloads.
    settings: Vec<Setting>,
}

/// The sections that make up the policy.
const POLICY: &[&str] = &["", ROLES, "ban", "exempt", "tracker", RULES, GROWTH];

impl Config {
    /// Reads and checks the configuration and the files it names. Relative paths start at the folder of the
    /// configuration file.
    ///
    /// # Errors
    /// All problems, in the order of the file.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Config, ConfigProblems> {
        let (config, warnings) = read(path, env, None, |read| read.config)?;
        Ok(Config { warnings, ..config })
    }

    /// Reads only the policy, for `rehearse`: secrets and other files need not exist.
    ///
    /// # Errors
    /// Wrong values in these sections; unknown keys and wrong types in the whole file.
    pub fn load_policy(path: &Path) -> Result<Policy, ConfigProblems> {
        read(path, &|_| None, Some(POLICY), |read| Some(read.policy)).map(|(policy, _)| policy)
    }

    /// Reads only `[store]`: the folder, which contains the local socket, and the engine if one is named. Secrets need
    /// not be readable.
    ///
    /// # Errors
    /// Unknown keys and wrong types in the whole file.
    pub fn load_store(path: &Path) -> Result<(PathBuf, Option<EngineKind>), ConfigProblems> {
        read(path, &|_| None, Some(&["store"]), |read| Some(read.store)).map(|(store, _)| store)
    }

    /// The keys whose values differ from those of `new`. A changed secret is reported under one key, wherever it came
    /// from; a changed file under the key that names it.
    pub fn changes(&self, new: &Config) -> Vec<ConfigKey> {
        let differs = |old: &&Setting| !new.settings.iter().any(|new| old.same(new));
        self.settings
            .iter()
            .filter(differs)
            .map(|old| old.key)
            .collect()
    }

    /// Takes over the values that need no restart, for the next [`Config::changes`]: values that need one are
    /// compared with those in use, not with those read last.
    pub fn reloaded(&mut self, new: &Config) {
        self.settings.retain(|old| old.key.restart);
        let live = new.settings.iter().filter(|new| !new.key.restart);
        self.settings.extend(live.cloned());
    }

    /// Every key, except those inside lists of tables.
    pub fn keys() -> Vec<ConfigKey> {
        let mut reader = FileReader::new(Path::new(""), &|_| None, "", Some(&[]));
        sections(Section::top(&mut reader, DeTable::new()));
        let is_top =
            |key: &ConfigKey| key.section.is_empty() || reader.tables.contains(&key.section);
        reader.known.iter().copied().filter(is_top).collect()
    }
}

/// The file as far as it could be used.
struct Loaded {
    policy: Policy,
    store: (PathBuf, Option<EngineKind>),
    /// `None` if a value is missing or wrong.
    config: Option<Config>,
}

/// Reads the file and builds a value from it; also returns the warnings.
fn read<T>(
    path: &Path,
    env: Env<'_>,
    only: Option<&'static [&'static str]>,
    pick: impl FnOnce(Loaded) -> Option<T>,
) -> Result<(T, Vec<ConfigProblem>), ConfigProblems> {
    let (text, metadata) = text_of(path)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut reader = FileReader::new(folder, env, &text, only);
    reader.open_to_others = files::refuse_open(path, &metadata).err();
    match files::who_may_change(uzers::get_effective_uid(), path, &metadata) {
        Ok(None) => {}
        Ok(Some(said)) => reader.found.odd(None, said),
        Err(said) => reader.found.wrong(None, said),
    }
    let picked = read_text(&text, &mut reader, pick);
    reader.found().unless_wrong(path, picked)
}

fn read_text<'f, T>(
    text: &'f str,
    reader: &mut FileReader<'f>,
    pick: impl FnOnce(Loaded) -> Option<T>,
) -> Option<T> {
    match DeTable::parse(text) {
        Ok(root) => pick(sections(Section::top(reader, root.into_inner()))),
        Err(error) => {
            // Only the message: `Display` would also print the line, which may hold the secret.
            let said = format!("this is not valid TOML: {}", error.message());
            reader.found.wrong(error.span(), said);
            None
        }
    }
}

fn sections(mut top: Section<'_, '_>) -> Loaded {
    let people = roles::people(&mut top);
    let link = component::component(top.section("component").fixed());
    let act_as = services::server(top.section("server").fixed());
    let store = services::store(top.section("store").fixed());
    let record = services::record(top.section("record").fixed());
    let (http, http_token) = services::http(top.section("http").fixed());
    let hook_hosts = services::hook(top.section("hook"));
    let policy = policy::policy(&mut top, &people.every_admin);
    let component = link.as_ref().map(|link| link.domain.clone());
    let rooms = rooms::rooms(
        &mut top,
        &people,
        component.as_ref().map(|domain| domain.domain()),
    );
    let record_attempts = services::record_attempts(top.section("record_attempts").fixed());
    let notices = services::notices(top.section("notices"));
    let (log_format, log_levels) = services::log(top.section("log"));
    let settings = std::mem::take(&mut top.reader.settings);
    let whole = || {
        let link = link?;
        let server = enforce::Settings {
            component: link.domain.clone(),
            admins: people.admins,
            act_as,
            keyring: record.keyring?,
            cookie: record.cookie,
            hook_hosts,
            limits: enforce::Timeouts::default(),
        };
        // With a token, servers that do not use XMPP report over HTTP, and their accounts may have any domain. A role
        // on a host names the host as well.
        let of_roles = people.granted.iter().flat_map(|(_, rights)| rights.parts());
        let of_roles = of_roles.filter_map(|(host, _)| host.map(str::to_owned));
        let hosts: BTreeSet<String> = server.virtual_hosts().into_iter().chain(of_roles).collect();
        let policy = Policy {
            hosts: match http_token {
                Some(_) => Vec::new(),
                None => hosts.into_iter().collect(),
            },
            ..policy.clone()
        };
        Some(Config {
            server,
            granted: people.granted,
            link,
            check_every: record.check_every,
            store: store.0.clone(),
            store_engine: store.1,
            http,
            http_token,
            policy,
            rooms,
            record_attempts,
            notices,
            log_format,
            log_levels,
            warnings: Vec::new(),
            settings,
        })
    };
    let config = whole();
    Loaded {
        policy,
        store,
        config,
    }
}

/// The text of the configuration file; the error for a missing file says what to do.
fn text_of(path: &Path) -> Result<(Zeroizing<String>, std::fs::Metadata), ConfigProblems> {
    files::read(path, files::MAX_CONFIG_FILE, files::hand_over).map_err(|said| {
        let hint = "copy the example config/portcullis.toml there and edit it, or name another file with -c FILE";
        let message = match path.try_exists() {
            Ok(false) => format!("there is no such file; {hint}"),
            _ => said,
        };
        ConfigProblems {
            file: path.to_owned(),
            list: vec![ConfigProblem {
                place: None,
                message,
            }],
        }
    })
}
