//! What was typed, turned into values that cannot be wrong. Each mistake is told where it stands, what is wrong with
//! it and how it is written right.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use tokio_rustls::rustls::pki_types::ServerName;
use toml::Spanned;
use xmpp_parsers::jid::{DomainPart, Jid};

use super::{
    Address, Component, Config, ENV_COOKIE, ENV_SEAL_KEYS, ENV_SECRET, ENV_TOKEN, Env, Exempt, Log,
    Record, Secret, Terms, Tls, every_admin, files,
    keys::{Key, key, within},
    nearest::nearest,
    policy_of,
    problem::Found,
    raw,
    rules::one_of,
    shape::Shaped,
};
use crate::{
    ban::{
        Account, Policy, Subject, Term,
        policy::{UNDO_FOR, Whose},
        seal::Keyring,
    },
    logs::{Format, Levels},
};

const DEFAULT_SERVER: (&str, u16) = ("127.0.0.1", 5347);
const DEFAULT_STORE: &str = "/var/lib/portcullis/store";
const DEFAULT_SEAL_KEYS: &str = "/etc/portcullis/seal.key";
/// A moderator's longest term when the file does not say.
const DEFAULT_MODERATOR: Term = Term::For(std::time::Duration::from_secs(30 * 86_400));

/// Gives every value its meaning; `None` when a required one is missing or wrong (and then `found` says so).
pub(super) fn read(
    shaped: Shaped,
    folder: &Path,
    env: Env<'_>,
    found: &mut Found<'_>,
) -> Option<Config> {
    let mut reader = Reader { folder, env, found };
    let secret = reader.secret(&shaped);
    let domain = reader.domain(&shaped);
    let keyring = reader.keyring(&shaped);
    let admins_unusable = shaped.was_taken_out("", "admins");
    let tls_unusable = shaped.was_taken_out("component", "tls");
    let raw::Raw {
        admins,
        moderators,
        viewers,
        roles,
        component,
        server,
        store,
        record,
        http,
        hook,
        ban,
        exempt,
        tracker,
        rules,
        rooms,
        record_attempts,
        notices,
        log,
    } = shaped.raw;

    let admins = reader.accounts("", "admins", admins);
    let moderators = reader.lesser("moderators", moderators, &[("admins", &admins)]);
    let viewers = reader.lesser(
        "viewers",
        viewers,
        &[("admins", &admins), ("moderators", &moderators)],
    );
    let roles = reader.roles(roles);
    if admins.is_empty() && !admins_unusable {
        reader.found.odd(None, "there are no admins, so nobody can give commands; for example `admins = [\"admin@example.org\"]`");
    }
    let link = reader.link(component, tls_unusable);
    let cookie = reader.cookie(record.ejabberd_cookie_file);
    let check_every = reader.span("record", "check_every", record.check_every);
    let http_token = reader
        .one_of(
            "http",
            ["token", "token_file"],
            &http.token,
            &http.token_file,
            ENV_TOKEN,
            check_token,
        )
        .flatten();
    let hook_hosts = reader.values("hook", "hosts", hook.hosts, host);
    let http = reader.value("http", "listen", http.listen, listen);
    if let Some((at, place)) = http
        .as_ref()
        .filter(|(at, _)| !at.ip().to_canonical().is_loopback())
    {
        let odd = format!(
            "`listen` in [http]: {at} is not loopback; anybody who reaches it can see the state of this component"
        );
        reader.found.odd(Some(place.clone()), odd);
    }
    let rules = reader.rules(rules, tracker, &exempt.proxies, &ban.grace);
    let rooms = {
        let lists = [&admins, &moderators, &viewers].into_iter().flatten();
        let people: Vec<_> = lists
            .chain(roles.iter().flat_map(|one| &one.accounts))
            .collect();
        reader.rooms(rooms, &people, domain.as_deref())
    };
    let config = Config {
        rules,
        rooms,
        admins,
        moderators,
        viewers,
        roles,
        act_as: reader
            .value("server", "act_as", server.act_as, account)
            .map(first),
        store: reader.path(store.path, DEFAULT_STORE),
        http: http.map(first),
        http_token,
        hook_hosts: hook_hosts.into_iter().map(first).collect(),
        ban: reader.terms(ban),
        exempt: reader.exempt(exempt),
        record_attempts: reader.recording(record_attempts),
        notices: reader.notices(notices),
        log: reader.log(log),
        component: Component {
            domain: domain?,
            server: link.server,
            secret: secret?,
            tls: link.tls,
            allow_plain_remote: link.allow_plain_remote,
        },
        record: Record {
            keyring: keyring?,
            cookie,
            check_every: check_every.unwrap_or(super::CHECK_EVERY),
        },
        warnings: Vec::new(),
    };
    Some(config)
}

