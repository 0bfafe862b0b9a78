//! The files of a recording: `FILE` is being written, `FILE.1` is the previous one, `FILE.2` the one before that.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The name of the file that was completed `number` files ago; 0 is the file being written.
pub fn numbered(file: &Path, number: u32) -> PathBuf {
    let mut name = file.to_owned().into_os_string();
    if number > 0 {
        name.push(format!(".{number}"));
    }
    name.into()
}

/// The files of a recording, for reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingFiles {
    /// The file being written.
    pub file: PathBuf,
    /// Maximum number of old files.
    pub keep: u32,
}

impl RecordingFiles {
    /// The last complete lines of all files, oldest first: at most `lines` of them, and at most `bytes` bytes.
    ///
    /// # Errors
    /// A file that exists but cannot be read. A missing file ends the search.
    pub fn last_lines(&self, lines: usize, bytes: u64) -> io::Result<Vec<u8>> {
        let mut left = bytes;
        let mut pieces: Vec<Vec<u8>> = Vec::new();
        let mut found = 0;
        for number in 0..=self.keep {
            let piece = match tail(&numbered(&self.file, number), left) {
                Err(why) if why.kind() == io::ErrorKind::NotFound => break,
                piece => piece?,
            };
            left -= piece.len() as u64;
            found += piece.iter().filter(|byte| **byte == b'\n').count();
            pieces.push(piece);
            if found >= lines || left == 0 {
                break;
            }
        }
        pieces.reverse();
        let mut all = pieces.concat();
        let ends = all.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        // The end of the line before the first one returned.
        let before = ends.map(|(at, _)| at + 1).rev().nth(lines);
        all.drain(..before.unwrap_or(0));
        Ok(all)
    }
}

/// Up to `most` bytes from the end of a file, complete lines only.
fn tail(file: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(file)?;
    let skipped = file.metadata()?.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    // The last line may be incomplete.
    bytes.truncate(end.map_or(0, |end| end + 1));
    if skipped > 0 {
        let begin = bytes.iter().position(|byte| *byte == b'\n');
        bytes.drain(..begin.map_or(0, |begin| begin + 1));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_lines_come_from_several_files_and_are_whole() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        std::fs::write(&file, "{\"at\":5}\n{\"at\":6}\n{\"at\":").unwrap();
        std::fs::write(numbered(&file, 1), "{\"at\":3}\n{\"at\":4}\n").unwrap();
        std::fs::write(folder.path().join("a.jsonl.2"), "{\"at\":1}\n{\"at\":2}\n").unwrap();
        let lines = |keep, most| {
            let file = file.clone();
            let lines = RecordingFiles { file, keep }.last_lines(most, 1_000);
            String::from_utf8(lines.unwrap()).unwrap()
        };
        assert_eq!(lines(5, 100).matches("at").count(), 6);
        assert_eq!(lines(5, 3), "{\"at\":4}\n{\"at\":5}\n{\"at\":6}\n");
        assert_eq!(lines(0, 3), "{\"at\":5}\n{\"at\":6}\n");
        assert_eq!(tail(&file, 16).unwrap(), b"{\"at\":6}\n");
    }
}
