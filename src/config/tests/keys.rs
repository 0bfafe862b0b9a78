//! Unknown keys and wrong types, whatever the values are.

use std::path::Path;

use crate::config::{read_text, section::FileReader};

/// All problems of a text, one per line.
fn problems(text: &str) -> String {
    let mut reader = FileReader::new(Path::new(""), &|_| None, text, Some(&[]));
    read_text(text, &mut reader, Some);
    let (list, _) = reader.found().sorted();
    list.iter()
        .map(|problem| problem.to_string())
        .collect::<Vec<_>>()
        .join("\n")
}

fn check(text: &str, want: &[&str]) {
    let got = problems(text);
    assert_eq!(got.lines().count(), want.len(), "{got}");
    for (line, want) in got.lines().zip(want) {
        assert!(line.contains(want), "wanted {want}\nin     {line}");
    }
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one_and_its_place() {
    check(
        "[component]\ndomian = \"x\"\n",
        &[
            "2:1: unknown key `domian` in [component]; did you mean `domain`? known keys: `domain`, `server`, ",
        ],
    );
}

#[test]
fn a_key_in_the_wrong_table_is_shown_its_place() {
    check(
        "[component]\nadmins = []\n",
        &["it belongs at the top of the file, above the first [table]"],
    );
    check(
        "[component]\nlisten = \"127.0.0.1:1\"\n",
        &["2:1: unknown key `listen` in [component]; it belongs in [http]"],
    );
    check(
        "domain = \"x\"\n",
        &["1:1: unknown key `domain` at the top of the file; it belongs in [component]"],
    );
}

#[test]
fn the_words_of_other_configurations_lead_to_ours() {
    check(
        "[component]\nadress = \"x\"\n",
        &["unknown key `adress` in [component]; did you mean `server`? known keys: "],
    );
    check(
        "[component]\npassword = \"x\"\n",
        &["did you mean `secret`?"],
    );
    check(
        "[log]\npassword = \"x\"\n",
        &[
            "unknown key `password` in [log]; it belongs in [[rooms]]; known keys: `format`, `level`",
        ],
    );
}

#[test]
fn the_words_of_fail2ban_lead_to_ours() {
    let rule = "2:1: unknown key `maxretry` in [[rules]]; did you mean `limit`? known keys: ";
    check("[[rules]]\nmaxretry = 5\n", &[rule]);
    check("[[rules]]\nfindtime = '10m'\n", &["did you mean `window`?"]);
    check("[[rules]]\nbantime = '1h'\n", &["did you mean `ban`?"]);
    check(
        "[ban]\nbantime = '1h'\n",
        &["did you mean `default_duration`?"],
    );
    check(
        "bantime = '1h'\nmaxretry = 5\nignoreip = '::1'\n",
        &[
            "unknown key `bantime` at the top of the file; did you mean `ban` in [[rules]]?",
            "did you mean `limit` in [[rules]]?",
            "did you mean `networks` in [exempt]?",
        ],
    );
    check(
        "[exempt]\nignoreip = ['::1']\n",
        &["did you mean `networks`?"],
    );
}

#[test]
fn an_unknown_table_is_named_with_the_nearest_one() {
    check(
        "[components]\ndomain = \"x\"\n",
        &[
            "1:2: unknown table [components]; did you mean [component]? known tables: [component], [server]",
        ],
    );
    check("[quux]\n", &["unknown table [quux]; known tables: "]);
    check(
        "[[component]]\ndomain = \"x\"\n",
        &["`component` must be a table: write [component] once"],
    );
    check("component = 5\n", &["`component` must be a table"]);
}

#[test]
fn a_value_of_the_wrong_type_is_told_what_is_allowed() {
    check(
        "[component]\ntls = \"yes\"\n",
        &["2:7: `tls` in [component] must be true or false, not a text; for example `tls = true`"],
    );
    check(
        "admins = \"a@b\"\n",
        &[
            "1:10: `admins` at the top of the file must be a list of accounts, each in quotes, not a text; for example `admins = [\"admin@example.org\"]`",
        ],
    );
    check(
        "[exempt]\nnetworks = [\"::1\", 10]\n",
        &["2:20: `networks` in [exempt] must be"],
    );
    check(
        "[ban]\nlongest = 30\n",
        &["must be a duration, in quotes, not a number"],
    );
    check("[log]\nlevel = 2020-01-01\n", &["not a date"]);
}

#[test]
fn rules_are_checked_one_by_one() {
    check(
        "[[rules]]\nname = 'a'\nlimt = 5\n[[rules]]\nlimit = '5'\n[[rules]]\nname = 'ok'\n",
        &[
            "3:1: unknown key `limt` in [[rules]]; did you mean `limit`? known keys: `name`, ",
            "5:9: `limit` in [[rules]] must be a whole number from 1 to 500, not a text; for example `limit = 5`",
        ],
    );
    check(
        "[[rules]]\ngrowth = { cap = 5, decoy = '1d', multipliers = [1, '2'] }\n",
        &[
            "2:18: `cap` in `growth` of [[rules]] must be a duration, in quotes, not a number",
            "2:21: unknown key `decoy` in `growth` of [[rules]]; did you mean `decay`?",
            "`multipliers` in `growth` of [[rules]] must be a list of numbers, not a text",
        ],
    );
    check(
        "[rules]\nname = 'a'\n",
        &[
            "`rules` at the top of the file must be a list of rules, each a table under a line [[rules]]",
        ],
    );
    check("rules = ['a']\n", &["not a text"]);
    check(
        "[[rule]]\nname = 'a'\n",
        &["unknown key `rule` at the top of the file; did you mean `rules`?"],
    );
    check("factor = 2\n", &["it belongs in `growth` of [[rules]];"]);
}

#[test]
fn rooms_are_checked_one_by_one() {
    check(
        "[[rooms]]\njid = 'a@b'\nnik = 'x'\n[[rooms]]\ngrants = { owner = 1, visitor = 'viewer' }\n[[rooms]]\naudit = 'yes'\n",
        &[
            "3:1: unknown key `nik` in [[rooms]]; did you mean `nick`? known keys: `jid`, `nick`, ",
            "`owner` in `grants` of [[rooms]] must be \"admin\", \"moderator\", \"viewer\" or \"none\", in quotes, not a number",
            "unknown key `visitor` in `grants` of [[rooms]]; known keys: `owner`, `admin`, `member`",
            "`audit` in [[rooms]] must be true or false, not a text",
        ],
    );
    check(
        "[rooms]\njid = 'a@b'\n",
        &["must be a list of rooms, each a table under a line [[rooms]]"],
    );
}

#[test]
fn all_problems_are_reported_together() {
    check(
        "adminz = []\n[component]\ndomain = 1\nsecret = 2\nfoo = 3\n[web]\nx = 1\n",
        &["1:1:", "3:10:", "4:10:", "5:1:", "6:2:"],
    );
}

#[test]
fn a_secret_is_not_shown_in_any_problem() {
    for text in [
        "[component]\nsecret = 1234567\n",
        "[component]\nsecret = [\"1234567\"]\n",
        "[component]\nsecret = 1234567x\n",
        "[component]\nsecret = \"1234567\n",
        "[component]\nsecret = \"1234567\" \"x\"\n",
        "[component]\nsecert = \"1234567\"\n",
        "[component]\nsecret = \"a\"\nsecret = \"1234567\"\n",
    ] {
        let got = problems(text);
        assert!(!got.is_empty() && !got.contains("1234567"), "{got}");
    }
}

#[test]
fn a_syntax_error_has_a_place() {
    check(
        "admins = [\n[component]\ndomain = x\n",
        &[": this is not valid TOML: "],
    );
    assert!(
        problems("a = \n").starts_with("1:"),
        "{}",
        problems("a = \n")
    );
}
