//! Records judged logins and orders, one JSON object per line, in the format that `portcullis rehearse` reads.
//!
//! A recording is worth less than anything else: lines that cannot be written are dropped, counted, and reported
//! once. The file contains names and addresses, so only its owner may read it, and its total size is limited.
//!
//! A full file is renamed: `FILE` to `FILE.1`, that to `FILE.2`, and so on. The file is opened for each write, so
//! others may rename, truncate or remove it at any time.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::admission::{Judged, JudgedFeed, JudgedInput};
use crate::rehearse::recorded::numbered;
use crate::rehearse::{EventLine, LINE_MAX};

/// Maximum number of old files.
pub const KEEP_MOST: u32 = 100;
/// Maximum number of lines per write.
const AT_ONCE: usize = 1_024;
/// How long to wait for more lines, so that not every login causes a write.
const PAUSE: Duration = Duration::from_millis(100);
/// The beginning of every line. A file that begins differently is not a recording and is not touched.
const BEGINNING: &[u8] = b"{\"at\":\"";

/// Settings `[record_attempts]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file. Its folder must exist.
    pub file: PathBuf,
    /// Maximum size of a file in bytes.
    pub max_size: u64,
    /// Number of old files to keep, at most [`KEEP_MOST`].
    pub keep: u32,
}

/// Records until `stop`, and then the rest of the queue.
pub async fn keep(settings: Settings, mut heard: JudgedFeed, stop: CancellationToken) {
    let mut recording = Recording::new(settings);
    // Open at once, so that a wrong path is reported at the start and not at the first login.
    let mut batch = Vec::new();
    let mut stopping = false;
    let mut missed_told = false;
    let mut missed = 0;
    loop {
        let lines = std::mem::take(&mut batch);
        let is_full = lines.len() >= AT_ONCE;
        let written = tokio::task::spawn_blocking(move || {
            recording.write(&lines);
            recording
        });
        recording = match written.await {
            Ok(recording) => recording,
            Err(why) => {
                tracing::error!(%why, "attempts are no longer recorded");
                return;
            }
        };
        missed += heard.missed();
        if missed > 0 && !missed_told {
            missed_told = true;
            tracing::warn!(
                missed,
                "the disk is too slow to record all attempts; some are missing in the recording"
            );
        }
        if !is_full && !stopping {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        if !stopping {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    heard.close();
                    stopping = true;
                }
                got = heard.next(&mut batch, AT_ONCE) => if got == 0 { break },
            }
        }
        if stopping && heard.next(&mut batch, AT_ONCE).await == 0 {
            break;
        }
    }
    let lost = recording.lost + missed;
    if lost > 0 {
        tracing::warn!(lost, "not all attempts were recorded");
    }
}

/// A recording that is being written.
#[derive(Debug)]
pub struct Recording {
    settings: Settings,
    /// Whether old files beyond `keep` were removed; an earlier configuration may have kept more.
    tidied: bool,
    /// Number of lines that could not be written.
    lost: u64,
    /// Whether the log has reported the failure.
    reported: bool,
}

impl Recording {
    /// A recording with these settings. The file is opened when something is written.
    pub fn new(settings: Settings) -> Self {
        Recording {
            settings,
            tidied: false,
            lost: 0,
            reported: false,
        }
    }

    /// Writes as many lines as possible. The first failure is logged with its reason.
    pub fn write(&mut self, all: &[Judged]) {
        let lines: Vec<Vec<u8>> = all.iter().filter_map(line).collect();
        let mut left = &lines[..];
        loop {
            match self.append(left) {
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(why) => {
                    self.lost += left.len() as u64;
                    if !std::mem::replace(&mut self.reported, true) {
                        let file = self.settings.file.display();
                        tracing::warn!(%file, %why, "cannot record attempts; everything else continues, and recording is retried");
                    }
                    return;
                }
            }
            if left.is_empty() {
                return;
            }
        }
    }

