//! Reads a store that nobody has open, damaged or not, and changes nothing: engines write when they are opened, so
//! their files are copied first.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::ops::{Bound, ControlFlow};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::codec::{self, BadBytes, HeadMark, LogValue};
use super::head_file;
use super::layout::{ID_KEY, STORE_VERSION, VERSION_KEY};
use super::open::{OpenFault, lock_if_there};
use super::which;
use crate::core::event::Chain;
use crate::core::{Event, Ledger, Personal, Seq};
use crate::engine::clock::fresh_id;
use crate::journal::Entry;
use crate::store::LedgerFile;
use crate::store::engine::{
    ALL_KEYS, Direction, EngineKind, Failure, StorageEngine, StoreTable, closed, guarded,
};

/// Maximum number of damaged places that are named; the rest is counted.
const NAMED: usize = 1_000;
/// Bytes of a file that are copied at a time.
const PIECE: usize = 256 * 1024;
/// Number of entries that are damaged one after the other before further ones are looked at in steps.
const ONE_BY_ONE: u64 = 100_000;
/// What is wrong with an entry of the log that is not there.
const MISSING: &str = "it is missing";

/// What a look at a whole store found.
#[derive(Debug, Default)]
pub struct StoreInspection {
    /// The storage engine it is on; `None` if the folder holds none.
    pub engine: Option<EngineKind>,
    /// Number of entries of the log that are whole.
    pub whole: u64,
    /// The last position that the log is known to have had.
    pub end: Seq,
    /// Hash over the log up to its last entry, if that one is whole.
    pub digest: Option<Chain>,
    /// The last entry that is known to have been acknowledged; `None` if the file `head` does not say.
    pub acknowledged: Option<Seq>,
    /// The damaged places that were found first.
    pub damage: Vec<Damage>,
    /// Number of further damaged places.
    pub more: u64,
}

/// A damaged place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where.
    pub part: DamagedPart,
    /// What is wrong, for people.
    pub why: String,
}

/// A part of a store that can be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DamagedPart {
    /// The engine's files cannot be opened.
    Engine,
    /// Version and id of the store.
    Identity,
    /// Entries of the log, from the first to the last one.
    Entries(Seq, Seq),
    /// The private note or the evidence of an entry.
    Note(Seq),
    /// Unfinished work on the server.
    Outbox,
    /// The file that names the last acknowledged entry.
    Head,
    /// The snapshot that shortens a start. A start does without it.
    Snapshot,
}

impl DamagedPart {
    /// Whether a start does as well without it.
    pub fn is_spare(self) -> bool {
        matches!(self, DamagedPart::Snapshot)
    }
}

/// What was found at one place of the log.
#[derive(Debug)]
pub enum Found {
    /// A whole entry.
    Entry(Box<Entry>),
    /// Entries that cannot be read, from the first to the last one, and why.
    Damaged(Seq, Seq, String),
}

impl StoreInspection {
    /// Whether everything that a start needs is whole.
    pub fn is_whole(&self) -> bool {
        self.more == 0 && self.damage.iter().all(|damage| damage.part.is_spare())
    }

    fn add(&mut self, part: DamagedPart, why: impl ToString) {
        match self.damage.len() < NAMED {
            true => self.damage.push(Damage {
                part,
                why: why.to_string(),
            }),
            false => self.more += 1,
        }
    }
}

/// Looks at everything in a store that nobody has open. `scratch` is a folder of nobody else's with room for a copy of the
/// engine's files. `each` gets every place of the log in order. Blocks until it is done.
///
/// # Errors
/// [`OpenFault`] if the store is in use, is of a newer portcullis, or the system does not read its files;
/// [`OpenFault::Scratch`] if it does not write the copy.
pub fn inspect(
    store: &Path,
    scratch: &Path,
    each: &mut dyn FnMut(Found),
) -> Result<StoreInspection, OpenFault> {
    let _lock = lock_if_there(store)?;
    let mut found = StoreInspection::default();
    let marked = read_head(store, &mut found);
    found.acknowledged = marked.map(|head| head.seq);
    found.end = found.acknowledged.unwrap_or_default();
    let place = which::to_read(store)?;
    found.engine = place.as_ref().map(|(kind, _)| *kind);
    let Some((kind, files)) = place else {
        if found.end > Seq(0) {
            let why = "the log is not there".to_owned();
            found.add(DamagedPart::Entries(Seq(1), found.end), &why);
            each(Found::Damaged(Seq(1), found.end, why));
        }
        return Ok(found);
    };
    let copy = ScratchCopy::of(&files, scratch, store)?;
    match guarded(|| kind.open(&copy.0)) {
        Ok(engine) => {
            read_identity(&*engine, store, &mut found)?;
            read_log(&*engine, marked, &mut found, each);
            read_outbox(&*engine, &mut found);
            // It is a copy.
            let _ = closed(engine);
        }
        // It says nothing about the store: the copy has no room.
        Err(Failure::Io(why)) => return Err(no_copy(scratch, why)),
        Err(why) => {
            found.add(DamagedPart::Engine, &why);
            if found.end > Seq(0) {
                let why = why.to_string();
                found.add(DamagedPart::Entries(Seq(1), found.end), &why);
                each(Found::Damaged(Seq(1), found.end, why));
            }
        }
    }
    read_snapshot(store, &mut found);
    Ok(found)
}

