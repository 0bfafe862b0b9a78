//! The configuration: from a file people write to values that cannot be wrong.
//!
//! Never here: connecting, listening, or deciding anything with those values. No room imports this one; the file is
//! read into the settings types of the rooms. Secrets come from files or the environment, and nothing here prints them.
//!
//! Start reading at [`Config::load`]. Each file below reads some tables, and describes each of their keys where it is
//! read; `section.rs` is what they do it with.

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
    store::recording::Settings as Recording,
    xmpp::link,
};

pub use crate::xmpp::secret::Secret;
pub use key::ConfigKey;
pub use problem::{ConfigProblem, ConfigProblems};

use key::{GROWTH, ROLES, RULES, Setting};
use section::{FileReader, Section};

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
    /// Who has which rights; an account may be named several times.
    pub granted: Vec<(Account, Rights)>,
    /// The link to the server.
    pub link: link::Settings,
    /// What is done on the server, and with what.
    pub server: enforce::Settings,
    /// From one look at the server's records to the next.
    pub check_every: Duration,
    /// Folder of our own durable state.
    pub store: PathBuf,
    /// Where health checks are answered; `None`: nowhere.
    pub http: Option<SocketAddr>,
    /// What programs that ask `/v1/check` and `/v1/report` must know; `None`: nobody may.
    pub http_token: Option<Secret>,
    /// Who may be banned, for how long, and by which rules. Admins are exempt, also those of single hosts, and
    /// loopback unless it was taken out.
    pub policy: Policy,
    /// The rooms to be in.
    pub rooms: Vec<Room>,
    /// Where evaluated attempts are recorded; `None`: nowhere.
    pub record_attempts: Option<Recording>,
    /// How many notices come at once.
    pub notices: Notices,
    /// How lines of the log look. The log starts with it.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_levels: Levels,
    /// What is odd about it, for the log and `check-config`.
    pub warnings: Vec<ConfigProblem>,
    /// Every key with its value.
    settings: Vec<Setting>,
}

/// The sections that decide about bans.
const POLICY: &[&str] = &["", ROLES, "ban", "exempt", "tracker", RULES, GROWTH];

impl Config {
    /// Reads and checks the configuration and the files it names. Relative paths are taken from the folder of the
    /// configuration file.
    ///
    /// # Errors
    /// Everything that is wrong, in the order of the file.
    pub fn load(path: &Path, env: Env<'_>) -> Result<Config, ConfigProblems> {
        let (config, warnings) = read(path, env, None, |read| read.config)?;
        Ok(Config { warnings, ..config })
    }

    /// Reads only what decides about bans: no secret and no file beside it need be there. For `rehearse`, which may
    /// run where the program does not.
    ///
    /// # Errors
    /// Wrong values of these sections; keys and types that are wrong anywhere in the file.
    pub fn load_policy(path: &Path) -> Result<Policy, ConfigProblems> {
        read(path, &|_| None, Some(POLICY), |read| Some(read.policy)).map(|(policy, _)| policy)
    }

    /// Reads only where the store is, and with it the socket of the portcullis that runs: no secret need be readable.
    ///
    /// # Errors
    /// Keys and types that are wrong anywhere in the file.
    pub fn load_store(path: &Path) -> Result<PathBuf, ConfigProblems> {
        read(path, &|_| None, Some(&["store"]), |read| Some(read.store)).map(|(store, _)| store)
    }

    /// The keys whose values differ from those of `new`. A secret is named by the key for itself, and a file by its
    /// key, wherever the value came from.
    pub fn changes(&self, new: &Config) -> Vec<ConfigKey> {
        let differs = |old: &&Setting| !new.settings.iter().any(|new| old.same(new));
        self.settings
            .iter()
            .filter(differs)
            .map(|old| old.key)
            .collect()
    }

    /// Takes over the values that need no restart, for the next [`Config::changes`]: what waits for a restart is
    /// compared with what runs, not with what was read last.
    pub fn reloaded(&mut self, new: &Config) {
        self.settings.retain(|old| old.key.restart);
        let live = new.settings.iter().filter(|new| !new.key.restart);
        self.settings.extend(live.cloned());
    }

    /// Every key there is, but for those in lists of tables.
    pub fn keys() -> Vec<ConfigKey> {
        let mut reader = FileReader::new(Path::new(""), &|_| None, "", Some(&[]));
        sections(Section::top(&mut reader, DeTable::new()));
        let is_top =
            |key: &ConfigKey| key.section.is_empty() || reader.tables.contains(&key.section);
        reader.known.iter().copied().filter(is_top).collect()
    }
}

/// What the file says, as far as it can be used.
struct Loaded {
    policy: Policy,
    store: PathBuf,
    /// `None` if something is missing or wrong.
    config: Option<Config>,
}

/// Reads the file, and picks what is needed of it; with what is odd about it.
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
            // Only the message: `Display` would print the line, and that may hold the secret.
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
        Some(Config {
            server: enforce::Settings {
                component: link.domain.clone(),
                admins: people.admins,
                act_as,
                keyring: record.keyring?,
                cookie: record.cookie,
                hook_hosts,
                limits: enforce::Timeouts::default(),
            },
            granted: people.granted,
            link,
            check_every: record.check_every,
            store: store.clone(),
            http,
            http_token,
            policy: policy.clone(),
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

/// The configuration file's text; a missing one is told what to do.
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
