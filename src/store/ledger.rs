//! The last snapshot of the ledger, in a file of its own beside the log. It can be deleted at any
//! time: the log holds everything, and the next start takes a little longer.

use std::io;
use std::path::Path;

use super::frames::FrameFile;
use crate::journal::LogFault;

/// The file's name in the folder of the store.
const NAME: &str = "ledger";

/// Saves and loads the snapshot in a folder.
#[derive(Debug)]
pub struct LedgerFile(FrameFile);

impl LedgerFile {
    /// In this folder, which exists.
    pub fn new(folder: &Path) -> Self {
        LedgerFile(FrameFile::new(folder, NAME))
    }

    /// What [`Snapshots::save_snapshot`](crate::journal::Snapshots::save_snapshot) promises; `first` is
    /// done when all frames are there, before the new file counts.
    ///
    /// # Errors
    /// [`LogFault`] when the disk fails, or a frame is one.
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

    /// The frames, as far as they are whole. Those of versions up to 0.1 are not: the log is folded once instead.
    ///
    /// # Errors
    /// [`LogFault::Broken`] when the file is there and cannot be read.
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
