//! Writes down what was weighed, one JSON object a line, as `portcullis rehearse` reads it.
//!
//! It is worth less than anything else: what cannot be written is lost, is counted, and is told
//! once. The file holds names and addresses, so only its owner may read it, and no more is kept
//! than was asked for.
//!
//! Full files are moved on: `FILE` to `FILE.1`, that to `FILE.2`, and so on.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::core::{
    Action, BanOrder, ExemptionOrder, HistoryOrder, Outcome, Signal, Term, Timestamp,
};
use crate::gate::weighed::{Input, Weighed, Weighings};

/// How many old files can be kept at most.
pub const KEEP_MOST: u32 = 100;
/// How much is written at once.
const AT_ONCE: usize = 1_024;
/// How long more is waited for, so that each login is not a write of its own.
const PAUSE: Duration = Duration::from_millis(100);
/// How every line begins. A file that begins otherwise is not ours, and is left alone.
const BEGINNING: &[u8] = b"{\"at\":\"";
/// Bytes looked through for the end of the last whole line: what `rehearse` takes for one.
const LINE_MAX: u64 = 64 * 1024;

/// Where, and how much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file. Its folder exists.
    pub file: PathBuf,
    /// Bytes it may have before the next one is begun.
    pub max_size: u64,
    /// How many old ones are kept, at most [`KEEP_MOST`].
    pub keep: u32,
}

/// Records until told to stop, and then what still waits.
pub async fn keep(settings: Settings, mut heard: Weighings, stop: CancellationToken) {
    let mut recording = Recording::new(settings);
    // At once, so that a wrong path is told at the start and not at the first login.
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
                tracing::error!(%why, "attempts are recorded no more");
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

/// The file, and how it stands with it.
#[derive(Debug)]
pub struct Recording {
    settings: Settings,
    file: Option<File>,
    /// Bytes in it.
    size: u64,
    lost: u64,
    /// Whether it was told that something was lost.
    told: bool,
}

impl Recording {
    /// Opens nothing yet.
    pub fn new(settings: Settings) -> Self {
        Recording {
            settings,
            file: None,
            size: 0,
            lost: 0,
            told: false,
        }
    }

    /// Writes as much of it as can be written; the first time that something cannot, the log says why.
    pub fn write(&mut self, all: &[Weighed]) {
        let mut written = 0;
        if let Err(why) = self.append(all, &mut written) {
            if let Some(file) = self.file.take() {
                // Half a line may be there. If it stays, it is looked at anew before the next one.
                let _ = file.set_len(self.size);
            }
            self.lost += (all.len() - written) as u64;
            if !self.told {
                self.told = true;
                let file = self.settings.file.display();
                tracing::warn!(%file, %why, "cannot record attempts; all else goes on, and this is tried again");
            }
        }
    }

    fn append(&mut self, all: &[Weighed], written: &mut usize) -> io::Result<()> {
        self.open()?;
        let mut waiting = Vec::new();
        let mut count = 0;
        for weighed in all {
            let before = waiting.len();
            write_line(&mut waiting, weighed)?;
            let size = self.size + waiting.len() as u64;
            if size > self.settings.max_size && self.size + before as u64 > 0 {
                let line = waiting.split_off(before);
                self.flush(&waiting)?;
                *written += std::mem::take(&mut count);
                waiting = line;
                self.move_on()?;
            }
            count += 1;
        }
        self.flush(&waiting)?;
        *written += count;
        Ok(())
    }

    fn flush(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
            self.size += bytes.len() as u64;
        }
        Ok(())
    }

    /// Opens the file, or makes sure that the open one is still there under its name.
    fn open(&mut self) -> io::Result<()> {
        if let Some(file) = &self.file {
            let is_there = fs::metadata(&self.settings.file)
                .is_ok_and(|there| file.metadata().is_ok_and(|ours| ours.ino() == there.ino()));
            if is_there {
                return Ok(());
            }
        }
        self.file = None;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.settings.file)?;
        self.size = whole_lines(&mut file)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        file.set_len(self.size)?;
        self.file = Some(file);
        // An earlier configuration may have kept more.
        for number in self.settings.keep + 1..=KEEP_MOST {
            if File::open(self.old(number)).is_ok_and(|mut file| whole_lines(&mut file).is_ok()) {
                fs::remove_file(self.old(number))?;
            }
        }
        Ok(())
    }

    fn move_on(&mut self) -> io::Result<()> {
        self.file = None;
        for number in (1..self.settings.keep).rev() {
            match fs::rename(self.old(number), self.old(number + 1)) {
                Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
                _ => {}
            }
        }
        match self.settings.keep {
            0 => fs::remove_file(&self.settings.file)?,
            _ => fs::rename(&self.settings.file, self.old(1))?,
        }
        self.open()
    }

    fn old(&self, number: u32) -> PathBuf {
        let mut name = self.settings.file.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Bytes of the whole lines in a recording: a crash or a full disk may have left half a one behind.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let refused =
        || io::Error::other("it is there and is no recording; remove it, or name another file");
    let there = file.metadata()?;
    if !there.is_file() {
        return Err(refused());
    }
    let beginning = BEGINNING.len().min(there.len() as usize);
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    Read::take(&mut *file, beginning as u64).read_to_end(&mut bytes)?;
    if bytes != BEGINNING[..beginning] {
        return Err(refused());
    }
    let from = there.len().saturating_sub(LINE_MAX);
    bytes.clear();
    file.seek(SeekFrom::Start(from))?;
    file.read_to_end(&mut bytes)?;
    match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => Ok(from + end as u64 + 1),
        None if from == 0 => Ok(0),
        None => Err(refused()),
    }
}

