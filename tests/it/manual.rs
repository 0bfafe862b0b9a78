//! `docs/commands.md` is generated from the program and must be current.

use std::fmt::Write as _;

use portcullis::command::spec::{DEFAULT_TERM, PRESETS};
use portcullis::command::{Kind, Place, Spec, specs, standard};

#[test]
fn the_manual_of_commands_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let page = commands_md();
    if std::env::var_os("PORTCULLIS_BLESS").is_some_and(|set| !set.is_empty()) {
        std::fs::write(path, &page).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/commands.md is out of date: run the tests once with PORTCULLIS_BLESS=1"
    );
}

/// The whole page, as it must be in the repository (a test compares).
fn commands_md() -> String {
    let mut page = String::from(
        "# Commands\n\n\
         This page is generated from the program (`cargo test` tells when it is out of date).\n\n\
         Every command can be written in a chat with the bot (its domain, or `bot@` its domain). Most are offered as\n\
         forms too: your client's menu of commands for the same address. Names of fields are what scripts fill in; a\n\
         filled form with the first `execute` or `complete` is carried out in one step, where it is not risky. What takes\n\
         longer than five seconds is answered with the status `executing`, how far it is, and the action `next` to look again.\n\n\
         In the shell of the server each is a subcommand of the program, taken as in a chat line, and each field below, but the\n\
         first words, is an option as well: `portcullis ban spam@example.org 3d spam` is `portcullis ban spam@example.org\n\
         --duration 3d --reason spam`. See [operator.md](operator.md#from-the-shell); scripts read [terminal.md](terminal.md).\n\n\
         There are three roles: a viewer looks and changes nothing, a moderator bans accounts and single addresses for a\n\
         limited time, an admin may do everything. Each sees the commands they may run, and no others. Whoever has a role\n\
         on some virtual hosts only gives those commands for the accounts there, and sees what is about them.\n",
    );
    for spec in specs() {
        section(&mut page, spec);
    }
    standard_nodes(&mut page);
    page
}

fn section(page: &mut String, spec: &Spec) {
    let _ = write!(
        page,
        "\n## {}\n\n{}\n\nIn chat: `{}`",
        spec.name, spec.summary, spec.usage
    );
    let _ = match (spec.form, spec.needs) {
        (true, needs) => writeln!(
            page,
            " · as a form: “{}” · needs the role {needs}",
            spec.title
        ),
        (false, needs) => writeln!(page, " · in chat only · needs the role {needs}"),
    };
    if !spec.fields.is_empty() {
        page.push_str("\n| field | label | takes | in chat | |\n| --- | --- | --- | --- | --- |\n");
    }
    for field in spec.fields {
        let takes = match field.kind {
            Kind::Lines => String::from("lines"),
            Kind::Line => String::from("one line"),
            Kind::Term { .. } => presets(),
            Kind::Flag => String::from("yes or no"),
            Kind::Choice(choices) => listed(choices),
            Kind::Number { .. } => String::from("a number"),
            Kind::Jids => String::from("bare JIDs"),
        };
        let place = match field.place {
            Place::Subjects | Place::Subject | Place::Login => "first words",
            Place::All => "behind `all`",
            Place::Term => "behind whom",
            Place::Rest => "the rest of the line",
            Place::Last => "a number at the end",
            Place::Option => "option",
            Place::Nowhere => "not in chat",
        };
        let place = if field.place == Place::Option {
            format!("`--{}`", field.name)
        } else {
            place.to_owned()
        };
        let needed = if field.required { "**Needed.** " } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {takes} | {place} | {needed}{} |",
            field.name, field.label, field.desc
        );
    }
    page.push('\n');
    for (line, what) in spec.examples {
        let _ = writeln!(page, "- `{line}`: {what}");
    }
}

fn standard_nodes(page: &mut String) {
    page.push_str(
        "\n## The nodes of XEP-0133\n\n\
         For clients and scripts that know the standard's names (Service Administration), at the same address. They take the same\n\
         road and obey the same rules; servers have nodes of these names too, on their own domain, without ends, reasons and history.\n\n\
         | node, behind `http://jabber.org/protocol/admin#` | field | needs | |\n| --- | --- | --- | --- |\n",
    );
    for spec in standard::specs() {
        let fields: Vec<String> = spec
            .fields
            .iter()
            .map(|field| format!("`{}`", field.name))
            .collect();
        let (_, name) = spec.name.split_once('#').unwrap_or(("", spec.name));
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} |",
            fields.join(", "),
            spec.needs,
            spec.summary
        );
    }
}

/// What a preset term means in the manual.
fn presets() -> String {
    format!(
        "`{DEFAULT_TERM}` or {}; any other duration is taken too",
        PRESETS.map(|preset| format!("`{preset}`")).join(", ")
    )
}

/// The values of a choice in the manual.
fn listed(choices: &[(&str, &str)]) -> String {
    let values: Vec<String> = choices
        .iter()
        .map(|(value, _)| format!("`{value}`"))
        .collect();
    values.join(", ")
}
