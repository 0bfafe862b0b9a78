//! The commands of the running portcullis as subcommands, each made from its [`Spec`].
//!
//! A subcommand takes the words of a chat line (`ban spam@example.org 3d spam in rooms`), and an option for each
//! field (`--duration 3d`). The running portcullis assigns the words to fields as in a chat line
//! ([`front::line`](crate::front::line)).

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches};

use super::Program;
use crate::command::parts::pages;
use crate::command::{Field, Kind, Place, Spec, Values, specs};
use crate::core::words::line_for_shell;

/// Argument: the words after the command.
const WORDS: &str = "words";
/// Option: answer in JSON.
const JSON: &str = "json";
/// Option: confirm in advance.
const YES: &str = "yes";
/// Option: every page of a list.
const ALL: &str = "all";

/// The arguments of a command for the running portcullis.
#[derive(Clone, Debug)]
pub struct CommandArgs {
    /// The command.
    pub spec: &'static Spec,
    /// The words after its name.
    pub words: Vec<String>,
    /// The values of options, by field.
    pub values: Values,
    /// Answer in JSON.
    pub json: bool,
    /// Confirm in advance.
    pub yes: bool,
    /// Every page of a list.
    pub all: bool,
}

/// The commands that become subcommands: all except `help`, which clap provides, and those that the program runs
/// itself.
pub(super) fn offered() -> impl Iterator<Item = &'static Spec> {
    use clap::Subcommand;
    let is_own = |name: &str| name == "help" || Program::has_subcommand(name);
    specs().filter(move |spec| !is_own(spec.name))
}

