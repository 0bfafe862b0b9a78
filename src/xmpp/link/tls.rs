//! Direct TLS to a component listener: which authorities to trust, which name to verify.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, crypto,
};

use super::Cause;

/// Direct TLS to the component listener. There is no STARTTLS in XEP-0114.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// PEM file of the authorities to trust; `None`: those of the system. If it holds the server's own certificate
    /// (`openssl req -x509`), that certificate is trusted whatever its name and dates.
    pub ca_file: Option<PathBuf>,
    /// Name in the certificate; `None`: the host part of the server.
    pub name: Option<String>,
}

/// Prepares TLS with `server` (host:port).
pub(super) async fn connector(
    tls: &Tls,
    server: &str,
) -> Result<(TlsConnector, ServerName<'static>), Cause> {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let name = tls.name.as_deref().unwrap_or(host).trim_matches(['[', ']']);
    let name = ServerName::try_from(name.to_owned()).map_err(setup)?;
    let ca_file = tls.ca_file.clone();
    // Reading certificates blocks on files.
    let trusted = tokio::task::spawn_blocking(move || trusted(ca_file.as_deref()));
    let verifier = Arc::new(trusted.await.map_err(setup)??);
    let provider = Arc::new(crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok((TlsConnector::from(Arc::new(config)), name))
}

/// Accepts a certificate that is itself in the operator's file; otherwise applies the usual rules.
///
/// `openssl req -x509` marks a self-signed certificate as an authority, and the usual rules refuse an authority as a
/// server's certificate. Such certificates are common on links between one's own machines.
#[derive(Debug)]
struct Verifier {
    pinned: Vec<CertificateDer<'static>>,
    usual: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pinned.iter().any(|pinned| pinned == end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        self.usual
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn trusted(ca_file: Option<&Path>) -> Result<Verifier, Cause> {
    let mut roots = RootCertStore::empty();
    let mut pinned = Vec::new();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(setup("the system has no certificate authorities"));
            }
        }
        Some(path) => {
            let failed =
                |what: &dyn ToString| setup(format!("{}: {}", path.display(), what.to_string()));
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?
            {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots
                    .add(certificate.clone())
                    .map_err(|error| failed(&error))?;
                pinned.push(certificate);
            }
            if pinned.is_empty() {
                return Err(failed(&"no certificate in this file"));
            }
        }
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    Ok(Verifier {
        pinned,
        usual: usual.build().map_err(setup)?,
    })
}

fn setup(error: impl ToString) -> Cause {
    Cause::TlsSetup(error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_missing_or_empty_ca_file_is_a_setting_to_fix() {
        let empty = tempfile::NamedTempFile::new().unwrap();
        for path in [Path::new("/nowhere/ca.pem"), empty.path()] {
            let error = trusted(Some(path)).unwrap_err();
            assert!(error.is_setting(), "{error}");
            assert!(
                error.to_string().contains(&*path.to_string_lossy()),
                "{error}"
            );
        }
    }
}
