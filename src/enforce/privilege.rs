//! Privileged entity (XEP-0356, namespace version 2): grants of the server, and IQs in the name of an account.
//!
//! ejabberd answers refused requests with silence, never with an error; Prosody sends `forbidden`. The only reliable
//! statement is the grant at the start of a connection.

use std::collections::BTreeMap;

use minidom::Element;
use xmpp_parsers::jid::{BareJid, Jid};

use super::own_domains::OwnDomains;
use crate::core::account::domain_key;
use crate::xmpp::iq::{StanzaRefusal, Verb};
use crate::xmpp::payload::with;

/// Namespace of grants and wrapped requests.
pub const NS_PRIVILEGE: &str = "urn:xmpp:privilege:2";
const NS_FORWARD: &str = "urn:xmpp:forward:0";
const NS_CLIENT: &str = "jabber:client";

/// Maximum number of domains whose grants are kept. A server has a few; a foreign server could send any number.
pub const MOST_VHOSTS: usize = 256;
/// Maximum number of IQ namespaces kept per grant.
pub const MOST_NAMESPACES: usize = 64;

/// The right to send IQs of one namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Right {
    /// Neither.
    #[default]
    None,
    /// Only requests that read.
    Get,
    /// Only requests that change.
    Set,
    /// Both kinds.
    Both,
}

impl Right {
    fn read(text: Option<&str>) -> Self {
        match text {
            Some("get") => Right::Get,
            Some("set") => Right::Set,
            Some("both") => Right::Both,
            _ => Right::None,
        }
    }

    /// Whether requests of this type may be sent.
    pub fn allows(self, verb: Verb) -> bool {
        match self {
            Right::None => false,
            Right::Get => verb == Verb::Get,
            Right::Set => verb == Verb::Set,
            Right::Both => true,
        }
    }
}

/// The rights that one virtual host grants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    iq: BTreeMap<String, Right>,
    /// `outgoing`: messages in the server's name.
    pub message: bool,
    /// `get`, `set` or `both` on rosters.
    pub roster: Right,
    /// `managed_entity` or `roster`: presence of users.
    pub presence: bool,
    /// Whether it names rights that are *not* given (`type='none'`), as only ejabberd does.
    pub names_refusals: bool,
}

impl Grant {
    /// The right to IQs of this namespace.
    pub fn iq(&self, ns: &str) -> Right {
        self.iq.get(ns).copied().unwrap_or_default()
    }

    fn read(privilege: &Element) -> Self {
        let mut grant = Grant::default();
        let perms = privilege
            .children()
            .filter(|child| child.is("perm", NS_PRIVILEGE));
        for perm in perms {
            let kind = perm.attr("type");
            grant.names_refusals |= kind == Some("none");
            match perm.attr("access") {
                Some("message") => grant.message = kind == Some("outgoing"),
                Some("roster") => grant.roster = Right::read(kind),
                Some("presence") => {
                    grant.presence = matches!(kind, Some("managed_entity" | "roster"))
                }
                Some("iq") => {
                    for namespace in perm.children().filter(|child| child.name() == "namespace") {
                        let kind = namespace.attr("type");
                        grant.names_refusals |= kind == Some("none");
                        if let Some(ns) = namespace.attr("ns")
                            && grant.iq.len() < MOST_NAMESPACES
                        {
                            grant.iq.insert(ns.to_owned(), Right::read(kind));
                        }
                    }
                }
                _ => {}
            }
        }
        grant
    }
}

/// The grants of a connection, by virtual host.
#[derive(Debug, Clone, Default)]
pub struct Grants(BTreeMap<String, Grant>);

/// Why a message is not a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoGrant {
    /// It is not about privileges.
    #[error("not about privileges")]
    OtherMessage,
    /// It is not from a bare domain: a user or a resource pretends to be the server.
    #[error("a grant that is not from a server")]
    NotAServer,
    /// It is for another address of ours, or from ourselves.
    #[error("a grant that is not for this component")]
    NotForUs,
    /// Too many domains sent grants.
    #[error("more than {MOST_VHOSTS} domains sent grants")]
    TooMany,
}

