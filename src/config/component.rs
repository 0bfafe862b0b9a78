//! `[component]`: our domain, the server's address, the secret, and TLS.

use xmpp_parsers::jid::BareJid;

use super::{
    ENV_SECRET,
    secrets::{Given, check_secret},
    section::Section,
    values::{ServerAddress, address, certificate_name, domain},
};
use crate::xmpp::link::{Settings, Tls};

/// Settings of the link; `None` if a required value is missing or wrong.
pub(super) fn component(mut t: Section<'_, '_>) -> Option<Settings> {
    let takes = "the domain the XMPP server knows this component by";
    let domain = t
        .text("domain", takes, "portcullis.example.org", domain)
        .required()
        .optional();
    let takes = "host:port of the server's component listener";
    let server = t.text("server", takes, "127.0.0.1:5347", address);
    let (server, place) = server.or_with_place(ServerAddress::default());
    let file = "/etc/portcullis/component.secret";
    let keys = ["secret", "secret_file"];
    let secret = t.secret(
        keys,
        "the secret shared with the server",
        file,
        Some(ENV_SECRET),
        check_secret,
    );
    if let Given::Nothing = secret {
        let said = format!(
            "the component secret is missing: set `secret_file` (or `secret`) in [component], or {ENV_SECRET} in the environment, to the secret the XMPP server has for this component"
        );
        t.wrong(None, said);
    }
    let tls = t.flag("tls", true);
    let tls_unusable = tls.is_wrong();
    let tls = tls.or(false);
    let (folder, is_judged) = (t.reader.folder, t.is_judged());
    let takes = "the path of a PEM file of certificate authorities";
    let ca_file = t.text("tls_ca_file", takes, "/etc/portcullis/ca.pem", |text| {
        let path = folder.join(text);
        match std::fs::File::open(&path) {
            Err(error) if is_judged => Err(format!("{} cannot be read: {error}", path.display())),
            _ => Ok(path),
        }
    });
    let (ca_file, ca_place) = ca_file.with_place();
    let takes = "the host name in the server's certificate";
    let name = t.text("tls_name", takes, "xmpp.example.org", certificate_name);
    let (name, name_place) = name.with_place();
    for (key, place) in [("tls_ca_file", ca_place), ("tls_name", name_place)] {
        if place.is_some() && !tls {
            t.odd(
                place,
                format!("`{key}` in [component] does nothing without `tls = true`"),
            );
        }
    }
    let allow_plain_remote = t.flag("allow_plain_remote", false).or(false);
    if !tls && !tls_unusable && !allow_plain_remote && !server.is_loopback() {
        let said = format!(
            "`server` in [component]: {server} may be another machine, and without TLS everybody between can read and change what is sent; set `tls = true`, or `allow_plain_remote = true` if the network between is yours alone"
        );
        t.wrong(place, said);
    }
    let domain = BareJid::from_parts(None, &domain?);
    let mut settings = Settings::new(domain, server.to_string(), secret.usable()?);
    settings.tls = tls.then_some(Tls { ca_file, name });
    settings.allow_plain_remote = allow_plain_remote;
    Some(settings)
}
