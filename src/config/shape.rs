//! The file's shape: is it TOML, is every key one we know, is every value of the right type? Reports all that is not
//! and takes it out, so that the rest can still be judged.

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue, Deserializer},
};

use super::{
    keys::{GRANTS, GROWTH, KEYS, Key, Kind, ROLES, ROOMS, RULES, all, key, sections, within},
    nearest::nearest,
    problem::Found,
    raw::Raw,
};

/// Reads a file as far as its shape allows. `None` when it is no TOML at all.
pub(super) fn read(text: &str, found: &mut Found<'_>) -> Option<Shaped> {
    let mut root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            // Only the message: `Display` would print the line, and that may hold the secret.
            found.wrong(
                error.span(),
                format!("this is not valid TOML: {}", error.message()),
            );
            return None;
        }
    };
    let mut taken_out = BTreeSet::new();
    check_table("", root.get_mut(), found, &mut taken_out);
    let mut unusable = |name, section| match root.get_mut().get_mut(name).map(Spanned::get_mut) {
        Some(DeValue::Array(list)) => check_list(section, list, found),
        _ => BTreeSet::new(),
    };
    let rules = unusable("rules", RULES);
    let roles = unusable("roles", ROLES);
    let rooms = unusable("rooms", ROOMS);
    match Raw::deserialize(Deserializer::from(root)) {
        Ok(mut raw) => {
            leave_out(&mut raw.rules, &rules);
            leave_out(&mut raw.roles, &roles);
            leave_out(&mut raw.rooms, &rooms);
            Some(Shaped { raw, taken_out })
        }
        Err(error) => {
            found.wrong(error.span(), error.message());
            None
        }
    }
}

/// What was typed, and which keys were there but unusable (so that nobody calls them missing).
pub(super) struct Shaped {
    pub(super) raw: Raw,
    taken_out: BTreeSet<(&'static str, &'static str)>,
}

impl Shaped {
    /// Whether this key was there, but of a type that was already reported.
    pub(super) fn was_taken_out(&self, section: &'static str, name: &'static str) -> bool {
        self.taken_out.contains(&(section, name))
    }
}

fn check_table(
    section: &'static str,
    table: &mut DeTable<'_>,
    found: &mut Found<'_>,
    taken_out: &mut BTreeSet<(&'static str, &'static str)>,
) {
    let mut unusable: Vec<String> = Vec::new();
    for (name, value) in table.iter() {
        let known = key(section, name.get_ref());
        match known {
            Some(known) if fits(known, value, found) => {}
            Some(known) => {
                taken_out.insert((known.section, known.name));
                unusable.push(known.name.to_owned());
            }
            None if is_section(section, name.get_ref()) => {
                if !value.get_ref().is_table() {
                    let name = name.get_ref();
                    let problem = format!(
                        "`{name}` must be a table: write [{name}] once, on a line of its own"
                    );
                    found.wrong(Some(value.span()), problem);
                    unusable.push(name.to_string());
                    taken_out.extend(
                        KEYS.iter()
                            .filter(|key| key.section == name)
                            .map(|key| (key.section, key.name)),
                    );
                }
            }
            None => {
                let is_table = section.is_empty() && value.get_ref().is_table();
                found.wrong(
                    Some(name.span()),
                    unknown(section, name.get_ref(), is_table),
                );
                unusable.push(name.get_ref().to_string());
            }
        }
    }
    for name in unusable {
        table.remove(name.as_str());
    }
    if section.is_empty() {
        for section in sections() {
            if let Some(DeValue::Table(inner)) = table.get_mut(section).map(Spanned::get_mut) {
                check_table(section, inner, found, taken_out);
            }
        }
    }
}

/// Takes out what stands at these places of a list.
fn leave_out<T>(list: &mut Option<Vec<T>>, unusable: &BTreeSet<usize>) {
    if let Some(list) = list {
        let mut place = 0..;
        list.retain(|_| place.next().is_some_and(|place| !unusable.contains(&place)));
    }
}

/// Checks each table of a list by itself; one with a problem is emptied, and told by its place in the list.
fn check_list(
    section: &'static str,
    list: &mut DeArray<'_>,
    found: &mut Found<'_>,
) -> BTreeSet<usize> {
    let mut nothing = BTreeSet::new();
    let mut unusable = BTreeSet::new();
    for (place, one) in list.iter_mut().enumerate() {
        let before = found.problems.len();
        let DeValue::Table(one) = one.get_mut() else {
            continue;
        };
        check_table(section, one, found, &mut nothing);
        for (name, section) in [("growth", GROWTH), ("grants", GRANTS)] {
            if let Some(DeValue::Table(inner)) = one.get_mut(name).map(Spanned::get_mut) {
                check_table(section, inner, found, &mut nothing);
            }
        }
        if found.problems.len() > before {
            one.clear();
            unusable.insert(place);
        }
    }
    unusable
}

fn is_section(section: &str, name: &str) -> bool {
    section.is_empty() && sections().contains(&name)
}