/// Gives meaning to what decides about bans, and to nothing else.
pub(super) fn read_rules(shaped: Shaped, found: &mut Found<'_>) -> Policy {
    let raw::Raw {
        admins,
        roles,
        ban,
        exempt,
        tracker,
        rules,
        ..
    } = shaped.raw;
    let no_env = |_: &str| None;
    let mut reader = Reader {
        folder: Path::new(""),
        env: &no_env,
        found,
    };
    let admins = reader.accounts("", "admins", admins);
    let roles = reader.roles(roles);
    let rules = reader.rules(rules, tracker, &exempt.proxies, &ban.grace);
    let terms = reader.terms(ban);
    let exempt = reader.exempt(exempt);
    policy_of(&every_admin(&admins, &roles), terms, &exempt, &rules)
}

/// Gives meaning to the place of the store, and to nothing else.
pub(super) fn read_store(shaped: Shaped, folder: &Path, found: &mut Found<'_>) -> PathBuf {
    let reader = Reader {
        folder,
        env: &|_: &str| None,
        found,
    };
    reader.path(shaped.raw.store.path, DEFAULT_STORE)
}

pub(super) type Place = std::ops::Range<usize>;

/// The part of [`Component`] that has no required value.
struct Link {
    server: Address,
    tls: Option<Tls>,
    allow_plain_remote: bool,
}

pub(super) struct Reader<'r, 't> {
    pub(super) folder: &'r Path,
    env: Env<'r>,
    pub(super) found: &'r mut Found<'t>,
}

impl Reader<'_, '_> {
    /// One value: parsed, or reported with its key and an example.
    pub(super) fn value<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Text,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<(T, Place)> {
        let typed = typed?;
        match parse(typed.get_ref()) {
            Ok(value) => Some((value, typed.span())),
            Err(said) => {
                self.wrong(section, name, typed.span(), &said);
                None
            }
        }
    }

    /// A list: what is right of it; the rest is reported one by one.
    pub(super) fn values<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Texts,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(T, Place)> {
        let one_by_one = typed.unwrap_or_default().into_iter();
        one_by_one
            .filter_map(|typed| self.value(section, name, Some(typed), &parse))
            .collect()
    }

    pub(super) fn wrong(
        &mut self,
        section: &'static str,
        name: &'static str,
        place: Place,
        said: &str,
    ) {
        let message = match key(section, name) {
            Some(known) => format!(
                "{}: {said}; for example `{} = {}`",
                known.spoken(),
                known.name,
                known.example
            ),
            None => said.to_owned(),
        };
        self.found.wrong(Some(place), message);
    }

    fn missing(&mut self, shaped: &Shaped, section: &'static str, name: &'static str) {
        let Some(Key { takes, example, .. }) = key(section, name) else {
            return;
        };
        if !shaped.was_taken_out(section, name) {
            let said = format!(
                "`{name}` in [{section}] is missing: {takes}; for example `{name} = {example}`"
            );
            self.found.wrong(None, said);
        }
    }

    /// A path, from the folder of the configuration file.
    fn path(&self, typed: raw::Text, default: &str) -> PathBuf {
        self.folder
            .join(typed.map_or_else(|| default.to_owned(), Spanned::into_inner))
    }

