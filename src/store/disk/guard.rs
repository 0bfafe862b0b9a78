//! A start on a disk that takes no writes, because it is full or read-only: engines write when they are opened, so this one is
//! opened on a copy of its files in memory. The bans in it are in force, and rules go on banning in memory. Nothing is
//! written until the engine opens where it lies, which the writer tries again and again.

use std::io;
use std::path::{Path, PathBuf};

use super::inspect::ScratchCopy;
use super::layout::{self, OpenEngine};
use super::open::{OpenFault, verified};
use super::{head_file, which};
use crate::store::engine::{EngineKind, StoreTable, guarded};

/// A folder in memory.
const IN_MEMORY: &str = "/dev/shm";

/// Whether a start can do without this error of the system.
pub(super) fn takes_no_writes(why: &io::Error) -> bool {
    matches!(
        why.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Opens a copy of the engine of a store, which must be locked. `why` is the error that its own files met with.
///
/// # Errors
/// [`OpenFault`], with `why` if there is nothing to guard with or no room for a copy in memory.
pub(super) fn open(path: &Path, kind: EngineKind, why: io::Error) -> Result<OpenEngine, OpenFault> {
    let folder = |why| OpenFault::Folder {
        path: path.to_path_buf(),
        why,
    };
    let memory = Path::new(IN_MEMORY);
    let memory = match memory.is_dir() {
        true => memory.to_path_buf(),
        false => std::env::temp_dir(),
    };
    let copy = match ScratchCopy::of(&which::folder(path, kind), &memory, path) {
        Ok(copy) => copy,
        Err(no_copy) => {
            tracing::error!(%no_copy, "the store cannot be read into memory either");
            return Err(folder(why));
        }
    };
    // One that was never opened has no bans to guard with, and would get an id that is not kept.
    let is_new = guarded(|| {
        let engine = layout::open_patiently(kind, copy.path())?;
        Ok(engine.get(StoreTable::Meta, layout::VERSION_KEY)?.is_none())
    });
    if is_new.is_ok_and(|is_new| is_new) {
        return Err(folder(why));
    }
    let says = head_file::read(path).map_err(folder)?;
    let opened = verified(path, kind, copy.path(), says)?;
    tracing::error!(
        %why,
        path = %path.display(),
        "the disk of the store takes no writes: portcullis guards from memory, and nothing is stored until it takes them again"
    );
    // The engine has its files open, so nothing of the copy remains when it ends, however it ends.
    drop(copy);
    Ok(opened)
}

/// The words of [`guard`](self) for those whose change is refused.
pub(super) fn refusal(path: &Path, why: &io::Error) -> String {
    format!(
        "the disk of {} took no writes when portcullis started: {why}",
        PathBuf::from(path).display()
    )
}
