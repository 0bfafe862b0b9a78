//! The counters of failed logins, in their own file beside the log: they are large, rewritten often, and worth less
//! than a ban.
//!
//! A full save starts a new file, which replaces the old one once it is complete; later parts are appended.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::frames::FrameFile;
use crate::journal::LogFault;

/// Name of the file in the store's folder.
const NAME: &str = "counters";

/// Saves and loads the counters in a folder.
#[derive(Debug)]
pub struct CounterFile {
    file: FrameFile,
    /// Number of the next part; `None`: unknown, so only a full save is possible.
    next: Mutex<Option<u32>>,
}

impl CounterFile {
    /// The counters in this folder, which must exist.
    pub fn new(folder: &Path) -> Self {
        CounterFile {
            file: FrameFile::new(folder, NAME),
            next: Mutex::new(None),
        }
    }

    /// Implements [`CounterStore::save_counters`](crate::admission::CounterStore::save_counters).
    ///
    /// # Errors
    /// [`LogFault::Broken`] if the disk fails, or if the part does not follow the previous one.
    pub fn save(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if part != 0 && *next != Some(part) {
            let why = format!("part {part} of the counters has none before it");
            return Err(LogFault::Broken(why));
        }
        // Unknown until the write succeeds: half a part may be in the file.
        *next = None;
        let written = match part {
            0 => {
                let mut whole = std::iter::once(Ok(bytes.to_vec()));
                self.file.replace(&mut whole, || Ok(()))
            }
            _ => self.file.append(bytes),
        };
        written.map_err(|why| LogFault::Broken(format!("cannot keep the counters: {why}")))?;
        *next = part.checked_add(1);
        Ok(())
    }

    /// Implements [`CounterStore::load_counters`](crate::admission::CounterStore::load_counters). A file that the
    /// system does not read is left out: without these counters logins are guarded, without a start they are not.
    pub fn load(&self) -> Vec<Vec<u8>> {
        let (parts, why) = match self.file.read(older) {
            Ok(read) => read,
            Err(why) => {
                tracing::error!(%why, file = %self.file.path().display(), "the saved counters cannot be read; counting begins anew");
                return Vec::new();
            }
        };
        if let Some(why) = why {
            let parts = parts.len();
            tracing::warn!(%why, parts, "the saved counters are damaged; what was counted last is lost");
        }
        parts
    }
}

/// The format up to version 0.1: `PTW2` or `PTP2`, content, and a CRC-32C of both (4 bytes, big-endian).
fn older(part: &[u8]) -> Option<Vec<u8>> {
    let (body, sum) = part.split_last_chunk::<4>()?;
    let is_whole = body.starts_with(b"PT") && crc32c::crc32c(body) == u32::from_be_bytes(*sum);
    is_whole.then(|| body.to_vec())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use super::*;

    #[test]
    fn parts_follow_a_whole_and_a_whole_replaces_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = CounterFile::new(folder.path());
        assert!(file.load().is_empty());
        assert!(file.save(1, b"early").is_err());
        file.save(0, b"whole").unwrap();
        file.save(1, b"one").unwrap();
        assert!(file.save(3, b"three").is_err());
        let again = CounterFile::new(folder.path());
        assert_eq!(again.load(), [&b"whole"[..], b"one"]);
        assert!(
            again.save(2, b"two").is_err(),
            "a new start begins with a whole"
        );
        again.save(0, b"anew").unwrap();
        assert_eq!(again.load(), [b"anew"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_reason_not_to_start() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(NAME)).unwrap();
        assert!(CounterFile::new(folder.path()).load().is_empty());
    }

    #[test]
    fn a_torn_end_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let file = CounterFile::new(folder.path());
        file.save(0, b"whole").unwrap();
        file.save(1, b"one").unwrap();
        let path = folder.path().join(NAME);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(file.load(), [b"whole"]);
    }
}
