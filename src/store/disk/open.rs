//! Opening the store: it admits one program at a time, refuses unknown versions, and verifies that nothing
//! acknowledged is missing.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::watch;

use super::codec::{BadBytes, HeadMark};
use super::guard;
use super::head_file::{self, HeadFile};
use super::layout::{self, OpenEngine};
use super::writer::{Writer, WriterState};
use super::{SharedStore, Store, which};
use crate::core::Seq;
use crate::core::event::Chain;
use crate::engine::LogPause;
use crate::store::engine::{EngineKind, Failure, closed, guarded};
use crate::store::{APPENDS_WAITING, CounterFile, LedgerFile};

/// User id of root.
const ROOT: u32 = 0;
/// The file that is locked while a program runs on the store.
const LOCK: &str = "lock";
/// How many times the lock is tried, and the pause in between: one second in all.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Why a store cannot be opened. Nothing is deleted to make it work.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    /// The folder cannot be created, entered or written.
    #[error("cannot use {} for the store: {why}; {}", .path.display(), advice(.path, .why))]
    Folder {
        /// The store's folder.
        path: PathBuf,
        /// The error of the system.
        why: io::Error,
    },
    /// It belongs to another user, who could not open what this one writes into it.
    #[error(
        "the store in {} belongs to {}, who could not open what another user writes into it: run this as that user \
         (runuser -u {} -- portcullis …)",
        .path.display(), user(*.owner), user(*.owner)
    )]
    OtherOwner {
        /// The store's folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// Another process has it open.
    #[error(
        "another portcullis runs on this store ({}); stop it first, or give this one a store of its own",
        .path.display()
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// It is on another storage engine than the configured one.
    #[error(
        "the store in {} is on {holds}, but [store] engine says {asked}: remove that line, or move the store \
         (portcullis move-store --to {asked})",
        .path.display()
    )]
    OtherEngine {
        /// The store's folder.
        path: PathBuf,
        /// The engine it is on.
        holds: EngineKind,
        /// The configured one.
        asked: EngineKind,
    },
    /// It holds the files of more than one storage engine.
    #[error(
        "the store in {} holds the files of more than one engine (its folders sled and redb): move the one that is \
         not meant to be used out of it",
        .path.display()
    )]
    Several {
        /// The store's folder.
        path: PathBuf,
    },
    /// It was to be copied in order to be looked at, and the copy has no room or cannot be written.
    #[error(
        "cannot copy the store to {} to look at it: {why}; make room for a copy there, or name a folder with room: \
         TMPDIR=FOLDER portcullis …",
        .folder.display()
    )]
    Scratch {
        /// The folder for the copy.
        folder: PathBuf,
        /// The error of the system.
        why: io::Error,
    },
    /// Written by a newer portcullis.
    #[error(
        "the store in {} has format {found}, this portcullis knows formats up to {known}; \
         install the newer portcullis again",
        .path.display()
    )]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// The version on the disk.
        found: u64,
        /// The highest version this program reads.
        known: u64,
    },
    /// The content is not what was written.
    #[error(
        "the store in {0} is damaged: {why}. Nothing was changed or deleted. Keep all of it: copy the folder \
         (cp -a {0} {0}.damaged) and check the disk. docs/operator.md, \"When the store is damaged\", says how to \
         find out what is whole and how to get the bans back",
        .path.display()
    )]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What is wrong, as far as known.
        why: String,
    },
}

/// Refuses to write into the store of another user: what root writes there its owner could not open. A folder that is not there yet
/// belongs to the owner of the nearest one above it. In a folder of root's another user may be at home by its group.
pub(super) fn check_owner(path: &Path) -> Result<(), OpenFault> {
    let ours = uzers::get_effective_uid();
    let mut folders = path.ancestors();
    let there = folders.find_map(|folder| Some((folder, std::fs::metadata(folder).ok()?.uid())));
    match there {
        Some((folder, owner))
            if owner != ours && (ours == ROOT || (owner != ROOT && folder == path)) =>
        {
            Err(OpenFault::OtherOwner {
                path: path.to_path_buf(),
                owner,
            })
        }
        _ => Ok(()),
    }
}

/// The name of a user, or the number if it has none.
fn user(id: u32) -> String {
    let name = uzers::get_user_by_uid(id);
    name.map_or_else(
        || id.to_string(),
        |user| user.name().to_string_lossy().into_owned(),
    )
}

