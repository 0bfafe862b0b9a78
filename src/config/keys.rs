//! Every key there is, with what it takes: the source of error messages, of what a reload can change, and of the
//! tests that hold `raw.rs` and `config/portcullis.toml` to it.

use std::fmt;

/// One key of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// The table it stands in; empty for the top of the file.
    pub section: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// TOML type of its value.
    pub kind: Kind,
    /// What the value must be, to follow "must be".
    pub takes: &'static str,
    /// A value as it is typed.
    pub example: &'static str,
    /// Whether a change of it is only seen by a restart (SIGHUP is not enough).
    pub restart: bool,
}

/// TOML type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A boolean.
    Flag,
    /// An array of strings.
    Texts,
    /// An integer or a float.
    Number,
    /// An array of those.
    Numbers,
    /// A table inside of another one.
    Table,
    /// An array of tables, each with a section's keys.
    Tables,
}

/// `component.domain`, or `admins` for a key at the top.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.section {
            "" => f.write_str(self.name),
            section => write!(f, "{section}.{}", self.name),
        }
    }
}

impl Key {
    /// How a person would say it: "`domain` in `[component]`".
    pub(super) fn spoken(&self) -> String {
        format!("`{}`{}", self.name, within(self.section))
    }
}

/// " in `[component]`", or " at the top of the file".
pub(super) fn within(section: &str) -> String {
    match section {
        "" => " at the top of the file".to_owned(),
        GROWTH => " in `growth` of [[rules]]".to_owned(),
        GRANTS => " in `grants` of [[rooms]]".to_owned(),
        section => format!(" in [{section}]"),
    }
}

/// The key of that name in that table.
pub fn key(section: &str, name: &str) -> Option<&'static Key> {
    all().find(|key| key.section == section && key.name == name)
}

/// The keys of the tables and those of the lists of tables.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    KEYS.iter()
        .chain(ROLE_KEYS)
        .chain(ROOM_KEYS)
        .chain(RULE_KEYS)
}

/// The section of the keys of one role.
pub(super) const ROLES: &str = "[roles]";
/// The section of the keys of one rule.
pub(super) const RULES: &str = "[rules]";
/// The section of the keys of a rule's growth.
pub(super) const GROWTH: &str = "growth";

/// The section of the keys of one room.
pub(super) const ROOMS: &str = "[rooms]";
/// The section of the keys of what a room grants.
pub(super) const GRANTS: &str = "grants";

/// The names of the tables, in the order of [`KEYS`].
pub(super) fn sections() -> Vec<&'static str> {
    let mut names: Vec<_> = KEYS
        .iter()
        .map(|key| key.section)
        .filter(|s| !s.is_empty())
        .collect();
    names.sort_by_key(|name| KEYS.iter().position(|key| key.section == *name));
    names.dedup();
    names
}

/// A key that a reload puts in force.
const fn live(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    takes: &'static str,
    example: &'static str,
) -> Key {
    Key {
        section,
        name,
        kind,
        takes,
        example,
        restart: false,
    }
}

/// A key that needs a restart.
const fn fixed(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    takes: &'static str,
    example: &'static str,
) -> Key {
    Key {
        restart: true,
        ..live(section, name, kind, takes, example)
    }
}

/// The keys of each of `[[roles]]`.
pub const ROLE_KEYS: &[Key] = &[
    live(
        ROLES,
        "role",
        Kind::Text,
        r#""admin", "moderator" or "viewer""#,
        r#""moderator""#,
    ),
    live(
        ROLES,
        "accounts",
        Kind::Texts,
        "a list of accounts",
        r#"["mod@a.example"]"#,
    ),
    live(
        ROLES,
        "hosts",
        Kind::Texts,
        "a list of virtual hosts of the server",
        r#"["a.example"]"#,
    ),
];

