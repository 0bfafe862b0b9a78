//! A small file beside the engine that says how far the log went.
//!
//! sled takes bytes it cannot read at the end of its file for an unfinished write and goes on
//! without them. That is right after a crash, and silent loss after any other damage. The mark
//! is written after each acknowledged write and not synced: it may lag behind, never run ahead.
//! So a log that ends before the mark has lost something, and says so.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::codec;
use crate::core::Seq;
use crate::core::event::Chain;

/// Its name in the store's folder.
pub(super) const NAME: &str = "head";

#[derive(Debug)]
pub(super) struct Mark(File);

impl Mark {
    /// Opens or creates it, and reads what it says; `None` when it says nothing: new, or cut
    /// off by a power cut.
    pub(super) fn open(folder: &Path) -> io::Result<(Mark, Option<(Seq, Chain)>)> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join(NAME))?;
        let mut bytes = Vec::new();
        file.by_ref().take(1024).read_to_end(&mut bytes)?;
        let says = codec::mark_from_bytes(&bytes).ok();
        Ok((Mark(file), says))
    }

    /// Says that the log goes up to here. In place, so that a full disk cannot stop it.
    pub(super) fn set(&self, seq: Seq, chain: Chain) -> io::Result<()> {
        self.0.write_all_at(&codec::mark_to_bytes(seq, chain), 0)
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
