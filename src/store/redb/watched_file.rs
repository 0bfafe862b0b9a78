//! redb's file, with a note of the first error of the system.
//!
//! After any error redb refuses all further work until it is opened again, and says only "previous I/O error". Whether
//! opening it again may help depends on what failed: a read, a write on a full disk, or anything else.

use std::fs::File;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use ::redb::backends::FileBackend;
use ::redb::{BackendError, DatabaseError, StorageBackend};

use crate::store::engine::Failure;

/// The first error of the system, if there was one.
#[derive(Debug, Default)]
pub(super) struct FirstError(Mutex<Option<(Access, io::ErrorKind, String)>>);

/// What failed.
#[derive(Debug, Clone, Copy)]
enum Access {
    Read,
    Write,
}

impl FirstError {
    /// The failure that it means.
    pub(super) fn failure(&self) -> Option<Failure> {
        let noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.as_ref().map(|(access, kind, text)| {
            let why = io::Error::new(*kind, text.clone());
            match access {
                // Part of the file is gone.
                Access::Read if *kind == io::ErrorKind::UnexpectedEof => {
                    Failure::Engine(String::from("its file is shorter than it was"))
                }
                Access::Read => Failure::Unread(why),
                Access::Write => Failure::Io(why),
            }
        })
    }

    fn note<T>(&self, access: Access, done: io::Result<T>) -> io::Result<T> {
        if let Err(why) = &done {
            let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            noted.get_or_insert_with(|| (access, why.kind(), why.to_string()));
        }
        done
    }
}

#[derive(Debug)]
pub(super) struct WatchedFile {
    file: FileBackend,
    first_error: Arc<FirstError>,
}

impl WatchedFile {
    pub(super) fn new(file: File, first_error: Arc<FirstError>) -> Result<Self, DatabaseError> {
        Ok(WatchedFile {
            file: FileBackend::new(file)?,
            first_error,
        })
    }
}

impl StorageBackend for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.first_error.note(Access::Read, self.file.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let read = self.file.read(offset, out);
        self.first_error.note(Access::Read, read)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.first_error.note(Access::Write, self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.first_error.note(Access::Write, self.file.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let written = self.file.write(offset, data);
        self.first_error.note(Access::Write, written)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn after(access: Access, kind: io::ErrorKind) -> Failure {
        let first = FirstError::default();
        first.note(access, Ok(())).unwrap();
        assert!(first.failure().is_none());
        let failed = first.note::<()>(access, Err(io::Error::from(kind)));
        assert!(failed.is_err());
        // What fails later is a consequence.
        let _ = first.note::<()>(Access::Write, Err(io::Error::other("later")));
        first.failure().unwrap()
    }

    #[test]
    fn the_first_error_decides_whether_opening_again_may_help() {
        let full = after(Access::Write, io::ErrorKind::StorageFull);
        assert!(full.may_pass());
        let failed = after(Access::Write, io::ErrorKind::Other);
        assert!(matches!(failed, Failure::Io(_)) && !failed.may_pass());
        let unread = after(Access::Read, io::ErrorKind::Other);
        assert!(matches!(unread, Failure::Unread(_)), "{unread}");
        let cut = after(Access::Read, io::ErrorKind::UnexpectedEof);
        assert!(matches!(cut, Failure::Engine(_)), "{cut}");
    }
}