impl Grants {
    /// Reads a grant; it replaces an earlier one of the same virtual host. Returns whether it differs from that.
    ///
    /// The server sets `from`, so a user's message has `name@` or a resource in it and is rejected. A *remote* server
    /// can send a grant only in its own name; that opens nothing on this server.
    ///
    /// # Errors
    /// [`NoGrant`] for any other message.
    pub fn take(
        &mut self,
        component: &Jid,
        from: &Jid,
        to: &Jid,
        message: &Element,
    ) -> Result<bool, NoGrant> {
        if message.name() != "message" {
            return Err(NoGrant::OtherMessage);
        }
        let privilege = message
            .get_child("privilege", NS_PRIVILEGE)
            .ok_or(NoGrant::OtherMessage)?;
        if privilege
            .children()
            .any(|child| child.is("forwarded", NS_FORWARD))
            || message.attr("type") == Some("error")
        {
            return Err(NoGrant::OtherMessage);
        }
        if from.node().is_some() || from.resource().is_some() {
            return Err(NoGrant::NotAServer);
        }
        if to != component || from == component {
            return Err(NoGrant::NotForUs);
        }
        let vhost = domain_key(from.domain().as_str());
        if self.0.len() >= MOST_VHOSTS && !self.0.contains_key(&vhost) {
            return Err(NoGrant::TooMany);
        }
        let grant = Grant::read(privilege);
        let is_new = self.0.get(&vhost) != Some(&grant);
        self.0.insert(vhost, grant);
        Ok(is_new)
    }

    /// Forgets the grants of other domains.
    pub(crate) fn keep(&mut self, own: &OwnDomains) {
        self.0.retain(|vhost, _| own.contains(vhost));
    }

    /// The grant of a virtual host, named as [`domain_key`] does; `None` if it sent none.
    pub fn of(&self, vhost: &str) -> Option<&Grant> {
        self.0.get(vhost)
    }

