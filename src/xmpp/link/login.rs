//! The XEP-0114 handshake.

use sha1::{Digest, Sha1};
use tokio::io::{AsyncWriteExt, WriteHalf};

use super::connect::{Connection, Duplex};
use super::inbound::{Arrived, Inbound};
use super::{Cause, Settings};
use crate::xmpp::stanza::{NS_COMPONENT, Top};

/// A connection after the handshake.
pub(super) struct Established {
    pub(super) inbound: Inbound,
    pub(super) writer: WriteHalf<Box<dyn Duplex>>,
}

/// Sends the stream header and the handshake, and waits for the server to accept.
pub(super) async fn login(line: Connection, settings: &Settings) -> Result<Established, Cause> {
    let (mut inbound, mut writer) = Inbound::new(line, settings.limits, settings.server.clone());
    // A domain contains nothing that needs escaping (RFC 7622 3.2).
    let header = format!(
        "<?xml version='1.0'?><stream:stream xmlns='{NS_COMPONENT}' xmlns:stream='http://etherx.jabber.org/streams' to='{}'>",
        settings.domain
    );
    write(&mut writer, header.as_bytes()).await?;
    let opening = loop {
        match inbound.next().await? {
            Arrived::Open(opening) => break opening,
            said => refusal(said, settings)?,
        }
    };
    if opening.xmlns.is_some_and(|xmlns| xmlns != NS_COMPONENT) {
        return Err(Cause::InvalidNamespace {
            server: settings.server.clone(),
        });
    }
    // Prosody sends an empty id to an unknown host before the error, so there is no handshake to compute.
    let mut written = Ok(());
    if let Some(id) = opening.id.filter(|id| !id.is_empty()) {
        // Not with xmpp_parsers::component::Handshake, which copies the secret into memory that is not wiped.
        let digest = Sha1::new()
            .chain_update(id)
            .chain_update(settings.secret.expose());
        let digest = hex::encode(digest.finalize());
        // Even if the server has hung up, its reason can still be read.
        written = write(
            &mut writer,
            format!("<handshake>{digest}</handshake>").as_bytes(),
        )
        .await;
    }
    loop {
        match inbound.next().await {
            Ok(Arrived::Top(Top::Handshake)) => return Ok(Established { inbound, writer }),
            Ok(said) => refusal(said, settings)?,
            Err(cause) => return Err(written.err().unwrap_or(cause)),
        }
    }
}

/// Before the server accepts, only its refusal matters; stanzas it sends too early are dropped.
fn refusal(said: Arrived, settings: &Settings) -> Result<(), Cause> {
    match said {
        Arrived::Top(Top::StreamError(error)) => {
            Err(Cause::of(error, settings.domain.as_str(), &settings.server))
        }
        Arrived::Close => Err(Cause::Closed),
        Arrived::Top(_) | Arrived::Open(_) | Arrived::Answered(_) => Ok(()),
    }
}

async fn write(writer: &mut WriteHalf<Box<dyn Duplex>>, bytes: &[u8]) -> Result<(), Cause> {
    writer.write_all(bytes).await?;
    Ok(writer.flush().await?)
}
