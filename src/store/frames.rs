//! Frames on disk: `[format u8][crc32c u32 LE over everything else][body]`. A value of the engine is one frame; a
//! file is a sequence of frames, each preceded by its length (4 bytes, big-endian).
//!
//! A format is never changed; new ones are added. Tests compare golden bytes (here, in `disk/codec.rs` and in
//! `tests/it/stored/`).

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The first format of frames in files, and of all engine values except log entries.
pub(super) const V1: u8 = 1;

/// Size of format and checksum in bytes.
const HEADER: usize = 5;

/// Why bytes cannot be read, in words for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadBytes {
    #[error("it is cut off")]
    Short,
    #[error("its checksum does not match")]
    Checksum,
    #[error("it has format {0}, which this portcullis does not know")]
    Format(u8),
    #[error("its content cannot be read")]
    Body,
    #[error("its key is not a position in the log")]
    Key,
}

/// A frame around a body that is given in parts.
pub(super) fn seal(format: u8, body: &[&[u8]]) -> Vec<u8> {
    let len: usize = body.iter().map(|part| part.len()).sum();
    let mut value = Vec::with_capacity(HEADER + len);
    value.extend(header(format, body));
    for part in body {
        value.extend_from_slice(part);
    }
    value
}

/// Checks a frame; returns its format and body.
pub(super) fn unseal(value: &[u8]) -> Result<(u8, &[u8]), BadBytes> {
    let (found, body) = value.split_first_chunk::<HEADER>().ok_or(BadBytes::Short)?;
    match *found == header(found[0], &[body]) {
        true => Ok((found[0], body)),
        false => Err(BadBytes::Checksum),
    }
}

fn header(format: u8, body: &[&[u8]]) -> [u8; HEADER] {
    let sum = crc32c::crc32c(&[format]);
    let sum = body
        .iter()
        .fold(sum, |sum, part| crc32c::crc32c_append(sum, part));
    let [a, b, c, d] = sum.to_le_bytes();
    [format, a, b, c, d]
}

/// A file of frames beside the engine; replaced as a whole or appended to. The store's lock ensures that only one
/// program uses it.
#[derive(Debug)]
pub(super) struct FrameFile {
    folder: PathBuf,
    name: &'static str,
}

impl FrameFile {
    /// The file in this folder, which must exist.
    pub(super) fn new(folder: &Path, name: &'static str) -> Self {
        FrameFile {
            folder: folder.to_owned(),
            name,
        }
    }

    /// Where the file is, or will be.
    pub(super) fn path(&self) -> PathBuf {
        self.folder.join(self.name)
    }

    /// Writes a new file, which replaces the old one once it is complete and synced. `first` runs before that. After
    /// a failure the old file is unchanged.
    pub(super) fn replace<E: From<io::Error>>(
        &self,
        bodies: impl Iterator<Item = Result<Vec<u8>, E>>,
        first: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let new = self.folder.join(format!("{}.new", self.name));
        let written = self.write(&new, bodies, first);
        if written.is_err() {
            // Free the space for more important data, in case the disk is full.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn write<E: From<io::Error>>(
        &self,
        new: &Path,
        bodies: impl Iterator<Item = Result<Vec<u8>, E>>,
        first: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        // A leftover of a crash goes; nothing that is there is opened, and no link is followed.
        match fs::remove_file(new) {
            Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why.into()),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        let mut writer = BufWriter::with_capacity(1 << 20, file);
        for body in bodies {
            write_frame(&mut writer, &body?)?;
        }
        first()?;
        writer.flush()?;
        // Sync before the rename: a power cut must not leave an empty file in its place.
        writer.get_ref().sync_data()?;
        fs::rename(new, self.folder.join(self.name))?;
        Ok(File::open(&self.folder)?.sync_all()?)
    }

    /// Appends one frame to an existing file.
    pub(super) fn append(&self, body: &[u8]) -> io::Result<()> {
        let path = self.folder.join(self.name);
        let mut frame = Vec::with_capacity(4 + HEADER + body.len());
        write_frame(&mut frame, body)?;
        OpenOptions::new()
            .append(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)?
            .write_all(&frame)
    }

    /// The bodies in order, up to the first frame that is cut off, damaged or of another format, and the reason for
    /// stopping there. A missing file has no frames. `older` reads the formats of earlier versions.
    pub(super) fn read(
        &self,
        older: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> io::Result<(Vec<Vec<u8>>, Option<BadBytes>)> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(self.folder.join(self.name));
        let file = match opened {
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), None)),
            opened => opened?,
        };
        let mut left = file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut bodies = Vec::new();
        while left > 0 {
            let mut length = [0; 4];
            if left < 4 {
                return Ok((bodies, Some(BadBytes::Short)));
            }
            reader.read_exact(&mut length)?;
            let length = u64::from(u32::from_be_bytes(length));
            left -= 4;
            if length > left {
                return Ok((bodies, Some(BadBytes::Short)));
            }
            left -= length;
            let mut frame = Vec::new();
            reader.by_ref().take(length).read_to_end(&mut frame)?;
            match unseal(&frame) {
                Ok((V1, _)) => {
                    frame.drain(..HEADER);
                    bodies.push(frame);
                }
                Ok((format, _)) => return Ok((bodies, Some(BadBytes::Format(format)))),
                Err(why) => match older(&frame) {
                    Some(body) => bodies.push(body),
                    None => return Ok((bodies, Some(why))),
                },
            }
        }
        Ok((bodies, None))
    }
}