/// A line of `rehearse`.
#[derive(Serialize, Default)]
struct Line<'a> {
    at: String,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unknown: bool,
}

fn write_line(to: &mut Vec<u8>, Weighed { at, input }: &Weighed) -> io::Result<()> {
    let Some(mut line) = line(input) else {
        return Ok(());
    };
    line.at = at.to_exact();
    serde_json::to_writer(&mut *to, &line)?;
    to.push(b'\n');
    Ok(())
}

fn line(input: &Input) -> Option<Line<'_>> {
    Some(match input {
        Input::Signal(Signal::Login(attempt)) => Line {
            kind: match attempt.outcome {
                Outcome::Failure => "failure",
                Outcome::Success => "success",
                Outcome::Refused | Outcome::Error => return None,
            },
            account: attempt.account.as_ref().map(ToString::to_string),
            address: attempt.address.as_ref().map(ToString::to_string),
            unknown: attempt.unknown,
            ..Line::default()
        },
        Input::Signal(Signal::ByHand { subject, times, .. }) => Line {
            kind: "attempt",
            subject: Some(subject.to_string()),
            times: Some(*times),
            ..Line::default()
        },
        Input::Order(order) => {
            let (kind, term, reason) = match &order.what {
                Action::Ban(BanOrder::Impose { term, reason, .. }) => {
                    ("ban", *term, reason.as_deref())
                }
                Action::Ban(BanOrder::Import { reason, term, .. }) => {
                    ("ban", Some(*term), Some(reason.as_str()))
                }
                Action::Ban(BanOrder::Lift { reason }) => ("unban", None, Some(reason.as_str())),
                Action::Exemption(ExemptionOrder::Grant { term, comment }) => {
                    ("allow", *term, Some(comment.as_str()))
                }
                Action::Exemption(ExemptionOrder::Revoke) => ("unallow", None, None),
                Action::History(HistoryOrder::Forget) => ("forget", None, None),
                Action::Ban(BanOrder::Force { term, reason, .. }) => {
                    ("ban", *term, reason.as_deref())
                }
                // Told by what came of them, or they change nothing that rules look at.
                Action::Ban(BanOrder::Extend { .. })
                | Action::Undo { .. }
                | Action::History(HistoryOrder::Annotate { .. })
                | Action::History(HistoryOrder::Kick { .. })
                | Action::Subscribe(_) => return None,
            };
            Line {
                kind,
                subject: Some(order.subject.to_string()),
                duration: term.map(duration),
                reason: reason.filter(|reason| !reason.is_empty()),
                ..Line::default()
            }
        }
    })
}

/// A term so that it is read back as the same one.
fn duration(term: Term) -> String {
    match term {
        Term::For(span) => format!("{}s", span.as_secs().max(1)),
        Term::Until(end) => format!("until {}", Timestamp::to_exact(end)),
        Term::Forever => String::from("forever"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::{Actor, Attempt, Order, Subject};

    fn login(second: i64) -> Weighed {
        let at = Timestamp::from_millis(second * 1_000 + 250);
        Weighed {
            at,
            input: Input::Signal(Signal::Login(Attempt {
                account: Subject::parse("alice@example.org")
                    .unwrap()
                    .account()
                    .cloned(),
                address: Some("203.0.113.7".parse().unwrap()),
                outcome: Outcome::Failure,
                unknown: true,
                at,
            })),
        }
    }

    fn order(subject: &str, what: Action) -> Weighed {
        Weighed {
            at: Timestamp::from_millis(0),
            input: Input::Order(Order::new(
                Actor::clock(),
                Subject::parse(subject).unwrap(),
                what,
            )),
        }
    }

    fn text(weighed: &Weighed) -> String {
        let mut bytes = Vec::new();
        write_line(&mut bytes, weighed).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    struct Place {
        folder: tempfile::TempDir,
        settings: Settings,
    }

    fn place(max_size: u64, keep: u32) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.jsonl");
        let settings = Settings {
            file,
            max_size,
            keep,
        };
        Place { folder, settings }
    }

    impl Place {
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
    fn each_kind_is_a_line_of_rehearse() {
        assert_eq!(
            text(&login(1)),
            "{\"at\":\"1970-01-01T00:00:01.250Z\",\"kind\":\"failure\",\"account\":\"alice@example.org\",\"address\":\"203.0.113.7\",\"unknown\":true}\n"
        );
        let ban = Action::Ban(BanOrder::Impose {
            term: Some(Term::For(Duration::from_secs(90))),
            reason: Some("sp\nam".into()),
            note: Some("private".into()),
        });
        assert_eq!(
            text(&order("203.0.113.0/24", ban)),
            "{\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"ban\",\"subject\":\"203.0.113.0/24\",\"duration\":\"90s\",\"reason\":\"sp\\nam\"}\n"
        );
        assert_eq!(
            text(&order(
                "a@example.org",
                Action::History(HistoryOrder::Forget)
            )),
            "{\"at\":\"1970-01-01T00:00:00Z\",\"kind\":\"forget\",\"subject\":\"a@example.org\"}\n"
        );
    }

    #[test]
    fn a_term_is_read_back_as_the_same() {
        for term in [
            Term::For(Duration::from_secs(36 * 3_600 + 1)),
            Term::Until(Timestamp::from_millis(1_795_320_000_123)),
            Term::Forever,
        ] {
            assert_eq!(Term::parse(&duration(term)).unwrap(), term);
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
        // Taken away by somebody: a new one is begun.
        fs::remove_file(&place.settings.file).unwrap();
        recording.write(&[login(1)]);
        assert_eq!(place.read("a.jsonl"), one);
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
        assert_eq!((recording.lost, recording.told), (2, true));
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
