//! The reading half: socket, guard, parser.

use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::time::Instant;

use super::Cause;
use super::connect::{Connection, Duplex};
use crate::xmpp::guard::{Frame, Guard, Limits, Opening};
use crate::xmpp::stanza::{self, Malformed, Top};

const BUFFER: usize = 64 * 1024;

/// Something the server said.
pub(super) enum Arrived {
    Open(Opening),
    Top(Top),
    /// A question that was answered on the spot: the answer.
    Answered(Vec<u8>),
    Close,
}

pub(super) struct Inbound {
    io: ReadHalf<Box<dyn Duplex>>,
    socket: Option<socket2::Socket>,
    guard: Guard,
    buffer: Box<[u8]>,
    /// Bytes of `buffer` not yet given to the guard.
    start: usize,
    end: usize,
    /// When bytes last arrived: the proof that the server lives.
    pub(super) last_read: Instant,
    server: String,
}

impl Inbound {
    /// Splits a line; gives the writing half back.
    pub(super) fn new(
        line: Connection,
        limits: Limits,
        server: String,
    ) -> (Inbound, tokio::io::WriteHalf<Box<dyn Duplex>>) {
        let (io, writer) = tokio::io::split(line.io);
        let inbound = Inbound {
            io,
            socket: line.socket,
            guard: Guard::new(limits),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            last_read: Instant::now(),
            server,
        };
        (inbound, writer)
    }

    /// The next thing said. Cancel-safe: whatever was read stays here.
    pub(super) async fn next(&mut self) -> Result<Arrived, Cause> {
        self.next_or(|_| None).await
    }

    /// [`Inbound::next`], except that a frame `answer` can answer is not parsed.
    pub(super) async fn next_or(
        &mut self,
        answer: impl Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Result<Arrived, Cause> {
        loop {
            let mut rest = &self.buffer[self.start..self.end];
            let before = rest.len();
            let frame = self.guard.next(&mut rest);
            self.start += before - rest.len();
            match frame {
                Ok(Some(Frame::Open(opening))) => return Ok(Arrived::Open(opening)),
                Ok(Some(Frame::Whole(frame))) => {
                    return Ok(match answer(frame) {
                        Some(answer) => Arrived::Answered(answer),
                        None => Arrived::Top(stanza::parse(frame)),
                    });
                }
                Ok(Some(Frame::Rejected { head, why })) => {
                    return Ok(Arrived::Top(Top::Malformed(Malformed {
                        head,
                        why: why.into(),
                    })));
                }
                Ok(Some(Frame::Close)) => return Ok(Arrived::Close),
                Ok(None) => {}
                Err(fault) => {
                    return Err(Cause::Stream {
                        server: self.server.clone(),
                        fault,
                    });
                }
            }
            // All given to the guard.
            (self.start, self.end) = (0, 0);
            self.end = match self.io.read(&mut self.buffer).await {
                Ok(0) => return Err(Cause::Closed),
                Ok(read) => read,
                Err(error) => return Err(Cause::Io(error)),
            };
            self.last_read = Instant::now();
            self.acknowledge_quickly();
        }
    }

    /// Servers leave Nagle on (Prosody's default): their next write waits for our acknowledgement, which Linux likes to
    /// delay by 40 ms. The option wears off, hence after each read.
    fn acknowledge_quickly(&self) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            // A mere optimisation: if the system refuses, nothing is lost but time.
            let _ = socket.set_tcp_quickack(true);
        }
    }
}
