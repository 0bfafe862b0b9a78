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

/// Reads a file that only its owner and group may read. The error is a sentence that says what to do.
pub(super) fn read_private(
    path: &Path,
    denied: fn(&Path) -> String,
) -> Result<Zeroizing<String>, String> {
    let (text, metadata) = read(path, MAX_SECRET_FILE, denied)?;
    refuse_open(path, &metadata)?;
    Ok(text)
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