fn write_frame(to: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(HEADER + body.len())
        .map_err(|_| io::Error::other("a frame is larger than 4 GiB"))?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(&header(V1, &[body]))?;
    to.write_all(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn replace(file: &FrameFile, bodies: &[&[u8]]) {
        let mut bodies = bodies.iter().map(|body| Ok::<_, io::Error>(body.to_vec()));
        file.replace(&mut bodies, || Ok(())).unwrap();
    }

    fn read(file: &FrameFile) -> (Vec<Vec<u8>>, Option<BadBytes>) {
        file.read(|_| None).unwrap()
    }

    /// If this fails, the format on disk has changed: add a new one instead.
    #[test]
    fn the_bytes_of_a_file_stay_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let file = FrameFile::new(folder.path(), "rows");
        replace(&file, &[b"one", b""]);
        file.append(b"end").unwrap();
        let bytes = fs::read(folder.path().join("rows")).unwrap();
        assert_eq!(
            hex::encode(bytes),
            "0000000801ecf0d2df6f6e65000000050152d016a00000000801271f875a656e64"
        );
    }

    #[test]
    fn a_new_file_takes_the_place_of_the_old_one_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = FrameFile::new(folder.path(), "rows");
        assert_eq!(read(&file), (vec![], None));
        replace(&file, &[b"one", b"", b"end"]);
        let no = || io::Error::other("no");
        let mut failing = [Ok(b"two".to_vec()), Err(no())].into_iter();
        assert!(file.replace(&mut failing, || Ok(())).is_err());
        let mut fine = [Ok(b"two".to_vec())].into_iter();
        assert!(file.replace(&mut fine, || Err(no())).is_err());
        assert_eq!(read(&file).0, [&b"one"[..], b"", b"end"]);
        assert!(!folder.path().join("rows.new").exists());
        replace(&file, &[b"two"]);
        assert_eq!(read(&file).0, [b"two"]);
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_neither_read_nor_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        let file = FrameFile::new(folder.path(), "elsewhere");
        file.replace(std::iter::once(Ok::<_, io::Error>(b"one".to_vec())), || {
            Ok(())
        })
        .unwrap();
        let before = fs::read(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("link")).unwrap();
        let link = FrameFile::new(folder.path(), "link");
        assert!(link.read(|_| None).is_err());
        assert!(link.append(b"two").is_err());
        assert_eq!(fs::read(&elsewhere).unwrap(), before);
    }

    #[test]
    fn a_link_in_the_place_of_a_new_file_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = FrameFile::new(folder.path(), "rows");
        let theirs = folder.path().join("theirs");
        fs::write(&theirs, "theirs").unwrap();
        std::os::unix::fs::symlink(&theirs, folder.path().join("rows.new")).unwrap();
        replace(&file, &[b"one"]);
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
        assert_eq!(read(&file).0, [b"one"]);
        assert!(!file.path().is_symlink());
    }

    #[test]
    fn what_is_cut_off_or_changed_ends_the_reading() {
        let folder = tempfile::tempdir().unwrap();
        let file = FrameFile::new(folder.path(), "rows");
        replace(&file, &[b"one"]);
        file.append(b"two").unwrap();
        let path = folder.path().join("rows");
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 24);
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let (bodies, why) = read(&file);
            assert_eq!(bodies.len(), usize::from(length >= 12));
            assert_eq!(why.is_none(), length % 12 == 0, "{length}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            let (bodies, why) = read(&file);
            assert!(
                why.is_some() && bodies.len() == usize::from(at >= 12),
                "{at}"
            );
        }
        fs::write(&path, [0xff; 9]).unwrap();
        assert_eq!(read(&file), (vec![], Some(BadBytes::Short)));
    }
}
