//! From a name to a byte stream: resolve, connect, TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::{Cause, Settings, tls};

/// A byte stream in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A byte stream to the server, on which the XMPP stream runs.
pub struct Connection {
    pub(super) io: Box<dyn Duplex>,
    /// A second handle of the socket, to ask for quick acknowledgements.
    pub(super) socket: Option<socket2::Socket>,
}

impl Connection {
    /// A connection without a socket, e.g. [`tokio::io::duplex`] in a test.
    pub fn pipe(io: impl Duplex + 'static) -> Connection {
        Connection {
            io: Box::new(io),
            socket: None,
        }
    }
}

/// Opens connections.
pub type Dial = Box<dyn FnMut() -> BoxFuture<'static, Result<Connection, Cause>> + Send>;

/// Dials the server of the settings.
pub(super) fn dialer(settings: &Settings) -> Dial {
    let settings = Arc::new(settings.clone());
    Box::new(move || {
        let settings = settings.clone();
        Box::pin(async move { dial(&settings).await })
    })
}

async fn dial(settings: &Settings) -> Result<Connection, Cause> {
    let tcp = tcp(settings).await?;
    // Answers are small and already written in batches, so Nagle's algorithm would only add up to 40 ms.
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(&tcp).try_clone().ok();
    let io: Box<dyn Duplex> = match &settings.tls {
        None => Box::new(tcp),
        Some(tls) => {
            let (connector, name) = tls::connector(tls, &settings.server).await?;
            let failed = |error: std::io::Error| Cause::Tls {
                server: settings.server.clone(),
                error: error.to_string(),
            };
            Box::new(connector.connect(name, tcp).await.map_err(failed)?)
        }
    };
    Ok(Connection { io, socket })
}

async fn tcp(settings: &Settings) -> Result<TcpStream, Cause> {
    let server = || settings.server.clone();
    let found = tokio::net::lookup_host(&settings.server).await;
    let found = found.map_err(|error| Cause::Resolve {
        server: server(),
        error: error.to_string(),
    })?;
    let addresses = permitted(settings, found.collect())?;
    let mut last = "no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = format!("{address}: {error}"),
        }
    }
    Err(Cause::Connect {
        server: server(),
        error: last,
    })
}

/// The addresses that may be dialled. Without TLS these are only the machine's own, unless the settings allow others.
fn permitted(settings: &Settings, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Cause> {
    if settings.tls.is_some() || settings.allow_plain_remote {
        return Ok(found);
    }
    let (near, far): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|address| address.ip().to_canonical().is_loopback());
    match far.first() {
        Some(address) if near.is_empty() => Err(Cause::PlainRemote {
            server: settings.server.clone(),
            address: *address,
        }),
        _ => Ok(near),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::xmpp::link::Tls;
    use crate::xmpp::secret::Secret;

    fn settings(server: &str) -> Settings {
        Settings::new(
            "bot.example".parse().unwrap(),
            server.to_owned(),
            Secret::new("s".to_owned()),
        )
    }

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn plain_tcp_goes_to_this_machine_only_unless_allowed() {
        let mut settings = settings("xmpp.example:5347");
        let far = addresses(&["192.0.2.1:5347"]);
        let refused = permitted(&settings, far.clone()).unwrap_err();
        assert!(
            refused.is_setting() && refused.to_string().contains("component.allow_plain_remote"),
            "{refused}"
        );

        let near = addresses(&["127.0.0.2:5347", "[::1]:5347", "[::ffff:127.0.0.1]:5347"]);
        assert_eq!(permitted(&settings, near.clone()).unwrap(), near);
        assert_eq!(
            permitted(&settings, [near.clone(), far.clone()].concat()).unwrap(),
            near
        );

        settings.allow_plain_remote = true;
        assert_eq!(permitted(&settings, far.clone()).unwrap(), far);
        settings.allow_plain_remote = false;
        settings.tls = Some(Tls::default());
        assert_eq!(permitted(&settings, far.clone()).unwrap(), far);
    }
}
