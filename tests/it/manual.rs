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
                  Every command can be sent as a chat message to the bot (its domain, or `bot@` its domain). Most are also forms,\n\
         in your client's menu of commands (XEP-0050) for the same address. Scripts fill in forms by the field names below;\n\
         a form that is filled in with the first `execute` or `complete` is carried out in one step, unless it needs a\n\
         confirmation. If a command takes longer than five seconds, the answer has the status `executing`, shows the\n\
         progress, and offers the action `next` to refresh it.\n\n\
         In the server's shell, each command is a subcommand of `portcullis`. Its arguments are read like a chat line. Each\n\
         field below, except those that are the first words, is also an option: `portcullis ban spam@example.org 3d spam`\n\
         means `portcullis ban spam@example.org --duration 3d --reason spam`. See [operator.md](operator.md#from-the-shell),\n\
         and [terminal.md](terminal.md) for scripts.\n\n\
         There are three roles. A viewer may look and change nothing, a moderator may ban accounts and single addresses for\n\
         a limited time, and an admin may do everything. People see only the commands that their role may run. A role on\n\
         some virtual hosts is a role over the accounts there, and over nothing else.\n",
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
            Place::All => "after `all`",
            Place::Term => "after the subject",
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
                  The bot also offers some commands of Service Administration under their standard names, for clients and scripts that know\n\
         those. They follow the same rules as the commands above. Servers have commands of these names on their own domains,\n\
         without end times, reasons and history.\n\n\
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
