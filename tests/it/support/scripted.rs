//! A scripted XMPP server: the other end of a component link, played by the test.
//!
//! Over in-memory pipes it works with tokio's paused clock; over TCP it serves the whole program.
#![allow(dead_code)] // each test file plays another part of it

use std::net::SocketAddr;

use minidom::Element;
use portcullis::xmpp::guard::{Frame, Guard, Limits, Opening};
use portcullis::xmpp::link::{Connection, Dial, Duplex, Settings};
use portcullis::xmpp::secret::Secret;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

/// The domain of our component.
pub const DOMAIN: &str = "portcullis.example.org";
/// The secret that server and component share.
pub const SECRET: &str = "s3cr3t";
/// Capacity of a pipe in each direction, in bytes.
pub const PIPE: usize = 64 * 1024;

const HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams' \
    xmlns='jabber:component:accept' from='portcullis.example.org' id='stream-1' xml:lang='en'>";

/// Settings that fit [`Scripted`]; over pipes the server's address does not matter.
pub fn settings() -> Settings {
    Settings::new(
        DOMAIN.parse().unwrap(),
        "127.0.0.1:5347".to_owned(),
        Secret::new(SECRET.to_owned()),
    )
}

/// The listener of the server.
pub struct Scripted {
    source: Source,
}

enum Source {
    Pipes(mpsc::UnboundedReceiver<DuplexStream>),
    Tcp(TcpListener),
}

impl Scripted {
    /// A server behind in-memory pipes, and the dialler for `Link::over`.
    pub fn pipes() -> (Scripted, Dial) {
        let (sender, lines) = mpsc::unbounded_channel();
        let dial: Dial = Box::new(move || {
            let (ours, theirs) = tokio::io::duplex(PIPE);
            let line = sender.send(theirs).map(|()| Connection::pipe(ours));
            Box::pin(async move {
                line.map_err(|_| std::io::Error::other("the scripted server is gone").into())
            })
        });
        (
            Scripted {
                source: Source::Pipes(lines),
            },
            dial,
        )
    }

    /// A server on a free TCP port of loopback, and its address.
    pub async fn tcp() -> (Scripted, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (
            Scripted {
                source: Source::Tcp(listener),
            },
            address,
        )
    }

    /// The next connection, before the handshake.
    pub async fn accept(&mut self) -> Peer {
        match &mut self.source {
            Source::Pipes(lines) => Peer::new(lines.recv().await.expect("the link is gone")),
            Source::Tcp(listener) => Peer::new(listener.accept().await.unwrap().0),
        }
    }

    /// The next connection, after a successful handshake.
    pub async fn admit(&mut self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer.say("<handshake/>").await;
        peer
    }
}

/// One connected component.
pub struct Peer {
    io: Box<dyn Duplex>,
    guard: Guard,
    buffer: Vec<u8>,
}

/// What a component sent.
#[derive(Debug, PartialEq)]
pub enum Heard {
    Open(Opening),
    Element(Element),
    Close,
    /// The connection was cut.
    End,
}

impl Peer {
    /// A peer over an existing connection.
    pub fn new(io: impl Duplex + 'static) -> Peer {
        // Limits as generous as a real server's.
        let limits = Limits {
            stanza_bytes: 64 << 20,
            attribute_bytes: 64 << 20,
            elements: usize::MAX,
            ..Limits::default()
        };
        Peer {
            io: Box::new(io),
            guard: Guard::new(limits),
            buffer: Vec::new(),
        }
    }

    /// Reads the stream header, sends ours, and checks the handshake.
    pub async fn greet(&mut self) {
        assert!(matches!(self.hear().await, Heard::Open(_)));
        self.say(HEADER).await;
        let handshake = self.element().await;
        assert_eq!(handshake.name(), "handshake");
        let digest = Sha1::digest(format!("stream-1{SECRET}"));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(handshake.text(), hex);
    }

    /// Writes text unchanged.
    pub async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.unwrap();
        self.io.flush().await.unwrap();
    }

    /// Writes a stream error and ends the stream.
    pub async fn bail(mut self, condition: &str) {
        self.say(&format!(
            "<stream:error><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
             <text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>because</text></stream:error></stream:stream>"
        ))
        .await;
    }

    /// Writes text unchanged; `false` if the component has hung up.
    pub async fn try_say(&mut self, text: &str) -> bool {
        self.io.write_all(text.as_bytes()).await.is_ok() && self.io.flush().await.is_ok()
    }

    /// What the component sends next, without its announcements to itself.
    pub async fn hear(&mut self) -> Heard {
        loop {
            match self.hear_raw().await {
                Heard::Element(element)
                    if element.has_child("instance", "urn:portcullis:instance:1") => {}
                heard => return heard,
            }
        }
    }

    /// What the component sends next. Cancel-safe.
    pub async fn hear_raw(&mut self) -> Heard {
        loop {
            let mut rest = &self.buffer[..];
            let before = rest.len();
            let heard = match self
                .guard
                .next(&mut rest)
                .expect("the component broke the stream")
            {
                None => None,
                Some(Frame::Open(opening)) => Some(Heard::Open(opening)),
                Some(Frame::Whole(frame)) => Some(Heard::Element(
                    std::str::from_utf8(frame).unwrap().parse().unwrap(),
                )),
                Some(Frame::Rejected { why, .. }) => panic!("the component sent: {why}"),
                Some(Frame::Close) => Some(Heard::Close),
            };
            let consumed = before - rest.len();
            self.buffer.drain(..consumed);
            if let Some(heard) = heard {
                return heard;
            }
            if self.io.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return Heard::End;
            }
        }
    }

    /// The next element that the component sends.
    pub async fn element(&mut self) -> Element {
        match self.hear().await {
            Heard::Element(element) => element,
            other => panic!("expected an element, heard {other:?}"),
        }
    }
}
