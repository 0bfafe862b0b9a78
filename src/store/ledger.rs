//! The last snapshot of the ledger, in its own file beside the log. It can be deleted at any time: the log holds
//! everything, and the next start only takes longer.

use std::io;
use std::path::Path;

use super::frames::FrameFile;
use crate::journal::LogFault;

/// Name of the file in the store's folder.
const NAME: &str = "ledger";

/// Saves and loads the snapshot in a folder.
#[derive(Debug)]
pub struct LedgerFile(FrameFile);

impl LedgerFile {
    /// The snapshot in this folder, which must exist.
    pub fn new(folder: &Path) -> Self {
        LedgerFile(FrameFile::new(folder, NAME))
    }

    /// Implements [`Snapshots::save_snapshot`](crate::journal::Snapshots::save_snapshot). `first` runs when all
    /// frames are written, before the new file replaces the old one.
    ///
    /// # Errors
    /// [`LogFault`] if the disk fails, or the first error among the frames.
    pub fn save(
        &self,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
        first: impl FnOnce() -> Result<(), LogFault>,
    ) -> Result<(), LogFault> {
        let saved = self.0.replace(
            frames.map(|frame| frame.map_err(SnapshotFault::Log)),
            || first().map_err(SnapshotFault::Log),
        );
        saved.map_err(|why| match why {
            SnapshotFault::Disk(why) => broken(why),
            SnapshotFault::Log(why) => why,
        })
    }

    /// The intact frames. The format up to version 0.1 is not read, so that the log is folded once instead.
    ///
    /// # Errors
    /// [`LogFault::Broken`] if the file exists and cannot be read.
    pub fn load(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        let (frames, _) = self.0.read(|_| None).map_err(broken)?;
        Ok(frames)
    }
}

enum SnapshotFault {
    Disk(io::Error),
    Log(LogFault),
}

impl From<io::Error> for SnapshotFault {
    fn from(why: io::Error) -> Self {
        SnapshotFault::Disk(why)
    }
}

fn broken(why: io::Error) -> LogFault {
    LogFault::Broken(format!("the snapshot of decisions: {why}"))
}
