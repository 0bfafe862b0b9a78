//! The HTTP listener: health checks for monitoring, and the requests of the hook protocol for programs with the
//! token.
//!
//! There are no commands here, and nothing that a stranger could fill: the number of connections, their lifetime and
//! their sizes are limited. Health checks are public, so they contain no secret and name no account.
//!
//! Start reading at [`health`] and [`logins`]; `connections.rs` serves them within their bounds.

mod connections;
pub mod health;
pub mod logins;

use std::{io, net::SocketAddr, time::Duration};

use axum::{Router, http::StatusCode};
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;

pub use health::{GrantState, Readiness};
pub use logins::Logins;

/// How long open connections may take to end after the stop.
const GRACE: Duration = Duration::from_secs(2);

/// Why HTTP cannot start: the configured address cannot be bound.
#[derive(Debug, Error)]
#[error("cannot listen on {0}: {1}; stop what listens there, or change `listen` in [http]")]
pub struct HttpFault(SocketAddr, io::Error);

/// A bound listener that does not answer yet.
#[derive(Debug)]
pub struct Http {
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
}

impl Http {
    /// Binds the address, so that a conflict is found before anything else starts.
    ///
    /// # Errors
    /// If the address cannot be bound.
    pub async fn bind(
        address: SocketAddr,
        readiness: watch::Receiver<Readiness>,
    ) -> Result<Self, HttpFault> {
        let listener = TcpListener::bind(address).await;
        Ok(Self {
            listener: listener.map_err(|why| HttpFault(address, why))?,
            readiness,
        })
    }

    /// The bound address; differs from the configured one if that has port 0.
    ///
    /// # Errors
    /// If the system does not report it.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop`, then gives open connections a moment to end.
    pub async fn run(self, logins: Logins, stop: CancellationToken) {
        let router = router(self.readiness, logins);
        connections::serve(self.listener, router, stop, GRACE).await;
    }
}

