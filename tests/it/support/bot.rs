//! The entry points on top of a [`World`]: stanzas in, stanzas out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use minidom::Element;
use portcullis::command::Context;
use portcullis::core::{Account, Rights, Role, Timestamp};
use portcullis::front::{self, Notices, Roles, Router};
use portcullis::rehearse::recorded::RecordingFiles;
use portcullis::xmpp::stanza::{Received, Top, parse};
use tokio_xmpp::Stanza;
use xmpp_parsers::jid::{BareJid, Jid};

use super::{FakeServer, START, World};

pub(crate) const ADMIN: &str = "admin@example.org/desk";
pub(crate) const MODERATOR: &str = "mod@example.org/phone";
pub(crate) const STRANGER: &str = "eve@evil.example/x";
pub(crate) const DOMAIN: &str = "gate.example.org";
pub(crate) const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";
pub(crate) const NS_DATA: &str = "jabber:x:data";
/// The nodes of all commands that have a form.
pub(crate) fn nodes() -> Vec<&'static str> {
    portcullis::command::forms(portcullis::core::Role::Admin)
        .map(|spec| spec.name)
        .collect()
}
pub(crate) const NS_STANZAS: &str = "urn:ietf:params:xml:ns:xmpp-stanzas";

/// The bot, driven from outside.
pub(crate) struct Bot {
    pub(crate) world: World,
    pub(crate) bot: Arc<front::Bot>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) router: Arc<Router>,
}

pub(crate) fn roles(admins: &[&str], moderators: &[&str]) -> Roles {
    let jids = |texts: &[&str]| -> Vec<Account> {
        texts
            .iter()
            .map(|text| Account::from_jid(&Jid::new(text).unwrap()).unwrap())
            .collect()
    };
    let with = |role, texts| {
        jids(texts)
            .into_iter()
            .map(move |who| (who, Rights::everywhere(role)))
    };
    Roles::new(with(Role::Admin, admins).chain(with(Role::Moderator, moderators)))
}

pub(crate) fn context_of(world: &World) -> Context {
    Context::new(&world.whole, Timestamp::from_millis(START - 90_000_000))
}

impl Bot {
    pub(crate) fn new() -> Self {
        Self::with(FakeServer::new(true))
    }

    pub(crate) fn with(server: Arc<FakeServer>) -> Self {
        Self::recording(server, None)
    }

    /// A bot with a recording of attempts.
    pub(crate) fn recording(server: Arc<FakeServer>, recorded: Option<RecordingFiles>) -> Self {
        let world = World::new(server);
        let context = context_of(&world).recording(recorded);
        let bot = front::Bot::new(
            BareJid::new(DOMAIN).unwrap(),
            context,
            roles(&["admin@example.org"], &["mod@example.org"]),
        );
        Bot::over(world, bot)
    }

    /// The entry points of this bot.
    pub(crate) fn over(world: World, bot: Arc<front::Bot>) -> Self {
        let notices = Notices::new(Arc::clone(&bot));
        let router = Router::new(Arc::clone(&bot), Arc::clone(&notices));
        Bot {
            world,
            bot,
            notices,
            router,
        }
    }

