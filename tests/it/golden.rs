//! Every form and every answer of every command, as clients receive it: one file per command, in `golden/`.
//!
//! Any change shows in the diff of such a file; run once with `PORTCULLIS_BLESS=1` to accept it. A command without a
//! scene fails the test: see [`SCENES`]. [`must_be_well_made`] checks the requirements of all forms, in the order of
//! XEP-0050 and XEP-0004.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use minidom::Element;
use portcullis::command::{Spec, specs, standard};

use crate::support::bot::{ADMIN, Bot, MODERATOR, NS_COMMANDS, NS_DATA, submit};
use crate::support::screens::{server, steady, write};

type Filled = &'static [(&'static str, &'static [&'static str])];

/// The scene for one command.
struct Scene {
    /// Name of the command; for a node of XEP-0133 the part after the `#`.
    name: &'static str,
    /// Chat lines that an admin sends first.
    before: &'static [&'static str],
    /// The values to fill in, each with a title. A question is answered with yes.
    fills: &'static [(&'static str, Filled)],
}

/// One scene for each command and node. A new command needs at least a success, an answer to wrong input, and its
/// question if it asks one.
const SCENES: &[Scene] = &[
    Scene {
        name: "ban",
        before: &["ban old@example.org 1d x"],
        fills: &[
            (
                "one account",
                &[
                    ("subject", &["Spam@Example.org/phone"]),
                    ("duration", &["3d"]),
                    ("reason", &["spam in rooms"]),
                    ("note", &["ask alice"]),
                ],
            ),
            (
                "several of them",
                &[
                    ("subject", &["a@example.org", "203.0.113.7"]),
                    ("other_duration", &["12h"]),
                ],
            ),
            (
                "a banned one for longer",
                &[("subject", &["#1"]), ("duration", &["30d"])],
            ),
            (
                "a wide network",
                &[("subject", &["10.0.0.0/8"]), ("duration", &["1d"])],
            ),
            (
                "wrong input",
                &[
                    ("subject", &["spam"]),
                    ("duration", &["5"]),
                    ("reason", &["kept"]),
                ],
            ),
        ],
    },
    Scene {
        name: "unban",
        before: &[
            "ban a@example.org 1d x",
            "ban b@example.org 1d x",
            "ban c@example.org 1d y",
        ],
        fills: &[
            ("by number", &[("subject", &["#1"]), ("reason", &["sorry"])]),
            ("of the free", &[("subject", &["a@example.org"])]),
            ("all that match", &[("filter", &["account x"])]),
            ("a filter that is none", &[("filter", &["origin:mars"])]),
        ],
    },
    Scene {
        name: "list",
        before: &[
            "ban a@example.org 1d x",
            "ban 203.0.113.0/24 1h y",
            "ban gone@example.org 1d z",
            "unban #3",
        ],
        fills: &[
            ("all", &[]),
            ("as a table", &[("kind", &["network"]), ("table", &["1"])]),
            ("ended", &[("state", &["ended"])]),
            ("nothing", &[("by", &["nobody"])]),
            (
                "wrong input",
                &[
                    ("filter", &["color:red"]),
                    ("expiring", &["5"]),
                    ("page", &["x"]),
                ],
            ),
        ],
    },
    Scene {
        name: "show",
        before: &["ban a@example.org 1d x"],
        fills: &[
            ("by number", &[("subject", &["#1"])]),
            ("nobody", &[("subject", &["#9"])]),
        ],
    },
    Scene {
        name: "extend",
        before: &["ban a@example.org 1d x"],
        fills: &[
            ("longer", &[("subject", &["#1"]), ("duration", &["3d"])]),
            (
                "sooner",
                &[("subject", &["#1"]), ("duration", &["until 2026-11-23"])],
            ),
            ("wrong input", &[("subject", &["#1"]), ("duration", &["3"])]),
        ],
    },
    Scene {
        name: "note",
        before: &["ban a@example.org 1d x"],
        fills: &[
            (
                "one more",
                &[("subject", &["#1"]), ("note", &["ask alice"])],
            ),
            ("none", &[("subject", &["#1"])]),
            ("taken away", &[("subject", &["#1"]), ("remove", &["1"])]),
        ],
    },
    Scene {
        name: "undo",
        before: &["ban a@example.org 1d x"],
        fills: &[
            ("the last", &[]),
            ("the undo", &[("subject", &["#1"])]),
            ("nobody's", &[("subject", &["b@example.org"])]),
        ],
    },
    Scene {
        name: "kick",
        before: &[],
        fills: &[
            (
                "an account",
                &[
                    ("subject", &["a@example.org"]),
                    ("reason", &["log in again"]),
                ],
            ),
            ("oneself", &[("subject", &["admin@example.org"])]),
            ("wide", &[("subject", &["10.0.0.0/8"])]),
        ],
    },
    Scene {
        name: "check",
        before: &["ban 203.0.113.7 1d x"],
        fills: &[
            ("a login", &[("subject", &["a@example.org 203.0.113.7"])]),
            ("no login", &[("subject", &["10.0.0.0/8"])]),
        ],
    },
    Scene {
        name: "failures",
        before: &["attempt a@example.org 203.0.113.7 2"],
        fills: &[
            ("all", &[]),
            ("as a table", &[("kind", &["by-hand"]), ("table", &["1"])]),
            ("wrong input", &[("filter", &["by:alice"])]),
        ],
    },
    Scene {
        name: "attempt",
        before: &[],
        fills: &[
            (
                "counted",
                &[
                    ("subject", &["a@example.org 203.0.113.7"]),
                    ("times", &["2"]),
                ],
            ),
            (
                "banned",
                &[("subject", &["203.0.113.9"]), ("times", &["5"])],
            ),
            (
                "wrong input",
                &[("subject", &["a@example.org"]), ("times", &["0"])],
            ),
        ],
    },
    Scene {
        name: "forget",
        before: &["attempt 203.0.113.9 5"],
        fills: &[
            ("a history", &[("subject", &["203.0.113.9"])]),
            ("nobody", &[("subject", &[""])]),
        ],
    },
    Scene {
        name: "allow",
        before: &["ban 203.0.113.9 1d x"],
        fills: &[
            (
                "a network",
                &[
                    ("subject", &["203.0.113.0/24"]),
                    ("duration", &["30d"]),
                    ("comment", &["the office"]),
                ],
            ),
            (
                "a wide one",
                &[("subject", &["10.0.0.0/8"]), ("comment", &["corporation"])],
            ),
            ("wrong input", &[("subject", &["x"])]),
        ],
    },
    Scene {
        name: "unallow",
        before: &["allow 203.0.113.0/24 office"],
        fills: &[
            ("an exemption", &[("subject", &["203.0.113.0/24"])]),
            ("none", &[("subject", &["203.0.113.0/24"])]),
        ],
    },
    Scene {
        name: "allowed",
        before: &["allow 203.0.113.0/24 30d office"],
        fills: &[
            ("all", &[]),
            ("as a table", &[("kind", &["network"]), ("table", &["1"])]),
            ("wrong input", &[("filter", &["rule:x"])]),
        ],
    },
    Scene {
        name: "watch",
        before: &[],
        fills: &[
            ("as it is", &[("topics", &[""])]),
            ("wrong input", &[("topics", &["nonsense"])]),
        ],
    },
    Scene {
        name: "policy",
        before: &[],
        fills: &[],
    },
    Scene {
        name: "rehearse",
        before: &[],
        fills: &[
            ("nothing recorded", &[("change", &[""])]),
            ("wrong input", &[("change", &["limit=3"])]),
        ],
    },
    Scene {
        name: "status",
        before: &["ban a@example.org 1d x"],
        fills: &[],
    },
    Scene {
        name: "disable-user",
        before: &[],
        fills: &[
            (
                "two accounts",
                &[(
                    "accountjids",
                    &["spam@example.org", "Eve@example.org/phone"],
                )],
            ),
            (
                "many",
                &[(
                    "accountjids",
                    &[
                        "a1@example.org",
                        "a2@example.org",
                        "a3@example.org",
                        "a4@example.org",
                        "a5@example.org",
                        "a6@example.org",
                    ],
                )],
            ),
            (
                "wrong input",
                &[("accountjids", &["203.0.113.7", "nobody"])],
            ),
        ],
    },
    Scene {
        name: "reenable-user",
        before: &["ban a@example.org 1d x"],
        fills: &[
            ("one", &[("accountjids", &["a@example.org"])]),
            ("one that is free", &[("accountjids", &["a@example.org"])]),
            ("wrong input", &[("accountjids", &[""])]),
        ],
    },
    Scene {
        name: "end-user-session",
        before: &[],
        fills: &[
            ("one", &[("accountjids", &["a@example.org"])]),
            (
                "one session",
                &[("accountjids", &["a@example.org/my phone"])],
            ),
            ("wrong input", &[("accountjids", &["nobody"])]),
        ],
    },
    Scene {
        name: "get-disabled-users-num",
        before: &["ban a@example.org 1d x", "ban 203.0.113.9 1d x"],
        fills: &[],
    },
    Scene {
        name: "get-disabled-users-list",
        before: &[
            "ban a@example.org 1d x",
            "ban b@example.org 1d x",
            "ban 203.0.113.9 1d x",
        ],
        fills: &[
            ("all", &[("max_items", &["none"])]),
            ("wrong input", &[("max_items", &["0"])]),
        ],
    },
];

