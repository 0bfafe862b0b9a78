//! The local socket of a running portcullis: one JSON line in ([`wire`]), JSON lines out.
//!
//! Only root and the program's own user may open it, and both are admins, because they own the store. The folder, the
//! mode of the socket and the peer's credentials all enforce this. `portcullis doctor` asks here first: on ejabberd a
//! second component stream would cost the running one its privileges when it closes.
//!
//! A connection may send any number of requests, one after the other; [`Client`] is its other end.

mod text;

mod client;
mod lines;
pub mod wire;

pub use client::Client;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xmpp_parsers::jid::{BareJid, ResourcePart};

use self::lines::LineError;
use self::wire::{
    Export, Exported, Import, Question, RemoteAnswer, RemoteProgress, VERSION, WireLine,
};
use super::line;
use crate::command::parts::store::store_warnings;
use crate::command::parts::unnamed::unnamed_hosts;
use crate::command::values::AS_OF;
use crate::command::{
    self, Call, Caller, Context, Outcome, Problem, Reference, Spec, Values, phrases,
};
use crate::core::{CommandId, EntryPoint, Rights, Role};
use crate::delivery::ports::Enforcement;
use crate::engine::clock::fresh_command;
use crate::exchange::export::export_piece;
use crate::exchange::import::{ImportTally, Importer, import_all};
use crate::exchange::{self, Format, Reading};

/// Name of the socket in the store's folder.
pub const SOCKET: &str = "control.sock";
/// Maximum length of a request in bytes: a batch of many subjects.
pub const LONGEST_QUESTION: usize = 1024 * 1024;
/// How often progress of long work is reported.
pub const BEAT: Duration = Duration::from_secs(1);
/// How long a connection may be idle.
const IDLE: Duration = Duration::from_secs(60);
/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Pause between two attempts to open the socket on a disk that takes no writes.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
/// Maximum number of connected clients.
const AT_ONCE: usize = 16;
/// User id of root.
const ROOT: u32 = 0;
/// Maximum number of progress reports waiting to be sent.
const UNTOLD: usize = 16;

/// Opens the socket in `folder`. An old one is removed: the holder of the store's lock is the only program that may
/// use it.
///
/// # Errors
/// If the folder cannot be written to, or its path is too long for a socket (108 bytes).
pub fn open(folder: &Path) -> io::Result<UnixListener> {
    let path = folder.join(SOCKET);
    match std::fs::remove_file(&path) {
        Err(why) if why.kind() != io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// [`open`], again and again until it succeeds; `None` if told to stop before.
pub async fn open_later(folder: &Path, stop: &CancellationToken) -> Option<UnixListener> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(AGAIN_AFTER) => {}
        }
        if let Ok(socket) = open(folder) {
            tracing::info!("the local socket is open");
            return Some(socket);
        }
    }
}

/// Answers until told to stop, then removes the socket. Answers in progress are completed.
pub async fn serve(
    listener: UnixListener,
    folder: PathBuf,
    domain: BareJid,
    context: Context,
    stop: CancellationToken,
) {
    let ours = uzers::get_effective_uid();
    let mut talks = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = talks.join_next() => continue,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(why) => {
                tracing::warn!(%why, "cannot accept a client at the local socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let uid = stream.peer_cred().map(|peer| peer.uid()).ok();
        let Some(uid) = uid.filter(|uid| *uid == ROOT || *uid == ours) else {
            tracing::warn!(?uid, "refused a user at the local socket");
            send_away(&stream, String::from(text::NOT_YOUR_SOCKET));
            continue;
        };
        if talks.len() >= AT_ONCE {
            send_away(&stream, String::from(phrases::BUSY));
            continue;
        }
        let (domain, context, stop) = (domain.clone(), context.clone(), stop.clone());
        talks.spawn(async move {
            let caller = caller(uid, domain).await;
            if let Err(why) = talk(stream, &caller, &context, &stop).await {
                tracing::debug!(%why, "a client of the local socket disconnected");
            }
        });
    }
    let _ = std::fs::remove_file(folder.join(SOCKET));
    while talks.join_next().await.is_some() {}
}

/// Sends one sentence, if that is possible without waiting.
fn send_away(stream: &UnixStream, sentence: String) {
    if let Ok(bytes) = bytes(RemoteAnswer::Wrong(sentence)) {
        let _ = stream.try_write(&bytes);
    }
}

fn bytes(said: RemoteAnswer) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(&WireLine { v: VERSION, said })?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The user as a caller: by name, or by number if there is no name.
async fn caller(uid: u32, domain: BareJid) -> Caller {
    // The look-up may have to ask a directory server.
    let asked = tokio::task::spawn_blocking(move || uzers::get_user_by_uid(uid));
    let user = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(Some(user))) => ResourcePart::new(&user.name().to_string_lossy()).map(Into::into),
        _ => ResourcePart::new(&uid.to_string()).map(Into::into),
    };
    let user: Option<ResourcePart> = user.ok();
    Caller {
        jid: match user {
            Some(user) => domain.with_resource(&user).into(),
            None => domain.into(),
        },
        rights: Rights::everywhere(Role::Admin),
        occupant: None,
    }
}

