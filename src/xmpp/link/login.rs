//! The XEP-0114 handshake.

use sha1::{Digest, Sha1};
use tokio::io::{AsyncWriteExt, WriteHalf};

use super::connect::{Connection, Duplex};
use super::inbound::{Arrived, Inbound};
use super::{Cause, Settings};
use crate::xmpp::stanza::{NS_COMPONENT, Top};

/// A line after the handshake.
pub(super) struct Established {
    pub(super) inbound: Inbound,
    pub(super) writer: WriteHalf<Box<dyn Duplex>>,
}

/// Stream header, handshake, and the server's consent.
pub(super) async fn login(line: Connection, settings: &Settings) -> Result<Established, Cause> {
    let (mut inbound, mut writer) = Inbound::new(line, settings.limits, settings.server.clone());
    // A domain holds nothing that needs escaping (RFC 7622 3.2).
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
    // Prosody gives a host it does not know an empty id and then says so: there is nothing to shake hands on.
    let mut written = Ok(());
    if let Some(id) = opening.id.filter(|id| !id.is_empty()) {
        // Not by xmpp_parsers::component::Handshake: it copies the secret into memory that nobody wipes.
        let digest = Sha1::new()
            .chain_update(id)
            .chain_update(settings.secret.expose());
        let digest: String = digest
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        // If the server has hung up already, its reason can still be read.
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

/// Before the server's consent only its refusal matters; stanzas it sends too early are nobody's.
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
