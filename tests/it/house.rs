//! Keeps house: arrows between rooms, no forgotten test file.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from left to right; an import may only go to the left, and not between those of one
/// rank. `lib`, `app` and `main` join them.
const RANKS: [&[&str]; 9] = [
    &["core"],
    &["gate", "rehearse", "xmpp"],
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

/// The rooms a source file imports, from `crate::room` in its lines outside of tests.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
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
            if there > here || (there == here && other != room && here < 6) {
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
    let text = "use crate::front::chat;\n// crate::http is only talk\n#[cfg(test)] use crate::app;";
    assert_eq!(imports(text), ["front"]);
    assert!(rank("front") > rank("gate"));
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

/// What two commands share is in `command/parts/`. Only `standard` knows other commands, for its nodes stand for those.
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

/// What people read stands in `command/words/`, and in the Spec of its command, so that another
/// language is another set of these. A sentence is a text with two spaces between letters.
#[test]
fn sentences_for_people_stand_where_words_belong() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root.join("front"), &mut files);
    sources(&root.join("command"), &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        // The manual is a page of its own; a word of an outcome is for the audit log.
        let words = [
            "command/words",
            "command/words.rs",
            "command/manual.rs",
            "command/outcome.rs",
        ];
        let is_test = inside.file_name().is_some_and(|name| name == "tests.rs");
        if is_test || words.iter().any(|place| inside.starts_with(place)) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for line in strays(&text) {
            wrong.push(format!("{}: {line}", inside.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "move these to command/words/:\n{}",
        wrong.join("\n")
    );
}

/// Who reads it instead: the log, a programmer, or nobody, for a Spec is words already and the
/// manual is a page of its own.
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

/// The sentences in a source that are neither in a test nor in a Spec nor for the log.
fn strays(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    let mut in_spec = false;
    // Open brackets of a call whose text is not for people.
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
    // A setting is called what it is called in the file.
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
