//! Our errors as stanza errors, in one table (RFC 6120 8.3.3, XEP-0050 4.4).
//!
//! Only protocol errors come here. "You may not ban this account" or "there is no such duration" are answers for
//! people, in a form or a chat line.

use minidom::Element;
use tokio_xmpp::Stanza;
use xmpp_parsers::iq::Iq;
use xmpp_parsers::jid::Jid;
use xmpp_parsers::stanza_error::{DefinedCondition, ErrorType, StanzaError};

use super::guard::Excess;
use super::stanza::LANG;

/// Namespace of the application-specific conditions of ad-hoc commands (XEP-0050 4.4).
pub const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";

/// What is wrong with a stanza that we received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It violates its schema: no child, two children, unknown type, ill-formed XML.
    Malformed,
    /// It exceeded a limit of the guard.
    Excess(Excess),
    /// An address in it is malformed.
    AddressMalformed,
    /// Nothing here serves this namespace or this address.
    Unavailable,
    /// The namespace is known, but not this request.
    NotImplemented,
    /// The sender lacks the role.
    Forbidden,
    /// No such node, command or item.
    NotFound,
    /// A limit of ours is reached; the sender may try later.
    Busy,
    /// Our own answer would exceed the size that may be sent.
    AnswerTooLarge,
    /// An internal error.
    Internal,
    /// XEP-0050: an action that exists but is not offered now.
    BadAction,
    /// XEP-0050: an action that does not exist.
    MalformedAction,
    /// XEP-0050: the form or payload is not what was asked for.
    BadPayload,
    /// XEP-0050: the session id belongs to somebody else or to another node.
    BadSessionId,
    /// XEP-0050: the session is over.
    SessionExpired,
}

impl Fault {
    /// The stanza error, with a standard English text.
    #[must_use]
    pub fn stanza_error(self) -> StanzaError {
        use DefinedCondition as C;
        use ErrorType::{Auth, Cancel, Modify, Wait};
        let (type_, condition, command, text) = match self {
            Fault::Malformed => (Modify, C::BadRequest, None, "This stanza is malformed."),
            Fault::Excess(Excess::Bytes) => (
                Modify,
                C::PolicyViolation,
                None,
                "This stanza is too large.",
            ),
            Fault::Excess(Excess::Depth) => (
                Modify,
                C::NotAcceptable,
                None,
                "This stanza is nested too deeply.",
            ),
            Fault::Excess(Excess::AttributeBytes) => (
                Modify,
                C::NotAcceptable,
                None,
                "An attribute of this stanza is too long.",
            ),
            Fault::Excess(Excess::Attributes) => (
                Modify,
                C::NotAcceptable,
                None,
                "An element of this stanza has too many attributes.",
            ),
            Fault::Excess(Excess::Elements) => (
                Modify,
                C::NotAcceptable,
                None,
                "This stanza has too many elements.",
            ),
            Fault::AddressMalformed => (
                Modify,
                C::JidMalformed,
                None,
                "An address in this stanza is not valid.",
            ),
            Fault::Unavailable => (
                Cancel,
                C::ServiceUnavailable,
                None,
                "Nothing here answers this request.",
            ),
            Fault::NotImplemented => (
                Cancel,
                C::FeatureNotImplemented,
                None,
                "This request is not implemented.",
            ),
            Fault::Forbidden => (
                Auth,
                C::Forbidden,
                None,
                "You do not have the role this needs.",
            ),
            Fault::NotFound => (Cancel, C::ItemNotFound, None, "There is no such item here."),
            Fault::Busy => (
                Wait,
                C::ResourceConstraint,
                None,
                "Too much is waiting just now. Try again in a moment.",
            ),
            Fault::AnswerTooLarge => (
                Wait,
                C::ResourceConstraint,
                None,
                "The answer is too large to send. Ask for less at a time.",
            ),
            Fault::Internal => (
                Cancel,
                C::InternalServerError,
                None,
                "Something failed here. The log of portcullis says more.",
            ),
            Fault::BadAction => (
                Modify,
                C::BadRequest,
                Some("bad-action"),
                "This action is not possible at this stage.",
            ),
            Fault::MalformedAction => (
                Modify,
                C::BadRequest,
                Some("malformed-action"),
                "There is no such action.",
            ),
            Fault::BadPayload => (
                Modify,
                C::BadRequest,
                Some("bad-payload"),
                "This is not the form that was asked for.",
            ),
            Fault::BadSessionId => (
                Modify,
                C::BadRequest,
                Some("bad-sessionid"),
                "There is no such session. Start the command again.",
            ),
            Fault::SessionExpired => (
                Cancel,
                C::NotAllowed,
                Some("session-expired"),
                "This session has expired. Start the command again.",
            ),
        };
        let mut error = StanzaError::new(type_, condition, LANG, text);
        error.other = command.map(|name| Element::bare(name, NS_COMMANDS));
        error
    }

