//! Reads files that may hold secrets, with a size limit; refuses files that others can read or change.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
};

use zeroize::Zeroizing;

/// Maximum size of a secret or key file in bytes. 64 seal keys take 6 KiB.
const MAX_SECRET_FILE: u64 = 64 * 1024;
/// Maximum size of the configuration file in bytes; it is not meant for a million exempt networks.
pub(super) const MAX_CONFIG_FILE: u64 = 1024 * 1024;

/// Permission bits for users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;
/// Write permission of the group: a member who can replace a key can forge seals.
const GROUP_WRITES: u32 = 0o020;
/// Write permission of everybody.
const OTHERS_WRITE: u32 = 0o002;
/// In a folder with this bit only the owner of a file can replace it.
const STICKY: u32 = 0o1000;

/// Reads a file that only its owner and group may read. The error is a sentence that says what to do.
pub(super) fn read_private(
    path: &Path,
    denied: fn(&Path) -> String,
) -> Result<Zeroizing<String>, String> {
    read_private_as(uzers::get_effective_uid(), path, denied)
}

/// [`read_private`] for a program that runs as the user `us`.
fn read_private_as(
    us: u32,
    path: &Path,
    denied: fn(&Path) -> String,
) -> Result<Zeroizing<String>, String> {
    let (text, metadata) = read(path, MAX_SECRET_FILE, denied)?;
    refuse_open(path, &metadata)?;
    match is_trusted(metadata.uid(), us) {
        true => Ok(text),
        false => Err(format!(
            "{} holds a secret, but belongs to user {}, who can replace it; {}",
            path.display(),
            metadata.uid(),
            hand_over(path)
        )),
    }
}

/// Whether a file of this owner cannot be changed by a third party: it is ours, or root's. Root may read a file of the user
/// that the service runs as.
fn is_trusted(owner: u32, us: u32) -> bool {
    const ROOT: u32 = 0;
    us == ROOT || owner == us || owner == ROOT
}

/// Who else than the user `us`, whom we run as, can change the configuration, which names the admins.
///
/// # Errors
/// Every user of the machine can, in the file or by putting another in its place. `Some`: its group or its owner can, which
/// may be meant.
pub(super) fn who_may_change(
    us: u32,
    path: &Path,
    metadata: &Metadata,
) -> Result<Option<String>, String> {
    let shown = path.display();
    let mode = metadata.mode();
    if mode & OTHERS_WRITE != 0 {
        return Err(format!(
            "every user of this machine may change {shown} (mode {:04o}) and make themselves admin; run: chmod go-w {}",
            mode & 0o7777,
            quoted(path)
        ));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let is_open = |there: Metadata| there.mode() & OTHERS_WRITE != 0 && there.mode() & STICKY == 0;
    if folder.metadata().is_ok_and(is_open) {
        return Err(format!(
            "every user of this machine may replace {shown}, because {} is open (chmod go-w {})",
            folder.display(),
            quoted(folder)
        ));
    }
    if mode & GROUP_WRITES != 0 {
        return Ok(Some(format!(
            "the group of {shown} may change it (mode {:04o}) and name admins; if that is not meant: chmod g-w {}",
            mode & 0o7777,
            quoted(path)
        )));
    }
    let owner = metadata.uid();
    let is_others = !is_trusted(owner, us);
    Ok(is_others.then(|| {
        format!(
            "{shown} belongs to user {owner}, who may change it and name admins; if that is not meant: chown root {}",
            quoted(path)
        )
    }))
}

/// Reads a text file of at most `limit` bytes; returns also the metadata of the opened file. `denied` makes the
/// advice for missing permission. The error is a sentence for people.
pub(super) fn read(
    path: &Path,
    limit: u64,
    denied: fn(&Path) -> String,
) -> Result<(Zeroizing<String>, Metadata), String> {
    let shown = path.display();
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => format!("{shown} does not exist"),
        io::ErrorKind::PermissionDenied => format!(
            "{shown} may not be read by the user this runs as; {}",
            denied(path)
        ),
        io::ErrorKind::IsADirectory => format!("{shown} is a folder, not a file"),
        io::ErrorKind::InvalidData => format!("{shown} is not text in UTF-8"),
        _ => format!("{shown} cannot be read: {error}"),
    };
    let file = File::open(path).map_err(explain)?;
    let metadata = file.metadata().map_err(explain)?;
    // Allocated once, because a growing buffer would leave copies of the secret in memory.
    let room = metadata.len().min(limit) + 1;
    let mut text = Zeroizing::new(String::with_capacity(
        usize::try_from(room).unwrap_or_default(),
    ));
    file.take(limit + 1)
        .read_to_string(&mut text)
        .map_err(explain)?;
    if text.len() as u64 > limit {
        return Err(format!(
            "{shown} is larger than {} KiB; is it the right file?",
            limit / 1024
        ));
    }
    Ok((text, metadata))
}