    /// Writes the lines that fit into the file, and returns their number. If the file is full, it is renamed first.
    fn append(&mut self, lines: &[Vec<u8>]) -> io::Result<usize> {
        let Settings { file, max_size, .. } = &self.settings;
        let (mut file, mut size) = open(file)?;
        if !self.tidied {
            self.tidy()?;
            self.tidied = true;
        }
        let fits = |line: &&Vec<u8>| {
            let is_first = size == 0;
            size += line.len() as u64;
            is_first || size <= *max_size
        };
        let fitting = lines.iter().take_while(fits).count();
        match fitting {
            0 if !lines.is_empty() => self.rotate()?,
            _ => file.write_all(&lines[..fitting].concat())?,
        }
        Ok(fitting)
    }

    fn rotate(&self) -> io::Result<()> {
        let Settings { file, keep, .. } = &self.settings;
        if *keep == 0 {
            return fs::remove_file(file);
        }
        for number in (0..*keep).rev() {
            match fs::rename(numbered(file, number), numbered(file, number + 1)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        Ok(())
    }

    /// Removes old files beyond the last one to keep.
    fn tidy(&self) -> io::Result<()> {
        for number in self.settings.keep + 1..=KEEP_MOST {
            let old = numbered(&self.settings.file, number);
            if File::open(&old).is_ok_and(|mut file| whole_lines(&mut file).is_ok()) {
                fs::remove_file(old)?;
            }
        }
        Ok(())
    }
}

/// The line for an entry, with its line end; `None` for an entry that is not recorded.
fn line(Judged { at, input }: &Judged) -> Option<Vec<u8>> {
    let line = match input {
        JudgedInput::Signal(signal) => EventLine::signal(*at, signal)?,
        JudgedInput::Order(order) => EventLine::order(*at, order)?,
    };
    // Texts and numbers can always be serialised.
    let mut bytes = serde_json::to_vec(&line).ok()?;
    bytes.push(b'\n');
    Some(bytes)
}

/// Opens the file for appending; returns also its size in bytes. An incomplete last line is removed.
fn open(path: &Path) -> io::Result<(File, u64)> {
    if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
        return Err(io::Error::other("it is a link; name the file itself"));
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path)?;
    let size = whole_lines(&mut file)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.set_len(size)?;
    Ok((file, size))
}

/// Size of the complete lines in bytes: a crash or a full disk may have left an incomplete one at the end.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let refused =
        || io::Error::other("it is there and is no recording; remove it, or name another file");
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(refused());
    }
    let mut read = |from, most| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from))?;
        Read::take(&mut *file, most).read_to_end(&mut bytes)?;
        io::Result::Ok(bytes)
    };
    let size = there.len();
    if !BEGINNING.starts_with(&read(0, BEGINNING.len() as u64)?) {
        return Err(refused());
    }
    if size == 0 || read(size - 1, 1)? == b"\n" {
        return Ok(size);
    }
    let from = size.saturating_sub(LINE_MAX);
    match read(from, LINE_MAX)?
        .iter()
        .rposition(|byte| *byte == b'\n')
    {
        Some(end) => Ok(from + end as u64 + 1),
        None if from == 0 => Ok(0),
        None => Err(refused()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::os::unix::fs::MetadataExt;

    use crate::core::{Attempt, LoginOutcome, Signal, Subject, Timestamp};

    fn login(second: i64) -> Judged {
        let at = Timestamp::from_millis(second * 1_000 + 250);
        Judged {
            at,
            input: JudgedInput::Signal(Signal::Login(Attempt {
                account: Subject::parse("alice@example.org")
                    .unwrap()
                    .account()
                    .cloned(),
                address: Some("203.0.113.7".parse().unwrap()),
                outcome: LoginOutcome::Failure,
                unknown: true,
                at,
            })),
        }
    }

    fn text(weighed: &Judged) -> String {
        String::from_utf8(line(weighed).unwrap()).unwrap()
    }

    struct Folder {
        folder: tempfile::TempDir,
        settings: Settings,
    }

    fn place(max_size: u64, keep: u32) -> Folder {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        let settings = Settings {
            file,
            max_size,
            keep,
        };
        Folder { folder, settings }
    }

    impl Folder {
        fn names(&self) -> Vec<String> {
            let all = fs::read_dir(self.folder.path()).unwrap();
            let mut names: Vec<_> = all
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.folder.path().join(name)).unwrap()
        }
    }

    #[test]
    fn full_files_move_on_and_the_oldest_goes() {
        let line = text(&login(10)).len() as u64;
        let place = place(2 * line, 2);
        let mut recording = Recording::new(place.settings.clone());
        let all: Vec<_> = (10..19).map(login).collect();
        recording.write(&all[..1]);
        recording.write(&all[1..]);
        assert_eq!(place.names(), ["a.jsonl", "a.jsonl.1", "a.jsonl.2"]);
        let kept = ["a.jsonl.2", "a.jsonl.1", "a.jsonl"].map(|name| place.read(name));
        let want: String = all[4..].iter().map(text).collect();
        assert_eq!(kept.concat(), want);
        assert_eq!(kept[0].lines().count(), 2);
        for name in place.names() {
            let there = fs::metadata(place.folder.path().join(name)).unwrap();
            assert_eq!(there.mode() & 0o7777, 0o600);
        }
        assert_eq!(recording.lost, 0);

        let fewer = Settings {
            keep: 0,
            ..place.settings.clone()
        };
        let mut recording = Recording::new(fewer);
        recording.write(&[]);
        assert_eq!(place.names(), ["a.jsonl"]);
        recording.write(&all[..2]);
        assert_eq!(place.names(), ["a.jsonl"]);
        assert_eq!(place.read("a.jsonl"), text(&all[1]));
    }

    #[test]
    fn half_a_line_is_taken_out_and_the_rest_goes_on() {
        let place = place(1_000_000, 2);
        let one = text(&login(1));
        fs::write(&place.settings.file, format!("{one}{}", &one[..20])).unwrap();
        fs::set_permissions(&place.settings.file, Permissions::from_mode(0o644)).unwrap();
        let mut recording = Recording::new(place.settings.clone());
        recording.write(&[login(1)]);
        assert_eq!(place.read("a.jsonl"), one.repeat(2));
        let there = fs::metadata(&place.settings.file).unwrap();
        assert_eq!(there.mode() & 0o7777, 0o600);
        // If somebody removes the file, a new one is begun.
        fs::remove_file(&place.settings.file).unwrap();
        recording.write(&[login(1)]);
        assert_eq!(place.read("a.jsonl"), one);
    }

    #[test]
    fn others_may_rename_or_truncate_the_file() {
        let place = place(1_000_000, 2);
        let one = text(&login(1));
        let mut recording = Recording::new(place.settings.clone());
        recording.write(&[login(1), login(1)]);
        fs::rename(&place.settings.file, place.folder.path().join("taken")).unwrap();
        recording.write(&[login(1)]);
        assert_eq!(place.read("taken"), one.repeat(2));
        assert_eq!(place.read("a.jsonl"), one);
        fs::write(&place.settings.file, "").unwrap();
        recording.write(&[login(1)]);
        assert_eq!(place.read("a.jsonl"), one);
        assert_eq!(recording.lost, 0);
    }

    #[test]
    fn what_is_no_recording_is_left_alone_and_costs_only_the_recording() {
        let place = place(1_000, 2);
        let other = place.folder.path().join("a.jsonl.7");
        fs::write(&place.settings.file, "admins = []").unwrap();
        fs::write(&other, "somebody's").unwrap();
        let mut recording = Recording::new(place.settings.clone());
        recording.write(&[login(1), login(2)]);
        assert_eq!(place.read("a.jsonl"), "admins = []");
        assert_eq!((recording.lost, recording.reported), (2, true));
        fs::remove_file(&place.settings.file).unwrap();
        fs::create_dir(&place.settings.file).unwrap();
        recording.write(&[login(3)]);
        assert_eq!(recording.lost, 3);
        fs::remove_dir(&place.settings.file).unwrap();
        recording.write(&[login(4)]);
        assert_eq!(place.read("a.jsonl"), text(&login(4)));
        assert_eq!(recording.lost, 3);
        assert_eq!(fs::read_to_string(other).unwrap(), "somebody's");
    }
}