    /// A variable of the environment; an empty one counts as not set, as compose files leave it.
    fn variable(&mut self, name: &'static str) -> Option<String> {
        let value = (self.env)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.found.wrong(
                    None,
                    format!("the environment variable {name} is not text in UTF-8"),
                );
                None
            }
        }
    }

    fn secret(&mut self, shaped: &Shaped) -> Option<Secret> {
        let raw::Component {
            secret,
            secret_file,
            ..
        } = &shaped.raw.component;
        let keys = ["secret", "secret_file"];
        match self.one_of(
            "component",
            keys,
            secret,
            secret_file,
            ENV_SECRET,
            check_secret,
        ) {
            Some(read) => read,
            None => {
                if !keys
                    .iter()
                    .any(|key| shaped.was_taken_out("component", key))
                {
                    let said = format!(
                        "the component secret is missing: set `secret_file` (or `secret`) in [component], or {ENV_SECRET} in the environment, to the secret the XMPP server has for this component"
                    );
                    self.found.wrong(None, said);
                }
                None
            }
        }
    }

    /// A secret from the environment, the configuration or a file. `None`: none was given; `Some(None)`: one that was
    /// reported as wrong.
    fn one_of(
        &mut self,
        section: &'static str,
        [name, file_name]: [&'static str; 2],
        secret: &raw::Text,
        secret_file: &raw::Text,
        variable: &'static str,
        check: fn(String) -> Result<Secret, String>,
    ) -> Option<Option<Secret>> {
        if let Some(text) = self.variable(variable) {
            if let Some(ignored) = secret.as_ref().or(secret_file.as_ref()) {
                let odd = format!("ignored, because the environment variable {variable} is set");
                self.found.odd(Some(ignored.span()), odd);
            }
            let checked =
                check(text).map_err(|said| self.found.wrong(None, format!("{variable}: {said}")));
            return Some(checked.ok());
        }
        self.written(section, [name, file_name], secret, secret_file, check)
    }

    /// The same without the environment.
    pub(super) fn written(
        &mut self,
        section: &'static str,
        [name, file_name]: [&'static str; 2],
        secret: &raw::Text,
        secret_file: &raw::Text,
        check: fn(String) -> Result<Secret, String>,
    ) -> Option<Option<Secret>> {
        let read = match (secret, secret_file) {
            (Some(secret), Some(_)) => {
                let said = format!(
                    "`{name}` and `{file_name}`{} are both set; keep `{file_name}` and take `{name}` out",
                    within(section)
                );
                self.found.wrong(Some(secret.span()), said);
                return Some(None);
            }
            (Some(secret), None) => check(secret.get_ref().clone()).map_err(|said| {
                (
                    secret.span(),
                    format!("`{name}`{}: {said}", within(section)),
                )
            }),
            (None, Some(file)) => {
                let path = self.folder.join(file.get_ref());
                files::read_private(&path, files::hand_over)
                    .and_then(|text| {
                        check(text.trim_end_matches(['\r', '\n']).to_owned())
                            .map_err(|said| format!("{}: {said}", path.display()))
                    })
                    .map_err(|said| {
                        (
                            file.span(),
                            format!("`{file_name}`{}: {said}", within(section)),
                        )
                    })
            }
            (None, None) => return None,
        };
        let read = read.map_err(|(place, said)| self.found.wrong(Some(place), said));
        Some(read.ok())
    }

    fn domain(&mut self, shaped: &Shaped) -> Option<DomainPart> {
        match &shaped.raw.component.domain {
            None => {
                self.missing(shaped, "component", "domain");
                None
            }
            typed => self
                .value("component", "domain", typed.clone(), domain)
                .map(first),
        }
    }

    fn keyring(&mut self, shaped: &Shaped) -> Option<Keyring> {
        if let Some(text) = self.variable(ENV_SEAL_KEYS) {
            return Keyring::parse(&text)
                .map_err(|said| self.found.wrong(None, format!("{ENV_SEAL_KEYS}: {said}")))
                .ok();
        }
        if shaped.was_taken_out("record", "seal_key_file") {
            return None;
        }
        let typed = shaped.raw.record.seal_key_file.clone();
        let place = typed.as_ref().map(Spanned::span);
        let path = self.path(typed, DEFAULT_SEAL_KEYS);
        let make = format!(
            "make one: (umask 077; portcullis keygen > {})",
            files::quoted(&path)
        );
        let keys = if !matches!(path.try_exists(), Ok(false)) {
            files::read_private(&path, files::hand_over)
        } else {
            Err(format!("{} does not exist; {make}", path.display()))
        };
        keys.and_then(|text| {
            Keyring::parse(&text).map_err(|said| format!("{}: {said}", path.display()))
        })
        .map_err(|said| {
            self.found
                .wrong(place, format!("`seal_key_file` in [record]: {said}"))
        })
        .ok()
    }

    fn cookie(&mut self, typed: raw::Text) -> Option<Secret> {
        if let Some(text) = self.variable(ENV_COOKIE) {
            return check_secret(text)
                .map_err(|said| self.found.wrong(None, format!("{ENV_COOKIE}: {said}")))
                .ok();
        }
        let typed = typed?;
        let path = self.folder.join(typed.get_ref());
        files::read_private(&path, copy_cookie)
            .and_then(|text| {
                check_secret(text.trim_end_matches(['\r', '\n', ' ']).to_owned())
                    .map_err(|said| format!("{}: {said}", path.display()))
            })
            .map_err(|said| {
                self.found.wrong(
                    Some(typed.span()),
                    format!("`ejabberd_cookie_file` in [record]: {said}"),
                )
            })
            .ok()
    }

    pub(super) fn accounts(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Texts,
    ) -> Vec<Account> {
        let mut seen = BTreeSet::new();
        let accounts = self
            .values(section, name, typed, account)
            .into_iter()
            .map(first);
        accounts
            .filter(|account| seen.insert(account.clone()))
            .collect()
    }

    fn link(&mut self, typed: raw::Component, tls_unusable: bool) -> Link {
        let flag = |typed: raw::Flag| typed.is_some_and(Spanned::into_inner);
        let (tls, allow_plain_remote) = (flag(typed.tls), flag(typed.allow_plain_remote));
        let place = typed.server.as_ref().map(Spanned::span);
        let server = self
            .value("component", "server", typed.server, address)
            .map(first);
        let server = server.unwrap_or_else(|| Address {
            host: DEFAULT_SERVER.0.to_owned(),
            port: DEFAULT_SERVER.1,
        });
        if !tls && !tls_unusable && !allow_plain_remote && !server.is_loopback() {
            let said = format!(
                "`server` in [component]: {server} may be another machine, and without TLS everybody between can read and change what is sent; set `tls = true`, or `allow_plain_remote = true` if the network between is yours alone"
            );
            self.found.wrong(place, said);
        }
        for (name, place) in [
            ("tls_ca_file", &typed.tls_ca_file),
            ("tls_name", &typed.tls_name),
        ] {
            if let Some(typed) = place.as_ref().filter(|_| !tls) {
                self.found.odd(
                    Some(typed.span()),
                    format!("`{name}` in [component] does nothing without `tls = true`"),
                );
            }
        }
        let name = self
            .value("component", "tls_name", typed.tls_name, certificate_name)
            .map(first);
        let folder = self.folder;
        let ca_file = self.value("component", "tls_ca_file", typed.tls_ca_file, |text| {
            let path = folder.join(text);
            let opened = std::fs::File::open(&path);
            opened.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            Ok(path)
        });
        let tls = tls.then(|| Tls {
            ca_file: ca_file.map(first),
            name: name.unwrap_or_else(|| server.host.clone()),
        });
        Link {
            server,
            tls,
            allow_plain_remote,
        }
    }

    fn terms(&mut self, typed: raw::Ban) -> Terms {
        let longest = self
            .value("ban", "longest", typed.longest, term)
            .map_or(Term::Forever, first);
        let mut within = |name, typed: raw::Text, default| match self
            .value("ban", name, typed, term)
        {
            None => shorter(default, longest),
            Some((wanted, place)) => {
                if shorter(wanted, longest) != wanted {
                    let said = format!(
                        "`{name}` in [ban]: {wanted} is longer than `longest`, which is {longest}"
                    );
                    self.found.wrong(Some(place), said);
                }
                wanted
            }
        };
        let default = within("default_duration", typed.default_duration, Term::Forever);
        let moderator_longest = within(
            "moderator_longest",
            typed.moderator_longest,
            DEFAULT_MODERATOR,
        );
        let names = [("any", Whose::Any), ("own", Whose::Own)];
        let moderators_change = self.value(
            "ban",
            "moderators_change",
            typed.moderators_change,
            |text| one_of(text, &names),
        );
        let undo_for = self.span("ban", "undo_for", typed.undo_for);
        Terms {
            default,
            longest,
            moderator_longest,
            moderators_change: moderators_change.map(first).unwrap_or_default(),
            undo_for: undo_for.unwrap_or(UNDO_FOR),
        }
    }

    fn exempt(&mut self, typed: raw::Exempt) -> Exempt {
        let mut networks: Vec<IpNet> = Vec::new();
        for (net, place) in self.values("exempt", "networks", typed.networks, network) {
            if net.prefix_len() == 0 {
                self.found
                    .odd(Some(place), format!("{net} exempts every address there is"));
            }
            if !networks.contains(&net) {
                networks.push(net);
            }
        }
        let accounts = self.accounts("exempt", "accounts", typed.accounts);
        Exempt {
            loopback: typed.loopback.is_none_or(Spanned::into_inner),
            networks,
            accounts,
        }
    }

    fn log(&mut self, typed: raw::Log) -> Log {
        let format = self
            .value("log", "format", typed.format, log_format)
            .map(first);
        let levels = self.value("log", "level", typed.level, |text| {
            text.parse::<Levels>().map_err(|bad| bad.to_string())
        });
        Log {
            format: format.unwrap_or_default(),
            levels: levels.map(first).unwrap_or_default(),
        }
    }
}

pub(super) fn first<T>((value, _): (T, Place)) -> T {
    value
}

/// What to do when the cookie may not be read. Never to open the original: Erlang does not start when anybody but its
/// owner may read it (kernel `auth.erl`, `check_attributes`).
fn copy_cookie(path: &Path) -> String {
    format!(
        "leave it closed, or ejabberd will not start; name a copy here: install -o portcullis -m 0400 {} /etc/portcullis/erlang.cookie",
        files::quoted(path)
    )
}

pub(super) fn check_secret(text: String) -> Result<Secret, String> {
    let secret = Secret::new(text);
    let problem = match secret.expose() {
        text if text.trim().is_empty() => "it is empty",
        text if text.contains(char::is_control) => {
            "it must be one line without control characters; is it the right file?"
        }
        _ => return Ok(secret),
    };
    Err(problem.to_owned())
}

/// Sent in a header, so it is what one can carry; long enough not to be guessed.
fn check_token(text: String) -> Result<Secret, String> {
    const SHORTEST: usize = 16;
    let token = check_secret(text)?;
    match token.expose() {
        text if text.len() < SHORTEST => Err(format!(
            "it has fewer than {SHORTEST} characters and could be guessed; make one: openssl rand -hex 32"
        )),
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => Err(String::from(
            "it must be of ASCII characters without blanks; make one: openssl rand -hex 32",
        )),
        _ => Ok(token),
    }
}

pub(super) fn host(text: &str) -> Result<String, String> {
    domain(text).map(|domain| domain.to_string())
}

pub(super) fn account(text: &str) -> Result<Account, String> {
    let jid =
        Jid::new(text.trim()).map_err(|error| format!("{text:?} is not a valid JID ({error})"))?;
    if jid.resource().is_some() {
        return Err(format!(
            "{text:?} names one client of an account; leave out the / and what follows: {:?}",
            jid.to_bare().as_str()
        ));
    }
    Account::from_jid(&jid).ok_or_else(|| {
        format!("{text:?} is a domain, not an account; an account is written name@domain")
    })
}

fn domain(text: &str) -> Result<DomainPart, String> {
    let jid = Jid::new(text.trim())
        .map_err(|error| format!("{text:?} is not a valid domain ({error})"))?;
    if jid.node().is_some() || jid.resource().is_some() {
        return Err(format!(
            "{text:?} is not a bare domain; leave out @ and / : {:?}",
            jid.domain().as_str()
        ));
    }
    Ok(jid.domain().to_owned())
}

fn address(text: &str) -> Result<Address, String> {
    let (host, port) = text
        .trim()
        .rsplit_once(':')
        .ok_or_else(|| format!("{text:?} has no port; write host:port"))?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or_else(|| format!("{port:?} is not a port; ports are 1 to 65535"))?;
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inner)
            if inner
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_ipv6()) =>
        {
            inner
        }
        None if host.contains(':') => {
            return Err(format!(
                "write an IPv6 address in brackets: \"[{host}]:{port}\""
            ));
        }
        None if !host.is_empty()
            && host
                .chars()
                .all(|c| c.is_alphanumeric() || ".-_".contains(c)) =>
        {
            host
        }
        _ => return Err(format!("{host:?} is neither a host name nor an address")),
    };
    Ok(Address {
        host: host.to_owned(),
        port,
    })
}

