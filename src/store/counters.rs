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

    /// Implements [`CounterStore::load_counters`](crate::admission::CounterStore::load_counters).
    ///
    /// # Errors
    /// [`LogFault::Broken`] if the file exists and cannot be read.
    pub fn load(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        let (parts, why) = self
            .file
            .read(older)
            .map_err(|why| LogFault::Broken(format!("cannot read the counters: {why}")))?;
        if let Some(why) = why {
            let parts = parts.len();
            tracing::warn!(%why, parts, "the saved counters are damaged; what was counted last is lost");
        }
        Ok(parts)
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
        assert!(file.load().unwrap().is_empty());
        assert!(file.save(1, b"early").is_err());
        file.save(0, b"whole").unwrap();
        file.save(1, b"one").unwrap();
        assert!(file.save(3, b"three").is_err());
        let again = CounterFile::new(folder.path());
        assert_eq!(again.load().unwrap(), [&b"whole"[..], b"one"]);
        assert!(
            again.save(2, b"two").is_err(),
            "a new start begins with a whole"
        );
        again.save(0, b"anew").unwrap();
        assert_eq!(again.load().unwrap(), [b"anew"]);
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
        assert_eq!(file.load().unwrap(), [b"whole"]);
    }
}
