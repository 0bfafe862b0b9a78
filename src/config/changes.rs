//! What differs between two configurations, by key: so that a reload can say what it took over and what waits for a
//! restart.

use super::{
    Config, Tls,
    keys::{Key, key},
};

/// The keys whose meaning differs. A secret is named by `secret` and the files by their key, wherever it came from.
pub(super) fn between(old: &Config, new: &Config) -> Vec<&'static Key> {
    let Config {
        admins,
        moderators,
        viewers,
        roles,
        component,
        act_as,
        store,
        record,
        http,
        http_token,
        hook_hosts,
        ban,
        exempt,
        rules,
        rooms,
        record_attempts,
        notices,
        log,
        warnings: _,
    } = old;
    let ca_file = |tls: &Option<Tls>| tls.as_ref().and_then(|tls| tls.ca_file.clone());
    let tls_name = |tls: &Option<Tls>| tls.as_ref().map(|tls| tls.name.clone());
    [
        ("", "admins", *admins != new.admins),
        ("", "moderators", *moderators != new.moderators),
        ("", "viewers", *viewers != new.viewers),
        ("", "roles", *roles != new.roles),
        (
            "component",
            "domain",
            component.domain != new.component.domain,
        ),
        (
            "component",
            "server",
            component.server != new.component.server,
        ),
        (
            "component",
            "secret",
            component.secret != new.component.secret,
        ),
        (
            "component",
            "tls",
            component.tls.is_some() != new.component.tls.is_some(),
        ),
        (
            "component",
            "tls_ca_file",
            ca_file(&component.tls) != ca_file(&new.component.tls),
        ),
        (
            "component",
            "tls_name",
            tls_name(&component.tls) != tls_name(&new.component.tls),
        ),
        (
            "component",
            "allow_plain_remote",
            component.allow_plain_remote != new.component.allow_plain_remote,
        ),
        ("server", "act_as", *act_as != new.act_as),
        ("store", "path", *store != new.store),
        (
            "record",
            "seal_key_file",
            record.keyring != new.record.keyring,
        ),
        (
            "record",
            "ejabberd_cookie_file",
            record.cookie != new.record.cookie,
        ),
        (
            "record",
            "check_every",
            record.check_every != new.record.check_every,
        ),
        ("http", "listen", *http != new.http),
        ("http", "token", *http_token != new.http_token),
        ("hook", "hosts", *hook_hosts != new.hook_hosts),
        ("ban", "default_duration", ban.default != new.ban.default),
        ("ban", "longest", ban.longest != new.ban.longest),
        (
            "ban",
            "moderator_longest",
            ban.moderator_longest != new.ban.moderator_longest,
        ),
        (
            "ban",
            "moderators_change",
            ban.moderators_change != new.ban.moderators_change,
        ),
        ("ban", "undo_for", ban.undo_for != new.ban.undo_for),
        ("ban", "grace", rules.grace != new.rules.grace),
        ("exempt", "loopback", exempt.loopback != new.exempt.loopback),
        ("exempt", "networks", exempt.networks != new.exempt.networks),
        ("exempt", "accounts", exempt.accounts != new.exempt.accounts),
        ("exempt", "proxies", rules.proxies != new.rules.proxies),
        ("tracker", "quiet", rules.quiet != new.rules.quiet),
        (
            "tracker",
            "unknown_weight",
            rules.unknown_weight != new.rules.unknown_weight,
        ),
        (
            "tracker",
            "known_for",
            rules.known_for != new.rules.known_for,
        ),
        (
            "tracker",
            "shared_accounts",
            rules.shared_accounts != new.rules.shared_accounts,
        ),
        (
            "tracker",
            "ipv6_prefix",
            rules.reach.ipv6 != new.rules.reach.ipv6,
        ),
        (
            "tracker",
            "ranges",
            rules.reach.ranges != new.rules.reach.ranges,
        ),
        ("tracker", "max_keys", rules.bounds != new.rules.bounds),
        ("", "rules", rules.table != new.rules.table),
        ("", "rooms", *rooms != new.rooms),
        (
            "record_attempts",
            "file",
            record_attempts.as_ref().map(|to| to.file.clone())
                != new.record_attempts.as_ref().map(|to| to.file.clone()),
        ),
        (
            "record_attempts",
            "max_size",
            record_attempts.as_ref().map(|to| to.max_size)
                != new.record_attempts.as_ref().map(|to| to.max_size),
        ),
        (
            "record_attempts",
            "keep",
            record_attempts.as_ref().map(|to| to.keep)
                != new.record_attempts.as_ref().map(|to| to.keep),
        ),
        ("notices", "digest", notices.digest != new.notices.digest),
        ("notices", "most", notices.most != new.notices.most),
        ("log", "format", log.format != new.log.format),
        ("log", "level", log.levels != new.log.levels),
    ]
    .into_iter()
    .filter(|(.., differs)| *differs)
    .filter_map(|(section, name, _)| key(section, name))
    .collect()
}
