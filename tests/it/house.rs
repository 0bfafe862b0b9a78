//! Rules of the source tree: imports between rooms, names, literals, sentences, and test files.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from left to right. An import may only point left, and not to a room of the same rank. `lib`, `app` and
/// `main` may import every room.
const RANKS: [&[&str]; 13] = [
    &["core"],
    &["journal", "xmpp"],
    &["engine", "rehearse"],
    &["admission", "delivery"],
    &["news"],
    &["gate"],
    &["store", "enforce", "command"],
    &["exchange"],
    &["front"],
    &["http", "logs"],
    &["config"],
    &["app", "cli"],
    &["main", "lib"],
];

fn rank(room: &str) -> Option<usize> {
    RANKS.iter().position(|rooms| rooms.contains(&room))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// A source without the test module at its end. A test module in its own file (`mod tests;`) is declared at the top, so
/// the source is not cut there.
fn outside_tests(text: &str) -> &str {
    const TESTS: &str = "\n#[cfg(test)]\nmod ";
    let is_inline = |at: &usize| {
        let line = text[at + TESTS.len()..].lines().next();
        line.is_some_and(|line| line.ends_with(" {"))
    };
    let mut modules = text.match_indices(TESTS).map(|(at, _)| at);
    modules.find(is_inline).map_or(text, |at| &text[..at])
}

#[test]
fn only_the_test_module_at_the_end_is_cut_off() {
    let code = "mod a;\n#[cfg(test)]\nmod tests;\n\nfn a() {}\n";
    assert_eq!(outside_tests(code), code);
    let whole = format!("{code}\n#[cfg(test)]\nmod tests {{\n    use super::*;\n}}\n");
    assert_eq!(outside_tests(&whole), code);
}

/// The rooms that a source file imports (`crate::room`), outside of tests.
fn imports(text: &str) -> Vec<String> {
    let code = outside_tests(text);
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join(" ")
        .split("crate::")
        .skip(1)
        .flat_map(roots)
        .collect()
}

/// The first names of an import path: one, or those at the top level of `{…}`.
fn roots(rest: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![name(rest)];
    };
    let (mut depth, mut found, mut start) = (0, Vec::new(), 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(name(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(name(&group[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn imports_only_go_to_the_left() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str();
        let room = first.to_str().unwrap().trim_end_matches(".rs");
        let here = rank(room).unwrap_or_else(|| panic!("{room} is in no rank: add it to the plan"));
        for other in imports(&fs::read_to_string(&file).unwrap()) {
            let Some(there) = rank(&other) else { continue };
            if there > here || (there == here && other != room && here < 9) {
                wrong.push(format!("{} imports {other}", inside.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn grouped_imports_are_not_hidden_from_the_check() {
    let text = "use crate::{front::chat, gate};";
    assert_eq!(imports(text), ["front", "gate"]);
}

#[test]
fn the_arrow_check_sees_an_arrow() {
    let text = "use crate::front::chat;\n// crate::http is only talk\n#[cfg(test)]\nmod tests {\n    use crate::app;\n}";
    assert_eq!(imports(text), ["front"]);
    assert!(rank("front") > rank("engine"));
}

/// The core is pure, and only the outermost rooms may block a thread on a future.
#[test]
fn rooms_keep_to_what_they_never_do() {
    let bans: [(&[&str], &[&str]); 2] = [
        (
            &["core"],
            &["std::thread", "tokio", "tracing", "std::fs", "crc32c::"],
        ),
        (
            &[
                "core",
                "journal",
                "engine",
                "admission",
                "delivery",
                "news",
                "gate",
                "store",
                "enforce",
                "xmpp",
                "command",
                "front",
            ],
            &["block_on("],
        ),
    ];
    let mut found = Vec::new();
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    for path in files {
        let room = path
            .components()
            .nth(1)
            .unwrap()
            .as_os_str()
            .to_str()
            .unwrap();
        if path.ends_with("tests.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = outside_tests(&text);
        for (rooms, words) in bans {
            let is_in = rooms.contains(&room.trim_end_matches(".rs"));
            let lines = code
                .lines()
                .filter(|line| is_in && !line.trim_start().starts_with("//"));
            let named = lines.filter(|line| words.iter().any(|word| line.contains(word)));
            found.extend(named.map(|line| format!("{}: {}", path.display(), line.trim())));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let Some(stem) = name.strip_suffix(".rs").filter(|stem| *stem != "main") else {
            continue;
        };
        assert!(
            main.lines().any(|line| line == format!("mod {stem};")),
            "tests/it/{name} is not part of tests/it/main.rs"
        );
    }
}

/// Code shared by commands is in `command/parts/`. Only `standard` knows other commands, because its nodes stand for
/// them.
#[test]
fn no_command_reads_the_file_of_another() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/command");
    let mut commands = Vec::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let main = fs::read_to_string(path.join("mod.rs")).unwrap_or_default();
        if main.contains("const SPEC: Spec") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            commands.push((name, path));
        }
    }
    assert!(commands.len() > 15, "the commands were not found");
    let mut wrong = Vec::new();
    for (name, path) in &commands {
        let mut files = Vec::new();
        sources(path, &mut files);
        for file in files {
            let text = fs::read_to_string(&file).unwrap();
            for (other, _) in commands.iter().filter(|(other, _)| other != name) {
                let ways = ["super::", "crate::command::"].map(|way| format!("{way}{other}::"));
                if ways.iter().any(|way| text.contains(way)) {
                    wrong.push(format!("{} imports {other}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn test_files_share_the_support_folder_and_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    let tests: Vec<&str> = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .filter(|name| *name != "support")
        .collect();
    let mut files = Vec::new();
    sources(&folder, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        // This file contains such paths in its own strings.
        if file.ends_with("house.rs") {
            continue;
        }
        for other in imports(&fs::read_to_string(&file).unwrap()) {
            if tests.contains(&other.as_str()) {
                wrong.push(format!("{} imports {other}", file.display()));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "move what they share to tests/it/support/: {wrong:#?}"
    );
}

/// Structs with public fields that are made in many places, and the files that may name all their fields. All other
/// files use a constructor or functional update, so that a new field touches few files.
const MADE_BY_CONSTRUCTORS: [(&str, &[&str]); 5] = [
    ("Event", &["src/core/event.rs", "src/core/event/stored.rs"]),
    ("Order", &["src/core/propose/intent.rs"]),
    ("Actor", &["src/core/actor.rs"]),
    // The configuration has a key for each field.
    ("Policy", &["src/core/policy.rs", "src/config/mod.rs"]),
    // The other two files have types of the same name.
    (
        "Call",
        &[
            "src/command/call.rs",
            "src/front/terminal/mod.rs",
            "src/front/terminal/wire.rs",
            "src/cli/call.rs",
            "src/cli/specs.rs",
        ],
    ),
];

#[test]
fn one_field_more_touches_few_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["src", "tests/it", "benches", "fuzz/fuzz_targets"] {
        sources(&root.join(folder), &mut files);
    }
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(root).unwrap();
        if inside.ends_with("house.rs") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for (name, homes) in MADE_BY_CONSTRUCTORS {
            if !homes.iter().any(|home| inside == Path::new(home)) {
                let lines = whole_literals(&text, name);
                wrong.extend(lines.map(|line| format!("{}:{line} {name} {{", inside.display())));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "these name all fields of a struct:\n{}",
        wrong.join("\n")
    );
}

/// Positions where the struct is made or destructured with all fields by name: `Name { … }` without `..` in it.
fn whole_literals<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    text.match_indices(name).filter_map(move |(at, _)| {
        let (before, behind) = (&text[..at], &text[at + name.len()..]);
        let line = before.rsplit('\n').next().unwrap_or_default().trim_start();
        let is_part = before.ends_with(|c: char| c.is_alphanumeric() || c == '_')
            // A variant of an enum (`Action::Order`); module paths are lower case.
            || before.strip_suffix("::").is_some_and(|path| {
                let last = path.rsplit(|c: char| !c.is_alphanumeric()).next();
                last.is_some_and(|last| last.starts_with(char::is_uppercase))
            });
        let begins = ["struct ", "enum ", "-> ", "-> &", "for ", "//"];
        let is_item = begins.iter().any(|word| before.ends_with(word))
            || line.starts_with("//")
            || line.starts_with("impl");
        if is_part || is_item {
            return None;
        }
        let inside = braced(behind.strip_prefix(" {")?);
        // Functional update, or a pattern that leaves out fields.
        let is_open = outermost(inside).contains("..");
        (!is_open).then(|| before.lines().count())
    })
}

/// The text before the brace that closes the block.
fn braced(text: &str) -> &str {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return &text[..at],
            '}' => depth -= 1,
            _ => {}
        }
    }
    text
}

/// The text without everything inside brackets.
fn outermost(text: &str) -> String {
    let mut depth = 0_i32;
    let mut found = String::new();
    for c in text.chars() {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => depth -= 1,
            _ if depth == 0 => found.push(c),
            _ => {}
        }
    }
    found
}

/// Maximum number of public methods of a type; with more it has two jobs.
const PUBLIC_METHODS: usize = 15;

#[test]
fn no_type_has_too_many_public_methods() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut methods: HashMap<(String, String), usize> = HashMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside.components().next().unwrap().as_os_str();
        for (name, count) in public_methods(&fs::read_to_string(&file).unwrap()) {
            let key = (room.to_str().unwrap().to_owned(), name);
            *methods.entry(key).or_default() += count;
        }
    }
    assert!(methods.len() > 100, "the types were not found");
    let mut wrong: Vec<_> = methods
        .into_iter()
        .filter(|(_, count)| *count > PUBLIC_METHODS)
        .collect();
    wrong.sort();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Types and the number of public methods in each inherent `impl`.
fn public_methods(text: &str) -> Vec<(String, usize)> {
    let code = outside_tests(text);
    let mut found = Vec::new();
    let mut inside: Option<(String, usize)> = None;
    for line in code.lines() {
        if line.starts_with("impl") && !line.contains(" for ") {
            let name: String = line
                .trim_start_matches("impl")
                .trim_start_matches("<'a>")
                .trim_start()
                .chars()
                .take_while(|c| c.is_alphanumeric())
                .collect();
            inside = Some((name, 0));
        } else if line == "}" {
            found.extend(inside.take());
        } else if let Some((_, count)) = &mut inside {
            let is_public = ["pub fn ", "pub async fn ", "pub const fn "]
                .iter()
                .any(|begin| line.trim_start().starts_with(begin));
            *count += usize::from(is_public);
        }
    }
    found
}

#[test]
fn the_literal_check_sees_a_literal_and_nothing_else() {
    let lines = |text| whole_literals(text, "Event").collect::<Vec<_>>();
    assert_eq!(lines("let x = Event {\n    id,\n    at: a(1..2),\n};"), [1]);
    assert_eq!(lines("\nlet Event { id, at } = event;"), [2]);
    assert_eq!(lines("core::Event { id }"), [1]);
    for other in [
        "let x = Event { id, ..other };",
        "match x { Event { id, .. } => id }",
        "pub struct Event {\n    id: u8,\n}",
        "impl Event {\n    fn x() {}\n}",
        "impl fmt::Display for Event {\n}",
        "fn make() -> Event {\n    todo\n}",
        "Action::Event { id }",
        "LoginEvent { id }",
        "// Event { id }",
    ] {
        assert_eq!(lines(other), [0; 0], "{other}");
    }
}

/// Rooms that speak to people. Their sentences are in a `text.rs` beside the code that says them, in the shared
/// phrases, or in a Spec. The manual is a page by itself, and the one-word outcomes are for the audit log.
const SPEAKING: [&str; 2] = ["command", "front"];
const TEXTS: [&str; 4] = [
    "command/phrases",
    "command/outcome.rs",
    "command/policy/text",
    // Questions, refusals and labels that belong to one helper each.
    "command/parts",
];
/// Rooms that return values instead of sentences. Errors for the log begin with a lower-case letter.
const SILENT: [&str; 7] = [
    "core",
    "journal",
    "engine",
    "admission",
    "delivery",
    "news",
    "gate",
];
#[test]
fn sentences_for_people_stand_where_words_belong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for room in SPEAKING.into_iter().chain(SILENT) {
        let mut files = Vec::new();
        match root.join(room).is_dir() {
            true => sources(&root.join(room), &mut files),
            false => files.push(root.join(room).with_extension("rs")),
        }
        for file in files {
            let inside = file.strip_prefix(&root).unwrap();
            let is_text = inside.file_name().is_some_and(|name| name == "text.rs")
                || TEXTS.iter().any(|place| inside.starts_with(place));
            let is_test = inside.file_name().is_some_and(|name| name == "tests.rs");
            let speaks = SPEAKING.contains(&room);
            if is_test || (is_text && speaks) {
                continue;
            }
            let mut strays = strays(&fs::read_to_string(&file).unwrap());
            strays.retain(|text| {
                speaks || text.starts_with(char::is_uppercase) || text.ends_with('.')
            });
            let strays = strays.iter();
            wrong.extend(strays.map(|text| format!("{}: {text}", inside.display())));
        }
    }
    assert!(
        wrong.is_empty(),
        "sentences where none belongs:\n{}",
        wrong.join("\n")
    );
}

/// Text for other readers: the log or programmers; or text of a Spec or the manual.
const NOT_FOR_PEOPLE: [&str; 8] = [
    "tracing::",
    "expect(",
    "broken(",
    "panic!(",
    "#[error(",
    "reason = \"",
    "#[allow(",
    "debug_assert",
];

/// The sentences in a source file that are neither in a test, nor in a Spec, nor for the log.
fn strays(text: &str) -> Vec<String> {
    let code = outside_tests(text);
    let mut found = Vec::new();
    let mut in_spec = false;
    // Depth of open brackets of a call whose text is not for people.
    let mut in_log = 0_i32;
    for line in code.lines() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        let is_words = [": Spec = ", ": Field = ", "-> Field {"]
            .iter()
            .any(|mark| line.contains(mark));
        in_spec |= is_words && !line.ends_with(';');
        let is_log = NOT_FOR_PEOPLE.iter().any(|mark| line.contains(mark));
        if !in_spec && !is_log && in_log <= 0 {
            let texts = line.split('"').skip(1).step_by(2);
            found.extend(texts.filter(|text| is_sentence(text)).map(str::to_owned));
        }
        if is_log || in_log > 0 {
            let count = |bracket| i32::try_from(line.matches(bracket).count()).unwrap();
            in_log = in_log.max(0) + count('(') - count(')');
        }
        in_spec &= !(line == "};" || line == ");" || line == "}");
    }
    found
}

fn is_sentence(text: &str) -> bool {
    // The name of a setting, as in the file.
    if text.starts_with('[') {
        return false;
    }
    let words = text
        .split(' ')
        .filter(|word| word.chars().filter(char::is_ascii_alphabetic).count() > 1);
    words.count() > 2
}

#[test]
fn the_words_check_sees_a_sentence() {
    assert_eq!(
        strays("let x = \"this is a sentence\";"),
        ["this is a sentence"]
    );
    assert!(strays("let x = \"two words\";").is_empty());
    assert!(strays("tracing::info!(\"this is for the log\");").is_empty());
    let spec = "pub const SPEC: Spec = Spec {\n    title: \"one of the titles\",\n};\nfn x() { \"and this is not\" }";
    assert_eq!(strays(spec), ["and this is not"]);
}

/// A type name is used once. `Settings` and `Error` belong to their room and are read with its name in front.
#[test]
fn a_type_name_is_used_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut places: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap().to_owned();
        if inside.file_name().is_some_and(|name| name == "tests.rs")
            || inside.iter().any(|part| part == "tests")
        {
            continue;
        }
        for name in types(&fs::read_to_string(&file).unwrap()) {
            places.entry(name).or_default().push(inside.clone());
        }
    }
    places.retain(|name, places| places.len() > 1 && name != "Settings" && name != "Error");
    assert!(places.is_empty(), "{places:#?}");
}

/// The types that a source file defines outside of its tests.
fn types(text: &str) -> Vec<String> {
    let code = outside_tests(text);
    let mut found = Vec::new();
    for line in code.lines() {
        let mut words = line.split_whitespace().peekable();
        // `pub(in crate::core)` is two words.
        while words
            .next_if(|word| word.starts_with("pub") || word.ends_with(')'))
            .is_some()
        {}
        // An indented type is an associated type of a trait.
        let is_type = match words.next() {
            Some("struct" | "enum" | "trait") => true,
            Some("type") => !line.starts_with("    "),
            _ => false,
        };
        if is_type && let Some(name) = words.next() {
            let end = name.find(|c: char| !c.is_ascii_alphanumeric());
            found.push(name[..end.unwrap_or(name.len())].to_owned());
        }
    }
    found
}

#[test]
fn the_check_of_type_names_sees_every_kind() {
    let text = "pub(in crate::core) struct A<T> {\nenum B {\n    type Item = u8;\ntype C = u8;\n// struct D\n#[cfg(test)]\nmod tests;\ntrait E {}\n#[cfg(test)]\nmod tests {\nstruct F;";
    assert_eq!(types(text), ["A", "B", "C", "E"]);
}
