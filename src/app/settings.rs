//! What was configured, as the rooms want it: they do not know the configuration.

use xmpp_parsers::jid::BareJid;

use crate::config::Config;
use crate::enforce;
use crate::front::Roles;
use crate::xmpp::link;

/// `[component]` as the link wants it.
pub(super) fn link(config: &Config) -> link::Settings {
    let component = &config.component;
    let domain = BareJid::from_parts(None, &component.domain);
    let server = component.server.to_string();
    let mut settings = link::Settings::new(domain, server, component.secret.clone());
    settings.tls = component.tls.as_ref().map(|tls| link::Tls {
        ca_file: tls.ca_file.clone(),
        name: Some(tls.name.clone()),
    });
    settings.allow_plain_remote = component.allow_plain_remote;
    settings
}

/// What the server's side of the program needs to know.
pub(super) fn server(config: &Config) -> enforce::Settings {
    enforce::Settings {
        component: BareJid::from_parts(None, &config.component.domain),
        admins: config.admins.clone(),
        act_as: config.act_as.clone(),
        keyring: config.record.keyring.clone(),
        cookie: config.record.cookie.clone(),
        hook_hosts: config.hook_hosts.clone(),
        limits: enforce::Limits::default(),
    }
}

/// Who may do what.
pub(super) fn roles(config: &Config) -> Roles {
    Roles::new(config.granted())
}