    /// The stanza error with this text.
    #[must_use]
    pub fn with_text(self, text: impl Into<String>) -> StanzaError {
        let mut error = self.stanza_error();
        error.texts = [(LANG.to_owned(), text.into())].into();
        error
    }

    /// The error answer to the IQ `id` that `to` had sent to our address `from`.
    #[must_use]
    pub fn answer(self, from: Jid, to: Jid, id: String) -> Stanza {
        Stanza::Iq(Iq::Error {
            from: Some(from),
            to: Some(to),
            id,
            error: self.stanza_error(),
            payload: None,
        })
    }
}

impl From<Excess> for Fault {
    fn from(why: Excess) -> Self {
        Fault::Excess(why)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(fault: Fault, type_: &str, condition: &str, command: Option<&str>) {
        let element: Element = fault.stanza_error().into();
        assert_eq!(element.attr("type"), Some(type_), "{fault:?}");
        assert!(
            element.has_child(condition, "urn:ietf:params:xml:ns:xmpp-stanzas"),
            "{fault:?}"
        );
        let text = element
            .get_child("text", "urn:ietf:params:xml:ns:xmpp-stanzas")
            .unwrap();
        assert!(text.text().ends_with('.'), "{fault:?} has no sentence");
        let children: Vec<&str> = element
            .children()
            .filter(|c| c.has_ns(NS_COMMANDS))
            .map(Element::name)
            .collect();
        assert_eq!(children, command.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn faults_become_the_conditions_of_the_standards() {
        check(Fault::Malformed, "modify", "bad-request", None);
        check(Excess::Bytes.into(), "modify", "policy-violation", None);
        check(Excess::Depth.into(), "modify", "not-acceptable", None);
        check(Fault::Unavailable, "cancel", "service-unavailable", None);
        check(Fault::Forbidden, "auth", "forbidden", None);
        check(Fault::NotFound, "cancel", "item-not-found", None);
        check(Fault::Busy, "wait", "resource-constraint", None);
        check(Fault::Internal, "cancel", "internal-server-error", None);
    }

    #[test]
    fn faults_of_ad_hoc_commands_name_their_own_condition_too() {
        check(
            Fault::BadAction,
            "modify",
            "bad-request",
            Some("bad-action"),
        );
        check(
            Fault::MalformedAction,
            "modify",
            "bad-request",
            Some("malformed-action"),
        );
        check(
            Fault::BadPayload,
            "modify",
            "bad-request",
            Some("bad-payload"),
        );
        check(
            Fault::BadSessionId,
            "modify",
            "bad-request",
            Some("bad-sessionid"),
        );
        check(
            Fault::SessionExpired,
            "cancel",
            "not-allowed",
            Some("session-expired"),
        );
    }

    #[test]
    fn a_text_of_ones_own_replaces_ours() {
        let error = Fault::NotFound.with_text("There is no command “bann”. Did you mean “ban”?");
        assert_eq!(
            error.texts.values().collect::<Vec<_>>(),
            ["There is no command “bann”. Did you mean “ban”?"]
        );
    }
}