/// The file name for a command or node.
fn short(spec: &Spec) -> &'static str {
    spec.name.rsplit('#').next().unwrap_or(spec.name)
}

#[tokio::test(start_paused = true)]
async fn every_form_and_answer_is_the_golden_one() {
    let forms: Vec<&Spec> = specs()
        .filter(|spec| spec.form)
        .chain(standard::specs())
        .collect();
    let known: HashSet<&str> = forms.iter().map(|spec| short(spec)).collect();
    for scene in SCENES {
        assert!(
            known.contains(scene.name),
            "{}: no such command",
            scene.name
        );
    }
    let bless = std::env::var_os("PORTCULLIS_BLESS").is_some_and(|set| !set.is_empty());
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden"));
    for spec in forms {
        let name = short(spec);
        let scene = SCENES.iter().find(|scene| scene.name == name);
        let Some(scene) = scene else {
            panic!(
                "the command {name} has no golden answers: give it a scene in tests/it/golden.rs"
            );
        };
        let told = play(spec, scene).await;
        let path = folder.join(format!("{name}.txt"));
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &told).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        for (number, (old, new)) in kept.lines().zip(told.lines()).enumerate() {
            assert_eq!(old, new, "golden/{name}.txt, line {}", number + 1);
        }
        assert_eq!(
            kept.lines().count(),
            told.lines().count(),
            "golden/{name}.txt"
        );
    }
}

