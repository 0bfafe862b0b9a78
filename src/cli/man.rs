//! Shell completions and the manual page, generated from the definitions of the command line.

use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;

/// The last sections of the manual page, after the commands: each a title and its paragraphs.
const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "TALKING TO THE DAEMON",
        &[
            "The commands from ban on are carried out by the running portcullis, in the role of an admin. Only root and the user that portcullis runs as may use them. The history names their author unix:USER.",
            "Arguments are read like the words of a chat line. Quotes of the shell keep words together: a reason in quotes is not searched for a duration.",
            "A command that needs a confirmation asks for it on the terminal. Without a terminal it does nothing unless --yes is given.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0 done; 1 refused or failed; 2 wrong usage or configuration."],
    ),
    (
        "ENVIRONMENT",
        &[
            "PORTCULLIS_CONFIG names the configuration file, as -c does. NO_COLOR, set to anything, turns colours off.",
        ],
    ),
    (
        "FILES",
        &[
            "/etc/portcullis/portcullis.toml: the configuration. control.sock in the store folder: the socket for these commands.",
        ],
    ),
];

/// The completion script for a shell.
pub fn completions(shell: clap_complete::Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "portcullis", &mut script);
    script
}

/// `portcullis(8)`: one page with every command.
///
/// # Errors
/// None in practice, because it is written to memory; the writer's signature requires it.
pub fn man() -> std::io::Result<Vec<u8>> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let whole = Man::new(command.clone()).section("8");
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for own in command.get_subcommands() {
        section(&mut roff, own);
    }
    for (title, paragraphs) in SECTIONS {
        roff.control("SH", [title]);
        for paragraph in paragraphs {
            roff.control("PP", []);
            roff.text([roman(*paragraph)]);
        }
    }
    roff.to_writer(&mut page)?;
    Ok(page)
}

fn section(roff: &mut Roff, command: &clap::Command) {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
    roff.control("SS", [command.get_name()]);
    roff.text([bold(usage)]);
    for said in command.get_about().into_iter() {
        roff.control("PP", []);
        roff.text([roman(format!("{said}."))]);
    }
    for arg in command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set() && !arg.is_global_set())
    {
        let name = arg.get_long();
        if arg.get_id() == "help" {
            continue;
        }
        let value = || arg.get_value_names().map(|names| names.join(" "));
        roff.control("TP", []);
        match name {
            Some(name) if arg.get_action().takes_values() => roff.text([
                bold(format!("--{name}")),
                roman(format!(" {}", value().unwrap_or_default())),
            ]),
            Some(name) => roff.text([bold(format!("--{name}"))]),
            None => roff.text([roman(value().unwrap_or_default())]),
        };
        let help = arg.get_help().map(ToString::to_string);
        roff.text([roman(help.unwrap_or_default())]);
    }
    if let Some(after) = command.get_after_help() {
        roff.control("PP", []);
        roff.control("nf", []);
        roff.text([roman(after.to_string())]);
        roff.control("fi", []);
    }
}