/// The keys of each of `[[rooms]]`, and of what it grants.
pub const ROOM_KEYS: &[Key] = &[
    live(
        ROOMS,
        "jid",
        Kind::Text,
        "the address of a room",
        r#""ops@conference.example.org""#,
    ),
    live(
        ROOMS,
        "nick",
        Kind::Text,
        "a nick, without blanks around it",
        r#""portcullis""#,
    ),
    live(
        ROOMS,
        "password",
        Kind::Text,
        "the password of the room",
        r#""…""#,
    ),
    live(
        ROOMS,
        "password_file",
        Kind::Text,
        "the path of a file",
        r#""/etc/portcullis/room.password""#,
    ),
    live(
        ROOMS,
        "grants",
        Kind::Table,
        "a table",
        r#"{ owner = "admin", admin = "moderator" }"#,
    ),
    live(ROOMS, "audit", Kind::Flag, "true or false", "true"),
    live(GRANTS, "owner", Kind::Text, GRANTED, r#""admin""#),
    live(GRANTS, "admin", Kind::Text, GRANTED, r#""moderator""#),
    live(GRANTS, "member", Kind::Text, GRANTED, r#""viewer""#),
];

/// What a room may grant.
const GRANTED: &str = r#""admin", "moderator", "viewer" or "none""#;

/// The keys of each of `[[rules]]`, and of its growth.
pub const RULE_KEYS: &[Key] = &[
    live(
        RULES,
        "name",
        Kind::Text,
        "a name of your own",
        r#""address-failures""#,
    ),
    live(
        RULES,
        "key",
        Kind::Text,
        r#""address", "network", "account" or "pair""#,
        r#""address""#,
    ),
    live(
        RULES,
        "counts",
        Kind::Text,
        r#""failures", "accounts", "addresses" or "networks""#,
        r#""failures""#,
    ),
    live(
        RULES,
        "limit",
        Kind::Number,
        "a whole number from 1 to 500",
        "5",
    ),
    live(RULES, "window", Kind::Text, "a duration", r#""10m""#),
    live(RULES, "ban", Kind::Text, "a duration", r#""30m""#),
    live(
        RULES,
        "growth",
        Kind::Table,
        "a table",
        r#"{ cap = "7d", known_bad_weight = true }"#,
    ),
    live(RULES, "dry_run", Kind::Flag, "true or false", "true"),
    live(GROWTH, "factor", Kind::Number, "a number", "1"),
    live(
        GROWTH,
        "multipliers",
        Kind::Numbers,
        "a list of numbers",
        "[1, 5, 30, 60]",
    ),
    live(GROWTH, "cap", Kind::Text, "a duration", r#""7d""#),
    live(GROWTH, "jitter", Kind::Text, "a duration", r#""5m""#),
    live(
        GROWTH,
        "known_bad_weight",
        Kind::Flag,
        "true or false",
        "true",
    ),
    live(GROWTH, "memory", Kind::Text, "a duration", r#""90d""#),
    live(GROWTH, "decay", Kind::Text, "a duration", r#""30d""#),
];

/// All keys of tables, in the order of the example file.
pub const KEYS: &[Key] = &[
    live(
        "",
        "admins",
        Kind::Texts,
        "a list of accounts",
        r#"["admin@example.org"]"#,
    ),
    live(
        "",
        "moderators",
        Kind::Texts,
        "a list of accounts",
        r#"["mod@example.org"]"#,
    ),
    live(
        "",
        "viewers",
        Kind::Texts,
        "a list of accounts",
        r#"["helpdesk@example.org"]"#,
    ),
    live(
        "",
        "roles",
        Kind::Tables,
        "a list of roles",
        r#"[{ role = "moderator", accounts = ["mod@a.example"], hosts = ["a.example"] }]"#,
    ),
    fixed(
        "component",
        "domain",
        Kind::Text,
        "the domain the XMPP server knows this component by",
        r#""portcullis.example.org""#,
    ),
    fixed(
        "component",
        "server",
        Kind::Text,
        "host:port of the server's component listener",
        r#""127.0.0.1:5347""#,
    ),
    fixed(
        "component",
        "secret",
        Kind::Text,
        "the secret shared with the server",
        r#""…""#,
    ),
    fixed(
        "component",
        "secret_file",
        Kind::Text,
        "the path of a file that holds the secret",
        r#""/etc/portcullis/component.secret""#,
    ),
    fixed("component", "tls", Kind::Flag, "true or false", "true"),
    fixed(
        "component",
        "tls_ca_file",
        Kind::Text,
        "the path of a PEM file of certificate authorities",
        r#""/etc/portcullis/ca.pem""#,
    ),
    fixed(
        "component",
        "tls_name",
        Kind::Text,
        "the host name in the server's certificate",
        r#""xmpp.example.org""#,
    ),
    fixed(
        "component",
        "allow_plain_remote",
        Kind::Flag,
        "true or false",
        "false",
    ),
    fixed(
        "server",
        "act_as",
        Kind::Text,
        "an account that is an admin of the server",
        r#""admin@example.org""#,
    ),
    fixed(
        "store",
        "path",
        Kind::Text,
        "the path of a folder",
        r#""/var/lib/portcullis/store""#,
    ),
    fixed(
        "record",
        "seal_key_file",
        Kind::Text,
        "the path of a file of seal keys",
        r#""/etc/portcullis/seal.key""#,
    ),
    fixed(
        "record",
        "ejabberd_cookie_file",
        Kind::Text,
        "the path of a copy of ejabberd's .erlang.cookie",
        r#""/etc/portcullis/erlang.cookie""#,
    ),
    fixed(
        "record",
        "check_every",
        Kind::Text,
        "a duration",
        r#""10m""#,
    ),
    fixed(
        "http",
        "listen",
        Kind::Text,
        "address:port to listen on",
        r#""127.0.0.1:5380""#,
    ),
    fixed(
        "http",
        "token",
        Kind::Text,
        "the token of programs that ask /v1/check and /v1/report",
        r#""…""#,
    ),
    fixed(
        "http",
        "token_file",
        Kind::Text,
        "the path of a file that holds the token",
        r#""/etc/portcullis/http.token""#,
    ),
    live(
        "hook",
        "hosts",
        Kind::Texts,
        "a list of virtual hosts of the server",
        r#"["example.org"]"#,
    ),
    live(
        "ban",
        "default_duration",
        Kind::Text,
        "a duration",
        r#""forever""#,
    ),
    live("ban", "longest", Kind::Text, "a duration", r#""1y""#),
    live(
        "ban",
        "moderator_longest",
        Kind::Text,
        "a duration",
        r#""30d""#,
    ),
    live(
        "ban",
        "moderators_change",
        Kind::Text,
        r#""any" or "own""#,
        r#""any""#,
    ),
    live("ban", "undo_for", Kind::Text, "a duration", r#""24h""#),
    live("ban", "grace", Kind::Text, "a duration", r#""5m""#),
    live("exempt", "loopback", Kind::Flag, "true or false", "true"),
    live(
        "exempt",
        "networks",
        Kind::Texts,
        "a list of addresses and networks",
        r#"["192.0.2.0/24", "2001:db8::1"]"#,
    ),
    live(
        "exempt",
        "accounts",
        Kind::Texts,
        "a list of accounts",
        r#"["monitor@example.org"]"#,
    ),
    live(
        "exempt",
        "proxies",
        Kind::Texts,
        "a list of addresses and networks",
        r#"["10.0.0.5"]"#,
    ),
    live("tracker", "quiet", Kind::Text, "a duration", r#""1h""#),
    live(
        "tracker",
        "unknown_weight",
        Kind::Number,
        "a whole number from 1 to 100",
        "2",
    ),
    live("tracker", "known_for", Kind::Text, "a duration", r#""90d""#),
    live(
        "tracker",
        "shared_accounts",
        Kind::Number,
        "a whole number from 2 on",
        "10",
    ),
    live(
        "tracker",
        "ipv6_prefix",
        Kind::Number,
        "a whole number from 16 to 128",
        "64",
    ),
    live(
        "tracker",
        "ranges",
        Kind::Texts,
        "a list of networks, each with the prefix length of one source in it",
        r#"["fd87:d87e:eb43::/48 128"]"#,
    ),
    fixed(
        "tracker",
        "max_keys",
        Kind::Number,
        "a whole number from 1000 on",
        "250000",
    ),
    live(
        "",
        "rules",
        Kind::Tables,
        "a list of rules",
        r#"[{ name = "address-failures", key = "address", counts = "failures", limit = 5, window = "10m", ban = "30m" }]"#,
    ),
    live(
        "",
        "rooms",
        Kind::Tables,
        "a list of rooms",
        r#"[{ jid = "ops@conference.example.org" }]"#,
    ),
    fixed(
        "record_attempts",
        "file",
        Kind::Text,
        "the path of a file to write",
        r#""/var/lib/portcullis/attempts.jsonl""#,
    ),
    fixed(
        "record_attempts",
        "max_size",
        Kind::Text,
        "a size from 100 kB to 100 GB",
        r#""10 MB""#,
    ),
    fixed(
        "record_attempts",
        "keep",
        Kind::Number,
        "a whole number from 0 to 100",
        "5",
    ),
    live(
        "notices",
        "digest",
        Kind::Text,
        "a duration from 5 s to 1 d",
        r#""10m""#,
    ),
    live(
        "notices",
        "most",
        Kind::Number,
        "a whole number from 1 to 20",
        "3",
    ),
    fixed(
        "log",
        "format",
        Kind::Text,
        "\"text\" or \"json\"",
        r#""text""#,
    ),
    live(
        "log",
        "level",
        Kind::Text,
        "a level, or levels for parts of the program",
        r#""info" or "info,portcullis::xmpp=debug""#,
    ),
];