    /// The virtual hosts that sent a grant.
    pub fn vhosts(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Forgets all grants, because the link is down.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// How the `to` of a wrapped request to the account itself is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    /// Unchanged.
    #[default]
    Plain,
    /// In another case. COMPAT: ejabberd up to 24.12 takes a packet to the impersonated account for the answer and
    /// sends it back to us; it compares before it normalises. Prosody answers this form with `internal-server-error`.
    OtherCase,
}

impl Spelling {
    fn write(self, account: &BareJid) -> String {
        let domain = account.domain().as_str();
        match (self, account.node()) {
            (Spelling::OtherCase, Some(node)) if domain.bytes().any(|b| b.is_ascii_lowercase()) => {
                format!("{node}@{}", domain.to_ascii_uppercase())
            }
            // A domain without letters, such as an address.
            (Spelling::OtherCase, Some(node)) => {
                format!("{}@{domain}", node.as_str().to_uppercase())
            }
            _ => account.to_string(),
        }
    }
}

/// A request in the name of `account` to itself; the outer IQ goes to the account and has the same type.
pub fn wrap_to_self(
    account: &BareJid,
    spelling: Spelling,
    verb: Verb,
    id: &str,
    payload: Element,
) -> Element {
    wrap(account, &spelling.write(account), verb, id, payload)
}

/// A request in the name of `account` to somebody else.
pub fn wrap(account: &BareJid, to: &str, verb: Verb, id: &str, payload: Element) -> Element {
    let mut inner = with(
        "iq",
        NS_CLIENT,
        &[
            ("type", verb.as_str()),
            ("id", id),
            ("from", account.as_str()),
            ("to", to),
        ],
    );
    inner.append_child(payload);
    let mut wrapped = Element::bare("privileged_iq", NS_PRIVILEGE);
    wrapped.append_child(inner);
    wrapped
}

/// The inner answer of a wrapped request: its child, if it has one. The outer type is irrelevant: Prosody puts an
/// inner error into an outer result, ejabberd into an outer error without its own `<error/>`.
///
/// # Errors
/// [`StanzaRefusal`] with the innermost error.
pub fn unwrap(outer: &Element) -> Result<Option<Element>, StanzaRefusal> {
    let inner = outer
        .get_child("privilege", NS_PRIVILEGE)
        .and_then(|privilege| privilege.get_child("forwarded", NS_FORWARD))
        .and_then(|forwarded| forwarded.children().find(|child| child.name() == "iq"));
    match inner {
        Some(inner) if inner.attr("type") == Some("error") => Err(StanzaRefusal {
            is_wrapped: true,
            ..StanzaRefusal::read(inner)
        }),
        Some(inner) if inner.attr("type") == Some("result") => Ok(inner.children().next().cloned()),
        _ => Err(StanzaRefusal::read(outer)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const EJABBERD: &str = "<message xmlns='jabber:component:accept' to='portcullis.localhost' from='localhost'><privilege xmlns='urn:xmpp:privilege:2'><perm type='outgoing' access='message'/><perm type='both' access='roster'/><perm access='iq'><namespace type='both' ns='jabber:iq:private'/><namespace type='get' ns='http://jabber.org/protocol/disco#info'/><namespace type='none' ns='jabber:iq:last'/></perm><perm type='managed_entity' access='presence'/></privilege></message>";
    const PROSODY: &str = "<message xmlns='jabber:component:accept' from='localhost' to='portcullis.localhost'><privilege xmlns='urn:xmpp:privilege:2'>\n <perm type='outgoing' access='message'/><perm access='iq'><namespace ns='jabber:iq:private' type='both'/></perm></privilege></message>";

    fn take(grants: &mut Grants, from: &str, to: &str, message: &str) -> Result<bool, NoGrant> {
        let us = Jid::new("portcullis.localhost").unwrap();
        grants.take(
            &us,
            &Jid::new(from).unwrap(),
            &Jid::new(to).unwrap(),
            &message.parse().unwrap(),
        )
    }

    #[test]
    fn grants_of_both_servers_are_read() {
        let mut grants = Grants::default();
        let taken = take(&mut grants, "localhost", "portcullis.localhost", EJABBERD);
        assert_eq!(taken, Ok(true));
        let again = take(&mut grants, "localhost", "portcullis.localhost", EJABBERD);
        assert_eq!(again, Ok(false), "it says nothing new");
        let grant = grants.of("localhost").unwrap();
        assert_eq!(grant.iq("jabber:iq:private"), Right::Both);
        assert!(
            grant
                .iq("http://jabber.org/protocol/disco#info")
                .allows(Verb::Get)
        );
        assert!(
            !grant
                .iq("http://jabber.org/protocol/disco#info")
                .allows(Verb::Set)
        );
        assert_eq!(
            (grant.iq("jabber:iq:last"), grant.iq("other")),
            (Right::None, Right::None)
        );
        assert!(grant.message && grant.presence && grant.names_refusals);
        assert_eq!(grant.roster, Right::Both);

        take(&mut grants, "localhost", "portcullis.localhost", PROSODY).unwrap();
        let grant = grants.of("localhost").unwrap();
        assert_eq!(grant.iq("jabber:iq:private"), Right::Both);
        assert!(
            !grant.presence && !grant.names_refusals,
            "a grant replaces the earlier one whole"
        );
        grants.clear();
        assert_eq!(grants.vhosts().count(), 0);
    }

    #[test]
    fn nobody_but_a_server_grants_anything() {
        let mut grants = Grants::default();
        for from in ["mallory@localhost", "mallory@localhost/x", "localhost/x"] {
            assert_eq!(
                take(&mut grants, from, "portcullis.localhost", EJABBERD),
                Err(NoGrant::NotAServer)
            );
        }
        assert_eq!(
            take(&mut grants, "localhost", "x@portcullis.localhost", EJABBERD),
            Err(NoGrant::NotForUs)
        );
        assert_eq!(
            take(
                &mut grants,
                "portcullis.localhost",
                "portcullis.localhost",
                EJABBERD
            ),
            Err(NoGrant::NotForUs)
        );
        let other = "<message xmlns='jabber:component:accept'><body>hello</body></message>";
        assert_eq!(
            take(&mut grants, "localhost", "portcullis.localhost", other),
            Err(NoGrant::OtherMessage)
        );
        assert_eq!(grants.vhosts().count(), 0);
    }

    #[test]
    fn hostile_grants_stay_bounded() {
        let mut grants = Grants::default();
        let many: String = (0..500)
            .map(|n| format!("<namespace type='both' ns='n{n}'/>"))
            .collect();
        let message = format!(
            "<message xmlns='jabber:component:accept'><privilege xmlns='urn:xmpp:privilege:2'><perm access='iq'>{many}</perm><perm/><x/></privilege></message>"
        );
        for n in 0..MOST_VHOSTS {
            take(
                &mut grants,
                &format!("d{n}.example"),
                "portcullis.localhost",
                &message,
            )
            .unwrap();
        }
        assert_eq!(
            take(&mut grants, "one.more", "portcullis.localhost", &message),
            Err(NoGrant::TooMany)
        );
        assert_eq!(grants.of("d0.example").unwrap().iq.len(), MOST_NAMESPACES);
    }

    #[test]
    fn a_wrapped_request_has_the_form_both_servers_take() {
        let alice = BareJid::new("alice@localhost").unwrap();
        let payload: Element =
            "<query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'/></query>"
                .parse()
                .unwrap();
        let wrapped = wrap_to_self(
            &alice,
            Spelling::OtherCase,
            Verb::Get,
            "in7",
            payload.clone(),
        );
        let expect: Element = "<privileged_iq xmlns='urn:xmpp:privilege:2'><iq xmlns='jabber:client' type='get' id='in7' from='alice@localhost' to='alice@LOCALHOST'><query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'/></query></iq></privileged_iq>".parse().unwrap();
        assert_eq!(wrapped, expect);
        let plain = wrap_to_self(&alice, Spelling::Plain, Verb::Get, "in7", payload);
        assert_eq!(
            plain.children().next().unwrap().attr("to"),
            Some("alice@localhost")
        );
    }

    #[test]
    fn another_case_is_found_for_every_domain() {
        let check = |jid: &str, expect: &str| {
            assert_eq!(
                Spelling::OtherCase.write(&BareJid::new(jid).unwrap()),
                expect
            )
        };
        check("alice@example.org", "alice@EXAMPLE.ORG");
        check("alice@192.0.2.1", "ALICE@192.0.2.1");
    }

    fn opened(text: &str) -> Result<Option<Element>, StanzaRefusal> {
        unwrap(&text.parse().unwrap())
    }

    #[test]
    fn answers_of_both_servers_are_unwrapped() {
        let ejabberd = opened(
            "<iq xmlns='jabber:component:accept' to='portcullis.localhost' from='alice@localhost' type='result' id='p8'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><iq to='alice@localhost' from='alice@LOCALHOST' type='result' id='in7' xmlns='jabber:client'><query xmlns='jabber:iq:private'><banned xmlns='jabber:ejabberd:banned'/></query></iq></forwarded></privilege></iq>",
        );
        assert!(ejabberd.unwrap().unwrap().is("query", "jabber:iq:private"));
        let set = opened(
            "<iq xmlns='jabber:component:accept' id='2' to='portcullis.localhost' from='alice@localhost' type='result'><privilege xmlns='urn:xmpp:privilege:2'> <forwarded xmlns='urn:xmpp:forward:0'><iq id='i-2' to='alice@localhost' type='result' xmlns='jabber:client'/></forwarded></privilege></iq>",
        );
        assert_eq!(set, Ok(None));
    }

    #[test]
    fn errors_are_found_wherever_they_are() {
        let inside = opened("<iq xmlns='jabber:component:accept' to='portcullis.localhost' from='alice@localhost' type='error' id='p33'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><iq to='alice@localhost' from='bob@localhost' type='error' id='in32' xmlns='jabber:client'><query xmlns='jabber:iq:private'/><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Query to another users is forbidden</text></error></iq></forwarded></privilege></iq>").unwrap_err();
        assert_eq!(
            (inside.condition.as_str(), inside.is_wrapped),
            ("forbidden", true)
        );
        assert_eq!(
            inside.to_string(),
            "forbidden: Query to another users is forbidden"
        );
        // Prosody: an error inside a result.
        let inside = opened("<iq xmlns='jabber:component:accept' type='result' id='1'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><iq type='error' xmlns='jabber:client'><error type='modify'><bad-format xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq></forwarded></privilege></iq>").unwrap_err();
        assert_eq!(inside.condition, "bad-format");
        let outside = opened("<iq xmlns='jabber:component:accept' from='nosuch@localhost' type='error' id='p14'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>wrapping &lt;IQ&gt; stanza recipient must be a bare JID of a local user</text></error></iq>").unwrap_err();
        assert_eq!(
            (outside.condition.as_str(), outside.is_wrapped),
            ("forbidden", false)
        );
        // Even nonsense is an answer.
        let odd = opened("<iq xmlns='jabber:component:accept' type='result'/>").unwrap_err();
        assert_eq!(odd.condition, "undefined-condition");
    }
}