fn listen(text: &str) -> Result<SocketAddr, String> {
    let wrong = |_| {
        format!("{text:?} is not address:port; names are not looked up here, IPv6 goes in brackets")
    };
    text.trim().parse().map_err(wrong)
}

fn certificate_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("{text:?} is neither a host name nor an address")),
    }
}

pub(super) fn term(text: &str) -> Result<Term, String> {
    match Term::parse(text).map_err(|bad| bad.to_string())? {
        Term::Until(_) => Err(format!(
            "{text:?} is a date; this is about how long, not until when"
        )),
        term => Ok(term),
    }
}

/// The shorter of two terms, neither of which is a date.
fn shorter(a: Term, b: Term) -> Term {
    match (a, b) {
        (Term::For(x), Term::For(y)) => Term::For(x.min(y)),
        (Term::For(_), _) => a,
        _ => b,
    }
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let subject = Subject::parse(text).map_err(|bad| bad.to_string())?;
    subject
        .net()
        .ok_or_else(|| format!("{text:?} is an account; accounts go into `accounts`"))
}

fn log_format(text: &str) -> Result<Format, String> {
    if let Some((_, format)) = Format::NAMES.iter().find(|(name, _)| *name == text) {
        return Ok(*format);
    }
    let hint = nearest(text, Format::NAMES.map(|(name, _)| name))
        .map(|near| format!("; did you mean \"{near}\"?"));
    Err(format!(
        "{text:?} is not a format; formats are \"text\" and \"json\"{}",
        hint.unwrap_or_default()
    ))
}