    /// The context that its commands run in.
    pub(crate) fn context(&self) -> Context {
        context_of(&self.world)
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.world.time.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// All stanzas that answer this one.
    pub(crate) async fn all(&self, stanza: &str) -> Vec<Element> {
        let answers = self.router.answer(&received(stanza)).await;
        answers.into_iter().map(element).collect()
    }

    /// Sends an IQ and returns the answer.
    pub(crate) async fn iq(&self, type_: &str, from: &str, to: &str, payload: &str) -> Element {
        let answers = self
            .all(&format!(
                "<iq type='{type_}' id='q1' from='{from}' to='{to}'>{payload}</iq>"
            ))
            .await;
        let [answer] = &answers[..] else {
            panic!("{} answers to {payload}", answers.len());
        };
        assert_eq!(answer.attr("id"), Some("q1"));
        assert_eq!(answer.attr("to"), Some(from));
        assert_eq!(answer.attr("from"), Some(to));
        answer.clone()
    }

    /// The error condition of the answer to an IQ, followed by the one of XEP-0050; `""` if it is no error.
    pub(crate) async fn fault(&self, type_: &str, from: &str, to: &str, payload: &str) -> String {
        condition(&self.iq(type_, from, to, payload).await)
    }

    /// Sends a chat line and returns the text of the answer.
    pub(crate) async fn chat(&self, from: &str, text: &str) -> String {
        let text = text.replace('<', "&lt;").replace('&', "&amp;");
        let body = format!(
            "<message type='chat' id='m' from='{from}' to='bot@{DOMAIN}'><body>{text}</body></message>"
        );
        self.all(&body)
            .await
            .iter()
            .map(body_of)
            .collect::<Vec<_>>()
            .join("\n--\n")
    }

    /// Sends a command element and returns the command element of the answer.
    pub(crate) async fn command(&self, from: &str, attributes: &str, inside: &str) -> Element {
        let payload = format!("<command xmlns='{NS_COMMANDS}' {attributes}>{inside}</command>");
        let answer = self.iq("set", from, DOMAIN, &payload).await;
        match answer.get_child("command", NS_COMMANDS) {
            Some(command) => command.clone(),
            None => panic!("{}", condition(&answer)),
        }
    }

    pub(crate) async fn command_fault(&self, from: &str, attributes: &str, inside: &str) -> String {
        let payload = format!("<command xmlns='{NS_COMMANDS}' {attributes}>{inside}</command>");
        self.fault("set", from, DOMAIN, &payload).await
    }
}

pub(crate) fn received(stanza: &str) -> Received {
    let (name, rest) = stanza.split_at(stanza.find(' ').unwrap());
    match parse(format!("{name} xmlns='jabber:component:accept'{rest}").as_bytes()) {
        Top::Stanza(received) => received,
        other => panic!("{other:?}"),
    }
}

/// The stanza as an element, as on the wire.
pub(crate) fn element(stanza: Stanza) -> Element {
    let bytes = xso::to_vec(&stanza).unwrap();
    xso::from_bytes(&bytes).unwrap()
}

pub(crate) fn condition(answer: &Element) -> String {
    let Some(error) = answer.children().find(|child| child.name() == "error") else {
        return String::new();
    };
    let names = error.children().filter(|child| child.name() != "text");
    let (standard, own): (Vec<&Element>, Vec<&Element>) =
        names.partition(|child| child.has_ns(NS_STANZAS));
    let names: Vec<&str> = standard
        .iter()
        .chain(&own)
        .map(|child| child.name())
        .collect();
    names.join(" ")
}

pub(crate) fn body_of(message: &Element) -> String {
    message
        .children()
        .filter(|child| child.name() == "body")
        .map(Element::text)
        .collect()
}

pub(crate) fn submit(fields: &[(&str, &[&str])]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, values)| {
            let values: String = values
                .iter()
                .map(|value| format!("<value>{value}</value>"))
                .collect();
            format!("<field var='{var}'>{values}</field>")
        })
        .collect();
    format!("<x xmlns='{NS_DATA}' type='submit'>{fields}</x>")
}

pub(crate) fn form(command: &Element) -> &Element {
    command.get_child("x", NS_DATA).expect("a form")
}

pub(crate) fn note(command: &Element) -> String {
    command
        .get_child("note", NS_COMMANDS)
        .map(Element::text)
        .unwrap_or_default()
}

pub(crate) fn values(command: &Element, var: &str) -> Vec<String> {
    form(command)
        .children()
        .filter(|field| field.attr("var") == Some(var))
        .flat_map(|field| field.children().filter(|child| child.name() == "value"))
        .map(Element::text)
        .collect()
}

pub(crate) fn session(command: &Element) -> String {
    command.attr("sessionid").unwrap().to_owned()
}

pub(crate) fn actions(command: &Element) -> String {
    let Some(actions) = command.get_child("actions", NS_COMMANDS) else {
        return String::new();
    };
    let names: Vec<&str> = actions.children().map(Element::name).collect();
    format!("{}: {}", actions.attr("execute").unwrap(), names.join(" "))
}