fn router(readiness: watch::Receiver<Readiness>, logins: Logins) -> Router {
    health::routes(readiness)
        .merge(logins::routes(logins))
        .fallback(async || {
            (
                StatusCode::NOT_FOUND,
                "no such page; there are /healthz, /readyz, /v1/check and /v1/report\n",
            )
        })
        .method_not_allowed_fallback(async || {
            (
                StatusCode::METHOD_NOT_ALLOWED,
                "GET for the health checks, POST for /v1\n",
            )
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;
    use std::time::Duration;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
        time::timeout,
    };

    use super::*;
    use crate::core::Policy;
    use crate::core::seal::{KEY_BYTES, Keyring, generate_key_line};
    use crate::enforce::{Settings, XmppServer};
    use crate::engine::clock::Clock;
    use crate::gate::Gate;
    use crate::store::Store;
    use crate::xmpp::iq::Asker;
    use crate::xmpp::link::{self, Link};
    use crate::xmpp::secret::Secret;

    const TOKEN: &str = "a-token-of-the-tests";

    struct Running {
        address: SocketAddr,
        set: watch::Sender<Readiness>,
        stop: CancellationToken,
        task: tokio::task::JoinHandle<()>,
        /// Of the store.
        _folder: tempfile::TempDir,
    }

    /// A gate in its initial state.
    fn engine() -> (tempfile::TempDir, Gate) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(folder.path()).unwrap());
        let never = link::Settings::new(
            "bot.example.org".parse().unwrap(),
            "127.0.0.1:1".to_owned(),
            Secret::new(String::new()),
        );
        let (_, wire, _) = Link::new(never);
        let settings = Settings {
            component: "bot.example.org".parse().unwrap(),
            admins: Vec::new(),
            act_as: None,
            keyring: Keyring::parse(&generate_key_line(&"k1".parse().unwrap(), &[1; KEY_BYTES]))
                .unwrap(),
            cookie: None,
            hook_hosts: Vec::new(),
            limits: Default::default(),
        };
        let server = XmppServer::new(Asker::new(wire), settings);
        let policy = Policy::default();
        let storage = crate::gate::Storage::of(&store);
        let gate = Gate::open(storage, server, Clock::system(), policy);
        (folder, gate.unwrap())
    }

    async fn running() -> Running {
        with_token(Some(Secret::new(TOKEN.to_owned()))).await
    }

    async fn with_token(token: Option<Secret>) -> Running {
        let (set, readiness) = watch::channel(Readiness::default());
        let http = Http::bind("127.0.0.1:0".parse().unwrap(), readiness)
            .await
            .unwrap();
        let (address, stop) = (http.local_addr().unwrap(), CancellationToken::new());
        let (folder, gate) = engine();
        Running {
            address,
            set,
            task: tokio::spawn(http.run(Logins::new(&gate, token), stop.clone())),
            stop,
            _folder: folder,
        }
    }

    impl Running {
        /// Sends a request and reads the answer to its end.
        async fn send(&self, request: &[u8]) -> String {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            // The other side may close before it has read everything.
            let _ = stream.write_all(request).await;
            let mut answer = Vec::new();
            let _ = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer))
                .await
                .unwrap();
            String::from_utf8(answer).unwrap()
        }

        async fn get(&self, path: &str) -> String {
            self.send(
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .await
        }
    }

    impl Running {
        async fn post(&self, path: &str, token: &str, body: &str) -> String {
            let request = format!(
                "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            );
            self.send(request.as_bytes()).await
        }
    }

    #[tokio::test]
    async fn whoever_lacks_the_token_is_not_answered() {
        let running = running().await;
        let ask = "{\"address\": \"192.0.2.1\"}";
        for token in ["", "a-token-of-the-test", "a-token-of-the-tests2"] {
            let answer = running.post("/v1/check", token, ask).await;
            assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
            assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
        }
        let answer = running.post("/v1/check", TOKEN, ask).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("{\"action\":\"allow\"}\n"), "{answer}");
        let none = with_token(None).await.post("/v1/check", "", ask).await;
        assert!(none.starts_with("HTTP/1.1 404 "), "{none}");
        assert!(none.contains("token_file"), "{none}");
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_question_is_said() {
        let running = running().await;
        for (path, body, says) in [
            ("check", "{", "not the JSON"),
            ("check", "{}", "account or address must be there"),
            (
                "check",
                "{\"address\": \"1.2.3\"}",
                "address: \\\"1.2.3\\\" is no address",
            ),
            (
                "check",
                "{\"account\": \"example.org\"}",
                "write name@domain",
            ),
            ("report", "{\"logins\": 3}", "not the JSON"),
            (
                "report",
                "{\"logins\": [{\"address\": \"192.0.2.1\", \"outcome\": \"no\"}]}",
                "logins[0].outcome",
            ),
            (
                "report",
                "{\"logins\": [{\"address\": \"192.0.2.1\", \"outcome\": \"failure\", \"at\": \"noon\"}]}",
                "logins[0].at",
            ),
        ] {
            let answer = running.post(&format!("/v1/{path}"), TOKEN, body).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.contains(says), "{answer}");
        }
        let large = format!("{{\"logins\": [{}]}}", " ".repeat(logins::BODY));
        let answer = running.post("/v1/report", TOKEN, &large).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
        let answer = running.get("/v1/check").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    }

    #[tokio::test]
    async fn healthz_answers_while_nothing_is_ready() {
        let answer = running().await.get("/healthz").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nalive\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn readyz_follows_the_state() {
        let running = running().await;
        let answer = running.get("/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.contains("cache-control: no-store"), "{answer}");
        running.set.send_replace(Readiness {
            link: true,
            grants: GrantState::Seen,
            ledger: true,
            detail: vec![],
            ..Readiness::default()
        });
        let answer = running.get("/readyz").await;
        assert!(
            answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nready\n"),
            "{answer}"
        );
        running.set.send_modify(|readiness| readiness.link = false);
        assert!(running.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let running = running().await;
        assert!(running.get("/").await.starts_with("HTTP/1.1 404 "));
        assert!(running.get("/healthz/x").await.starts_with("HTTP/1.1 404 "));
        let post =
            b"POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let answer = running.send(post).await;
        assert!(
            answer.starts_with("HTTP/1.1 405 ") && answer.contains("allow: GET"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn what_is_no_http_and_what_is_too_long_ends_the_connection_only() {
        let running = running().await;
        running
            .send(b"\x16\x03\x01\x00\xa5\x01\x00\x00\r\n\r\n")
            .await;
        let long = format!(
            "GET /healthz HTTP/1.1\r\nX: {}\r\n\r\n",
            "a".repeat(1024 * 1024)
        );
        let answer = running.send(long.as_bytes()).await;
        assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    }

    #[tokio::test]
    async fn a_stop_frees_the_address_even_with_a_silent_connection_open() {
        let running = running().await;
        let mut silent = TcpStream::connect(running.address).await.unwrap();
        silent.write_all(b"GET /hea").await.unwrap();
        assert!(running.get("/healthz").await.starts_with("HTTP/1.1 200 "));
        running.stop.cancel();
        timeout(GRACE + Duration::from_secs(3), running.task)
            .await
            .unwrap()
            .unwrap();
        assert!(TcpListener::bind(running.address).await.is_ok());
    }

    #[tokio::test]
    async fn an_address_in_use_says_what_to_do() {
        let running = running().await;
        let (_set, readiness) = watch::channel(Readiness::default());
        let fault = Http::bind(running.address, readiness).await.unwrap_err();
        assert!(
            fault.to_string().contains("change `listen` in [http]"),
            "{fault}"
        );
    }
}