/// What the keys are called elsewhere: words of the servers' own configurations.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("address", "server"),
    ("host", "server"),
    ("port", "server"),
    ("jid", "domain"),
    ("name", "domain"),
    ("password", "secret"),
    ("folder", "path"),
    ("bind", "listen"),
];

fn other_words(key: &str) -> impl Iterator<Item = &'static str> {
    OTHER_WORDS
        .iter()
        .filter(move |(_, meant)| *meant == key)
        .map(|(word, _)| *word)
}

/// The sentence for a key or table nobody knows: the nearest one, or the place where the key belongs, and all there are.
fn unknown(section: &str, name: &str, is_table: bool) -> String {
    if is_table {
        let known = sections();
        let hint =
            nearest(name, known.iter().copied()).map(|near| format!("; did you mean [{near}]?"));
        let list: Vec<_> = known.iter().map(|name| format!("[{name}]")).collect();
        return format!(
            "unknown table [{name}]{} known tables: {}",
            hint.unwrap_or_else(|| ";".to_owned()),
            list.join(", ")
        );
    }
    let here: Vec<_> = all()
        .filter(|key| key.section == section)
        .map(|key| key.name)
        .collect();
    let elsewhere = all().find(|key| key.name == name);
    let meant = OTHER_WORDS
        .iter()
        .find(|(_, key)| here.contains(key) && nearest(name, other_words(key)).is_some());
    let hint = match (nearest(name, here.iter().copied()), elsewhere, meant) {
        (Some(near), ..) => format!("; did you mean `{near}`?"),
        (None, _, Some((_, key))) => format!("; did you mean `{key}`?"),
        (None, Some(key), _) if key.section.is_empty() => {
            "; it belongs at the top of the file, above the first [table];".to_owned()
        }
        (None, Some(key), _) => format!("; it belongs{};", within(key.section)),
        (None, None, None) => ";".to_owned(),
    };
    let list: Vec<_> = here.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "unknown key `{name}`{}{hint} known keys{}: {}",
        within(section),
        if section.is_empty() { " there" } else { "" },
        list.join(", ")
    )
}

/// Is the value of the key's type? Says so if not. The value itself is not shown: it may be a secret.
fn fits(key: &Key, value: &Spanned<DeValue<'_>>, found: &mut Found<'_>) -> bool {
    let culprit = match (key.kind, value.get_ref()) {
        (Kind::Text, DeValue::String(_)) | (Kind::Flag, DeValue::Boolean(_)) => None,
        (Kind::Number, DeValue::Integer(_) | DeValue::Float(_))
        | (Kind::Table, DeValue::Table(_)) => None,
        (Kind::Texts, DeValue::Array(list)) => list.iter().find(|item| !item.get_ref().is_str()),
        (Kind::Numbers, DeValue::Array(list)) => list
            .iter()
            .find(|item| !matches!(item.get_ref(), DeValue::Integer(_) | DeValue::Float(_))),
        (Kind::Tables, DeValue::Array(list)) => list.iter().find(|item| !item.get_ref().is_table()),
        _ => Some(value),
    };
    let Some(culprit) = culprit else { return true };
    let takes = match key.kind {
        Kind::Text => format!("{}, in quotes", key.takes),
        Kind::Flag | Kind::Number | Kind::Numbers | Kind::Table => key.takes.to_owned(),
        Kind::Tables => format!("{}, each a table under a line [[{}]]", key.takes, key.name),
        Kind::Texts => format!("{}, each in quotes", key.takes),
    };
    let problem = format!(
        "{} must be {takes}, not {}; for example `{} = {}`",
        key.spoken(),
        type_name(culprit.get_ref()),
        key.name,
        key.example
    );
    found.wrong(Some(culprit.span()), problem);
    false
}

fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// All problems of a text, one a line.
    fn problems(text: &str) -> String {
        let mut found = Found::new(text);
        read(text, &mut found);
        let (list, _) = found.sorted();
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
            &[
                "2:7: `tls` in [component] must be true or false, not a text; for example `tls = true`",
            ],
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

    #[test]
    fn the_typed_structs_know_exactly_the_keys_of_the_list() {
        // serde names all fields it knows when it refuses one.
        for section in sections()
            .into_iter()
            .chain(["", RULES, GROWTH, ROOMS, GRANTS])
        {
            let text = match section {
                "" => "nobody_knows_this = 1".to_owned(),
                GROWTH => "[[rules]]\ngrowth = { nobody_knows_this = 1 }".to_owned(),
                GRANTS => "[[rooms]]\ngrants = { nobody_knows_this = 1 }".to_owned(),
                section => format!("[{section}]\nnobody_knows_this = 1"),
            };
            let error = toml::from_str::<Raw>(&text).err().unwrap();
            let (_, names) = error.message().split_once("expected").unwrap();
            let fields: BTreeSet<_> = names.split('`').skip(1).step_by(2).collect();
            let mut known: BTreeSet<_> = all()
                .filter(|key| key.section == section)
                .map(|key| key.name)
                .collect();
            if section.is_empty() {
                known.extend(sections());
            }
            assert_eq!(fields, known, "[{section}]");
        }
    }
}
