//! The command line: what may be typed, and nothing of what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::ban::seal::KeyId;
use crate::config::DEFAULT_FILE;

/// What was typed.
#[derive(Clone, Debug, Parser)]
#[command(name = "portcullis", version, about, disable_help_subcommand = true)]
#[command(after_help = "Exit code: 0 done, 1 refused or failed, 2 wrong usage or configuration.")]
pub struct Cli {
    /// The configuration file.
    #[arg(short, long, global = true, value_name = "FILE", env = "PORTCULLIS_CONFIG", default_value = DEFAULT_FILE)]
    pub config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Join the XMPP server and guard it until SIGTERM
    Run,
    /// Check the configuration and the files it names
    CheckConfig(Output),
    /// Look at the server and say what is missing, with the lines to paste
    Doctor(Output),
    /// Run the rules over recorded or invented events and print what they would have done
    #[command(after_help = "\
One event a line: {\"at\": seconds or RFC 3339, \"kind\": \"failure|success|attempt|ban|unban|forget|allow|unallow|restart|tick\",
\"account\", \"address\", \"subject\", \"times\", \"duration\", \"reason\"}.
One line a change: {\"kind\": \"ban\", \"subject\", \"from\", \"until\", \"ordinal\", \"rule\"} or {\"kind\": \"lift\", \"subject\", \"at\", \"why\"}.
Nothing is kept, and no server is asked. Exit code 2: a line is no event.")]
    Rehearse {
        /// A file of events, one JSON object a line; `-` for standard input
        #[arg(value_name = "EVENTS.jsonl")]
        events: PathBuf,
    },
    /// Print a new line for the seal key file on standard output
    Keygen {
        /// Name of the key: letters, digits, `-`, `_` [default: a random one]
        #[arg(long, value_name = "ID")]
        id: Option<KeyId>,
    },
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// Answer in JSON, for other programs
    #[arg(long)]
    pub json: bool,
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
            assert!(matches!(cli.command, Command::Run));
        }
    }
}