/// What to do about an error of the system.
fn advice(path: &Path, why: &io::Error) -> String {
    let path = path.display();
    match why.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            format!(
                "no ban is lost, and hook modules go on refusing those they hold. Make room where {path} is \
                 (df -h {path}) and start portcullis again"
            )
        }
        io::ErrorKind::ReadOnlyFilesystem => format!(
            "no ban is lost, and hook modules go on refusing those they hold. The disk is read-only, often after an \
             error (see the system's log): check it, make {path} writable and start portcullis again"
        ),
        _ => String::from("check its owner and rights"),
    }
}

impl Store {
    /// Opens the store in a folder, on the engine it is on; a new one is on the default engine.
    ///
    /// # Errors
    /// [`OpenFault`] says what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Store, OpenFault> {
        Self::open_on(path, None)
    }

    /// Opens the store in a folder, which is created for its owner only if it does not exist. `engine` is the
    /// configured one. Blocks: about half a second for a million entries.
    ///
    /// # Errors
    /// [`OpenFault`] says what to do; [`OpenFault::OtherEngine`] if the store is on another engine than `engine`.
    pub fn open_on(path: impl AsRef<Path>, engine: Option<EngineKind>) -> Result<Store, OpenFault> {
        let path = path.as_ref().to_path_buf();
        let folder = |why| OpenFault::Folder {
            path: path.clone(),
            why,
        };
        check_owner(&path)?;
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(folder)?;
        let lock = lock(&path)?;
        let kind = which::to_open(&path, engine)?;
        let opened = open_verified(&path, kind).and_then(|(opened, head_file)| {
            match head_file.set_durably(opened.end) {
                Ok(()) => Ok((opened, head_file)),
                Err(why) => {
                    // The error that came first is the one to tell.
                    let _ = closed(opened.engine);
                    Err(folder(why))
                }
            }
        });
        let mut refusal = None;
        let (opened, head_file) = match opened {
            Err(OpenFault::Folder { why, .. }) if guard::takes_no_writes(&why) => {
                refusal = Some(guard::refusal(&path, &why));
                (guard::open(&path, kind, why)?, HeadFile::later(&path))
            }
            opened => opened?,
        };
        let OpenEngine {
            engine,
            id,
            end,
            damaged_head,
        } = opened;
        let damaged_head = damaged_head.map(|why| why.to_string());
        if let Some(why) = &damaged_head {
            tracing::error!(
                %why,
                file = %path.join(head_file::NAME).display(),
                last = end.0.0,
                "the file that says where the log ended is damaged: decisions at the end of the log may be lost"
            );
        }
        let is_noted = refusal.is_some();
        let state = match refusal {
            None => WriterState::Running(engine),
            Some(why) => WriterState::Guarding(engine, why),
        };
        let trouble = match &state {
            WriterState::Running(_) => None,
            other => Some(other.fault()),
        };
        let shared = Arc::new(SharedStore {
            path: path.clone(),
            kind,
            state: RwLock::new(state),
            head: watch::Sender::new(end.0),
            head_file,
            counters: CounterFile::new(&path),
            ledger: LedgerFile::new(&path),
            trouble: watch::Sender::new(trouble),
            failing: LogPause::default(),
            _lock: lock,
        });
        let (sender, queue) = mpsc::sync_channel(APPENDS_WAITING);
        let writer = Writer {
            shared: Arc::clone(&shared),
            queue,
            end,
            is_noted,
            idle: 0,
        };
        let thread = thread::Builder::new()
            .name(String::from("store"))
            .spawn(move || writer.run())
            .map_err(folder)?;
        Ok(Store {
            shared,
            queue: Mutex::new(Some(sender)),
            writer: Mutex::new(Some(thread)),
            id,
            damaged_head,
        })
    }
}

/// Opens the engine, and compares where the log ends with what was acknowledged.
pub(super) fn open_verified(
    path: &Path,
    kind: EngineKind,
) -> Result<(OpenEngine, HeadFile), OpenFault> {
    let folder = |why| OpenFault::Folder {
        path: path.to_path_buf(),
        why,
    };
    let engine_folder = which::folder(path, kind);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&engine_folder)
        .map_err(folder)?;
    let (head_file, says) = HeadFile::open(path).map_err(folder)?;
    let opened = verified(path, kind, &engine_folder, says)?;
    Ok((opened, head_file))
}

