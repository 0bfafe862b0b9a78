//! `export`: everything the running portcullis knows, as JSON Lines.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::check_store;
use super::daemon::{self, Daemon, Stop};
use crate::engine::clock::{Clock, fresh_id};
use crate::exchange::export::{ExportSelection, Piece};
use crate::exchange::salvage::salvage;
use crate::front::terminal::wire::{Export, Question, RemoteAnswer, RemoteProgress};

/// The arguments of `export`.
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// What to write; everything if left out
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WHAT")]
    only: Vec<ExportPart>,
    /// Leave out private notes and the evidence of rules
    #[arg(long)]
    no_personal: bool,
    /// Read the files of the store, with portcullis stopped: everything that a damaged store still holds
    #[arg(long, conflicts_with = "only")]
    offline: bool,
    /// The file to write, readable only by its owner; standard output if left out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A part of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExportPart {
    Bans,
    Exemptions,
    History,
}

/// Writes the export. Exit code 0: everything was written; 1: it was not.
pub fn run(file: &Path, typed: ExportArgs) -> ExitCode {
    daemon::with_store(file, async |store| match typed.offline {
        true => write_offline(&store, &typed),
        false => write(&store, &typed).await,
    })
}

/// Writes what the files of a store hold. Exit code 0: everything; 1: something is damaged and marked as missing.
fn write_offline(store: &Path, typed: &ExportArgs) -> Result<u8, Stop> {
    let mut out = open(typed)?;
    let mut failed = None;
    let mark = fresh_id().map_err(|why| Stop::failed(why.to_string()))?;
    let now = Clock::system().now();
    let personal = !typed.no_personal;
    let found = check_store::quietly(|| {
        let scratch = std::env::temp_dir();
        salvage(store, &scratch, personal, (now, mark), &mut |line| {
            if failed.is_none() {
                failed = writeln!(out, "{}", line.to_text()).err();
            }
        })
    });
    let found = found.map_err(|why| Stop::failed(why.to_string()))?;
    let written = failed.map_or_else(|| out.flush(), Err);
    written.map_err(|why| Stop::cannot_write(&why))?;
    if found.is_whole() {
        return Ok(0);
    }
    for line in check_store::told(store, &found) {
        eprintln!("{line}");
    }
    Ok(1)
}

/// The file to write, or standard output.
fn open(typed: &ExportArgs) -> Result<Box<dyn Write>, Stop> {
    Ok(match &typed.output {
        Some(file) => Box::new(BufWriter::new(create(file)?)),
        None => Box::new(BufWriter::new(io::stdout().lock())),
    })
}

async fn write(store: &Path, typed: &ExportArgs) -> Result<u8, Stop> {
    let has = |part| typed.only.is_empty() || typed.only.contains(&part);
    let wanted = ExportSelection {
        bans: has(ExportPart::Bans),
        exemptions: has(ExportPart::Exemptions),
        history: has(ExportPart::History),
        personal: !typed.no_personal,
    };
    let mut daemon = Daemon::connect(store).await?;
    let mut out = open(typed)?;
    let watched = typed.output.is_some() && io::stderr().is_terminal();
    let (mut piece, mut done) = (Some(Piece::Head), 0);
    while let Some(this) = piece {
        let question = Question::Export(Export {
            wanted,
            piece: this,
        });
        let RemoteAnswer::Exported(exported) = daemon.ask(&question).await? else {
            return Err(Stop::another_version());
        };
        for line in &exported.lines {
            match writeln!(out, "{line}") {
                Ok(()) => {}
                // The reader closed the pipe (`| head`); that is not a failure.
                Err(why) if why.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
                Err(why) => return Err(Stop::cannot_write(&why)),
            }
        }
        done += exported.lines.len() as u64;
        if watched {
            daemon::tell(RemoteProgress { done, of: None });
        }
        piece = exported.next;
    }
    if watched {
        daemon::wipe();
    }
    out.flush().map_err(|why| Stop::cannot_write(&why))?;
    Ok(0)
}

/// Creates the file, readable only by its owner, because the export has private notes and addresses.
fn create(file: &Path) -> Result<File, Stop> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options
        .open(file)
        .map_err(|why| Stop::cannot_open(file, &why))
}
