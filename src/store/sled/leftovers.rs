//! Files that sled cannot read after a power cut and does not need: they are set aside, and the start goes on.
//!
//! sled keeps everything in the file `db`. A `snap.*` file only shortens its start, and it is written at a start
//! without a sync of its name: a power cut leaves `snap.*.generating` half or empty, or `snap.*` empty. `conf` has
//! settings that we never change, and sled never syncs it. sled refuses to open for any of these.
//!
//! Nothing is deleted: a file is renamed to `aside.NAME` in the same folder, where sled does not look.

use std::io;
use std::path::{Path, PathBuf};

const SNAPSHOT: &str = "snap.";
/// The ending of a snapshot that is being written. sled takes it for the newest one when it finds it.
const UNFINISHED: &str = ".generating";
const SETTINGS: &str = "conf";
const ASIDE: &str = "aside.";

/// Sets unfinished snapshots aside. They are never needed.
pub(super) fn unfinished(folder: &Path) -> io::Result<()> {
    set_aside(folder, |name| {
        name.starts_with(SNAPSHOT) && name.ends_with(UNFINISHED)
    })?;
    Ok(())
}

/// Sets all snapshots and the settings aside, because sled refused to open. Returns the number of files.
pub(super) fn replaceable(folder: &Path) -> io::Result<usize> {
    set_aside(folder, |name| {
        name.starts_with(SNAPSHOT) || name == SETTINGS
    })
}

fn set_aside(folder: &Path, is_meant: impl Fn(&str) -> bool) -> io::Result<usize> {
    let mut files: Vec<PathBuf> = Vec::new();
    for found in std::fs::read_dir(folder)? {
        let found = found?;
        if found.file_name().to_str().is_some_and(&is_meant) {
            files.push(found.path());
        }
    }
    for file in &files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let aside = folder.join(format!("{ASIDE}{name}"));
        // An earlier one of the same name is replaced, so they do not pile up.
        std::fs::rename(file, &aside)?;
        tracing::warn!(
            file = %file.display(),
            aside = %aside.display(),
            "a file that the store can do without was set aside; no ban is in it"
        );
    }
    Ok(files.len())
}