fn read_head(store: &Path, found: &mut StoreInspection) -> Option<HeadMark> {
    match head_file::read(store) {
        Ok(said) => said?.map_err(|why| found.add(DamagedPart::Head, why)).ok(),
        Err(why) => {
            found.add(DamagedPart::Head, why);
            None
        }
    }
}

fn read_identity(
    engine: &dyn StorageEngine,
    store: &Path,
    found: &mut StoreInspection,
) -> Result<(), OpenFault> {
    let meta = |key| guarded(|| engine.get(StoreTable::Meta, key));
    let version = meta(VERSION_KEY).map_err(|why| why.to_string());
    match version.map(|value| value.as_deref().map(codec::number_from_bytes)) {
        Ok(Some(Ok(version))) if version > STORE_VERSION => {
            return Err(OpenFault::Newer {
                path: store.to_path_buf(),
                found: version,
                known: STORE_VERSION,
            });
        }
        Ok(Some(Ok(_))) => {}
        Ok(Some(Err(why))) => found.add(DamagedPart::Identity, why),
        Ok(None) => found.add(DamagedPart::Identity, "the version is missing"),
        Err(why) => found.add(DamagedPart::Identity, why),
    }
    match meta(ID_KEY) {
        Ok(Some(id)) if id.len() == 16 => {}
        Ok(_) => found.add(DamagedPart::Identity, "the id is missing"),
        Err(why) => found.add(DamagedPart::Identity, why),
    }
    Ok(())
}

/// Damaged places beside each other with the same cause, until they are told.
type DamagedRun = Option<(Seq, Seq, String)>;

fn read_log(
    engine: &dyn StorageEngine,
    marked: Option<HeadMark>,
    found: &mut StoreInspection,
    each: &mut dyn FnMut(Found),
) {
    let mut last = Seq(0);
    let walked = guarded(|| {
        engine.walk(
            StoreTable::Log,
            ALL_KEYS,
            Direction::Descending,
            &mut |key, _| {
                last = codec::seq_of(key).unwrap_or_default();
                ControlFlow::Break(())
            },
        )
    });
    if let Err(why) = walked {
        found.add(DamagedPart::Engine, why);
    }
    // What lies behind the last acknowledged entry is dropped by the next start.
    if marked.is_none_or(|head| !head.is_last) {
        found.end = found.end.max(last);
    }
    let mut run: DamagedRun = None;
    let mut unreadable = 0;
    let mut before = Some(Chain::default());
    let mut seq = Seq(0);
    while seq < found.end {
        seq = seq.next();
        match read_entry(engine, seq, before, found) {
            Ok(entry) => {
                unreadable = 0;
                end_run(&mut run, found, each);
                if marked.is_some_and(|head| head.seq == seq && head.chain != entry.chain) {
                    let why = format!("entry {} is not the one that was acknowledged", seq.0);
                    found.add(DamagedPart::Head, why);
                }
                before = Some(entry.chain);
                found.whole += 1;
                found.digest = (seq == found.end).then_some(entry.chain);
                each(Found::Entry(Box::new(entry)));
            }
            Err((why, chain)) => {
                before = chain;
                let from = seq;
                unreadable += 1;
                if why == MISSING {
                    seq = last_missing(engine, seq, found.end);
                } else if unreadable > ONE_BY_ONE {
                    seq = last_unreadable(engine, seq, found.end);
                }
                match &mut run {
                    Some((_, upto, same)) if *same == why => *upto = seq,
                    _ => {
                        end_run(&mut run, found, each);
                        run = Some((from, seq, why));
                    }
                }
            }
        }
    }
    end_run(&mut run, found, each);
}

fn end_run(run: &mut DamagedRun, found: &mut StoreInspection, each: &mut dyn FnMut(Found)) {
    if let Some((from, upto, why)) = run.take() {
        found.add(DamagedPart::Entries(from, upto), &why);
        each(Found::Damaged(from, upto, why));
    }
}

