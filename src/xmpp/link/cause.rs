//! Why there is no connection, and what to do about it.

use std::net::SocketAddr;
use std::time::Duration;

use thiserror::Error;

use super::backoff::Patience;
use crate::xmpp::guard;
use crate::xmpp::stanza::StreamError;

/// Why the link is down. Each text names the setting to check, if there is one.
#[derive(Debug, Error)]
pub enum Cause {
    /// `not-authorized`. ejabberd sends this for an unlisted host too.
    #[error(
        "the server refused the handshake of {domain}: either component.secret is not the server's secret for it, or \
         component.domain is not listed there (ejabberd: `hosts:` of the ejabberd_service listener; Prosody: `Component \"{domain}\"`)"
    )]
    WrongSecret {
        /// Our domain.
        domain: String,
    },
    /// `host-unknown`.
    #[error(
        "the server does not know the component {domain}: check component.domain against its configuration \
         (Prosody: `Component \"{domain}\"` with component_secret; the name of a VirtualHost cannot be a component)"
    )]
    HostUnknown {
        /// Our domain.
        domain: String,
    },
    /// `conflict`.
    #[error(
        "{domain} is connected already, or is a virtual host of the server{text}: stop the other portcullis, or choose another \
         component.domain (Prosody: component_conflict_resolve = \"kick_old\" lets a restarted portcullis back in at once)"
    )]
    Conflict {
        /// Our domain.
        domain: String,
        /// The server's text in brackets, or empty.
        text: String,
    },
    /// `invalid-namespace`, or a stream header of another protocol.
    #[error(
        "component.server = {server:?} is not a component listener (XEP-0114): check the port, Prosody's default is 5347"
    )]
    InvalidNamespace {
        /// host:port as configured.
        server: String,
    },
    /// The peer is not an XMPP server, or violates the rules of the stream.
    #[error(
        "component.server = {server:?}: {fault}. Check the port, and component.tls if the listener wants TLS or must not have it"
    )]
    Stream {
        /// host:port as configured.
        server: String,
        /// The guard's error.
        fault: guard::BadStream,
    },
    /// Plain TCP to another machine would expose secret and traffic.
    #[error(
        "component.server = {server:?} is {address}, not this machine, and component.tls is off: turn it on (Prosody: \
         mod_net_multiplex; ejabberd: `tls: true`), or set component.allow_plain_remote = true where the network is safe"
    )]
    PlainRemote {
        /// host:port as configured.
        server: String,
        /// The address it resolved to.
        address: SocketAddr,
    },
    /// The CA file, the system's roots or the name to verify cannot be used.
    #[error("TLS cannot be set up: {0}. Check component.tls_ca_file and component.tls_name")]
    TlsSetup(String),
    /// The TLS handshake failed.
    #[error(
        "TLS with component.server = {server:?} failed: {error}. Check component.tls_ca_file, component.tls_name and the port"
    )]
    Tls {
        /// host:port as configured.
        server: String,
        /// The error of rustls.
        error: String,
    },
    /// The name of the server has no address.
    #[error("component.server = {server:?} cannot be resolved: {error}")]
    Resolve {
        /// host:port as configured.
        server: String,
        /// The error of the resolver.
        error: String,
    },
    /// No TCP connection.
    #[error(
        "component.server = {server:?} does not answer: {error}. Is the server running, and its component listener on?"
    )]
    Connect {
        /// host:port as configured.
        server: String,
        /// The error of the system.
        error: String,
    },
    /// The server did not finish the handshake in time.
    #[error("the server did not finish the handshake within {0:?}")]
    LoginTimeout(Duration),
    /// Another stream error.
    #[error("the server closed the stream: {}", told(.0))]
    StreamError(StreamError),
    /// The server closed the connection without a stream error.
    #[error("the server closed the connection")]
    Closed,
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    /// Nothing arrived for long, not even the answer to our ping.
    #[error("the server is silent: our ping did not come back within {0:?}")]
    Silent(Duration),
    /// The server reads nothing.
    #[error("the server has not taken a byte for {0:?}")]
    Stuck(Duration),
    /// We asked for a new connection, see [`Wire::renew`](crate::xmpp::wire::Wire::renew).
    #[error("the server dropped our rights without a word; a new connection asks for them again")]
    Renewed,
    /// The program no longer listens because it is ending.
    #[error("the program no longer listens")]
    Deaf,
}

impl Cause {
    /// Whether only a change of our configuration or the server's can fix it. At the first connect it ends the
    /// program.
    #[must_use]
    pub fn is_setting(&self) -> bool {
        use Cause::{HostUnknown, InvalidNamespace, PlainRemote, TlsSetup, WrongSecret};
        matches!(
            self,
            WrongSecret { .. }
                | HostUnknown { .. }
                | InvalidNamespace { .. }
                | PlainRemote { .. }
                | TlsSetup(_)
        )
    }

    pub(super) fn patience(&self) -> Patience {
        if self.is_setting() || matches!(self, Cause::Conflict { .. }) {
            Patience::Long
        } else {
            Patience::Short
        }
    }

    pub(super) fn of(error: StreamError, domain: &str, server: &str) -> Cause {
        let domain = domain.to_owned();
        match error.condition.as_str() {
            "not-authorized" => Cause::WrongSecret { domain },
            "host-unknown" | "host-gone" => Cause::HostUnknown { domain },
            "conflict" => {
                let text = error
                    .text
                    .map_or(String::new(), |text| format!(" ({})", printable(&text)));
                Cause::Conflict { domain, text }
            }
            "invalid-namespace" => Cause::InvalidNamespace {
                server: server.to_owned(),
            },
            _ => Cause::StreamError(error),
        }
    }
}

fn told(error: &StreamError) -> String {
    match &error.text {
        Some(text) => format!("{} ({})", error.condition, printable(text)),
        None => error.condition.clone(),
    }
}

/// Text of the other side, for the log: one line of bounded length.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(condition: &str) -> Cause {
        let error = StreamError {
            condition: condition.into(),
            text: Some("so\nthere".into()),
        };
        Cause::of(error, "bot.example", "127.0.0.1:5347")
    }

    #[test]
    fn stream_errors_of_the_login_name_the_setting_to_fix() {
        for (condition, word) in [
            ("not-authorized", "component.secret"),
            ("not-authorized", "hosts:"),
            ("host-unknown", "component.domain"),
            ("invalid-namespace", "component.server"),
        ] {
            let cause = of(condition);
            assert!(cause.is_setting(), "{condition}");
            assert!(cause.to_string().contains(word), "{cause}");
        }
    }

    #[test]
    fn a_conflict_is_never_final_and_waits_long() {
        let cause = of("conflict");
        assert!(!cause.is_setting());
        assert_eq!(cause.patience(), Patience::Long);
        assert!(cause.to_string().contains("(so there)"), "{cause}");
    }

    #[test]
    fn other_stream_errors_keep_the_servers_words() {
        assert_eq!(
            of("system-shutdown").to_string(),
            "the server closed the stream: system-shutdown (so there)"
        );
        assert_eq!(of("system-shutdown").patience(), Patience::Short);
    }
}