/// Advice for a file of ours that may not be read.
pub(super) fn hand_over(path: &Path) -> String {
    format!(
        "give it to that user, for example: chown portcullis {}",
        quoted(path)
    )
}

/// Refuses a file that others may read or the group may change.
pub(super) fn refuse_open(path: &Path, metadata: &Metadata) -> Result<(), String> {
    let mode = metadata.mode();
    let problem = match (mode & OTHERS, mode & GROUP_WRITES) {
        (0, 0) => return Ok(()),
        (0, _) => "its group may change it",
        _ => "every user of this machine may open it",
    };
    Err(format!(
        "{} holds a secret, but {problem} (mode {:04o}); run: chmod g-w,o= {}",
        path.display(),
        mode & 0o7777,
        quoted(path)
    ))
}

/// The path, quoted for a shell if necessary.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn only_files_closed_to_others_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal key");
        fs::write(&path, "s3cr3t\n").unwrap();
        for (mode, refused) in [
            (0o600, false),
            (0o400, false),
            (0o640, false),
            (0o644, true),
            (0o604, true),
            (0o660, true),
            (0o601, true),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let got = read_private(&path, hand_over);
            assert_eq!(got.is_err(), refused, "{mode:o}");
            if let Err(said) = got {
                assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
                assert!(
                    said.ends_with(&format!("run: chmod g-w,o= '{}'", path.display())),
                    "{said}"
                );
                assert!(!said.contains("s3cr3t"), "{said}");
            }
        }
    }

    #[test]
    fn a_configuration_that_others_can_change_is_refused_or_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        fs::write(&path, "admins = []").unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap()
        };
        let us = uzers::get_effective_uid();
        let judged = || who_may_change(us, &path, &path.metadata().unwrap());
        for (mode, expected) in [
            (0o644, "Ok(None)"),
            (0o600, "Ok(None)"),
            (0o664, "chmod g-w"),
            (0o666, "make themselves admin; run: chmod go-w"),
            (0o602, "make themselves admin; run: chmod go-w"),
        ] {
            set(&path, mode);
            let said = format!("{:?}", judged());
            assert!(said.contains(expected), "{mode:o}: {said}");
            assert_eq!(judged().is_err(), mode & 0o002 != 0, "{mode:o}");
        }
        set(&path, 0o600);
        set(folder.path(), 0o777);
        assert!(judged().is_err_and(|said| said.contains("may replace")));
        set(folder.path(), 0o1777);
        assert_eq!(judged(), Ok(None), "as in /tmp");
        set(folder.path(), 0o700);
    }

    #[test]
    fn a_file_of_a_third_user_is_not_trusted() {
        for (owner, us, trusted) in [
            (0, 0, true),
            (990, 0, true),
            (0, 990, true),
            (990, 990, true),
            (1000, 990, false),
        ] {
            assert_eq!(is_trusted(owner, us), trusted, "{owner} for {us}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seal.key");
        fs::write(&path, "s3cr3t").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        // Root can give the file to somebody; for anybody else it is their own.
        let owner = match uzers::get_effective_uid() {
            0 => 1000,
            user => user,
        };
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        let read_by = |us| read_private_as(us, &path, hand_over);
        let why = read_by(owner + 1).unwrap_err();
        assert!(why.contains("who can replace it; give it to"), "{why}");
        assert_eq!(read_by(owner).unwrap().as_str(), "s3cr3t");
        let judged_by = |us| who_may_change(us, &path, &path.metadata().unwrap()).unwrap();
        let why = judged_by(owner + 1).unwrap();
        assert!(why.contains("who may change it and name admins"), "{why}");
        assert_eq!(judged_by(owner), None);
    }

    #[test]
    fn what_is_no_readable_text_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let said = |path: &Path| read(path, 8, hand_over).unwrap_err();
        assert!(said(&path).ends_with("does not exist"));
        assert!(said(folder.path()).ends_with("is a folder, not a file"));
        fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(said(&path).ends_with("is not text in UTF-8"));
        fs::write(&path, "123456789").unwrap();
        assert!(said(&path).contains("is larger than"));
        fs::write(&path, "12345678").unwrap();
        assert_eq!(read(&path, 8, hand_over).unwrap().0.as_str(), "12345678");
    }

    #[test]
    fn odd_paths_are_quoted_for_a_shell() {
        assert_eq!(
            quoted(Path::new("/etc/portcullis/seal.key")),
            "/etc/portcullis/seal.key"
        );
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
