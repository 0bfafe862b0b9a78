//! What was typed, turned into values that cannot be wrong. Each mistake is told where it stands, what is wrong with
//! it and how it is written right.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use ipnet::IpNet;
use toml::Spanned;

use super::{
    Component, Config, ENV_TOKEN, Env, Exempt, Log, Record, Secret, Terms, every_admin, policy_of,
    problem::Found,
    raw,
    reader::{Reader, first},
    secrets::check_token,
    shape::Shaped,
    values::{account, host, listen, log_format, network, one_of, term},
};
use crate::{
    core::{
        Policy, Term,
        policy::{UNDO_FOR, Whose},
    },
    logs::Levels,
};

const DEFAULT_STORE: &str = "/var/lib/portcullis/store";
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
    let (listen, http_token) = reader.http(http);
    let hook_hosts = reader.values("hook", "hosts", hook.hosts, host);
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
        http: listen,
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

impl Reader<'_, '_> {
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

    /// Where to listen, and who may ask there.
    fn http(&mut self, typed: raw::Http) -> (Option<SocketAddr>, Option<Secret>) {
        let token = self.one_of(
            "http",
            ["token", "token_file"],
            &typed.token,
            &typed.token_file,
            ENV_TOKEN,
            check_token,
        );
        let at = self.value("http", "listen", typed.listen, listen);
        if let Some((at, place)) = &at
            && !at.ip().to_canonical().is_loopback()
        {
            let odd = format!(
                "`listen` in [http]: {at} is not loopback; anybody who reaches it can see the state of this component"
            );
            self.found.odd(Some(place.clone()), odd);
        }
        (at.map(first), token.flatten())
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

/// The shorter of two terms, neither of which is a date.
fn shorter(a: Term, b: Term) -> Term {
    match (a, b) {
        (Term::For(x), Term::For(y)) => Term::For(x.min(y)),
        (Term::For(_), _) => a,
        _ => b,
    }
}
