//! The counters of failed logins, in a file of their own beside the engine: they are large, written every few seconds,
//! and worth less than a decision.
//!
//! The file is a row of parts, each behind its length. A whole is written to another file that then takes the name; a
//! part is added to the end. What a crash tore at the end is left out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

const NAME: &str = "counters";
const NEW: &str = "counters.new";
/// Bytes of a length.
const LENGTH: usize = 8;
/// More is no file of ours: the tracker's bounds keep a whole far below.
const MOST: u64 = 4 << 30;

#[derive(Debug)]
pub(super) struct Tally {
    folder: PathBuf,
    /// The file as this program wrote it; `None` before its first whole.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    parts: u32,
    bytes: u64,
}

impl Tally {
    pub(super) fn new(folder: &Path) -> Self {
        Tally {
            folder: folder.to_owned(),
            open: None,
        }
    }

    /// What is there, as far as it is whole.
    pub(super) fn load(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.folder.join(NAME)) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(why) => return Err(why),
            Ok(file) => file.take(MOST).read_to_end(&mut bytes)?,
        };
        let (mut parts, mut rest) = (Vec::new(), bytes.as_slice());
        while let Some((length, behind)) = rest.split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
            let Some((part, behind)) = behind.split_at_checked(length) else {
                break;
            };
            parts.push(part.to_vec());
            rest = behind;
        }
        Ok(parts)
    }

    /// Writes a whole (part 0) or one more part.
    pub(super) fn save(&mut self, part: u32, bytes: &[u8]) -> io::Result<()> {
        if part == 0 {
            return self.begin(bytes);
        }
        let Some(open) = self.open.as_mut().filter(|open| open.parts == part) else {
            return Err(io::Error::other(format!("part {part} has none before it")));
        };
        if let Err(why) = open.add(bytes) {
            // Behind half a part the next one could not be read.
            let _ = open.file.set_len(open.bytes);
            return Err(why);
        }
        Ok(())
    }

    fn begin(&mut self, bytes: &[u8]) -> io::Result<()> {
        let path = self.folder.join(NEW);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        // Appended to from here on, wherever a failed write left it.
        drop(file);
        let file = OpenOptions::new().append(true).open(&path)?;
        let mut open = Open {
            file,
            parts: 0,
            bytes: 0,
        };
        open.add(bytes)?;
        open.file.sync_data()?;
        std::fs::rename(&path, self.folder.join(NAME))?;
        self.open = Some(open);
        Ok(())
    }
}

impl Open {
    fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        let mut framed = Vec::with_capacity(LENGTH + bytes.len());
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(bytes);
        self.file.write_all(&framed)?;
        self.parts += 1;
        self.bytes += framed.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn parts_follow_a_whole_and_a_new_whole_replaces_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = Tally::new(folder.path());
        assert!(tally.load().unwrap().is_empty());
        assert!(tally.save(1, b"x").is_err(), "nothing is before it");
        tally.save(0, b"whole").unwrap();
        tally.save(1, b"").unwrap();
        tally.save(2, b"two").unwrap();
        assert!(tally.save(2, b"again").is_err());
        let again = Tally::new(folder.path());
        assert_eq!(again.load().unwrap(), [&b"whole"[..], b"", b"two"]);
        tally.save(0, b"new").unwrap();
        tally.save(1, b"one").unwrap();
        assert_eq!(again.load().unwrap(), [b"new", b"one"]);
    }

    #[test]
    fn what_a_crash_tore_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = Tally::new(folder.path());
        tally.save(0, b"whole").unwrap();
        tally.save(1, b"one").unwrap();
        let path = folder.path().join(NAME);
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            let parts = tally.load().unwrap();
            let whole = usize::from(length >= LENGTH + 5);
            assert_eq!(parts.len(), whole, "{length}");
        }
    }
}
