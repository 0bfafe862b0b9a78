//! A listener that cannot be filled: so many connections at a time, each for so long and for so many bytes.
//!
//! hyper's own limit on the time for a request needs a timer that axum does not give it, so the connection itself ends.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep},
};

/// Connections at a time; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// Life of a connection, idle or not. Whoever asks again connects again.
const LIFE: Duration = Duration::from_secs(10);
/// Bytes read from one connection: many questions, or the largest report.
const BYTES: usize = 1024 * 1024;
/// Pause after the system gave no connection (out of file descriptors), so as not to spin.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) struct Limited {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Limited {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(CONNECTIONS)),
        }
    }
}

impl Listener for Limited {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let permit = Arc::clone(&self.free)
            .acquire_owned()
            .await
            .expect("nobody closes this semaphore");
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let end = Box::pin(sleep(LIFE));
                    return (
                        Connection {
                            stream,
                            end,
                            left: BYTES,
                            _permit: permit,
                        },
                        peer,
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "no HTTP connection can be taken");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends after [`LIFE`] or [`BYTES`].
pub(super) struct Connection {
    stream: TcpStream,
    end: Pin<Box<Sleep>>,
    left: usize,
    _permit: OwnedSemaphorePermit,
}

impl Connection {
    fn check_life(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.end.as_mut().poll(cx).is_ready() {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_life(cx)?;
        if self.left == 0 {
            return Poll::Ready(Err(io::ErrorKind::FileTooLarge.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        // May pass the bound by one buffer; the next read ends it.
        self.left = self.left.saturating_sub(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check_life(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn pair() -> (Limited, Connection, TcpStream) {
        let mut limited = Limited::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let client = TcpStream::connect(limited.local_addr().unwrap())
            .await
            .unwrap();
        let (server, _) = limited.accept().await;
        (limited, server, client)
    }

    #[tokio::test]
    async fn a_silent_connection_ends() {
        let (_limited, mut server, _client) = pair().await;
        tokio::time::pause();
        let error = server.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(
            server.write_u8(1).await.unwrap_err().kind(),
            io::ErrorKind::TimedOut
        );
    }

    #[tokio::test]
    async fn a_connection_gives_only_so_many_bytes() {
        let (_limited, mut server, mut client) = pair().await;
        let writer =
            tokio::spawn(async move { while client.write_all(&[b'x'; 4096]).await.is_ok() {} });
        let (mut total, mut buffer) = (0, [0; 1024]);
        let error = loop {
            match server.read(&mut buffer).await {
                Ok(read) => total += read,
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!((BYTES..BYTES + 1024).contains(&total), "{total}");
        drop(server);
        writer.await.unwrap();
    }

    #[tokio::test]
    async fn the_number_of_connections_is_bounded_and_a_closed_one_makes_room() {
        let (mut limited, server, _client) = pair().await;
        let address = limited.local_addr().unwrap();
        let mut open = vec![server];
        let mut clients = Vec::new();
        while open.len() < CONNECTIONS {
            clients.push(TcpStream::connect(address).await.unwrap());
            open.push(limited.accept().await.0);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        let short = Duration::from_millis(50);
        assert!(tokio::time::timeout(short, limited.accept()).await.is_err());
        open.pop();
        assert!(
            tokio::time::timeout(Duration::from_secs(5), limited.accept())
                .await
                .is_ok()
        );
    }
}
