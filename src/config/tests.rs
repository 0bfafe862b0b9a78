#![allow(clippy::unwrap_used)]

mod keys;

use std::{collections::HashMap, fs, os::unix::fs::PermissionsExt, path::Path};

use std::time::Duration;

use super::*;
use crate::core::policy::Whose;
use crate::core::rules::{self, Growth, Milli};
use crate::core::seal::{KEY_BYTES, generate_key_line};
use crate::core::{Role, Rule, Rules, Subject, Term};
use crate::front::rooms::RoleGrants;

/// A folder with a configuration and the files it names, all closed to others.
struct Installation {
    folder: tempfile::TempDir,
    env: HashMap<&'static str, OsString>,
}

impl Installation {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            env: HashMap::new(),
        };
        let key = generate_key_line(&"k1".parse().unwrap(), &[7; KEY_BYTES]);
        place
            .write("seal.key", &key, 0o600)
            .write("component.secret", "s3cr3t\n", 0o600);
        place
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> &Self {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self, text: &str) -> Result<Config, ConfigProblems> {
        self.write("p.toml", text, 0o600);
        self.load_as_is()
    }

    fn load_as_is(&self) -> Result<Config, ConfigProblems> {
        Config::load(&self.path("p.toml"), &|name| self.env.get(name).cloned())
    }

    /// The problems, without the name of the folder.
    fn problems(&self, text: &str) -> String {
        self.said(&self.load(text).unwrap_err())
    }

    fn said(&self, problems: &ConfigProblems) -> String {
        problems
            .to_string()
            .replace(&format!("{}/", self.folder.path().display()), "")
    }

    #[track_caller]
    fn refuses(&self, text: &str, want: &str) {
        let got = self.problems(text);
        assert!(got.contains(want), "wanted {want}\nin     {got}");
        assert_eq!(got.lines().count(), 1, "{got}");
        assert!(!got.contains("s3cr3t"), "{got}");
    }
}

/// The shortest file that works, followed by more.
fn with(more: &str) -> String {
    format!("{SHORT}{more}")
}

const SHORT: &str = "\
admins = ['Admin@Example.org', 'admin@example.org']
[component]
domain = 'portcullis.example.org'
secret_file = 'component.secret'
[record]
seal_key_file = 'seal.key'
";

fn account(text: &str) -> Account {
    Subject::parse(text).unwrap().account().unwrap().clone()
}

#[test]
fn the_shortest_file_gets_safe_defaults() {
    let config = Installation::new().load(SHORT).unwrap();
    assert_eq!(config.server.admins, [account("admin@example.org")]);
    assert_eq!(config.granted.len(), 1);
    assert_eq!(config.link.domain.as_str(), "portcullis.example.org");
    assert_eq!(config.link.server, "127.0.0.1:5347");
    assert_eq!(config.link.secret.expose(), "s3cr3t");
    assert_eq!(config.link.tls, None);
    assert_eq!(config.store, Path::new("/var/lib/portcullis/store"));
    assert_eq!(config.server.cookie, None);
    assert_eq!(config.http, None);
    assert_eq!(config.policy.default_term, Term::Forever);
    assert_eq!(config.policy.longest, None);
    let month = Duration::from_secs(30 * 86_400);
    assert_eq!(config.policy.moderator_longest, Some(month));
    let loopback: Vec<_> = config
        .policy
        .exempt_networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(loopback, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(config.warnings, []);
}

#[test]
fn every_setting_arrives() {
    let place = Installation::new();
    place
        .write("cookie", "COOKIE\n", 0o400)
        .write("ca.pem", "", 0o644);
    let config = place.load(EVERYTHING).unwrap();
    let granted: Vec<_> = config
        .granted
        .iter()
        .map(|(who, rights)| format!("{who}: {rights}"))
        .collect();
    assert_eq!(
        granted,
        [
            "admin@example.org: admin",
            "mod@example.org: moderator",
            "help@example.org: viewer",
            "boss@a.example: admin on a.example",
        ]
    );
    assert_eq!(config.link.server, "[::1]:5348");
    let tls = config.link.tls.as_ref().unwrap();
    assert_eq!(
        (tls.ca_file.as_deref(), tls.name.as_deref()),
        (Some(&*place.path("ca.pem")), Some("xmpp.example.org"))
    );
    assert!(config.link.allow_plain_remote);
    assert_eq!(config.server.act_as, Some(account("root@example.org")));
    assert_eq!(config.store, place.path("store"));
    assert_eq!(config.server.cookie.as_ref().unwrap().expose(), "COOKIE");
    assert_eq!(config.server.keyring.signing_id().as_str(), "k1");
    assert_eq!(config.http, Some("127.0.0.1:5380".parse().unwrap()));
    assert_eq!(
        config.http_token.as_ref().unwrap().expose(),
        "sixteen-or-more-characters"
    );
    assert_eq!(config.server.hook_hosts, ["second.example"]);
    assert_eq!(config.log_format, LogFormat::Json);
    assert_eq!(config.log_levels.to_string(), "debug");
    let policy = &config.policy;
    assert_eq!(policy.default_term, Term::parse("1d12h").unwrap());
    assert_eq!(policy.longest.unwrap().as_secs(), 90 * 86_400);
    assert_eq!(policy.moderator_longest.unwrap().as_secs(), 7 * 86_400);
    assert_eq!(policy.moderators_change, Whose::Own);
    assert_eq!(policy.undo_for.as_secs(), 7_200);
    let networks: Vec<_> = policy
        .exempt_networks
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        networks,
        ["192.0.2.0/24", "203.0.113.7/32", "2001:db8::/64"]
    );
    assert_eq!(
        policy.exempt_accounts,
        [
            account("admin@example.org"),
            account("boss@a.example"),
            account("bot@example.org")
        ]
    );
    assert_eq!(config.warnings, []);
    let minutes = |count: u64| Duration::from_secs(count * 60);
    let rules = &policy.rules;
    assert_eq!(rules.bounds.keys, 5_000);
    assert_eq!(
        (rules.grace, rules.quiet, rules.known_for),
        (minutes(1), minutes(30), minutes(7 * 1_440))
    );
    assert_eq!((rules.unknown_weight, rules.shared_accounts), (3, 30));
    assert!(rules.is_proxy("10.0.0.5".parse().unwrap()));
    assert_eq!(rules.reach.ipv6, 56);
    assert_eq!(rules.reach.ranges[0].1, 128);
    let growth = Growth {
        factor: Milli(1_500),
        multipliers: vec![Milli(1_000), Milli(2_500)],
        cap: minutes(240),
        jitter: Duration::from_secs(1),
        known_bad_weight: true,
        memory: Some(minutes(1_440)),
        decay: Some(minutes(120)),
    };
    let rule = Rule {
        name: "mine".to_owned(),
        key: rules::RuleKey::Network,
        counts: rules::Counts::Accounts,
        limit: 7,
        window: minutes(2),
        ban: minutes(3),
        growth: Some(growth),
        dry_run: true,
    };
    assert_eq!(rules.table, [rule]);
    assert_eq!(Config::load_policy(&place.path("p.toml")).unwrap(), *policy);
}

