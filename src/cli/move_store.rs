//! `move-store`: moves the store to another storage engine while no portcullis runs on it.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::daemon::{self, Stop};
use crate::config::Config;
use crate::front::terminal::wire::RemoteProgress;
use crate::store::{self, EngineKind, MoveFault, MovedStore};

/// The arguments of `move-store`.
#[derive(Clone, Debug, Args)]
pub struct MoveArgs {
    /// The storage engine
    #[arg(long, value_enum, value_name = "ENGINE")]
    to: EngineKind,
}

impl ValueEnum for EngineKind {
    fn value_variants<'a>() -> &'a [Self] {
        &EngineKind::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.name()))
    }
}

/// Moves the store. Exit code 0: it is on that engine now; 1: it is as it was, or the error says what is left.
pub fn run(file: &Path, typed: MoveArgs) -> ExitCode {
    let configured = Config::load_store(file).ok().and_then(|(_, engine)| engine);
    daemon::with_store(file, async |store| {
        move_it(
            &store,
            typed.to,
            configured.filter(|named| *named != typed.to),
        )
    })
}

/// `other` is the engine that the configuration names, if it is another one.
fn move_it(store: &Path, to: EngineKind, other: Option<EngineKind>) -> Result<u8, Stop> {
    let watched = std::io::stderr().is_terminal();
    let mut tell = |done| {
        if watched {
            daemon::tell(RemoteProgress { done, of: None });
        }
    };
    let moved = store::move_store(store, to, &mut tell);
    if watched {
        daemon::wipe();
    }
    let change = match other {
        Some(other) => format!(
            "\nThe configuration says [store] engine = \"{other}\": change it to \"{to}\" or remove it before you start portcullis."
        ),
        None => String::new(),
    };
    match moved {
        Ok(moved) => daemon::put(&format!("{}{change}", done(store, to, &moved)))?,
        Err(why @ MoveFault::Already { .. }) => daemon::put(&format!("{why}.{change}"))?,
        Err(why) => return Err(Stop::failed(why.to_string())),
    }
    Ok(0)
}

fn done(store: &Path, to: EngineKind, moved: &MovedStore) -> String {
    format!(
        "The store in {} is on {to} now. {} rows, among them {} decisions, were copied, read back and compared; the hash over \
         the log is {:?} in both.\nThe files of {} are in {}. Delete them once portcullis runs: they keep personal data that \
         forget no longer reaches.",
        store.display(),
        moved.rows,
        moved.entries,
        moved.chain,
        moved.from,
        moved.aside.display(),
    )
}
