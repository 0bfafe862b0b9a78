//! The command line: its arguments, and how answers are printed.
//!
//! There are two kinds of commands. Those of the program itself (`run`, `doctor`, …) are in [`Program`]. Those of the
//! running portcullis (`ban`, `list`, …) are made from their [`Spec`](crate::command::Spec)s by [`specs`] and carried
//! out over its local socket by [`remote`]. Start reading at [`Invocation`].

pub mod check_store;
mod columns;
mod daemon;
pub mod export;
pub mod import;
mod leftovers;
pub mod man;
pub mod move_store;
mod printer;
pub mod remote;
mod specs;

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{ArgMatches, Args, FromArgMatches, Parser, Subcommand};

use crate::command;
use crate::config::DEFAULT_FILE;
use crate::core::seal::KeyId;

pub use specs::CommandArgs;

/// What was typed.
#[derive(Clone, Debug, Parser)]
#[command(name = "portcullis", version, about)]
#[command(after_help = "\
The commands from ban on are carried out by the running portcullis, with the syntax of a chat line.
Exit code: 0 done, 1 refused or failed, 2 wrong usage or configuration.")]
pub struct Cli {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", env = "PORTCULLIS_CONFIG", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Invocation,
}

/// A subcommand.
#[derive(Clone, Debug)]
pub enum Invocation {
    /// A command of the program itself.
    Program(Program),
    /// A command for the running portcullis.
    Remote(CommandArgs),
}

/// Commands of the program itself.
#[derive(Clone, Debug, Subcommand)]
pub enum Program {
    /// Join the XMPP server and guard it until SIGTERM
    Run,
    /// Check the configuration and the files it names
    CheckConfig(Output),
    /// Report what is missing on the server, with the lines to add
    Doctor(Output),
    /// Run the rules over recorded or invented events and print what they would have done
    #[command(after_help = "\
One event per line: {\"at\": seconds or RFC 3339, \"kind\": \"failure|success|attempt|ban|unban|forget|allow|unallow|restart|tick\",
\"account\", \"address\", \"subject\", \"times\", \"duration\", \"reason\"}.
One line per change: {\"kind\": \"ban\", \"subject\", \"from\", \"until\", \"ordinal\", \"rule\"} or {\"kind\": \"lift\", \"subject\", \"at\", \"why\"}.
Nothing is stored, and no server is contacted. Exit code 2: a line is not an event.")]
    Rehearse {
        /// A file of events, one JSON object per line; `-` for standard input
        #[arg(value_name = "EVENTS.jsonl")]
        events: PathBuf,
    },
    /// Print a new line for the seal key file on standard output
    Keygen {
        /// Name of the key: letters, digits, `-`, `_` [default: a random one]
        #[arg(long, value_name = "ID")]
        id: Option<KeyId>,
    },
    /// Import bans, exemptions and history from a file, after a summary
    #[command(after_help = "\
Formats, recognised by their content: portcullis (written by export), fail2ban (fail2ban-client get JAIL banip
--with-time), crowdsec (cscli decisions list -o json), plain (SUBJECT [DURATION] [REASON] per line), ejabberd
(ejabberdctl list_banned HOST, get_ban_details, and passwords BANNED_ACCOUNT--...; names alone need --from ejabberd).
Importing the same file twice changes nothing. No existing ban is made shorter.
Exit code: 0 all of it is in force now, 1 something was not imported, 2 a line could not be read.")]
    Import(import::ImportArgs),
    /// Write bans, exemptions and history as JSON Lines
    Export(export::ExportArgs),
    /// Move the store to another storage engine while portcullis is stopped
    #[command(after_help = "\
Everything is copied, read back and compared before the new files take the place of the old ones, which stay beside
them. It can be interrupted at any moment. Exit code: 0 it is on that engine now, 1 it is as it was.")]
    MoveStore(move_store::MoveArgs),
    /// Check the files of the store, with portcullis stopped: what is whole, what is damaged, and from where on
    #[command(after_help = "\
Nothing is changed: it works on a copy of the engine's files, in the folder for temporary files (TMPDIR).
Exit code: 0 everything is whole, 1 something is damaged or the store cannot be read, 2 wrong usage or configuration.")]
    CheckStore(Output),
    /// Print shell completions for these commands
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man,
}

/// The command with two forms: with a file of events the program runs it itself; otherwise it goes to the running
/// portcullis.
const REHEARSE: &str = "rehearse";

/// The format of the answer.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Answer in JSON, for other programs
    #[arg(long)]
    pub json: bool,
}

impl Subcommand for Invocation {
    fn augment_subcommands(own: clap::Command) -> clap::Command {
        let mut own = Program::augment_subcommands(own);
        if let Some(spec) = command::find(REHEARSE) {
            own = own.mut_subcommand(REHEARSE, |own| specs::with_file(spec, &own));
        }
        own.subcommands(specs::offered().map(specs::subcommand))
    }

    fn augment_subcommands_for_update(own: clap::Command) -> clap::Command {
        Self::augment_subcommands(own)
    }

    fn has_subcommand(name: &str) -> bool {
        Program::has_subcommand(name) || specs::offered().any(|spec| spec.name == name)
    }
}

impl FromArgMatches for Invocation {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if let Some((name, typed)) = matches.subcommand()
            && (name == REHEARSE || !Program::has_subcommand(name))
            && let Some(spec) = command::find(name)
        {
            let call = CommandArgs::read(spec, typed);
            return Ok(match call.file().filter(|_| name == REHEARSE) {
                Some(events) => Invocation::Program(Program::Rehearse { events }),
                None => Invocation::Remote(call),
            });
        }
        Program::from_arg_matches(matches).map(Invocation::Program)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// Writes a text and a line end to standard output. A reader that closed the pipe (`| head`) is not a failure.
///
/// # Errors
/// If it cannot be written, for example because the disk is full.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(why) if why.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_file_may_be_named_before_and_after_the_command() {
        for args in [
            ["portcullis", "-c", "a.toml", "run"],
            ["portcullis", "run", "--config", "a.toml"],
        ] {
            let cli = Cli::try_parse_from(args).unwrap();
            assert_eq!(cli.config, PathBuf::from("a.toml"));
            assert!(matches!(cli.command, Invocation::Program(Program::Run)));
        }
    }
}
