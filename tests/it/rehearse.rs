//! The command `rehearse`, as scripts use it.

use std::fs;
use std::process::{Command, Output};

const EXAMPLE: &str = include_str!("../../config/portcullis.toml");

fn rehearse(config: &str, events: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("p.toml"), config).unwrap();
    fs::write(path("events.jsonl"), events).unwrap();
    Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .current_dir(folder.path())
        .args(["rehearse", "-c", "p.toml", "events.jsonl"])
        .output()
        .unwrap()
}

fn lines(output: &Output) -> Vec<&str> {
    std::str::from_utf8(&output.stdout)
        .unwrap()
        .lines()
        .collect()
}

#[test]
fn the_example_configuration_needs_no_secret_to_be_rehearsed() {
    let events: String = (0..6)
        .map(|n| format!("{{\"at\": \"2026-11-22T04:00:0{n}Z\", \"kind\": \"failure\", \"account\": \"alice@example.org\", \"address\": \"::ffff:203.0.113.7\"}}\n"))
        .collect();
    let output = rehearse(EXAMPLE, &events);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        lines(&output),
        [
            "{\"kind\":\"ban\",\"subject\":\"alice@example.org from 203.0.113.7\",\"from\":\"2026-11-22T04:00:04Z\",\"until\":\"2026-11-22T04:10:04Z\",\"ordinal\":1,\"rule\":\"pair-failures\"}"
        ]
    );
}

#[test]
fn rules_of_the_file_replace_the_default_ones() {
    let config = "[[rules]]\nname = 'mine'\nkey = 'address'\ncounts = 'accounts'\nlimit = 2\nwindow = '1m'\nban = '10s'\n";
    let events = "\
{\"at\": 0.25, \"kind\": \"failure\", \"account\": \"a@example.org\", \"address\": \"203.0.113.7\"}
{\"at\": 1.25, \"kind\": \"failure\", \"account\": \"b@example.org\", \"address\": \"203.0.113.7\"}
{\"at\": 60, \"kind\": \"tick\"}
{\"at\": 61, \"kind\": \"ban\", \"subject\": \"spam@example.org\", \"reason\": \"spam\"}
{\"at\": 62, \"kind\": \"unban\", \"subject\": \"spam@example.org\"}
";
    let output = rehearse(config, events);
    assert_eq!(
        lines(&output),
        [
            "{\"kind\":\"ban\",\"subject\":\"203.0.113.7\",\"from\":1.25,\"until\":11.25,\"ordinal\":1,\"rule\":\"mine\"}",
            "{\"kind\":\"lift\",\"subject\":\"203.0.113.7\",\"at\":11.25,\"why\":\"expired\"}",
            "{\"kind\":\"ban\",\"subject\":\"spam@example.org\",\"from\":61,\"until\":null,\"ordinal\":1,\"rule\":null}",
            "{\"kind\":\"lift\",\"subject\":\"spam@example.org\",\"at\":62,\"why\":\"unban\"}",
        ]
    );
}

#[test]
fn a_bad_line_or_configuration_exits_2_and_says_where() {
    let output = rehearse(
        "",
        "{\"at\": 0, \"kind\": \"tick\"}\n{\"at\": 1, \"kind\": \"knock\"}\n",
    );
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("events.jsonl:2: not an event: unknown variant `knock`"),
        "{said}"
    );
    let output = rehearse("[[rules]]\nlimti = 1\n", "");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("p.toml:2:1: unknown key `limti` in [[rules]]; did you mean `limit`?"),
        "{said}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis"))
        .args(["rehearse", "-c", "/dev/null", "/nonexistent"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