async fn play(spec: &Spec, scene: &Scene) -> String {
    let bot = Bot::with(server());
    for line in scene.before {
        bot.chat(ADMIN, line).await;
    }
    let mut told = String::new();
    let node = format!("node='{}'", spec.name);
    let mut write = |title: &str, answer: &Element| {
        must_be_well_made(answer);
        let mut text = String::new();
        write(answer, 0, "", &mut text);
        let session = answer.attr("sessionid").unwrap_or_default();
        let _ = writeln!(
            told,
            "## {title}\n\n{}",
            steady(&text.replace(session, "SESSION"))
        );
    };
    write("as an admin finds it", &bot.command(ADMIN, &node, "").await);
    if portcullis::command::permits(portcullis::core::Role::Moderator, spec) {
        write(
            "as a moderator finds it",
            &bot.command(MODERATOR, &node, "").await,
        );
    }
    let mut is_done = spec.fields.is_empty();
    for (title, filled) in scene.fills {
        let answer = bot
            .command(ADMIN, &format!("{node} action='complete'"), &submit(filled))
            .await;
        write(title, &answer);
        let asks = answer.attr("status") == Some("executing")
            && answer.to_owned().children().any(|child| {
                child.name() == "actions" && child.children().any(|action| action.name() == "prev")
            });
        is_done |= answer.attr("status") == Some("completed");
        if asks {
            let yes = format!(
                "{node} sessionid='{}' action='complete'",
                answer.attr("sessionid").unwrap()
            );
            write(
                &format!("{title}: yes"),
                &bot.command(ADMIN, &yes, "").await,
            );
        }
    }
    assert!(
        is_done || scene.name == "rehearse",
        "{}: no scene in which it does anything",
        scene.name
    );
    told
}

/// Checks that apply to every answer to a command. The numbers are requirements that we found with real clients.
fn must_be_well_made(command: &Element) {
    let status = command.attr("status").unwrap();
    let forms: Vec<&Element> = command
        .children()
        .filter(|child| child.is("x", NS_DATA))
        .collect();
    let notes = command
        .children()
        .filter(|child| child.is("note", NS_COMMANDS))
        .count();
    // 050.11: the language is set.
    assert!(
        command
            .attrs()
            .iter()
            .any(|((_, name), value)| name.as_str() == "lang" && value == "en"),
        "no xml:lang"
    );
    // Clients show only the first note.
    assert!(notes <= 1, "{notes} notes");
    // Two forms in one answer make a client throw an exception.
    assert!(forms.len() <= 1, "{} forms", forms.len());
    let actions = command.get_child("actions", NS_COMMANDS);
    match status {
        "executing" => {
            // 050.2: the default action is named and listed.
            let actions = actions.expect("executing without actions");
            let default = actions.attr("execute").expect("no default action");
            assert!(actions.children().any(|action| action.name() == default));
            // 050.8: an executing answer has a form to fill in, and never a result.
            assert_eq!(forms[0].attr("type"), Some("form"));
        }
        "completed" => {
            assert!(actions.is_none());
            assert!(forms.iter().all(|form| form.attr("type") == Some("result")));
            assert!(notes == 1, "completed, and not a word of it");
        }
        other => panic!("{other}"),
    }
    for form in forms {
        form_must_be_well_made(form, status == "executing" && !is_question(command));
    }
}

