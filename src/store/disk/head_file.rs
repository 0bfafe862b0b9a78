//! A small file beside the engine that records the position of the last acknowledged entry.
//!
//! sled treats unreadable bytes at the end of its file as an unfinished write and drops them. That is right after a
//! crash, but after any other damage it loses acknowledged entries silently. This file is written after each
//! acknowledged write, without a sync: it may lag behind the log but never runs ahead of it. A log that ends before
//! this position has lost entries, and is refused.
//!
//! After a failed write the file says that nothing behind this position was acknowledged, because the refused entries
//! may be on the disk: if the program ends now, the next start drops them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::codec::{self, BadBytes, HeadMark};
use crate::core::Seq;
use crate::core::event::Chain;

/// The file's name in the store's folder.
pub(super) const NAME: &str = "head";

/// More bytes than any version of the file has.
const LIMIT: u64 = 1024;

/// What the file says, found without changing or creating it. The inner result is an error if the file is damaged;
/// `None` if there is none, or it is empty, as a power cut may leave it: a start goes on without it.
pub(super) fn read(folder: &Path) -> io::Result<Option<Result<HeadMark, BadBytes>>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(folder.join(NAME));
    match file {
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(why),
        Ok(file) => Ok(said(&bytes_of(&file)?)),
    }
}

fn said(bytes: &[u8]) -> Option<Result<HeadMark, BadBytes>> {
    (!bytes.is_empty()).then(|| codec::head_from_bytes(bytes))
}

fn bytes_of(file: &File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[derive(Debug)]
pub(super) struct HeadFile {
    folder: PathBuf,
    /// Opened by the first write, if the disk was read-only before.
    file: OnceLock<File>,
}

impl HeadFile {
    /// Opens or creates the file; returns also what it says, as [`read`].
    pub(super) fn open(
        folder: &Path,
    ) -> io::Result<(HeadFile, Option<Result<HeadMark, BadBytes>>)> {
        let head_file = Self::later(folder);
        let says = said(&bytes_of(head_file.file()?)?);
        Ok((head_file, says))
    }

    /// One that is opened by the first write.
    pub(super) fn later(folder: &Path) -> HeadFile {
        HeadFile {
            folder: folder.to_path_buf(),
            file: OnceLock::new(),
        }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(self.folder.join(NAME))?;
        Ok(self.file.get_or_init(|| file))
    }

    /// Writes the position and hash of the last acknowledged entry, in place, so that a full disk cannot prevent it.
    pub(super) fn set(&self, (seq, chain): (Seq, Chain)) -> io::Result<()> {
        self.write(HeadMark {
            seq,
            chain,
            is_last: false,
        })
    }

    /// The same, durably. It must come before the next write of entries, because [`HeadFile::set_last`] may have come
    /// before it.
    pub(super) fn set_durably(&self, end: (Seq, Chain)) -> io::Result<()> {
        self.set(end)?;
        self.sync()
    }

    /// Writes, durably, that nothing behind this entry was acknowledged.
    pub(super) fn set_last(&self, (seq, chain): (Seq, Chain)) -> io::Result<()> {
        self.write(HeadMark {
            seq,
            chain,
            is_last: true,
        })?;
        self.sync()
    }

    fn write(&self, head: HeadMark) -> io::Result<()> {
        self.file()?.write_all_at(&codec::head_to_bytes(head), 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file()?.sync_data()
    }
}