async fn talk(
    stream: UnixStream,
    caller: &Caller,
    context: &Context,
    stop: &CancellationToken,
) -> io::Result<()> {
    let (lines, out) = stream.into_split();
    // A large file comes in many requests of one connection, and counts as one command.
    let mut importer = Importer {
        actor: caller.actor_for_self(EntryPoint::Terminal),
        command: fresh_command().ok(),
    };
    let mut talk = Talk {
        lines: BufReader::new(lines),
        out,
    };
    loop {
        let line = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(IDLE) => return Ok(()),
            line = lines::read(&mut talk.lines, LONGEST_QUESTION) => line,
        };
        let line = match line {
            Ok(None) => return Ok(()),
            Ok(Some(line)) => line,
            Err(LineError::Io(why)) => return Err(why),
            Err(LineError::TooLong) => {
                return talk
                    .say(RemoteAnswer::Wrong(text::line_too_long(LONGEST_QUESTION)))
                    .await;
            }
        };
        match read(&line) {
            Err(sentence) => talk.say(RemoteAnswer::Wrong(sentence)).await?,
            Ok(question) => {
                if matches!(&question, Question::Call(call) if !call.goes_on) {
                    importer.command = fresh_command().ok();
                }
                talk.answer(question, caller, &importer, context).await?;
            }
        }
    }
}

/// Parses a request; the error is a sentence.
fn read(line: &[u8]) -> Result<Question, String> {
    #[derive(serde::Deserialize)]
    struct ProtocolVersion {
        v: u32,
    }
    match serde_json::from_slice(line) {
        Ok(ProtocolVersion { v: VERSION }) => {}
        Ok(ProtocolVersion { v }) => return Err(text::other_version(v, VERSION)),
        Err(why) => return Err(text::no_question(&why)),
    }
    let line: WireLine<Question> =
        serde_json::from_slice(line).map_err(|why| text::no_question(&why))?;
    Ok(line.said)
}

struct Talk {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
}

impl Talk {
    /// Answers a request, and reports progress every [`BEAT`]. The work is completed even if the client has gone.
    async fn answer(
        &mut self,
        question: Question,
        caller: &Caller,
        importer: &Importer,
        context: &Context,
    ) -> io::Result<()> {
        let (tell, mut told) = mpsc::channel(UNTOLD);
        let reference = Reference::fresh();
        let work =
            AssertUnwindSafe(answer(question, caller, importer, context, tell)).catch_unwind();
        let mut work = std::pin::pin!(work);
        let mut how_far = RemoteProgress::default();
        let mut heard = Ok(());
        let answer = loop {
            tokio::select! {
                answer = &mut work => break answer,
                Some(news) = told.recv() => how_far = news,
                () = tokio::time::sleep(BEAT) => {}
            }
            if heard.is_ok() {
                heard = self.say(RemoteAnswer::Progress(how_far)).await;
            }
        };
        heard?;
        self.say(answer.unwrap_or_else(|_| {
            tracing::error!(
                reference = reference.0,
                "a command panicked; this is a bug of portcullis"
            );
            RemoteAnswer::Outcome(reference.into())
        }))
        .await
    }