/// The last of the missing entries that begin at `from`. A damaged key may be far behind the others, so they are not looked up
/// one by one.
fn last_missing(engine: &dyn StorageEngine, from: Seq, end: Seq) -> Seq {
    let key = codec::seq_key(from);
    let mut next = None;
    let walked = guarded(|| {
        engine.walk(
            StoreTable::Log,
            (Bound::Excluded(&key[..]), Bound::Unbounded),
            Direction::Ascending,
            &mut |key, _| {
                next = Some(codec::seq_of(key).unwrap_or_default());
                ControlFlow::Break(())
            },
        )
    });
    match (walked, next) {
        (Ok(()), None) => end,
        (Ok(()), Some(next)) if next > from => Seq(next.0 - 1).min(end),
        _ => from,
    }
}

/// The last of the entries from `from` on that the engine does not read, found in growing steps: a damaged key may be so far
/// behind the others that nobody could wait for a look at each. Entries that can be read between two steps are passed over.
fn last_unreadable(engine: &dyn StorageEngine, from: Seq, end: Seq) -> Seq {
    let fails = |seq| guarded(|| engine.get(StoreTable::Log, &codec::seq_key(Seq(seq)))).is_err();
    let (mut bad, mut step) = (from.0, 1_u64);
    let mut good = loop {
        let next = bad.saturating_add(step).min(end.0);
        if next == bad {
            return end;
        }
        if !fails(next) {
            break next;
        }
        bad = next;
        step = step.saturating_mul(2);
    };
    while good - bad > 1 {
        let middle = bad + (good - bad) / 2;
        match fails(middle) {
            true => bad = middle,
            false => good = middle,
        }
    }
    Seq(bad)
}

/// One entry; or what is wrong with it, and the hash that the next one must follow from, if that is known.
fn read_entry(
    engine: &dyn StorageEngine,
    seq: Seq,
    before: Option<Chain>,
    found: &mut StoreInspection,
) -> Result<Entry, (String, Option<Chain>)> {
    let lost = |why: String| (why, None);
    let key = codec::seq_key(seq);
    let get = |table| guarded(|| engine.get(table, &key));
    let value = get(StoreTable::Log).map_err(|why| lost(why.to_string()))?;
    let value = value.ok_or_else(|| lost(String::from(MISSING)))?;
    let LogValue { chain, event, .. } =
        LogValue::from_bytes(&value).map_err(|why| lost(why.to_string()))?;
    if before.is_some_and(|before| before.extend(seq, event) != chain) {
        let why = "it does not follow from the entry before it";
        return Err((why.to_owned(), Some(chain)));
    }
    let note = get(StoreTable::Personal).map_err(|why| why.to_string());
    let note = note.and_then(|value| {
        let read = value.as_deref().map(codec::personal_from_bytes);
        read.transpose().map_err(|why: BadBytes| why.to_string())
    });
    let personal = note.unwrap_or_else(|why| {
        found.add(DamagedPart::Note(seq), why);
        None
    });
    let event = Event::from_bytes(event, personal.unwrap_or_else(Personal::default));
    let event = event.map_err(|why| (why.to_string(), Some(chain)))?;
    Ok(Entry { seq, event, chain })
}

fn read_outbox(engine: &dyn StorageEngine, found: &mut StoreInspection) {
    let mut bad = None;
    let walked = guarded(|| {
        let (outbox, up) = (StoreTable::Outbox, Direction::Ascending);
        engine.walk(outbox, ALL_KEYS, up, &mut |key, value| {
            let read = match key == codec::CURSOR_KEY {
                true => codec::number_from_bytes(value).map(|_| ()),
                false => codec::task_from_bytes(value).map(|_| ()),
            };
            bad = bad.or(read.err());
            ControlFlow::Continue(())
        })
    });
    let bad = bad.map(|why| Failure::Damaged(why.to_string()));
    if let Some(why) = walked.err().or(bad) {
        found.add(DamagedPart::Outbox, why);
    }
}

fn read_snapshot(store: &Path, found: &mut StoreInspection) {
    match LedgerFile::new(store).load() {
        Ok(frames) if frames.is_empty() => {}
        Ok(frames) => {
            if let Err(why) = Ledger::restore(&frames) {
                found.add(DamagedPart::Snapshot, why);
            }
        }
        Err(why) => found.add(DamagedPart::Snapshot, why),
    }
}

/// A copy of a folder that is removed when it is dropped.
pub(super) struct ScratchCopy(PathBuf);

impl ScratchCopy {
    /// A copy of the folder of an engine, in a new folder below `scratch`.
    pub(super) fn of(
        folder: &Path,
        scratch: &Path,
        store: &Path,
    ) -> Result<ScratchCopy, OpenFault> {
        let name = fresh_id().map_err(|why| no_copy(scratch, io::Error::other(why.to_string())))?;
        let copy = ScratchCopy(scratch.join(hex::encode(name.0)));
        copy_all(folder, &copy.0).map_err(|fault| match fault {
            CopyFault::Source(why) => OpenFault::Folder {
                path: store.to_path_buf(),
                why,
            },
            CopyFault::Target(why) => no_copy(scratch, why),
        })?;
        Ok(copy)
    }
}

