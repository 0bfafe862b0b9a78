//! The other end of the socket: what `portcullis ban …`, `doctor` and the like speak with.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::lines::{self, LineError};
use super::wire::{Question, RemoteAnswer, RemoteProgress, VERSION, WireLine};
use super::{BEAT, SOCKET};

/// The longest line of an answer, in bytes.
const LONGEST_ANSWER: usize = 16 * 1024 * 1024;
/// How long the other side may be silent. It says that it goes on every [`BEAT`].
const PATIENCE: Duration = BEAT.saturating_mul(10);

/// A conversation with the portcullis that runs: any number of questions, one behind the other.
#[derive(Debug)]
pub struct Client {
    lines: BufReader<OwnedReadHalf>,
    out: OwnedWriteHalf,
}

impl Client {
    /// Opens one with the portcullis that runs on the store in `folder`; `None` when none does.
    ///
    /// # Errors
    /// When there is a socket that cannot be opened: [`io::ErrorKind::PermissionDenied`] is for those who
    /// are neither root nor its own user.
    pub async fn connect(folder: &Path) -> io::Result<Option<Client>> {
        use io::ErrorKind::{ConnectionRefused, NotFound};
        match UnixStream::connect(folder.join(SOCKET)).await {
            Ok(stream) => {
                let (lines, out) = stream.into_split();
                let lines = BufReader::new(lines);
                Ok(Some(Client { lines, out }))
            }
            Err(why) if matches!(why.kind(), NotFound | ConnectionRefused) => Ok(None),
            Err(why) => Err(why),
        }
    }

    /// Asks, and waits for the answer however long it takes, as long as the other side says that it goes
    /// on. `progress` hears of that.
    ///
    /// # Errors
    /// When nothing comes, or what comes is no answer of this [`VERSION`].
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