/// Opens the engine in `engine_folder`, and compares where the log ends with what the file `head` says.
pub(super) fn verified(
    path: &Path,
    kind: EngineKind,
    engine_folder: &Path,
    says: Option<Result<HeadMark, BadBytes>>,
) -> Result<OpenEngine, OpenFault> {
    let fault = |why: Failure| open_fault(path, kind, why);
    let (says, damaged_head) = match says {
        Some(Err(why)) => (None, Some(why)),
        says => (says.and_then(Result::ok), None),
    };
    let cut = says.filter(|head| head.is_last).map(|head| head.seq);
    let mut opened = guarded(|| layout::open(kind, engine_folder, cut)).map_err(fault)?;
    opened.damaged_head = damaged_head;
    if let Some(head) = says {
        let compared = guarded(|| compare(&opened, head.seq, head.chain, path, engine_folder));
        compared.map_err(fault)?;
    }
    Ok(opened)
}

pub(super) fn lock(path: &Path) -> Result<File, OpenFault> {
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(false).mode(0o600);
    file.custom_flags(libc::O_NOFOLLOW);
    let file = file.open(path.join(LOCK)).or_else(|why| {
        // A lock needs no right to write, and a disk may be read-only.
        if why.kind() != io::ErrorKind::ReadOnlyFilesystem {
            return Err(why);
        }
        let mut there = OpenOptions::new();
        there.read(true).custom_flags(libc::O_NOFOLLOW);
        there.open(path.join(LOCK)).map_err(|_| why)
    });
    wait_for_lock(path, file.map_err(|why| folder_fault(path, why))?)
}

/// The lock of a store that is only read; `None` if nobody can run on it. The file is never created: as root's it would keep
/// portcullis out of its own store.
pub(super) fn lock_if_there(path: &Path) -> Result<Option<File>, OpenFault> {
    let file = OpenOptions::new()
        .write(true)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path.join(LOCK));
    match file {
        Ok(file) => wait_for_lock(path, file).map(Some),
        Err(why)
            if matches!(
                why.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(None)
        }
        Err(why) => Err(folder_fault(path, why)),
    }
}

/// Whether a program runs on the store in a folder, as far as this user can see.
pub(super) fn is_in_use(path: &Path) -> bool {
    let mut lock = OpenOptions::new();
    lock.read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
    let lock = lock.open(path.join(LOCK));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn folder_fault(path: &Path, why: io::Error) -> OpenFault {
    OpenFault::Folder {
        path: path.to_path_buf(),
        why,
    }
}

fn wait_for_lock(path: &Path, file: File) -> Result<File, OpenFault> {
    // The previous program may be ending right now. Also, a child process of ours holds all open files between its
    // fork and its exec, among them the lock of a store that was just closed.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => pause(),
            Err(TryLockError::Error(why)) => return Err(folder_fault(path, why)),
        }
    }
    Err(OpenFault::Locked {
        path: path.to_path_buf(),
    })
}

#[allow(
    clippy::disallowed_methods,
    reason = "opening blocks anyway: it is done on a thread of its own, before anything is served"
)]
fn pause() {
    thread::sleep(LOCK_PAUSE);
}

fn open_fault(path: &Path, kind: EngineKind, why: Failure) -> OpenFault {
    let path = path.to_path_buf();
    match why {
        Failure::Newer(found) => OpenFault::Newer {
            path,
            found,
            known: layout::STORE_VERSION,
        },
        Failure::Io(why) | Failure::Unread(why) => OpenFault::Folder { path, why },
        Failure::Damaged(why) => OpenFault::Damaged { path, why },
        other => OpenFault::Damaged {
            why: format!(
                "{} cannot be read: {other}",
                path.join(kind.name()).join("db").display()
            ),
            path,
        },
    }
}

/// Compares the log with the head file: the log must reach that position and have the same hash there.
fn compare(
    opened: &OpenEngine,
    marked: Seq,
    hash: Chain,
    path: &Path,
    engine_folder: &Path,
) -> Result<(), Failure> {
    let end = opened.end.0;
    if end < marked {
        return Err(Failure::Damaged(format!(
            "the log in {} ends with entry {}, but entry {} had been acknowledged ({})",
            engine_folder.display(),
            end.0,
            marked.0,
            path.join(head_file::NAME).display()
        )));
    }
    if layout::chain_at(&*opened.engine, marked)? != Some(hash) {
        return Err(Failure::Damaged(format!(
            "entry {} of the log is not the one that was acknowledged",
            marked.0
        )));
    }
    Ok(())
}
