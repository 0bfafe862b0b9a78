//! The connection to the running portcullis, and questions to the person at the terminal.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::print;
use crate::command::phrases;
use crate::config::Config;
use crate::front::terminal::Client;
use crate::front::terminal::wire::{Question, RemoteAnswer, RemoteProgress};

/// Exit code for wrong usage and configuration.
pub(super) const WRONG: u8 = 2;

/// Runs `go` with the path of the configured store; `go` returns the exit code.
pub(super) fn with_store(
    file: &Path,
    go: impl AsyncFnOnce(PathBuf) -> Result<u8, Stop>,
) -> ExitCode {
    let store = match Config::load_store(file) {
        Ok((store, _)) => store,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(WRONG);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let went = match runtime {
        Ok(runtime) => runtime.block_on(go(store)),
        Err(why) => Err(Stop::failed(format!("cannot start: {why}"))),
    };
    match went {
        Ok(code) => ExitCode::from(code),
        Err(Stop { sentence, code }) => {
            eprintln!("portcullis: {sentence}");
            ExitCode::from(code)
        }
    }
}

/// Why a command ended without an answer, and the exit code.
#[derive(Debug)]
pub(super) struct Stop {
    sentence: String,
    code: u8,
}

impl Stop {
    pub(super) fn failed(sentence: String) -> Self {
        Stop { sentence, code: 1 }
    }

    /// The running portcullis sent an answer that this version cannot read.
    pub(super) fn another_version() -> Self {
        Stop::failed(String::from(
            "the portcullis that runs is another version: restart it after an upgrade.",
        ))
    }

    pub(super) fn cannot_write(why: &io::Error) -> Self {
        Stop::failed(format!("cannot write the answer: {why}"))
    }

    pub(super) fn cannot_write_to(file: &Path, why: &io::Error) -> Self {
        let hint = match why.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "; make room there, or name a file on another disk"
            }
            _ => "",
        };
        let file = file.display();
        Stop::failed(format!(
            "cannot write {file}: {why}; what was there before is unchanged{hint}"
        ))
    }

    /// There is no folder for a copy of the store.
    pub(super) fn no_copy(why: &io::Error) -> Self {
        Stop::failed(format!(
            "cannot make a folder for a copy of the store in {}: {why}; name a folder with room: TMPDIR=FOLDER portcullis …",
            std::env::temp_dir().display()
        ))
    }

    pub(super) fn cannot_open(file: &Path, why: &io::Error) -> Self {
        Stop::wrong(format!("cannot open {}: {why}", file.display()))
    }

    pub(super) fn wrong(sentence: String) -> Self {
        Stop {
            sentence,
            code: WRONG,
        }
    }
}

/// The running portcullis of a store.
pub(super) struct Daemon {
    client: Client,
}

impl Daemon {
    pub(super) async fn connect(store: &Path) -> Result<Self, Stop> {
        match Client::connect(store).await {
            Ok(Some(client)) => Ok(Daemon { client }),
            Ok(None) => Err(Stop::failed(not_running(store))),
            Err(why) => Err(Stop::failed(no_way_in(store, &why))),
        }
    }

    /// Asks a question and waits for the answer; shows progress on the terminal meanwhile.
    pub(super) async fn ask(&mut self, question: &Question) -> Result<RemoteAnswer, Stop> {
        let watched = io::stderr().is_terminal();
        let mut told = false;
        let answer = self.client.ask(question, |how_far| {
            if watched {
                told = true;
                tell(how_far);
            }
        });
        let answer = answer.await;
        if told {
            wipe();
        }
        match answer {
            Ok(RemoteAnswer::Wrong(sentence)) => Err(Stop::failed(sentence)),
            Ok(answer) => Ok(answer),
            Err(why) => Err(Stop::failed(no_answer(&why))),
        }
    }
}

/// Shows progress on one line that is overwritten each time.
pub(super) fn tell(how_far: RemoteProgress) {
    let progress = match (how_far.done, how_far.of) {
        (0, None) => String::from("working…"),
        (done, None) => format!("{done} done…"),
        (done, Some(of)) => format!("{done} of {of} done…"),
    };
    let _ = write!(io::stderr(), "\r\u{1b}[K{progress}");
}

/// Clears the progress line.
pub(super) fn wipe() {
    eprint!("\r\u{1b}[K");
}

/// Asks the person at the terminal to confirm. Without a terminal the answer is no; unless the output is for
/// programs, a line says how to confirm in advance.
pub(super) fn agree(question: &str, for_programs: bool) -> Result<bool, Stop> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        if !for_programs {
            eprintln!("{question}\nNothing was done. Add --yes to do it without being asked.");
        }
        return Ok(false);
    }
    eprint!("{question}\nDo it? [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|why| Stop::failed(format!("cannot read standard input: {why}")))?;
    let agreed = matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    if !agreed {
        eprintln!("{}", phrases::DROPPED);
    }
    Ok(agreed)
}

pub(super) fn put(text: &str) -> Result<(), Stop> {
    print(text).map_err(|why| Stop::cannot_write(&why))
}

/// No portcullis runs on this store.
fn not_running(store: &Path) -> String {
    format!(
        "no portcullis runs on the store {}. Start it (systemctl start portcullis, or portcullis run), or name its configuration with -c FILE.",
        store.display()
    )
}

/// The socket cannot be opened.
fn no_way_in(store: &Path, why: &io::Error) -> String {
    match why.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "you may not speak with the portcullis of the store {}: only root and the user it runs as may (sudo portcullis …).",
            store.display()
        ),
        _ => format!("cannot open the socket in {}: {why}", store.display()),
    }
}

/// The running portcullis does not answer.
fn no_answer(why: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
    match why.kind() {
        TimedOut => String::from(
            "the portcullis that runs does not answer; its log may say why. Whether it was done: portcullis list, later.",
        ),
        UnexpectedEof | ConnectionReset | BrokenPipe => String::from(
            "the portcullis that runs hung up, or was stopped. Whether it was done: portcullis list, once it runs again.",
        ),
        _ => format!("the portcullis that runs gives no answer that can be read: {why}"),
    }
}
