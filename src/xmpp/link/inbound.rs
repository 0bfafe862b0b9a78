//! The reading half: socket, guard, parser.

use tokio::io::{AsyncReadExt, ReadHalf};
use tokio::time::Instant;

use super::Cause;
use super::connect::{Connection, Duplex};
use crate::xmpp::guard::{Frame, Guard, Limits, Opening, Trust};
use crate::xmpp::stanza::{self, Malformed, Top};

const BUFFER: usize = 64 * 1024;

/// An element or event from the server.
pub(super) enum Arrived {
    Open(Opening),
    Top(Top),
    /// The answer to a question that the fast path answered.
    Answered(Vec<u8>),
    Close,
}

pub(super) struct Inbound {
    io: ReadHalf<Box<dyn Duplex>>,
    socket: Option<socket2::Socket>,
    guard: Guard,
    buffer: Box<[u8]>,
    /// Start of the bytes in `buffer` that the guard has not seen.
    start: usize,
    end: usize,
    /// When bytes last arrived, which proves that the server is alive.
    pub(super) last_read: Instant,
    server: String,
}

impl Inbound {
    /// Splits a connection; also returns the writing half.
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

    /// From now on only these senders may send large stanzas.
    pub(super) fn trust(&mut self, trust: Option<Trust>) {
        self.guard.trust(trust);
    }

    /// Approximate memory of the last stanza in bytes.
    pub(super) fn cost(&self) -> usize {
        self.guard.cost()
    }

    /// The next element. Cancel-safe: bytes already read are kept.
    pub(super) async fn next(&mut self) -> Result<Arrived, Cause> {
        self.next_or(|_| None).await
    }

    /// [`Inbound::next`], but a frame that `answer` answers is not parsed.
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
            // The guard has seen everything.
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

    /// Servers leave Nagle's algorithm on (Prosody's default): their next write waits for our acknowledgement, which
    /// Linux delays by up to 40 ms. The option does not last, so it is set after each read.
    fn acknowledge_quickly(&self) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            // Only an optimisation: a failure costs time, nothing else.
            let _ = socket.set_tcp_quickack(true);
        }
    }
}
