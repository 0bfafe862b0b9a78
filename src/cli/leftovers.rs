//! Files that a command makes for itself: removed when it ends, also when a signal ends it. What a kill leaves of a copy of the
//! store, the next command that makes one removes.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// The beginning of the name of a folder for a copy of the store.
const COPY: &str = "portcullis-check-";
/// A file in that folder that is locked while the command runs.
const LOCK: &str = "lock";
/// A shell's exit code for a command that a signal ended, without the signal's number.
const SIGNALLED: i32 = 128;

/// What is removed if a signal comes.
static MADE: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static WATCHED: Once = Once::new();

/// A path that is removed when this is dropped, and when a signal ends the program.
pub(super) struct Leftover(PathBuf);

impl Leftover {
    /// For a file or folder that is about to be made.
    pub(super) fn new(path: &Path) -> Leftover {
        WATCHED.call_once(watch_signals);
        made().push(path.to_owned());
        Leftover(path.to_owned())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Leftover {
    fn drop(&mut self) {
        made().retain(|path| *path != self.0);
        remove(&self.0);
    }
}

/// A folder of ours alone for a copy of the store, below the system's folder for temporary files.
pub(super) struct CopyFolder {
    folder: Leftover,
    /// Held only for its lock.
    _lock: File,
}

impl CopyFolder {
    /// Makes it, and removes those of commands that were killed.
    pub(super) fn new() -> io::Result<CopyFolder> {
        let parent = std::env::temp_dir();
        remove_abandoned(&parent);
        let random = getrandom::u64().map_err(|why| io::Error::other(why.to_string()))?;
        let folder = Leftover::new(&parent.join(format!("{COPY}{random:016x}")));
        DirBuilder::new().mode(0o700).create(folder.path())?;
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(folder.path().join(LOCK))?;
        lock.lock()?;
        Ok(CopyFolder {
            folder,
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of commands that run no more. Only our own: anybody may make a folder of that name.
fn remove_abandoned(parent: &Path) {
    let Ok(found) = fs::read_dir(parent) else {
        return;
    };
    for found in found.flatten() {
        let is_named = found.file_name().to_string_lossy().starts_with(COPY);
        let is_ours = || {
            let metadata = fs::symlink_metadata(found.path());
            metadata.is_ok_and(|found| found.is_dir() && found.uid() == uzers::get_effective_uid())
        };
        if is_named && is_ours() && is_abandoned(&found.path()) {
            remove(&found.path());
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    match OpenOptions::new().write(true).open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // One that is being made has no lock file yet, for a moment; then it is left for the next command.
        Err(_) => false,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a thread of its own, because a command may be busy for long when the signal comes"
)]
fn watch_signals() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    thread::spawn(move || {
        let Ok(runtime) = runtime else { return };
        let came = runtime.block_on(async {
            let mut signals = Vec::new();
            for kind in kinds {
                signals.push((kind, signal(kind).ok()?));
            }
            let wait = signals.iter_mut().map(|(kind, signal)| {
                Box::pin(async move {
                    signal.recv().await;
                    kind.as_raw_value()
                })
            });
            Some(futures::future::select_all(wait).await.0)
        });
        if let Some(number) = came {
            let made = made();
            made.iter().for_each(|path| remove(path));
            // The lock is held, so that nothing is made in between.
            std::process::exit(SIGNALLED + number);
        }
    });
}

fn made() -> MutexGuard<'static, Vec<PathBuf>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remove(path: &Path) {
    /// The command may be writing into a folder while it is removed.
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        let removed = match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(_) => return,
        };
        if removed.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_killed_command_left_is_removed_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let folder = parent.path().join(name);
            fs::create_dir_all(folder.join("sled")).unwrap();
            fs::write(folder.join(LOCK), "").unwrap();
            folder
        };
        let [killed, runs, other] = ["portcullis-check-1", "portcullis-check-2", "elsewhere"];
        let (killed, runs, other) = (folder(killed), folder(runs), folder(other));
        let unlocked = parent.path().join("portcullis-check-3");
        fs::create_dir(&unlocked).unwrap();
        let link = parent.path().join("portcullis-check-4");
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let lock = File::options().write(true).open(runs.join(LOCK)).unwrap();
        lock.lock().unwrap();
        remove_abandoned(parent.path());
        assert!(!killed.exists());
        assert!(runs.exists() && other.exists() && unlocked.exists());
        assert!(fs::symlink_metadata(&link).is_ok());
    }
}
