//! `export`: everything the running portcullis knows, as JSON Lines.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::check_store;
use super::daemon::{self, Daemon, Stop};
use super::leftovers::{CopyFolder, Leftover};
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
    let (new, mut out) = open(typed)?;
    let mut failed = None;
    let mark = fresh_id().map_err(|why| Stop::failed(why.to_string()))?;
    let now = Clock::system().now();
    let personal = !typed.no_personal;
    let scratch = CopyFolder::new().map_err(|why| Stop::no_copy(&why))?;
    let found = check_store::quietly(|| {
        salvage(store, scratch.path(), personal, (now, mark), &mut |line| {
            if failed.is_none() {
                failed = writeln!(out, "{}", line.to_text()).err();
            }
        })
    });
    let found = found.map_err(|why| Stop::failed(why.to_string()))?;
    let written = failed.map_or_else(|| out.flush(), Err);
    written.map_err(|why| not_written(typed, &why))?;
    put_in_place(new)?;
    if found.is_whole() {
        return Ok(0);
    }
    for line in check_store::told(store, &found) {
        eprintln!("{line}");
    }
    Ok(1)
}

/// Where to write: the file, which [`put_in_place`] completes, or standard output.
fn open(typed: &ExportArgs) -> Result<(Option<NewFile>, Box<dyn Write>), Stop> {
    let Some(target) = &typed.output else {
        return Ok((None, Box::new(BufWriter::new(io::stdout().lock()))));
    };
    let new = NewFile::create(target)?;
    let file = new.file.try_clone();
    let file = file.map_err(|why| Stop::cannot_open(target, &why))?;
    Ok((Some(new), Box::new(BufWriter::new(file))))
}

/// The error of an export that could not be written.
fn not_written(typed: &ExportArgs, why: &io::Error) -> Stop {
    match &typed.output {
        Some(target) => Stop::cannot_write_to(target, why),
        None => Stop::cannot_write(why),
    }
}

fn put_in_place(new: Option<NewFile>) -> Result<(), Stop> {
    new.map_or(Ok(()), NewFile::put_in_place)
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
    let (new, mut out) = open(typed)?;
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
                Err(why) => return Err(not_written(typed, &why)),
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
    out.flush().map_err(|why| not_written(typed, &why))?;
    put_in_place(new).map(|()| 0)
}

/// The export under another name, readable only by its owner, because it has private notes and addresses. It takes its
/// place when it is complete; until then what stood there stays, and so does the file a link there points to.
struct NewFile {
    file: File,
    /// Under its other name; nothing is there any more once it is in place.
    new: Leftover,
    target: PathBuf,
}

impl NewFile {
    fn create(target: &Path) -> Result<NewFile, Stop> {
        let cannot = |why: &io::Error| Stop::cannot_open(target, why);
        match fs::symlink_metadata(target) {
            Ok(there) if !there.is_file() => {
                let what = "it is there and is no plain file; name another, or leave -o out for standard output";
                return Err(cannot(&io::Error::other(what)));
            }
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(cannot(&why)),
            _ => {}
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let random = getrandom::u64().map_err(|why| cannot(&io::Error::other(why.to_string())))?;
        let new = Leftover::new(&target.with_file_name(format!(".{name}.{random:016x}.new")));
        // A new file or none: nothing that somebody else put there is opened, no link is followed.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new.path());
        Ok(NewFile {
            file: file.map_err(|why| cannot(&why))?,
            new,
            target: target.to_owned(),
        })
    }

    fn put_in_place(self) -> Result<(), Stop> {
        let put = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(self.new.path(), &self.target));
        put.map_err(|why| Stop::cannot_write_to(&self.target, &why))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn an_export_is_closed_and_follows_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, other) = (folder.path().join("all.jsonl"), folder.path().join("other"));
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o644)).unwrap();
        let new = NewFile::create(&target).unwrap();
        (&new.file).write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        new.put_in_place().unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        let mode = fs::metadata(&target).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(NewFile::create(&target).unwrap());
        assert_eq!(
            fs::read_dir(folder.path()).unwrap().count(),
            1,
            "nothing is left"
        );
        fs::write(&other, "theirs").unwrap();
        fs::remove_file(&target).unwrap();
        std::os::unix::fs::symlink(&other, &target).unwrap();
        assert!(NewFile::create(&target).is_err());
        assert!(NewFile::create(folder.path()).is_err());
        assert!(NewFile::create(Path::new("/dev/null")).is_err());
        assert_eq!(fs::read_to_string(&other).unwrap(), "theirs");
    }
}