fn is_question(command: &Element) -> bool {
    let actions = command.get_child("actions", NS_COMMANDS);
    actions.is_some_and(|actions| actions.children().any(|action| action.name() == "prev"))
}

fn form_must_be_well_made(form: &Element, is_to_fill: bool) {
    assert!(!form.get_child("title", NS_DATA).unwrap().text().is_empty());
    let fields: Vec<&Element> = form
        .children()
        .filter(|child| child.name() == "field")
        .collect();
    // 004.1: FORM_TYPE is hidden and comes first.
    assert_eq!(
        (fields[0].attr("var"), fields[0].attr("type")),
        (Some("FORM_TYPE"), Some("hidden"))
    );
    let mut vars = HashSet::new();
    for field in &fields {
        let var = field.attr("var").expect("a field without var");
        let kind = field.attr("type").expect("a field without type");
        let values: Vec<String> = field
            .children()
            .filter(|child| child.name() == "value")
            .map(Element::text)
            .collect();
        // 004.3: names are unique, and single-value fields have at most one value.
        assert!(vars.insert(var.to_owned()), "{var} twice");
        assert!(
            values.len() <= 1 || kind.ends_with("-multi"),
            "{var}: {values:?}"
        );
        // 004.4: several lines are several values.
        assert!(
            !values.iter().any(|value| value.contains('\n')),
            "{var}: {values:?}"
        );
        // Clients show only the first line of a fixed field and do not let users fill it in.
        if kind == "fixed" {
            assert_eq!((values.len(), is_to_fill), (1, false), "{var}");
        }
        if kind == "list-single" {
            let options: Vec<String> = field
                .children()
                .filter(|child| child.name() == "option")
                .flat_map(|option| option.children().map(Element::text).collect::<Vec<_>>())
                .collect();
            assert!(
                values.iter().all(|value| options.contains(value)),
                "{var}: {values:?} of {options:?}"
            );
        }
        if is_to_fill && kind != "hidden" {
            // 004.6: every label makes sense alone, because some clients show nothing else.
            let label = field.attr("label").expect("a field without label");
            assert!(!label.is_empty() && label.chars().count() < 30, "{label}");
        }
    }
    if is_to_fill {
        assert!(fields.len() <= 9, "more than 8 fields to fill in");
        // 050.9: the form says how long it stays open.
        let said: String = form
            .children()
            .filter(|child| child.name() == "instructions")
            .map(Element::text)
            .collect();
        assert!(said.contains("15 minutes"), "{said}");
    }
    if let Some(reported) = form.get_child("reported", NS_DATA) {
        // 004.5: a table is the only field, and every row has every cell.
        assert_eq!(fields.len(), 1);
        let columns: Vec<_> = reported.children().map(|field| field.attr("var")).collect();
        for item in form.children().filter(|child| child.name() == "item") {
            let cells: Vec<_> = item.children().map(|field| field.attr("var")).collect();
            assert_eq!(cells, columns);
        }
    }
}

/// 10,000 values, and values as large as a stanza can be: the same form with the error, of bounded size.
#[tokio::test(start_paused = true)]
async fn oversized_forms_get_a_bounded_error() {
    let bot = Bot::new();
    let many: String = (0..10_000)
        .map(|n| format!("<value>u{n}@example.org</value>"))
        .collect();
    let x = format!("<x xmlns='{NS_DATA}' type='submit'><field var='subject'>{many}</field></x>");
    for node in [
        "ban",
        "unban",
        "http://jabber.org/protocol/admin#disable-user",
    ] {
        let x = x.replace(
            "subject",
            if node.contains('#') {
                "accountjids"
            } else {
                "subject"
            },
        );
        let answer = bot.command(ADMIN, &format!("node='{node}'"), &x).await;
        assert_eq!(answer.attr("status"), Some("executing"), "{node}");
        assert!(crate::support::bot::note(&answer).contains("10000 subjects; at most 200 at once"));
    }
    let long = "x".repeat(250_000);
    for var in ["subject", "reason", "note", "other_duration"] {
        let fields = format!(
            "<x xmlns='{NS_DATA}' type='submit'><field var='subject'><value>a@example.org</value></field>\
             <field var='{var}'><value>{long}</value></field></x>"
        );
        let fields = if var == "subject" {
            fields.replacen("a@example.org", &long, 1)
        } else {
            fields
        };
        let answer = bot.command(ADMIN, "node='ban'", &fields).await;
        assert_eq!(answer.attr("status"), Some("executing"), "{var}");
        assert!(
            crate::support::bot::note(&answer).chars().count() < 1_000,
            "{var}"
        );
    }
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
}
