//! The client side of the socket, for `portcullis ban …`, `doctor` and others.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::lines::{self, LineError};
use super::text::NO_SOCKET;
use super::wire::{Question, RemoteAnswer, RemoteProgress, VERSION, WireLine};
use super::{BEAT, SOCKET};
use crate::store;

/// Maximum length of a line in an answer, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
/// How long the server side may be silent; it reports progress every [`BEAT`].
const PATIENCE: Duration = BEAT.saturating_mul(10);

/// A connection to the running portcullis, for any number of requests, one after the other.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
}

impl Client {
    /// Connects to the portcullis that runs on the store in `folder`; `None` if none does.
    ///
    /// # Errors
    /// If the socket exists and cannot be opened, or portcullis runs without one. [`io::ErrorKind::PermissionDenied`]: the user is neither root nor
    /// the one that portcullis runs as.
    pub async fn connect(folder: &Path) -> io::Result<Option<Client>> {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        match UnixStream::connect(folder.join(SOCKET)).await {
            Ok(stream) => {
                let (lines, out) = stream.into_split();
                let lines = BufReader::new(lines);
                Ok(Some(Client { lines, out }))
            }
            Err(why) if matches!(why.kind(), NotFound | ConnectionRefused) => {
                match store::is_in_use(folder) {
                    true => Err(io::Error::other(NO_SOCKET)),
                    false => Ok(None),
                }
            }
            Err(why) => Err(why),
        }
    }

    /// Sends a request and waits for the answer, as long as the other side reports progress, which is passed to
    /// `progress`.
    ///
    /// # Errors
    /// If nothing arrives in time, or if it is not an answer of this [`VERSION`].
    pub async fn ask(
        &mut self,
        question: &Question,
        mut progress: impl FnMut(RemoteProgress),
    ) -> io::Result<RemoteAnswer> {
        let mut bytes = serde_json::to_vec(&WireLine {
            v: VERSION,
            said: question,
        })?;
        bytes.push(b'\n');
        let written = self.out.write_all(&bytes);
        tokio::time::timeout(PATIENCE, written).await??;
        loop {
            let line = lines::read(&mut self.lines, LONGEST_ANSWER);
            let line = match tokio::time::timeout(PATIENCE, line).await? {
                Ok(line) => line.ok_or(io::ErrorKind::UnexpectedEof)?,
                Err(LineError::Io(why)) => return Err(why),
                Err(LineError::TooLong) => return Err(io::ErrorKind::FileTooLarge.into()),
            };
            let line: WireLine<RemoteAnswer> = serde_json::from_slice(&line)?;
            match line.said {
                _ if line.v != VERSION => return Err(io::ErrorKind::Unsupported.into()),
                RemoteAnswer::Progress(how_far) => progress(how_far),
                answer => return Ok(answer),
            }
        }
    }
}
