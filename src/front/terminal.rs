//! The local socket of a running portcullis: one JSON line in, one JSON line out.
//!
//! Whoever may open it is the program's own user or root; the folder it lies in, its mode and
//! the peer's credentials all say so. `portcullis doctor` asks here first, because a second
//! component stream beside the running one would cost that one its privileges on ejabberd
//! (reference: two connections of one host, the grant goes with the first to close).

use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::gate::Gate;
use crate::gate::ports::Standing;

/// The name of the socket in the store's folder.
pub const SOCKET: &str = "control.sock";
/// The longest question, in bytes.
const LONGEST_QUESTION: u64 = 4 * 1024;
/// The longest answer, in bytes.
const LONGEST_ANSWER: u64 = 1024 * 1024;
/// How long either side may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may ask at the same time.
const AT_ONCE: usize = 8;

/// What can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// What the server lets us do.
    Standing,
}

/// What is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Question::Standing`].
    Standing(Standing),
    /// It was no question.
    Wrong(String),
}

/// Opens the socket in `folder`. An old one is removed: who holds the store's lock is the only
/// one who may be there.
///
/// # Errors
/// When the folder cannot be written to, or its path is too long for a socket (108 bytes).
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

/// Answers until told to stop, then removes the socket.
pub async fn serve(
    listener: UnixListener,
    folder: std::path::PathBuf,
    gate: Arc<Gate>,
    stop: CancellationToken,
) {
    let path = folder.join(SOCKET);
    let owner = std::fs::metadata(&path).map(|file| file.uid()).ok();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(why) => {
                tracing::warn!(%why, "the local socket cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let caller = stream.peer_cred().map(|peer| peer.uid()).ok();
        if caller.is_none() || (caller != owner && caller != Some(0)) {
            tracing::warn!(uid = ?caller, "refused a stranger at the local socket");
            continue;
        }
        let Ok(permit) = Arc::clone(&room).try_acquire_owned() else {
            continue;
        };
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(PATIENCE, answer(stream, &gate)).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => tracing::debug!(%why, "a caller at the local socket went away"),
                Err(_) => tracing::debug!("a caller at the local socket was too slow"),
            }
        });
    }
    let _ = std::fs::remove_file(path);
}

async fn answer(mut stream: UnixStream, gate: &Gate) -> io::Result<()> {
    let mut line = String::new();
    let (reader, mut writer) = stream.split();
    BufReader::new(reader.take(LONGEST_QUESTION))
        .read_line(&mut line)
        .await?;
    let answer = match serde_json::from_str(&line) {
        Ok(Question::Standing) => Answer::Standing((**gate.server().standing().borrow()).clone()),
        Err(why) => Answer::Wrong(why.to_string()),
    };
    let mut bytes = serde_json::to_vec(&answer)?;
    bytes.push(b'\n');
    writer.write_all(&bytes).await?;
    writer.shutdown().await
}

/// Asks the portcullis that runs on the store in `folder`; `None` when none does.
///
/// # Errors
/// When one is there but does not answer as it should.
pub async fn ask(folder: &Path, question: &Question) -> io::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(folder.join(SOCKET)).await {
        Ok(stream) => stream,
        Err(why)
            if matches!(
                why.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            return Ok(None);
        }
        Err(why) => return Err(why),
    };
    let mut bytes = serde_json::to_vec(question)?;
    bytes.push(b'\n');
    let exchange = async {
        stream.write_all(&bytes).await?;
        let mut line = String::new();
        BufReader::new((&mut stream).take(LONGEST_ANSWER))
            .read_line(&mut line)
            .await?;
        Ok(Some(serde_json::from_str(&line)?))
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
