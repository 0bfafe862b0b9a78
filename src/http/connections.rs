//! Serves connections within bounds: a limited number at a time, each with a limited lifetime.
//!
//! hyper limits the head of a request in time and size, and the routes limit its body ([`logins`](super::logins)).
//! The lifetime of the connection limits everything else, such as a slow body or a slow reader.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Maximum number of connections; more wait in the system's queue.
const CONNECTIONS: usize = 64;
/// Time limit for the head of a request, from the moment the connection waits for one.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Maximum size of the head of a request in bytes.
const HEAD: usize = 32 * 1024;
/// Lifetime of a connection, idle or not. A client with more requests connects again.
const LIFE: Duration = Duration::from_secs(10);
/// Pause after a failed accept (out of file descriptors), to avoid a busy loop.
const PAUSE: Duration = Duration::from_millis(500);

/// Serves until `stop`; open connections then have `grace` to end.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    stop: CancellationToken,
    grace: Duration,
) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    let accepting = async {
        loop {
            // The semaphore is never closed.
            let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
                return;
            };
            let stream = accept(&listener).await;
            let (router, stop) = (router.clone(), stop.clone());
            open.spawn(async move {
                connection(stream, router, stop).await;
                drop(permit);
            });
            while open.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = accepting => {}
    }
    drop(listener);
    let ended = async { while open.join_next().await.is_some() {} };
    // Connections still open after that are dropped with the set.
    let _ = timeout(grace, ended).await;
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept HTTP connections");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    let end = sleep(LIFE);
    tokio::pin!(end);
    let mut is_last = false;
    loop {
        tokio::select! {
            ended = &mut serving => {
                if let Err(why) = ended {
                    tracing::debug!(%why, "an HTTP connection ended");
                }
                return;
            }
            () = &mut end => return,
            () = stop.cancelled(), if !is_last => {
                is_last = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::routing::post;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    /// A server on a free port that sends the body of a request back.
    async fn running() -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", post(async |body: String| body));
        let never = CancellationToken::new();
        tokio::spawn(serve(listener, router, never, Duration::ZERO));
        address
    }

    /// How long a connection stays open after this is sent.
    async fn stays_open(sent: &[u8]) -> Duration {
        let mut client = TcpStream::connect(running().await).await.unwrap();
        client.write_all(sent).await.unwrap();
        // Wait until the server has it.
        sleep(Duration::from_millis(50)).await;
        tokio::time::pause();
        let began = Instant::now();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        let open = began.elapsed();
        tokio::time::resume();
        open
    }

    #[tokio::test]
    async fn a_silent_connection_ends() {
        assert!(stays_open(b"").await <= HEAD_WITHIN + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn a_head_or_a_body_that_comes_too_slowly_ends_its_connection() {
        let head = b"POST / HTTP/1.1\r\nHost: x\r\n";
        assert!(stays_open(head).await <= HEAD_WITHIN + Duration::from_secs(1));
        let body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc";
        assert!(stays_open(body).await <= LIFE + Duration::from_secs(1));
    }

    #[tokio::test]
    async fn the_number_of_connections_is_bounded_and_a_closed_one_makes_room() {
        let address = running().await;
        let mut open = Vec::new();
        for _ in 0..CONNECTIONS {
            open.push(TcpStream::connect(address).await.unwrap());
        }
        let mut next = TcpStream::connect(address).await.unwrap();
        let ask = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi";
        next.write_all(ask).await.unwrap();
        let mut byte = [0];
        let short = Duration::from_millis(100);
        assert!(timeout(short, next.read(&mut byte)).await.is_err());
        open.pop();
        let soon = Duration::from_secs(5);
        assert_eq!(
            timeout(soon, next.read(&mut byte)).await.unwrap().unwrap(),
            1
        );
    }
}
