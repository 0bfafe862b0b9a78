//! The example configuration, and the commands that need only a configuration.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use portcullis::{
    config::{Config, ConfigKey},
    core::seal::Keyring,
};

const EXAMPLE: &str = include_str!("../../config/portcullis.toml");

fn is_setting(line: &str) -> bool {
    line.split_once(" = ")
        .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// The example with every commented setting switched on.
fn everything_on() -> toml::Table {
    let lines = EXAMPLE.lines().map(|line| {
        line.strip_prefix('#')
            .filter(|rest| is_setting(rest))
            .unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n").parse().unwrap()
}

fn value<'t>(table: &'t toml::Table, key: &ConfigKey) -> Option<&'t toml::Value> {
    match key.section {
        "" => table.get(key.name),
        section => table.get(section)?.get(key.name),
    }
}

/// A folder with the example, changed as its comments tell a new user to.
fn installed() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("portcullis.toml");
    let closed = |name: &str, text: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    closed(
        "portcullis.toml",
        EXAMPLE.replace("/etc/portcullis/", "").as_bytes(),
    );
    closed("component.secret", b"s3cr3t\n");
    closed("seal.key", &portcullis(&["keygen"]).stdout);
    (folder, path)
}

fn portcullis(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    for (name, _) in
        std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PORTCULLIS_"))
    {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn check(path: &Path, more: &[&str]) -> (i32, String, String) {
    let args: Vec<&str> = ["check-config", "-c", path.to_str().unwrap()]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let output = portcullis(&args);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_example_names_every_key_and_no_other() {
    let table = everything_on();
    for key in Config::keys() {
        assert!(
            value(&table, &key).is_some(),
            "{key} is not in config/portcullis.toml"
        );
    }
    let top = table.values().filter(|value| !value.is_table()).count();
    let inner: usize = table
        .values()
        .filter_map(|value| value.as_table())
        .map(|table| table.len())
        .sum();
    assert_eq!(top + inner, Config::keys().len());
}

#[test]
fn one_comment_sign_less_switches_a_line_of_the_example_on() {
    let twice = |line: &&str| {
        let rest = line.strip_prefix('#').map(str::trim_start);
        rest.is_some_and(|rest| rest.starts_with('#'))
    };
    let wrong: Vec<&str> = EXAMPLE.lines().filter(twice).collect();
    assert_eq!(wrong, Vec::<&str>::new());
}

#[test]
fn the_example_loads_and_warns_of_nothing() {
    let (_folder, path) = installed();
    let config = Config::load(&path, &|_| None).unwrap();
    assert_eq!(config.warnings, []);
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let (folder, path) = installed();
    let example = Config::load(&path, &|_| None).unwrap();
    let needed = [
        "admins = ",
        "[component]",
        "domain = ",
        "secret_file = ",
        "[record]",
        "seal_key_file = ",
    ];
    let text = fs::read_to_string(&path).unwrap();
    let short: Vec<_> = text
        .lines()
        .filter(|line| needed.iter().any(|start| line.starts_with(start)))
        .collect();
    let path = folder.path().join("short.toml");
    fs::write(&path, short.join("\n")).unwrap();
    let short = Config::load(&path, &|_| None).unwrap();
    let changed: Vec<_> = example
        .changes(&short)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(changed, [] as [&str; 0]);
}

#[test]
fn keygen_prints_one_key_line_and_another_one_the_next_time() {
    let (one, two) = (
        portcullis(&["keygen"]),
        portcullis(&["keygen", "--id", "k2026"]),
    );
    assert!(one.status.success() && two.status.success());
    assert!(one.stderr.is_empty());
    let (one, two) = (
        String::from_utf8(one.stdout).unwrap(),
        String::from_utf8(two.stdout).unwrap(),
    );
    assert_eq!(one.matches('\n').count(), 1, "{one}");
    assert!(two.starts_with("k2026:"));
    assert_ne!(
        one.split_once(':').unwrap().1,
        two.split_once(':').unwrap().1
    );
    let ring = Keyring::parse(&format!("{two}{one}")).unwrap();
    assert_eq!(
        (ring.signing_id().as_str(), ring.ids().count()),
        ("k2026", 2)
    );
}

#[test]
fn check_config_says_good_with_exit_code_0() {
    let (_folder, path) = installed();
    let (code, out, err) = check(&path, &[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("is good"), "{out}");
    let (code, out, _) = check(&path, &["--json"]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &json["good"], &json["warnings"]),
        (0, &true.into(), &serde_json::json!([]))
    );
}

#[test]
fn check_config_names_every_problem_with_exit_code_2() {
    let (_folder, path) = installed();
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text
        .replace("moderators =", "moderaters =")
        .replace("level = \"info\"", "level = \"inof\"");
    fs::write(&path, &wrong).unwrap();
    let (code, out, err) = check(&path, &[]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err.lines().count(), 2, "{err}");
    let line = wrong
        .lines()
        .position(|line| line.starts_with("moderaters"))
        .unwrap()
        + 1;
    let start = format!(
        "{}:{line}:1: unknown key `moderaters` at the top of the file; did you mean `moderators`?",
        path.display()
    );
    assert!(err.starts_with(&start), "{err}");
    let (code, out, err) = check(&path, &["--json"]);
    assert_eq!((code, err.as_str()), (2, ""));
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["good"], false);
    assert_eq!(json["problems"][0]["line"], line);
    assert_eq!(json["problems"][0]["column"], 1);
    assert!(
        json["problems"][1]["message"]
            .as_str()
            .unwrap()
            .contains("is not a level")
    );
}

#[test]
fn run_and_doctor_refuse_a_bad_configuration_with_exit_code_2() {
    for command in ["run", "doctor", "check-config"] {
        let output = portcullis(&[command, "-c", "/nonexistent/p.toml"]);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(
            said.contains("/nonexistent/p.toml: there is no such file"),
            "{said}"
        );
    }
}

#[test]
fn wrong_usage_exits_2_and_help_and_version_exit_0() {
    for wrong in [
        &["frobnicate"][..],
        &[],
        &["keygen", "--id", "a b"],
        &["run", "--nope"],
        &["keygen", "--json"],
    ] {
        assert_eq!(portcullis(wrong).status.code(), Some(2), "{wrong:?}");
    }
    assert_eq!(portcullis(&["--help"]).status.code(), Some(0));
    let version = portcullis(&["--version"]);
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("portcullis {}\n", env!("CARGO_PKG_VERSION"))
    );
}