impl ScratchCopy {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

fn no_copy(scratch: &Path, why: io::Error) -> OpenFault {
    OpenFault::Scratch {
        folder: scratch.to_path_buf(),
        why,
    }
}

impl Drop for ScratchCopy {
    fn drop(&mut self) {
        if let Err(why) = fs::remove_dir_all(&self.0)
            && why.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%why, folder = %self.0.display(), "a copy of the store could not be removed");
        }
    }
}

/// What failed while a folder was copied.
enum CopyFault {
    /// The original, which was to be read.
    Source(io::Error),
    /// The copy, which was to be written.
    Target(io::Error),
}

fn copy_all(from: &Path, to: &Path) -> Result<(), CopyFault> {
    let made = DirBuilder::new().mode(0o700).create(to);
    made.map_err(CopyFault::Target)?;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_DIRECTORY)
        .open(from);
    let opened = opened.map_err(CopyFault::Source)?;
    // What was opened, whatever takes its place meanwhile.
    let from = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
    for file in fs::read_dir(&from).map_err(CopyFault::Source)? {
        let file = file.map_err(CopyFault::Source)?;
        let (source, target) = (file.path(), to.join(file.file_name()));
        let kind = file.file_type().map_err(CopyFault::Source)?;
        if kind.is_dir() {
            copy_all(&source, &target)?;
        } else if kind.is_file() {
            copy_file(&source, &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(&from).map_or(source, |real| real.join(file.file_name()));
            return Err(CopyFault::Source(which::is_a_link(&link)));
        }
    }
    Ok(())
}

/// Copies no pipes and devices, and follows no links: an engine makes none, and root may be looking at the folder of another user, who
/// can put one in the place of a file at any moment. So what was opened is looked at, not what was there before.
fn copy_file(from: &Path, to: &Path) -> Result<(), CopyFault> {
    let source = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(from);
    let mut source = source.map_err(CopyFault::Source)?;
    if !source.metadata().map_err(CopyFault::Source)?.is_file() {
        let why = format!("{} is no file any more", from.display());
        return Err(CopyFault::Source(io::Error::other(why)));
    }
    let target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to);
    let mut target = target.map_err(CopyFault::Target)?;
    let mut piece = vec![0; PIECE];
    loop {
        match source.read(&mut piece).map_err(CopyFault::Source)? {
            0 => return Ok(()),
            read => target
                .write_all(&piece[..read])
                .map_err(CopyFault::Target)?,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// An engine that reads nothing but the names of a first and a far last entry.
    #[derive(Debug)]
    struct UnreadableEngine;

    impl StorageEngine for UnreadableEngine {
        fn get(&self, _: StoreTable, _: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
            Err(Failure::Engine(String::from("a damaged page")))
        }

        fn walk(
            &self,
            _: StoreTable,
            _: crate::store::engine::KeyRange<'_>,
            _: Direction,
            each: &mut crate::store::engine::OnRow<'_>,
        ) -> Result<(), Failure> {
            let _ = each(&codec::seq_key(Seq(1 << 56)), &[]);
            Ok(())
        }

        fn write(
            &self,
            _: &[crate::store::engine::RowChange],
            _: crate::store::engine::Durable,
        ) -> Result<(), Failure> {
            Ok(())
        }

        fn sync(&self) -> Result<(), Failure> {
            Ok(())
        }
    }

    #[test]
    fn a_far_key_among_damaged_pages_does_not_keep_the_look_from_ending() {
        let mut found = StoreInspection::default();
        let mut runs = Vec::new();
        read_log(&UnreadableEngine, None, &mut found, &mut |found| {
            if let Found::Damaged(from, upto, _) = found {
                runs.push((from, upto));
            }
        });
        assert_eq!(runs, [(Seq(1), Seq(1 << 56))]);
    }

    /// They were files when the folder was read.
    #[test]
    fn what_took_the_place_of_a_file_is_not_copied() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "ours").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(at("pipe"))
            .status();
        assert!(made.unwrap().success());
        for name in ["link", "socket", "pipe"] {
            let copied = copy_file(&at(name), &at("copy"));
            assert!(matches!(copied, Err(CopyFault::Source(_))), "{name}");
            assert!(!at("copy").exists(), "{name}");
        }
        assert!(copy_file(&at("file"), &at("copy")).is_ok());
        assert_eq!(fs::read_to_string(at("copy")).unwrap(), "ours");
    }
}