#[test]
fn rules_need_no_secret_and_no_other_file() {
    let place = Installation::new();
    place.write("p.toml", "secret = 1\n[[rules]]\nlimit = 0\n", 0o644);
    let said = place.said(&Config::load_policy(&place.path("p.toml")).unwrap_err());
    assert_eq!(said.lines().count(), 7, "{said}");
    place.write("p.toml", "[component]\nsecret_file = 'nowhere'\n", 0o644);
    let policy = Config::load_policy(&place.path("p.toml")).unwrap();
    assert_eq!(*policy.rules, Rules::default());
}

#[test]
fn wrong_rules_are_told_what_is_allowed() {
    let place = Installation::new();
    let rule = |from: &str, to: &str| {
        let good = "[[rules]]\nname = 'a'\nkey = 'address'\ncounts = 'failures'\nlimit = 5\nwindow = '10m'\nban = '1h'\ngrowth = { cap = '2h' }\n";
        assert!(good.contains(from), "{from}");
        with(&good.replace(from, to))
    };
    assert!(place.load(&rule("limit = 5", "limit = 6")).is_ok());
    place.refuses(&rule("'address'", "'adress'"), "9:7: `key` in [[rules]]: \"adress\" is none of \"address\", \"network\", \"account\", \"pair\"; did you mean \"address\"?");
    place.refuses(
        &rule("'failures'", "'networks'"),
        "a rule by address cannot count networks: there is only one",
    );
    place.refuses(
        &rule("limit = 5", "limit = 0"),
        "`limit` in [[rules]]: 0 is not a whole number from 1 to 500; for example `limit = 5`",
    );
    place.refuses(
        &rule("limit = 5", "limit = 2.5"),
        "2.5 is not a whole number",
    );
    place.refuses(
        &rule("limit = 5\n", ""),
        "7:1: `limit` of this rule is missing: a whole number from 1 to 500",
    );
    place.refuses(&rule("'10m'", "'10'"), "10 what? A duration needs a unit");
    place.refuses(
        &rule("'1h'", "'forever'"),
        "has no end; a finite duration is needed here",
    );
    place.refuses(
        &rule("'1h'", "'3h'"),
        "`ban` in [[rules]]: 3 hours is longer than `cap` of its growth, which is 2 hours",
    );
    place.refuses(
        &rule("cap = '2h'", "multipliers = [1, 5, 3]"),
        "each must be at least as large as the one before",
    );
    place.refuses(
        &rule("cap = '2h'", "factor = -1"),
        "-1 is not a number from 0 to a million",
    );
    let twice = format!(
        "{}{}",
        rule("name", "name"),
        rule("name", "name").replace(SHORT, "")
    );
    place.refuses(&twice, "two of [[rules]] are called \"a\"");
    place.refuses(
        &with("[tracker]\nranges = ['fc00::/64']\n"),
        "is not a network and the prefix length of one source in it",
    );
    place.refuses(
        &with("[tracker]\nranges = ['fc00::/64 48']\n"),
        "has a prefix length from 64 to 128, not 48",
    );
    place.refuses(
        &with("[tracker]\nmax_keys = 10\n"),
        "10 is not a whole number from 1000 to 100000000",
    );
}

