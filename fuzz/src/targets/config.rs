//! The configuration: no value outside of its documented bounds is accepted, no secret is shown, and all that reads the
//! file reads the same.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use portcullis::config::{Config, ENV_SEAL_KEYS, ENV_SECRET};
use portcullis::core::rules::{LIMIT_MAX, Milli};
use portcullis::core::seal::{KEY_BYTES, generate_key_line};
use portcullis::core::{Policy, Subject};

use super::{case_and_text, subject};

/// Beginning of each secret that the check looks for.
const SECRET: &str = "s3cr3t";

pub fn run(data: &[u8]) {
    let Some((case, text)) = case_and_text(data) else {
        return;
    };
    // A path in the file must not lead to a device that never ends, so the fuzzer names no other files.
    if text.contains("_file") || text.contains("\\u") {
        return;
    }
    let path = file();
    std::fs::write(path, text.as_bytes()).expect("the file can be written");
    let from_env = case % 2 == 0;
    let env = |name: &str| match name {
        ENV_SEAL_KEYS => Some(OsString::from(&*keys())),
        ENV_SECRET if from_env => Some(OsString::from("s3cr3t of the environment")),
        _ => None,
    };
    match Config::load(path, &env) {
        Ok(config) => {
            bounded(&config);
            assert_eq!(config.changes(&config), []);
            let policy = Config::load_policy(path).expect("the policy of a valid file");
            assert_eq!(
                Policy {
                    hosts: config.policy.hosts.clone(),
                    ..policy
                },
                config.policy
            );
            assert_eq!(
                Config::load_store(path).expect("the store of a valid file"),
                (config.store.clone(), config.store_engine)
            );
            if is_secret_in_its_place(&text) {
                let said = format!("{config:?} {:?}", config.warnings);
                assert!(!said.contains(SECRET), "{said}");
            }
        }
        Err(problems) => {
            assert!(!problems.list.is_empty());
            // A name of a key or a value that is no secret is shown; the fuzzer may move a secret there.
            if is_secret_in_its_place(&text) {
                let said = problems.to_string();
                assert!(!said.contains(SECRET), "{said}");
            }
        }
    }
}

/// Whether the text has the word once, as the value of `secret` or `token`.
fn is_secret_in_its_place(text: &str) -> bool {
    // A domain is read in lower case.
    let is_here = |line: &&str| line.to_lowercase().contains(SECRET);
    let mut lines = text.lines().filter(is_here);
    match (lines.next(), lines.next()) {
        (Some(line), None) => ["secret = \"", "token = \""].iter().any(|key| {
            line.strip_prefix(key).is_some_and(|rest| {
                rest.strip_suffix('"')
                    .is_some_and(|value| !value.contains(['"', '\\', '#']))
            })
        }),
        (None, _) => true,
        _ => false,
    }
}

/// What config/portcullis.toml and docs/operator.md promise about values.
fn bounded(config: &Config) {
    let Policy {
        default_term,
        longest,
        moderator_longest,
        rules,
        ..
    } = &config.policy;
    let most = longest.unwrap_or(Duration::MAX);
    for length in [default_term.length(Default::default()), *moderator_longest] {
        assert!(length.is_none_or(|length| length <= most));
    }
    assert!((1_000..=100_000_000).contains(&rules.bounds.keys));
    assert!((16..=128).contains(&rules.reach.ipv6));
    assert!((1..=100).contains(&rules.unknown_weight) && rules.shared_accounts >= 2);
    for (net, length) in &rules.reach.ranges {
        assert!((net.prefix_len()..=net.max_prefix_len()).contains(length));
    }
    for (place, rule) in rules.table.iter().enumerate() {
        assert!((1..=LIMIT_MAX).contains(&rule.limit));
        assert!((1..=64).contains(&rule.name.len()));
        assert!(!rule.window.is_zero() && !rule.ban.is_zero());
        assert!(rule.counts.varies_within(rule.key));
        assert!(
            rules.table[..place]
                .iter()
                .all(|other| other.name != rule.name)
        );
        if let Some(growth) = &rule.growth {
            assert!(rule.ban <= growth.cap);
            assert!(growth.factor <= Milli(1_000_000_000));
            assert!(growth.multipliers.is_sorted());
        }
        // However often somebody is banned, no ban is longer than the cap.
        for count in [0, 1, 5, 1_000, u32::MAX] {
            let term = rule.term(count, Some(rule.ban), u64::MAX);
            let cap = rule
                .growth
                .as_ref()
                .map_or(rule.ban, |growth| growth.cap + growth.jitter);
            assert!(term <= cap, "{term:?} of {rule:?}");
        }
    }
    assert!((1..=20).contains(&config.notices.most));
    assert!((5..=86_400).contains(&config.notices.digest.as_secs()));
    if let Some(recording) = &config.record_attempts {
        assert!((100_000..=100_000_000_000).contains(&recording.max_size));
    }
    for (account, _) in &config.granted {
        subject::reads_back(&Subject::Account(account.clone()));
    }
    assert!(config.link.tls.is_some() || config.link.allow_plain_remote || is_loopback(config));
}

fn is_loopback(config: &Config) -> bool {
    let (host, _) = config.link.server.rsplit_once(':').expect("host:port");
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

fn keys() -> String {
    generate_key_line(&"k1".parse().expect("a key id"), &[7; KEY_BYTES]).to_string()
}

/// A file in memory, if the system has such a folder.
fn file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let shared = Path::new("/dev/shm");
        let below = if shared.is_dir() {
            shared.to_owned()
        } else {
            std::env::temp_dir()
        };
        let folder = below.join(format!("portcullis-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder for the file");
        let path = folder.join("portcullis.toml");
        std::fs::write(&path, "").expect("the file can be written");
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("closed");
        path
    })
}
