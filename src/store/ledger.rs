//! The last snapshot of the ledger, in a file of its own beside the log. It can be deleted at any
//! time: the log holds everything, and the next start takes a little longer.
//!
//! The file is a row of frames, each behind its length (4 bytes, big-endian); the frames' own
//! checksums find what is damaged. A new file takes the old one's place when it is complete and on
//! the disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::counters::write_part;
use crate::journal::LogFault;

/// The file's name in the folder of the store.
const NAME: &str = "ledger";
/// The name of a new file until it is complete.
const NEW: &str = "ledger.new";

/// Saves and loads the snapshot in a folder. One program at a time: the store's lock sees to it.
#[derive(Debug)]
pub struct LedgerFile {
    folder: PathBuf,
}

impl LedgerFile {
    /// In this folder, which exists.
    pub fn new(folder: &Path) -> Self {
        LedgerFile {
            folder: folder.to_owned(),
        }
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
        let new = self.folder.join(NEW);
        let saved = self.write(&new, frames, first);
        if saved.is_err() {
            // Room for what matters, should the disk be full.
            let _ = fs::remove_file(&new);
        }
        saved
    }

    fn write(
        &self,
        new: &Path,
        frames: &mut dyn Iterator<Item = Result<Vec<u8>, LogFault>>,
        first: impl FnOnce() -> Result<(), LogFault>,
    ) -> Result<(), LogFault> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(new)
            .map_err(broken)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        for frame in frames {
            write_part(&mut writer, &frame?).map_err(broken)?;
        }
        first()?;
        let mut finish = || {
            writer.flush()?;
            writer.get_ref().sync_data()?;
            fs::rename(new, self.folder.join(NAME))?;
            File::open(&self.folder)?.sync_all()
        };
        finish().map_err(broken)
    }

    /// The frames, as far as they are whole.
    ///
    /// # Errors
    /// [`LogFault::Broken`] when the file is there and cannot be read.
    pub fn load(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        let file = match File::open(self.folder.join(NAME)) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            opened => opened.map_err(broken)?,
        };
        let mut left = file.metadata().map_err(broken)?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut frames = Vec::new();
        while left >= 4 {
            let mut length = [0; 4];
            reader.read_exact(&mut length).map_err(broken)?;
            let length = u64::from(u32::from_be_bytes(length));
            left -= 4;
            if length > left {
                break;
            }
            left -= length;
            let mut frame = Vec::new();
            let read = reader.by_ref().take(length).read_to_end(&mut frame);
            read.map_err(broken)?;
            frames.push(frame);
        }
        Ok(frames)
    }
}

fn broken(why: io::Error) -> LogFault {
    LogFault::Broken(format!("the snapshot of decisions: {why}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn save(file: &LedgerFile, frames: &[&[u8]]) -> Result<(), LogFault> {
        let mut frames = frames.iter().map(|frame| Ok(frame.to_vec()));
        file.save(&mut frames, || Ok(()))
    }

    #[test]
    fn a_new_one_takes_the_place_of_the_old_one_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(folder.path());
        assert!(file.load().unwrap().is_empty());
        save(&file, &[b"one", b"", b"end"]).unwrap();
        let broken = || LogFault::Broken(String::from("no"));
        let mut failing = [Ok(b"two".to_vec()), Err(broken())].into_iter();
        assert!(file.save(&mut failing, || Ok(())).is_err());
        let mut fine = [Ok(b"two".to_vec())].into_iter();
        assert!(file.save(&mut fine, || Err(broken())).is_err());
        assert_eq!(file.load().unwrap(), [&b"one"[..], b"", b"end"]);
        assert!(!folder.path().join(NEW).exists());
        save(&file, &[b"two"]).unwrap();
        assert_eq!(file.load().unwrap(), [b"two"]);
    }

    #[test]
    fn what_is_cut_off_is_left_out_and_any_length_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = LedgerFile::new(folder.path());
        save(&file, &[b"one", b"two"]).unwrap();
        let path = folder.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(file.load().unwrap().len(), usize::from(length >= 7));
        }
        fs::write(&path, [0xff; 9]).unwrap();
        assert!(file.load().unwrap().is_empty());
    }
}