#[test]
fn the_hosts_of_the_server_are_those_named_unless_servers_report_over_http() {
    let place = Installation::new();
    let more = "[[roles]]\nrole = 'moderator'\naccounts = ['mod@a.example']\nhosts = ['a.example']\n[hook]\nhosts = ['second.example']\n";
    let hosts = |text: &str| place.load(&with(text)).unwrap().policy.hosts;
    assert_eq!(hosts(more), ["a.example", "example.org", "second.example"]);
    let token =
        "[http]\nlisten = '127.0.0.1:8080'\ntoken = 'a-token-that-is-long-enough-for-this'\n";
    assert_eq!(hosts(&format!("{more}{token}")), Vec::<String>::new());
}

#[test]
fn wrong_roles_are_told_what_is_allowed() {
    let place = Installation::new();
    let role = |from: &str, to: &str| {
        let good =
            "[[roles]]\nrole = 'moderator'\naccounts = ['mod@a.example']\nhosts = ['a.example']\n";
        assert!(good.contains(from), "{from}");
        with(&good.replace(from, to))
    };
    assert!(place.load(&role("a.example'", "b.example'")).is_ok());
    assert!(place.load(&role("hosts = ['a.example']\n", "")).is_ok());
    place.refuses(&role("'moderator'", "'moderater'"), "8:8: `role` in [[roles]]: \"moderater\" is none of \"admin\", \"moderator\", \"viewer\"; did you mean \"moderator\"?");
    place.refuses(
        &role("role = 'moderator'\n", ""),
        "7:1: `role` of this role is missing: \"admin\", \"moderator\" or \"viewer\"",
    );
    place.refuses(
        &role("accounts = ['mod@a.example']\n", ""),
        "`accounts` of this role is missing: a list of accounts",
    );
    place.refuses(
        &role("hosts", "host"),
        "unknown key `host` in [[roles]]; did you mean `hosts`?",
    );
    place.refuses(
        &role("['a.example']", "[]"),
        "`hosts` in [[roles]]: it is empty, so the role holds nowhere",
    );
    place.refuses(
        &role("['a.example']", "['x@a.example']"),
        "`hosts` in [[roles]]: \"x@a.example\" is not a bare domain",
    );
    place.refuses(
        &role("['mod@a.example']", "['a.example']"),
        "`accounts` in [[roles]]: \"a.example\" is a domain, not an account",
    );
}

const EVERYTHING: &str = "\
admins = ['admin@example.org']
moderators = ['mod@example.org']
viewers = ['help@example.org']
roles = [{ role = 'admin', accounts = ['boss@a.example'], hosts = ['A.example'] }]
[component]
domain = 'portcullis.example.org'
server = '[::1]:5348'
secret = 's3cr3t'
tls = true
tls_ca_file = 'ca.pem'
tls_name = 'xmpp.example.org'
allow_plain_remote = true
[server]
act_as = 'root@example.org'
[store]
path = 'store'
engine = 'sled'
[record]
seal_key_file = 'seal.key'
ejabberd_cookie_file = 'cookie'
check_every = '11m'
[http]
listen = '127.0.0.1:5380'
token = 'sixteen-or-more-characters'
[hook]
hosts = ['Second.example']
[ban]
default_duration = '1d12h'
longest = '90d'
moderator_longest = '7 days'
grace = '1m'
moderators_change = 'own'
undo_for = '2h'
[exempt]
loopback = false
networks = ['192.0.2.9/24', '::ffff:203.0.113.7', '2001:db8::/64', '192.0.2.0/24']
accounts = ['bot@example.org']
proxies = ['10.0.0.5']
[tracker]
quiet = '30m'
unknown_weight = 3
known_for = '7d'
shared_accounts = 30
ipv6_prefix = 56
ranges = ['fc00:dead:beef:4dad::/64 128']
max_keys = 5000
[record_attempts]
file = 'attempts.jsonl'
max_size = '2 MiB'
keep = 3
[notices]
digest = '5m'
most = 4
[log]
format = 'json'
level = 'debug'
[[rooms]]
jid = 'Ops@Conference.example.org'
nick = 'Guard'
password = 'let me in'
grants = { owner = 'admin', member = 'viewer' }
audit = true
[[rules]]
name = 'mine'
key = 'network'
counts = 'accounts'
limit = 7
window = '2m'
ban = '3m'
growth = { factor = 1.5, multipliers = [1, 2.5], cap = '4h', jitter = '1s', known_bad_weight = true, memory = '1d', decay = '2h' }
dry_run = true
";