/// The fields that get an option. Fields only for forms get none: on the command line the first duration field takes
/// any duration, and lists are always tables.
pub(super) fn options(spec: &'static Spec) -> impl Iterator<Item = &'static Field> {
    let is_other = |name: &str| {
        let mut fields = spec.fields.iter();
        fields.any(|field| matches!(field.kind, Kind::Term { other } if other == name))
    };
    spec.fields.iter().filter(move |field| {
        !names_somebody(field) && field.name != pages::TABLE.name && !is_other(field.name)
    })
}

/// Whether the first words belong to this field.
fn names_somebody(field: &Field) -> bool {
    matches!(field.place, Place::Subjects | Place::Login)
}

/// Name of the option: `--other-duration` for the field `other_duration`.
fn long(field: &Field) -> String {
    field.name.replace('_', "-")
}

fn has_pages(spec: &Spec) -> bool {
    let mut fields = spec.fields.iter();
    fields.any(|field| field.name == pages::PAGE.name)
}

fn takes_words(spec: &Spec) -> bool {
    let mut fields = spec.fields.iter();
    fields.any(|field| !matches!(field.place, Place::Nowhere | Place::Option))
}

/// The subcommand for a command.
pub(super) fn subcommand(spec: &'static Spec) -> clap::Command {
    let mut command = clap::Command::new(spec.name)
        .about(spec.summary.trim_end_matches('.'))
        .override_usage(format!("portcullis {} [OPTIONS]", spec.usage))
        .after_help(shell_examples(spec));
    if takes_words(spec) {
        command = command.arg(
            Arg::new(WORDS)
                .num_args(0..)
                .value_name("WORDS")
                .help(shell_words(spec)),
        );
    }
    command = command.args(options(spec).map(option));
    if has_pages(spec) {
        command = command.arg(flag(ALL, "Every page"));
    }
    command
        .arg(flag(JSON, "Answer in JSON, for other programs"))
        .arg(flag(YES, "Do it without asking back"))
}

/// The subcommand for a command that also takes a file, which the program then runs itself as `alone` does.
pub(super) fn with_file(spec: &'static Spec, alone: &clap::Command) -> clap::Command {
    let about = alone.get_about().map(ToString::to_string);
    let more = alone.get_after_help().map(ToString::to_string);
    subcommand(spec)
        .override_usage(format!(
            "portcullis {} EVENTS.jsonl\n       portcullis {} [OPTIONS]",
            spec.name, spec.usage
        ))
        .after_help(format!(
            "{}\n\n{}",
            shell_examples(spec),
            format_args!(
                "With a file of events (or - for standard input), by itself: {}.\n{}",
                about.unwrap_or_default(),
                more.unwrap_or_default()
            )
        ))
}

/// The examples of a command as shell command lines, each with what it does.
fn shell_examples(spec: &Spec) -> String {
    let mut text = String::from("Examples:");
    for (line, what) in spec.examples {
        text.push_str(&format!(
            "\n  portcullis {}\n      {what}",
            line_for_shell(line)
        ));
    }
    text
}

/// Usage: the words after the name of a command.
fn shell_words(spec: &Spec) -> String {
    let places = |place| spec.fields.iter().filter(move |field| field.place == place);
    let all = [
        Place::Subjects,
        Place::Login,
        Place::Term,
        Place::Rest,
        Place::Last,
    ];
    let labels: Vec<&str> = all
        .into_iter()
        .flat_map(|place| places(place).map(|field| field.label))
        .collect();
    let text = format!("{}, as in a chat line", labels.join("; "));
    match places(Place::Subjects).next() {
        Some(_) => format!(
            "{text}. A - reads them from standard input, one a line; a shell needs '#17' in quotes"
        ),
        None => text,
    }
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .action(ArgAction::SetTrue)
        .help(help)
}

fn option(field: &'static Field) -> Arg {
    let arg = Arg::new(field.name).long(long(field)).help(format!(
        "{}. {}",
        field.label,
        field.desc.trim_end_matches('.')
    ));
    match field.kind {
        Kind::Choice(choices) => arg
            .value_name(field.name.to_uppercase())
            .value_parser(choices.iter().map(|(value, _)| *value).collect::<Vec<_>>()),
        Kind::Flag => arg.action(ArgAction::SetTrue),
        Kind::Lines => arg
            .action(ArgAction::Append)
            .value_name(field.name.to_uppercase()),
        _ => arg
            .action(ArgAction::Set)
            .value_name(field.name.to_uppercase()),
    }
}

impl CommandArgs {
    /// Reads the arguments that clap matched.
    pub(super) fn read(spec: &'static Spec, typed: &ArgMatches) -> Self {
        let is_set = |name: &str| matches!(typed.try_get_one::<bool>(name), Ok(Some(true)));
        let all_of = |name: &str| -> Vec<String> {
            match typed.try_get_many::<String>(name) {
                Ok(Some(values)) => values.cloned().collect(),
                _ => Vec::new(),
            }
        };
        let mut values = Values::new();
        for field in options(spec) {
            let written = match field.kind {
                Kind::Flag if is_set(field.name) => vec![String::from("true")],
                Kind::Flag => Vec::new(),
                _ => all_of(field.name),
            };
            if !written.is_empty() {
                values.set(field.name, written);
            }
        }
        CommandArgs {
            spec,
            words: all_of(WORDS),
            values,
            json: is_set(JSON),
            yes: is_set(YES),
            all: is_set(ALL),
        }
    }

    /// The file, if the only word is one: an existing file, a word that looks like a file name, or `-` for standard
    /// input.
    pub(super) fn file(&self) -> Option<PathBuf> {
        let [word] = &self.words[..] else { return None };
        let path = PathBuf::from(word);
        let is_named = word == "-" || word.contains('/') || word.ends_with(".jsonl");
        let is_meant = is_named || path.is_file();
        (is_meant && self.values.is_empty()).then_some(path)
    }

    /// Whether `-` asks for subjects from standard input; removes it from the words.
    pub(super) fn takes_input(&mut self) -> bool {
        let names_somebody = self.spec.fields.iter().any(names_somebody);
        match self.words.iter().position(|word| word == "-") {
            Some(place) if names_somebody => {
                self.words.remove(place);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::super::{Cli, Invocation};
    use super::*;

    fn typed(line: &str) -> CommandArgs {
        let words = ["portcullis"].into_iter().chain(line.split('|'));
        match Cli::try_parse_from(words).unwrap().command {
            Invocation::Remote(call) => call,
            Invocation::Program(own) => panic!("{own:?}"),
        }
    }

    #[test]
    fn every_command_is_offered_with_its_fields_and_its_examples_are_taken() {
        for spec in offered() {
            for (line, _) in spec.examples {
                let call = typed(&line.replace(' ', "|"));
                assert_eq!(call.spec.name, spec.name);
                let words: Vec<&str> = line.split(' ').skip(1).collect();
                assert_eq!(
                    call.words,
                    words
                        .iter()
                        .filter(|word| !word.starts_with("--"))
                        .copied()
                        .collect::<Vec<_>>()
                );
            }
            for field in options(spec) {
                assert!(
                    ![WORDS, JSON, YES, ALL, "config"].contains(&field.name),
                    "{}",
                    field.name
                );
            }
        }
        assert!(offered().any(|spec| spec.name == "ban"));
        assert!(offered().all(|spec| spec.name != "help"));
    }

    #[test]
    fn options_may_stand_anywhere() {
        let call = typed(
            "ban|a@b|--duration|3d|c@d|--reason=spam in rooms|--force|--note|x|--note|y|--json",
        );
        assert_eq!(call.words, ["a@b", "c@d"]);
        assert_eq!(call.values.raw("duration"), ["3d"]);
        assert_eq!(call.values.raw("reason"), ["spam in rooms"]);
        assert_eq!(call.values.raw("note"), ["x", "y"]);
        assert_eq!(call.values.raw("force"), ["true"]);
        assert!(call.json && !call.yes && !call.all);
        assert!(typed("list|--all").all);
        assert!(Cli::try_parse_from(["portcullis", "ban", "a@b", "--table"]).is_err());
    }

    #[test]
    fn a_dash_is_standard_input_where_somebody_is_named() {
        let mut ban = typed("ban|-|3d|spam");
        assert!(ban.takes_input());
        assert_eq!(ban.words, ["3d", "spam"]);
        assert!(!typed("list|-").takes_input());
    }

    #[test]
    fn a_file_of_events_is_told_from_a_question() {
        let file = |words: &[&str]| {
            let call = CommandArgs {
                words: words.iter().map(|word| (*word).to_owned()).collect(),
                ..typed("list")
            };
            call.file().is_some()
        };
        assert!(
            file(&["-"]) && file(&["events.jsonl"]) && file(&["Cargo.toml"]) && file(&["/nowhere"])
        );
        assert!(!file(&[]) && !file(&["address-failures", "limit=10"]) && !file(&["last=500"]));
        let both = with_file(typed("list").spec, &clap::Command::new("x").about("Alone"));
        let help = both.clone().render_long_help().to_string();
        assert!(
            help.contains("EVENTS.jsonl") && help.contains("Alone"),
            "{help}"
        );
    }
}