    async fn say(&mut self, answer: RemoteAnswer) -> io::Result<()> {
        let bytes = bytes(answer)?;
        tokio::time::timeout(PATIENCE, self.out.write_all(&bytes)).await?
    }
}

/// The answer to a request. Long work reports its progress to `_tell`.
async fn answer(
    question: Question,
    caller: &Caller,
    importer: &Importer,
    context: &Context,
    _tell: mpsc::Sender<RemoteProgress>,
) -> RemoteAnswer {
    match question {
        Question::Standing {} => {
            let standing = context.delivery.server().standing();
            let mut standing = Enforcement::clone(&standing.borrow());
            standing.warnings.extend(unnamed_hosts(context));
            standing.warnings.extend(store_warnings(context));
            RemoteAnswer::Standing(standing)
        }
        Question::Call(asked) => {
            let outcome = call(asked, caller, importer.command, context).await;
            RemoteAnswer::Outcome(outcome.written(phrases::in_a_shell))
        }
        Question::Import(asked) => RemoteAnswer::Imported(import(asked, importer, context).await),
        Question::Export(Export { wanted, piece }) => {
            match export_piece(wanted, piece, context).await {
                Ok((lines, next)) => RemoteAnswer::Exported(Exported {
                    lines: lines
                        .iter()
                        .map(exchange::lines::ExportLine::to_text)
                        .collect(),
                    next,
                }),
                Err(why) => {
                    RemoteAnswer::Wrong(phrases::broken(&command::broken("write an export", &why)))
                }
            }
        }
    }
}

async fn import(asked: Import, importer: &Importer, context: &Context) -> ImportTally {
    let reading = Reading {
        now: context.engine.now(),
        host: None,
        history: asked.history,
    };
    let read = exchange::read(Format::Portcullis, &asked.lines.join("\n"), &reading);
    let lines = asked.lines.len();
    let tally = import_all(read, importer, asked.dry_run, context).await;
    tracing::info!(
        target: "portcullis::audit",
        who = importer.actor.name,
        door = %EntryPoint::Terminal,
        command = "import",
        lines,
        dry_run = asked.dry_run,
        banned = tally.banned,
        prolonged = tally.prolonged,
        exempted = tally.exempted,
        recalled = tally.recalled,
        refused = tally.refused.len(),
        "imported lines of a file",
    );
    tally
}

async fn call(
    asked: wire::RemoteCall,
    caller: &Caller,
    id: Option<CommandId>,
    context: &Context,
) -> Outcome {
    let name = &asked.command;
    let Some(command) = command::find(name) else {
        let nearest = command::nearest(caller.role(), name);
        return Outcome::Unknown {
            text: phrases::no_such_command(name, nearest),
            nearest: nearest.map(str::to_owned),
        };
    };
    let values = match values_of(command, &asked.words, asked.values) {
        Ok(values) => values,
        Err(problems) => return Outcome::Invalid { problems },
    };
    let call = Call::new(caller.clone(), EntryPoint::Terminal, command)
        .with_values(values)
        .confirmed(asked.confirmed)
        .by_command(id);
    command::handle(&call, context).await
}

/// The values of the fields: those named, and the words assigned to the others.
fn values_of(spec: &Spec, words: &[String], named: Values) -> Result<Values, Vec<Problem>> {
    let is_known = |name: &str| name == AS_OF || spec.fields.iter().any(|known| known.name == name);
    let unknown = named.fields().filter(|name| !is_known(name));
    let problems: Vec<Problem> = unknown
        .map(|name| Problem::new(name.to_owned(), text::no_such_field(spec, name)))
        .collect();
    match problems.is_empty() {
        true => line::read_words(spec, words, named),
        false => Err(problems),
    }
}