#[test]
fn a_missing_file_is_told_what_to_do() {
    let place = Installation::new();
    let said = place.said(&place.load_as_is().unwrap_err());
    assert_eq!(
        said,
        "p.toml: there is no such file; copy the example config/portcullis.toml there and edit it, or name another file with -c FILE"
    );
}

#[test]
fn what_is_missing_is_named_together() {
    let said = Installation::new().problems("[record]\nseal_key_file = 'seal.key'\n");
    assert!(
        said.contains("p.toml: `domain` in [component] is missing"),
        "{said}"
    );
    assert!(
        said.contains("p.toml: the component secret is missing: set `secret_file`"),
        "{said}"
    );
    assert_eq!(said.lines().count(), 2, "{said}");
}

#[test]
fn a_mistyped_key_is_not_called_missing_as_well() {
    let said = Installation::new().problems(&SHORT.replace("domain", "domian"));
    assert!(said.contains("did you mean `domain`?"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn the_store_is_found_whatever_else_is_wrong_with_values() {
    let place = Installation::new();
    let text = "[store]\npath = 'store'\n[log]\nlevel = 'inof'\n[ban]\nlongest = '3'\n";
    place.write("p.toml", text, 0o644);
    let store = Config::load_store(&place.path("p.toml")).unwrap();
    assert_eq!(store, (place.path("store"), None));
    place.write("p.toml", "[stor]\npath = 'store'\n", 0o644);
    let said = place.said(&Config::load_store(&place.path("p.toml")).unwrap_err());
    assert!(said.contains("did you mean [store]?"), "{said}");
}

#[test]
fn what_waits_for_a_restart_is_told_again_until_it_is_made() {
    let place = Installation::new();
    let load = |more: &str| place.load(&with(more)).unwrap();
    let names = |old: &Config, new: &Config| {
        let changes = old.changes(new);
        changes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let mut runs = load("");
    let new = load("[log]\nlevel = 'debug'\nformat = 'json'\n");
    assert_eq!(names(&runs, &new), ["log.format", "log.level"]);
    runs.reloaded(&new);
    assert_eq!(names(&runs, &new), ["log.format"]);
    assert_eq!(names(&runs, &load("")), ["log.level"]);
}

#[test]
fn a_value_of_the_wrong_type_is_not_called_missing_as_well() {
    let said = Installation::new()
        .problems("[component]\ndomain = 1\nsecret = 2\n[record]\nseal_key_file = 3\n");
    assert_eq!(said.lines().count(), 3, "{said}");
    assert!(!said.contains("missing"), "{said}");
}

#[test]
fn wrong_values_are_told_what_is_allowed_and_where_they_stand() {
    let place = Installation::new();
    let check = |more: &str, want: &str| place.refuses(&with(more), want);
    check(
        "[log]\nformat = 'jsn'",
        "p.toml:8:10: `format` in [log]: \"jsn\" is none of \"text\", \"json\"; did you mean \"json\"?; for example `format = \"text\"`",
    );
    check(
        "[log]\nlevel = 'inof'",
        "\"inof\" is not a level; levels are error, warn, info, debug, trace and off",
    );
    check(
        "[ban]\nlongest = '30'",
        "8:11: `longest` in [ban]: 30 what? A duration needs a unit",
    );
    check(
        "[ban]\nlongest = '2030-01-01'",
        "is a date; this is about how long",
    );
    check(
        "[ban]\nlongest = '30d'\ndefault_duration = 'forever'",
        "`default_duration` in [ban]: forever is longer than `longest`",
    );
    check(
        "[ban]\nlongest = '3d'\nmoderator_longest = '4d'",
        "9:21: `moderator_longest` in [ban]: ",
    );
    check(
        "[exempt]\nnetworks = ['::1', '10.0.0.0/33']",
        "8:20: `networks` in [exempt]: \"10.0.0.0/33\" is not a valid network",
    );
    check(
        "[exempt]\nnetworks = ['bot@example.org']",
        "is an account; accounts go into `accounts`",
    );
    check(
        "[exempt]\naccounts = ['bot@example.org/x']",
        "leave out the / and what follows: \"bot@example.org\"",
    );
    check(
        "[exempt]\naccounts = ['example.org']",
        "is a domain, not an account",
    );
    check("[server]\nact_as = '@@'", "is not a valid JID");
    check(
        "[http]\nlisten = 'localhost:80'",
        "names are not looked up here",
    );
    check(
        "[http]\nlisten = '5380'",
        "for example `listen = \"127.0.0.1:5380\"`",
    );
}

#[test]
fn the_link_is_checked() {
    let check = |line: &str, want: &str| {
        Installation::new().refuses(
            &with("").replace("[component]\n", &format!("[component]\n{line}\n")),
            want,
        );
    };
    check("server = '127.0.0.1'", "has no port; write host:port");
    check(
        "server = '127.0.0.1:0'",
        "is not a port; ports are 1 to 65535",
    );
    check("server = '::1:5347'", "in brackets: \"[::1]:5347\"");
    check(
        "server = 'a b:5347'",
        "is neither a host name nor an address",
    );
    check(
        "server = '[localhost]:5347'",
        "is neither a host name nor an address",
    );
    check(
        "server = 'xmpp.example.org:5347'",
        "set `tls = true`, or `allow_plain_remote = true`",
    );
    check(
        "server = '192.0.2.1:5347'",
        "3:10: `server` in [component]: 192.0.2.1:5347 may be another machine",
    );
    check(
        "tls = true\ntls_name = 'a b'",
        "is neither a host name nor an address",
    );
    check(
        "tls = true\ntls_ca_file = 'none.pem'",
        "none.pem cannot be read",
    );
    check(
        "secret = 'x'",
        "`secret` and `secret_file` in [component] are both set; keep `secret_file`",
    );
    let domain = |to: &str| SHORT.replace("'portcullis.example.org'", to);
    Installation::new().refuses(
        &domain("'a@example.org'"),
        "is not a bare domain; leave out @ and / : \"example.org\"",
    );
    Installation::new().refuses(&domain("''"), "is not a valid domain");
}

#[test]
fn this_machine_needs_no_tls_and_another_one_only_if_so_set() {
    let load = |more: &str| {
        Installation::new().load(&SHORT.replace("[component]\n", &format!("[component]\n{more}\n")))
    };
    for local in [
        "127.0.0.1:1",
        "127.9.9.9:1",
        "[::1]:1",
        "localhost:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        assert!(load(&format!("server = '{local}'")).is_ok(), "{local}");
    }
    assert!(load("server = 'xmpp.example.org:1'\nallow_plain_remote = true").is_ok());
    let config = load("server = 'xmpp.example.org:1'\ntls = true").unwrap();
    assert_eq!(config.link.tls.unwrap().name, None);
}

#[test]
fn secret_files_open_to_others_are_refused_with_the_line_to_run() {
    let place = Installation::new();
    place.write("component.secret", "s3cr3t", 0o644);
    place.refuses(SHORT, "4:15: `secret_file` in [component]: component.secret holds a secret, but every user of this machine may open it (mode 0644); run: chmod g-w,o= component.secret");
    let place = Installation::new();
    place.write("seal.key", "s3cr3t", 0o660);
    place.refuses(SHORT, "`seal_key_file` in [record]: seal.key holds a secret, but its group may change it (mode 0660); run: chmod");
    let place = Installation::new();
    place.write("cookie", "s3cr3t", 0o604);
    place.refuses(
        &with("ejabberd_cookie_file = 'cookie'"),
        "`ejabberd_cookie_file` in [record]: cookie holds a secret",
    );
}

#[test]
fn the_configuration_itself_must_be_closed_only_when_it_holds_the_secret() {
    let place = Installation::new();
    let inline = SHORT.replace("secret_file = 'component.secret'", "secret = 's3cr3t'");
    assert!(place.load(&inline).is_ok());
    place.write("p.toml", &inline, 0o644);
    let said = place.said(&place.load_as_is().unwrap_err());
    assert!(
        said.contains("p.toml:4:10: p.toml holds a secret")
            && said.contains("run: chmod g-w,o= p.toml"),
        "{said}"
    );
    place.write("p.toml", SHORT, 0o644);
    assert!(place.load_as_is().is_ok());
}

#[test]
fn secrets_that_cannot_be_right_are_refused() {
    let check = |content: &str, want: &str| {
        let place = Installation::new();
        place.write("component.secret", content, 0o600);
        place.refuses(SHORT, want);
    };
    check("", "it is empty");
    check("\n", "it is empty");
    check("s3cr3t\nmore\n", "it must be one line");
    let place = Installation::new();
    fs::remove_file(place.path("seal.key")).unwrap();
    place.refuses(SHORT, "6:17: `seal_key_file` in [record]: seal.key does not exist; make one: (umask 077; portcullis keygen > seal.key)");
    place.write("seal.key", "k1:s3cr3t", 0o600);
    place.refuses(
        SHORT,
        "seal.key: line 1: the part after the colon must be base64",
    );
}

#[test]
fn line_ends_behind_a_secret_are_not_part_of_it() {
    for content in ["s3cr3t", "s3cr3t\n", "s3cr3t\r\n", "s3cr3t\n\n"] {
        let place = Installation::new();
        place.write("component.secret", content, 0o600);
        assert_eq!(place.load(SHORT).unwrap().link.secret.expose(), "s3cr3t");
    }
}

#[test]
fn the_environment_goes_before_the_file() {
    let mut place = Installation::new();
    place.env.insert(ENV_SECRET, "from-env".into());
    place.env.insert(ENV_COOKIE, "COOKIE".into());
    let key = generate_key_line(&"k-env".parse().unwrap(), &[9; KEY_BYTES]);
    place.env.insert(ENV_SEAL_KEYS, key.as_str().into());
    let config = place.load(SHORT).unwrap();
    assert_eq!(config.link.secret.expose(), "from-env");
    assert_eq!(config.server.cookie.unwrap().expose(), "COOKIE");
    assert_eq!(config.server.keyring.signing_id().as_str(), "k-env");
    assert!(config.warnings[0].to_string().contains(
        "4:15: ignored, because the environment variable PORTCULLIS_COMPONENT_SECRET is set"
    ));
    let bare = "[component]\ndomain = 'portcullis.example.org'\n";
    assert!(place.load(bare).is_ok(), "no file needed");
    place.env.insert(ENV_SECRET, "".into());
    assert_eq!(
        place.load(SHORT).unwrap().link.secret.expose(),
        "s3cr3t",
        "empty is not set"
    );
}

#[test]
fn odd_settings_are_warned_about() {
    let check = |text: &str, want: &str| {
        let warnings = Installation::new().load(text).unwrap().warnings;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].to_string().contains(want), "{warnings:?}");
    };
    check(
        &with("[http]\nlisten = '0.0.0.0:5380'"),
        "8:10: `listen` in [http]: 0.0.0.0:5380 is not loopback",
    );
    check(
        &with("[exempt]\nnetworks = ['0.0.0.0/0']"),
        "0.0.0.0/0 exempts every address",
    );
    check(
        &SHORT.replace(
            "[component]",
            "moderators = ['admin@example.org']\n[component]",
        ),
        "is in `admins` too and stays an admin",
    );
    check(
        &SHORT.replace(
            "[component]",
            "moderators = ['mod@a.b']\nviewers = ['mod@a.b']\n[component]",
        ),
        "mod@a.b is in `moderators` too and stays a moderator",
    );
    check(
        &SHORT.replace("[component]", "[component]\ntls_name = 'x.org'"),
        "does nothing without `tls = true`",
    );
    let without = SHORT.replacen("admins", "#admins", 1);
    check(&without, "there are no admins");
}

#[test]
fn a_term_left_out_is_never_longer_than_the_longest() {
    let policy = Installation::new()
        .load(&with("[ban]\nlongest = '7d'"))
        .unwrap()
        .policy;
    let week = Duration::from_secs(7 * 86_400);
    assert_eq!(policy.default_term, Term::For(week));
    assert_eq!(policy.moderator_longest, Some(week));
}

#[test]
fn nothing_printed_holds_a_secret() {
    let place = Installation::new();
    place.write("cookie", "s3cr3t-cookie", 0o600);
    let secrets = "ejabberd_cookie_file = 'cookie'\n[http]\ntoken = 's3cr3t-token-of-http'\n[[rooms]]\njid = 'ops@example.org'\npassword = 's3cr3t-room'\n";
    let config = place.load(&with(secrets)).unwrap();
    let keys = config.changes(&place.load(SHORT).unwrap());
    let printed = format!("{config:?} {config:#?} {keys:?} {}", config.link.secret);
    assert!(
        !printed.contains("s3cr3t") && !printed.contains("BwcHBw"),
        "{printed}"
    );
    // They are compared as well.
    let names: Vec<_> = keys.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["record.ejabberd_cookie_file", "http.token", "rooms"]
    );
}

#[test]
fn a_reload_names_every_changed_key_and_what_needs_a_restart() {
    let place = Installation::new();
    place
        .write("cookie", "COOKIE", 0o600)
        .write("cookie2", "OTHER", 0o600);
    place
        .write("ca.pem", "", 0o644)
        .write("ca2.pem", "", 0o644)
        .write("component.secret", "other", 0o600);
    let key = generate_key_line(&"k2".parse().unwrap(), &[8; KEY_BYTES]);
    place.write("seal2.key", &key, 0o600);
    let old = place.load(EVERYTHING).unwrap();
    assert!(old.changes(&place.load(EVERYTHING).unwrap()).is_empty());
    let check = |from: &str, to: &str, key: &str, restart: bool| {
        assert!(EVERYTHING.contains(from), "{from}");
        let new = place.load(&EVERYTHING.replacen(from, to, 1)).unwrap();
        let changes = old.changes(&new);
        let names: Vec<_> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(names, [key]);
        assert_eq!(changes[0].restart, restart, "{key}");
        key.to_owned()
    };
    let mut checked = vec![
        check("admins = ['admin@", "admins = ['boss@", "admins", false),
        check("'mod@", "'mod2@", "moderators", false),
        check("'help@", "'help2@", "viewers", false),
        check("'A.example'", "'b.example'", "roles", false),
        check("'portcullis.", "'ban.", "component.domain", true),
        check(":5348", ":5349", "component.server", true),
        check("'s3cr3t'", "'s3cr3t2'", "component.secret", true),
        check(
            "secret = 's3cr3t'",
            "secret_file = 'component.secret'",
            "component.secret",
            true,
        ),
        check("ca.pem", "ca2.pem", "component.tls_ca_file", true),
        check("'xmpp.", "'xmpp2.", "component.tls_name", true),
        check(
            "allow_plain_remote = true",
            "",
            "component.allow_plain_remote",
            true,
        ),
        check("root@", "root2@", "server.act_as", true),
        check("path = 'store'", "path = 'store2'", "store.path", true),
        check("engine = 'sled'", "engine = 'redb'", "store.engine", true),
        check("seal.key", "seal2.key", "record.seal_key_file", true),
        check("'cookie'", "'cookie2'", "record.ejabberd_cookie_file", true),
        check("'11m'", "'12m'", "record.check_every", true),
        check(":5380", ":5381", "http.listen", true),
        check("sixteen-", "seventeen-", "http.token", true),
        check("Second.", "third.", "hook.hosts", false),
        check("1d12h", "2d", "ban.default_duration", false),
        check("'90d'", "'91d'", "ban.longest", false),
        check("7 days", "8 days", "ban.moderator_longest", false),
        check("loopback = false", "", "exempt.loopback", false),
        check(
            "'192.0.2.9/24', ",
            "'192.0.2.9/25', ",
            "exempt.networks",
            false,
        ),
        check("bot@", "bot2@", "exempt.accounts", false),
        check("'1m'", "'2m'", "ban.grace", false),
        check("'own'", "'any'", "ban.moderators_change", false),
        check("'2h'", "'3h'", "ban.undo_for", false),
        check("10.0.0.5", "10.0.0.6", "exempt.proxies", false),
        check("'30m'", "'31m'", "tracker.quiet", false),
        check(
            "unknown_weight = 3",
            "unknown_weight = 4",
            "tracker.unknown_weight",
            false,
        ),
        check("'7d'", "'8d'", "tracker.known_for", false),
        check(
            "shared_accounts = 30",
            "shared_accounts = 31",
            "tracker.shared_accounts",
            false,
        ),
        check(
            "ipv6_prefix = 56",
            "ipv6_prefix = 60",
            "tracker.ipv6_prefix",
            false,
        ),
        check("/64 128", "/64 127", "tracker.ranges", false),
        check(
            "max_keys = 5000",
            "max_keys = 5001",
            "tracker.max_keys",
            true,
        ),
        check("limit = 7", "limit = 8", "rules", false),
        check("audit = true", "audit = false", "rooms", false),
        check(
            "attempts.jsonl",
            "attempts2.jsonl",
            "record_attempts.file",
            true,
        ),
        check("2 MiB", "2 MB", "record_attempts.max_size", true),
        check("keep = 3", "keep = 0", "record_attempts.keep", true),
        check("digest = '5m'", "digest = '6m'", "notices.digest", false),
        check("most = 4", "most = 5", "notices.most", false),
        check("'json'", "'text'", "log.format", true),
        check("'debug'", "'info'", "log.level", false),
    ];
    let no_tls = EVERYTHING
        .replace("tls = true", "")
        .replace("tls_ca_file = 'ca.pem'", "");
    let changes = old.changes(&place.load(&no_tls).unwrap());
    checked.extend(
        changes
            .iter()
            .filter(|key| key.name == "tls")
            .map(ToString::to_string),
    );
    // Every key that is read must be compared; a secret with two keys counts once.
    for key in Config::keys()
        .into_iter()
        .filter(|key| !matches!(key.name, "secret_file" | "token_file"))
    {
        assert!(checked.contains(&key.to_string()), "{key}");
    }
}

#[test]
fn nothing_is_recorded_unless_a_file_is_named() {
    let place = Installation::new();
    let read = |text: &str| place.load(&with(text)).unwrap().record_attempts;
    assert_eq!(read("[record_attempts]\nmax_size = '1 MB'\nkeep = 7"), None);
    let named = read("[record_attempts]\nfile = 'a.jsonl'").unwrap();
    assert!(named.file.is_absolute() && named.file.ends_with("a.jsonl"));
    assert_eq!((named.max_size, named.keep), (10_000_000, 5));
    for (text, says) in [
        ("file = 'folder/'", "names no file"),
        (
            "max_size = '3 kB'",
            "`max_size` in [record_attempts]: \"3 kB\" is not from 100 kB to 100 GB; for example `max_size = \"10 MB\"`",
        ),
        ("keep = 101", "101 is not a whole number from 0 to 100"),
        (
            "max_size = 10",
            "must be a size from 100 kB to 100 GB, in quotes",
        ),
    ] {
        let wrong = place.load(&with(&format!("[record_attempts]\n{text}")));
        let said = place.said(&wrong.unwrap_err());
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_room_is_read_with_what_it_grants() {
    let place = Installation::new();
    place.write("ca.pem", "", 0o644).write("cookie", "x", 0o400);
    let rooms = place.load(EVERYTHING).unwrap().rooms;
    let [room] = &rooms[..] else {
        panic!("{rooms:?}")
    };
    assert_eq!(room.room.as_str(), "ops@conference.example.org");
    assert_eq!((room.nick.as_str(), room.audit), ("Guard", true));
    let granted = (room.grants.owner, room.grants.admin, room.grants.member);
    assert_eq!(granted, (Role::Admin, Role::Stranger, Role::Viewer));
    assert_eq!(room.password.as_ref().unwrap().expose(), "let me in");
    assert!(!format!("{rooms:?}").contains("let me in"));
    place.write("room.password", "out of a file\n", 0o600);
    let plain = "[[rooms]]\njid = 'ops@conference.example.org'\npassword_file = 'room.password'\n";
    let room = place.load(&with(plain)).unwrap().rooms.remove(0);
    assert_eq!(room.password.unwrap().expose(), "out of a file");
    assert_eq!((room.nick.as_str(), room.audit), ("portcullis", false));
    assert_eq!(room.grants, RoleGrants::default());
}

#[test]
fn a_room_that_cannot_be_is_refused() {
    let place = Installation::new();
    for (text, says) in [
        (
            "nick = 'x'",
            "7:1: `jid` of this room is missing: the address of a room; for example",
        ),
        (
            "jid = 'ops@conference.example.org/portcullis'",
            "leave out the / and what follows, and set `nick` instead",
        ),
        (
            "jid = 'conference.example.org'",
            "is a domain, not a room; a room is written name@conference.domain",
        ),
        (
            "jid = 'ops@c.example.org'\n[[rooms]]\njid = 'OPS@c.example.org'",
            "two of [[rooms]] are ops@c.example.org",
        ),
        (
            "jid = 'ops@c.example.org'\nnick = ' x'",
            "`nick` in [[rooms]]: \" x\" is empty, or has blanks around it",
        ),
        (
            "jid = 'ops@c.example.org'\ngrants = { owner = 'admn' }",
            "`owner` in `grants` of [[rooms]]: \"admn\" is none of",
        ),
        (
            "jid = 'ops@c.example.org'\npassword = 'x'\npassword_file = 'y'",
            "`password` and `password_file` in [[rooms]] are both set",
        ),
        (
            "jid = 'ops@c.example.org'\npassword_file = 'nowhere'",
            "`password_file` in [[rooms]]: nowhere does not exist",
        ),
        (
            "jid = 'admin@example.org'",
            "admin@example.org is a room, and has a role by its address",
        ),
    ] {
        place.refuses(&with(&format!("[[rooms]]\n{text}\n")), says);
    }
}

#[test]
fn a_room_of_somebody_else_is_warned_of() {
    let place = Installation::new();
    let warned = |room: &str| {
        let text = format!("[[rooms]]\njid = '{room}'\n");
        let config = place.load(&with(&text)).unwrap();
        assert_eq!(config.rooms.len(), 1);
        config
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect::<String>()
    };
    let said = warned("ops@rooms.elsewhere.example");
    assert!(
        said.contains("whoever runs rooms.elsewhere.example decides who speaks"),
        "{said}"
    );
    for ours in ["ops@conference.example.org", "ops@example.org"] {
        assert_eq!(warned(ours), "", "{ours}");
    }
}

#[test]
fn a_token_that_could_be_guessed_or_not_be_sent_is_refused() {
    let place = Installation::new();
    for (token, says) in [
        ("short", "fewer than 16 characters"),
        (
            "with blanks in the token",
            "ASCII characters without blanks",
        ),
        ("schlüssel-aus-umlauten", "ASCII characters without blanks"),
    ] {
        let text = EVERYTHING.replace("sixteen-or-more-characters", token);
        let said = place.said(&place.load(&text).unwrap_err());
        assert!(
            said.contains("`token` in [http]") && said.contains(says),
            "{said}"
        );
        assert!(!said.contains(token), "{said}");
    }
}
