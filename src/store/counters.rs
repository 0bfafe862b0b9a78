//! The counters of failed logins in a file of their own, beside the log: they are large, written
//! anew often, and worth less than a ban.
//!
//! The file is a row of parts, each behind its length (4 bytes, big-endian). A whole begins a new
//! file, which takes the old one's place when it is complete; what follows is appended. A torn end
//! is left out when it is read; the parts' own checksums find the rest.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::journal::LogFault;

/// The file's name in the folder of the store.
const NAME: &str = "counters";
/// The name of a new file until it is complete.
const NEW: &str = "counters.new";
/// Bytes the file may have to be read: far above what the configuration's largest bounds need.
const MOST: u64 = 16 << 30;

/// Saves and loads the counters in a folder. One program at a time: the store's lock sees to it.
#[derive(Debug)]
pub struct CounterFile {
    folder: PathBuf,
    /// The next part; `None`: unknown, so only a whole can be written.
    next: Mutex<Option<u32>>,
}

impl CounterFile {
    /// In this folder, which exists.
    pub fn new(folder: &Path) -> Self {
        CounterFile {
            folder: folder.to_owned(),
            next: Mutex::new(None),
        }
    }

    /// What [`CounterStore::save_counters`](crate::gate::ports::CounterStore::save_counters) promises.
    ///
    /// # Errors
    /// [`LogFault::Broken`] when the disk fails, or a part does not follow the one before.
    pub fn save(&self, part: u32, bytes: &[u8]) -> Result<(), LogFault> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if part != 0 && *next != Some(part) {
            let why = format!("part {part} of the counters has none before it");
            return Err(LogFault::Broken(why));
        }
        // Unknown until it has been written: half a part may be there.
        *next = None;
        let written = match part {
            0 => self.begin(bytes),
            _ => self.append(bytes),
        };
        written.map_err(|why| LogFault::Broken(format!("cannot keep the counters: {why}")))?;
        *next = part.checked_add(1);
        Ok(())
    }

    /// What [`CounterStore::load_counters`](crate::gate::ports::CounterStore::load_counters) promises.
    ///
    /// # Errors
    /// [`LogFault::Broken`] when the file is there and cannot be read.
    pub fn load(&self) -> Result<Vec<Vec<u8>>, LogFault> {
        let path = self.folder.join(NAME);
        let broken = |why: io::Error| LogFault::Broken(format!("cannot read the counters: {why}"));
        let bytes = match fs::metadata(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(broken(why)),
            Ok(there) if there.len() > MOST => return Ok(Vec::new()),
            Ok(_) => fs::read(&path).map_err(broken)?,
        };
        let mut parts = Vec::new();
        let mut rest = &bytes[..];
        while let Some((length, behind)) = rest.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some((part, behind)) = behind.split_at_checked(length) else {
                break;
            };
            parts.push(part.to_vec());
            rest = behind;
        }
        Ok(parts)
    }

    fn begin(&self, bytes: &[u8]) -> io::Result<()> {
        let new = self.folder.join(NEW);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        write_part(&mut file, bytes)?;
        // Before it takes the old one's place: a power cut must not leave an empty file there.
        file.sync_data()?;
        fs::rename(&new, self.folder.join(NAME))
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(NAME);
        let mut file = OpenOptions::new().append(true).open(path)?;
        write_part(&mut file, bytes)
    }
}

pub(super) fn write_part(file: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::other("a part is larger than 4 GiB; set max_keys lower"))?;
    file.write_all(&length.to_be_bytes())?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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
        for cut in 0..3 {
            fs::write(&path, &bytes[..bytes.len() - 1 - cut]).unwrap();
            assert_eq!(file.load().unwrap(), [b"whole"]);
        }
        fs::write(&path, &bytes[..6]).unwrap();
        assert!(file.load().unwrap().is_empty());
    }
}
