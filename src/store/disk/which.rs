//! Which storage engine a folder is on: the one whose folder in it has files. Nothing else records it.
//!
//! A move to another engine (`transfer`) has one moment that decides: when the old engine's folder is renamed. Before
//! it the old engine is in place, and a copy beside it means nothing. After it no engine is in place, and the copy is
//! whole, because it was verified before; opening the store puts it in its place.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::{OpenFault, head_file};
use crate::core::Seq;
use crate::store::engine::EngineKind;

/// The ending of an engine's folder that holds a whole and verified copy.
const COPIED: &str = "copied";

/// The folder of an engine.
pub(super) fn folder(store: &Path, kind: EngineKind) -> PathBuf {
    store.join(kind.name())
}

/// Where a whole copy waits to be put in place.
pub(super) fn copied(store: &Path, kind: EngineKind) -> PathBuf {
    store.join(kind.name()).with_extension(COPIED)
}

/// The engine to open in a folder, which must exist and be locked; finishes a move that was interrupted. `asked` is
/// the configured one. A new store gets it, or the default; an existing one stays on its own, whatever the default is.
pub(super) fn to_open(store: &Path, asked: Option<EngineKind>) -> Result<EngineKind, OpenFault> {
    let disk = |why| OpenFault::Folder {
        path: store.to_path_buf(),
        why,
    };
    let there = in_place(store)?;
    let there = match there {
        Some(there) => Some(there),
        None => finish_a_move(store).map_err(disk)?,
    };
    match (there, asked) {
        (Some(holds), Some(asked)) if holds != asked => Err(OpenFault::OtherEngine {
            path: store.to_path_buf(),
            holds,
            asked,
        }),
        (Some(holds), _) => Ok(holds),
        (None, asked) => match head_file::read(store).map_err(disk)? {
            // A new store beside it would be in the way of the files that have to come back.
            Some(Ok(head)) if head.seq > Seq(0) => Err(OpenFault::Damaged {
                path: store.to_path_buf(),
                why: format!(
                    "it holds the files of no storage engine (a folder {}), but entry {} had been acknowledged ({})",
                    EngineKind::ALL.map(EngineKind::name).join(" or "),
                    head.seq.0,
                    store.join(head_file::NAME).display()
                ),
            }),
            Some(Err(why)) => Err(OpenFault::Damaged {
                path: store.to_path_buf(),
                why: format!(
                    "it holds the files of no storage engine (a folder {}), and the file {}, which says whether there were some, is damaged: {why}",
                    EngineKind::ALL.map(EngineKind::name).join(" or "),
                    store.join(head_file::NAME).display()
                ),
            }),
            _ => Ok(asked.unwrap_or(EngineKind::DEFAULT)),
        },
    }
}

/// The engine of a store that is only looked at, and the folder of its files; `None` if the folder holds none.
///
/// # Errors
/// [`OpenFault`] if it holds several, or cannot be read.
pub(super) fn to_read(store: &Path) -> Result<Option<(EngineKind, PathBuf)>, OpenFault> {
    if let Some(kind) = in_place(store)? {
        return Ok(Some((kind, folder(store, kind))));
    }
    // A move to another engine that the next start finishes.
    for kind in EngineKind::ALL {
        let copied = copied(store, kind);
        let has = has_files(&copied).map_err(|why| OpenFault::Folder {
            path: store.to_path_buf(),
            why,
        })?;
        if has {
            return Ok(Some((kind, copied)));
        }
    }
    Ok(None)
}

/// The engine that is in place in a folder; `None` if the folder holds none yet.
///
/// # Errors
/// [`OpenFault`] if it holds several, or cannot be read.
pub(super) fn in_place(store: &Path) -> Result<Option<EngineKind>, OpenFault> {
    let path = || store.to_path_buf();
    let mut there = Vec::new();
    for kind in EngineKind::ALL {
        let has = has_files(&folder(store, kind));
        if has.map_err(|why| OpenFault::Folder { path: path(), why })? {
            there.push(kind);
        }
    }
    match there[..] {
        [] => Ok(None),
        [one] => Ok(Some(one)),
        _ => Err(OpenFault::Several { path: path() }),
    }
}

fn finish_a_move(store: &Path) -> io::Result<Option<EngineKind>> {
    for kind in EngineKind::ALL {
        let copied = copied(store, kind);
        if has_files(&copied)? {
            tracing::info!(engine = %kind, "finishing the move of the store to another engine");
            put_in_place(store, kind)?;
            return Ok(Some(kind));
        }
    }
    Ok(None)
}

/// Puts a whole copy in its place. Nothing else may be there.
pub(super) fn put_in_place(store: &Path, kind: EngineKind) -> io::Result<()> {
    let place = folder(store, kind);
    // An empty one, from a start that was interrupted.
    match fs::remove_dir(&place) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    fs::rename(copied(store, kind), &place)?;
    File::open(store)?.sync_all()
}

/// Whether an engine's folder holds anything. A link in it, or in its place, is refused: root may be at work in the store of
/// another user, who could lead it anywhere.
fn has_files(folder: &Path) -> io::Result<bool> {
    let there = match fs::symlink_metadata(folder) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(false),
        there => there?,
    };
    if there.is_symlink() {
        return Err(is_a_link(folder));
    }
    let mut has = false;
    for file in fs::read_dir(folder)? {
        let file = file?;
        if file.file_type()?.is_symlink() {
            return Err(is_a_link(&file.path()));
        }
        has = true;
    }
    Ok(has)
}

/// The error for a link inside a store.
pub(super) fn is_a_link(path: &Path) -> io::Error {
    io::Error::other(format!(
        "{} is a link, and no link inside a store is followed; put the files themselves there, or name another folder \
         in [store] path",
        path.display()
    ))
}
