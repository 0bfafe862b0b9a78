//! The configuration as it is typed: texts, flags and lists with their place in the file. What they mean is decided
//! in `meaning.rs`; a key nobody knows, or of the wrong type, was already taken out and reported by `shape.rs`.

use serde::Deserialize;
use toml::Spanned;

/// A text with its place.
pub(super) type Text = Option<Spanned<String>>;
/// A flag with its place.
pub(super) type Flag = Option<Spanned<bool>>;
/// A list of texts, each with its place.
pub(super) type Texts = Option<Vec<Spanned<String>>>;

/// A number with its place.
pub(super) type Number = Option<Spanned<f64>>;
/// A list of numbers, each with its place.
pub(super) type Numbers = Option<Vec<Spanned<f64>>>;

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    /// Accounts that may do everything.
    pub(super) admins: Texts,
    /// Accounts that may ban accounts and single addresses, for a limited time.
    pub(super) moderators: Texts,
    /// Accounts that may look.
    pub(super) viewers: Texts,
    /// Roles that hold on some virtual hosts only.
    pub(super) roles: Option<Vec<Spanned<Role>>>,
    pub(super) component: Component,
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) record: Record,
    pub(super) http: Http,
    pub(super) hook: Hook,
    pub(super) ban: Ban,
    pub(super) exempt: Exempt,
    pub(super) tracker: Tracker,
    /// Instead of the default ones.
    pub(super) rules: Option<Vec<Spanned<Rule>>>,
    /// Where orders are taken and things are told.
    pub(super) rooms: Option<Vec<Spanned<Room>>>,
    pub(super) record_attempts: RecordAttempts,
    pub(super) notices: Notices,
    pub(super) log: Log,
}

/// One of `[[roles]]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Role {
    /// Its name.
    pub(super) role: Text,
    /// Who has it.
    pub(super) accounts: Texts,
    /// Where; everywhere if it is left out.
    pub(super) hosts: Texts,
}

/// `[component]`: the link to the XMPP server (XEP-0114).
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Component {
    /// Our own domain.
    pub(super) domain: Text,
    /// host:port of the component listener.
    pub(super) server: Text,
    /// The shared secret itself.
    pub(super) secret: Text,
    /// Or the file it stands in.
    pub(super) secret_file: Text,
    /// Direct TLS.
    pub(super) tls: Flag,
    /// Certificate authorities to trust instead of the system's.
    pub(super) tls_ca_file: Text,
    /// Name to look for in the certificate instead of the host part of `server`.
    pub(super) tls_name: Text,
    /// Plain TCP to another machine is meant.
    pub(super) allow_plain_remote: Flag,
}

/// `[server]`: peculiarities of the XMPP server.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    /// ejabberd 24.12: the admin in whose name admin commands are sent.
    pub(super) act_as: Text,
}

/// `[store]`: our own durable state.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    /// Its folder.
    pub(super) path: Text,
}

/// `[record]`: the ban record kept on the server.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Record {
    /// Keys of the seal.
    pub(super) seal_key_file: Text,
    /// ejabberd's Erlang cookie.
    pub(super) ejabberd_cookie_file: Text,
    /// From one look at the server's records to the next.
    pub(super) check_every: Text,
}

/// `[http]`: health checks, and questions of programs that do not speak XMPP.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    /// address:port; no HTTP without it.
    pub(super) listen: Text,
    /// Who may ask and report.
    pub(super) token: Text,
    /// Or the file it stands in.
    pub(super) token_file: Text,
}

/// `[hook]`: the modules on the server.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Hook {
    /// More virtual hosts whose modules are believed.
    pub(super) hosts: Texts,
}

/// `[ban]`: terms of bans by hand.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Ban {
    /// When the command names none.
    pub(super) default_duration: Text,
    /// The longest an admin may give.
    pub(super) longest: Text,
    /// The longest a moderator may give.
    pub(super) moderator_longest: Text,
    /// `any` or `own`.
    pub(super) moderators_change: Text,
    /// How long something can be undone.
    pub(super) undo_for: Text,
    /// How long rules leave alone whom somebody un-banned.
    pub(super) grace: Text,
}

/// `[exempt]`: never banned.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Exempt {
    /// 127.0.0.0/8 and ::1.
    pub(super) loopback: Flag,
    /// Addresses and networks.
    pub(super) networks: Texts,
    /// Accounts.
    pub(super) accounts: Texts,
    /// Proxies.
    pub(super) proxies: Texts,
}

/// `[tracker]`: what the rules know of sources.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Tracker {
    /// The pause after which a repeated failure counts again.
    pub(super) quiet: Text,
    /// What an account that does not exist counts.
    pub(super) unknown_weight: Number,
    /// How long a good login is remembered.
    pub(super) known_for: Text,
    /// From how many accounts on a source is shared.
    pub(super) shared_accounts: Number,
    /// Prefix length of one IPv6 source.
    pub(super) ipv6_prefix: Number,
    /// Where that is another one.
    pub(super) ranges: Texts,
    /// How many keys of each kind are counted.
    pub(super) max_keys: Number,
}

/// One of `[[rules]]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    /// Its name.
    pub(super) name: Text,
    /// What it keeps count by.
    pub(super) key: Text,
    /// What it counts.
    pub(super) counts: Text,
    /// As many are too many.
    pub(super) limit: Number,
    /// Within this time.
    pub(super) window: Text,
    /// How long the first ban is.
    pub(super) ban: Text,
    /// How later ones grow.
    pub(super) growth: Option<Growth>,
    /// Only tell.
    pub(super) dry_run: Flag,
}

/// `growth` of a rule.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Growth {
    pub(super) factor: Number,
    pub(super) multipliers: Numbers,
    pub(super) cap: Text,
    pub(super) jitter: Text,
    pub(super) known_bad_weight: Flag,
    pub(super) memory: Text,
    pub(super) decay: Text,
}

/// One of `[[rooms]]`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Room {
    /// Its address.
    pub(super) jid: Text,
    /// Our nick there.
    pub(super) nick: Text,
    /// Its password.
    pub(super) password: Text,
    /// Or the file it stands in.
    pub(super) password_file: Text,
    /// What its affiliations grant.
    pub(super) grants: Option<Grants>,
    /// Whether it is told what was done elsewhere.
    pub(super) audit: Flag,
}

/// `grants` of a room: a role for each affiliation.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Grants {
    pub(super) owner: Text,
    pub(super) admin: Text,
    pub(super) member: Text,
}

/// `[record_attempts]`: what was weighed, to be rehearsed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RecordAttempts {
    /// The file; nothing is recorded without it.
    pub(super) file: Text,
    /// How large it may get.
    pub(super) max_size: Text,
    /// How many old ones are kept.
    pub(super) keep: Number,
}

/// `[notices]`: how much is told at once.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Notices {
    /// From what is held back to the line that sums it up.
    pub(super) digest: Text,
    /// So many of one kind come at once within that time.
    pub(super) most: Number,
}

/// `[log]`: what is written on standard error.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    /// `text` or `json`.
    pub(super) format: Text,
    /// How much.
    pub(super) level: Text,
}
