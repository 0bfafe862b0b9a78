//! `[component]`: who we are on the server, where it is, and whether what is said on the way may be read.

use toml::Spanned;
use xmpp_parsers::jid::DomainPart;

use super::{
    Address, Tls, raw,
    reader::{Reader, first},
    shape::Shaped,
    values::{address, certificate_name, domain},
};

const DEFAULT_SERVER: (&str, u16) = ("127.0.0.1", 5347);

/// The part of [`Component`](super::Component) that has no required value.
pub(super) struct Link {
    pub(super) server: Address,
    pub(super) tls: Option<Tls>,
    pub(super) allow_plain_remote: bool,
}

impl Reader<'_, '_> {
    pub(super) fn domain(&mut self, shaped: &Shaped) -> Option<DomainPart> {
        match &shaped.raw.component.domain {
            None => {
                self.missing(shaped, "component", "domain");
                None
            }
            typed => self
                .value("component", "domain", typed.clone(), domain)
                .map(first),
        }
    }

    pub(super) fn link(&mut self, typed: raw::Component, tls_unusable: bool) -> Link {
        let flag = |typed: raw::Flag| typed.is_some_and(Spanned::into_inner);
        let (tls, allow_plain_remote) = (flag(typed.tls), flag(typed.allow_plain_remote));
        let place = typed.server.as_ref().map(Spanned::span);
        let server = self
            .value("component", "server", typed.server, address)
            .map(first);
        let server = server.unwrap_or_else(|| Address {
            host: DEFAULT_SERVER.0.to_owned(),
            port: DEFAULT_SERVER.1,
        });
        if !tls && !tls_unusable && !allow_plain_remote && !server.is_loopback() {
            let said = format!(
                "`server` in [component]: {server} may be another machine, and without TLS everybody between can read and change what is sent; set `tls = true`, or `allow_plain_remote = true` if the network between is yours alone"
            );
            self.found.wrong(place, said);
        }
        for (name, place) in [
            ("tls_ca_file", &typed.tls_ca_file),
            ("tls_name", &typed.tls_name),
        ] {
            if let Some(typed) = place.as_ref().filter(|_| !tls) {
                self.found.odd(
                    Some(typed.span()),
                    format!("`{name}` in [component] does nothing without `tls = true`"),
                );
            }
        }
        let name = self
            .value("component", "tls_name", typed.tls_name, certificate_name)
            .map(first);
        let folder = self.folder;
        let ca_file = self.value("component", "tls_ca_file", typed.tls_ca_file, |text| {
            let path = folder.join(text);
            let opened = std::fs::File::open(&path);
            opened.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
            Ok(path)
        });
        let tls = tls.then(|| Tls {
            ca_file: ca_file.map(first),
            name: name.unwrap_or_else(|| server.host.clone()),
        });
        Link {
            server,
            tls,
            allow_plain_remote,
        }
    }
}
