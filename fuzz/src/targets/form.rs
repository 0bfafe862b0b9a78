//! Forms: every request of a session gets one answer that its client can read, and nothing is done before the last
//! stage.

use minidom::Element;
use minidom::rxml::{Namespace, NcName};
use portcullis::command;
use portcullis::core::Role;
use portcullis::xmpp::stanza::StanzaKind;

use super::bot;

const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";
const NS_DATA: &str = "jabber:x:data";
const ACTIONS: [&str; 6] = ["execute", "complete", "next", "prev", "cancel", "dance"];

/// Requests are separated by a line `---`. The first line of each is the number of a command, which counts in the first
/// one only, and that of an action; the others are `FIELD=VALUE`. In a later request a field that is not named is sent as
/// it was shown.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    bot::with(async |bot| {
        let mut shown: Option<Element> = None;
        for request in text.split("---\n").take(6) {
            shown = ask(request, shown.as_ref(), bot).await;
        }
    });
}

/// Sends one request; returns the command element of the answer.
async fn ask(request: &str, shown: Option<&Element>, bot: &bot::Bot) -> Option<Element> {
    let mut lines = request.split('\n');
    let mut head = lines.next().unwrap_or_default().bytes();
    let (which, action) = (
        head.next().unwrap_or_default(),
        head.next().unwrap_or_default(),
    );
    let names: Vec<&str> = command::forms(Role::Admin).map(|spec| spec.name).collect();
    let name = names[usize::from(which) % names.len()];
    let mut typed: Vec<(String, Vec<String>)> = Vec::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (var, value) = line.split_once('=').unwrap_or((line, ""));
        let (var, value) = (printable(var), printable(value));
        match typed.iter_mut().find(|(known, _)| *known == var) {
            Some((_, values)) => values.push(value),
            None => typed.push((var, vec![value])),
        }
    }
    let mut element = Element::bare("command", NS_COMMANDS);
    let mut set = |name, value: &str| attribute(&mut element, name, value);
    match shown {
        None => set("node", name),
        Some(shown) => {
            set("node", shown.attr("node").unwrap_or(name));
            set("sessionid", shown.attr("sessionid").unwrap_or_default());
        }
    }
    set("action", ACTIONS[usize::from(action) % ACTIONS.len()]);
    let form = shown.and_then(|shown| shown.get_child("x", NS_DATA));
    for (var, values) in form.into_iter().flat_map(fields) {
        if !typed.iter().any(|(known, _)| *known == var) {
            typed.push((var, values));
        }
    }
    if !typed.is_empty() {
        element.append_child(submitted(&typed));
    }
    let before = bot.head();
    let iq = bot::from_admin(StanzaKind::Iq, "iq", "set", vec![element]);
    let answer = bot.answer(&iq).await.remove(0);
    let Some(answer) = answer.get_child("command", NS_COMMANDS) else {
        assert_eq!(bot.head(), before, "something was done and refused");
        return None;
    };
    let status = answer.attr("status");
    assert!(
        matches!(status, Some("executing" | "completed" | "canceled")),
        "{status:?}"
    );
    let notes = answer
        .children()
        .filter(|child| child.is("note", NS_COMMANDS));
    assert!(notes.count() <= 1);
    if status == Some("executing") {
        assert!(answer.attr("sessionid").is_some_and(|id| !id.is_empty()));
        assert!(answer.has_child("x", NS_DATA));
    }
    // A command that still works has a form to refresh; it does not occur here, where nothing takes time.
    if status != Some("completed") {
        assert_eq!(
            bot.head(),
            before,
            "something was done before the last stage: {answer:?}"
        );
    }
    (status == Some("executing")).then(|| answer.clone())
}

/// The text without what no client can send.
fn printable(text: &str) -> String {
    let is_xml =
        |c: &char| matches!(c, '\t' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(is_xml).collect()
}

fn fields(form: &Element) -> impl Iterator<Item = (String, Vec<String>)> {
    let fields = form.children().filter(|child| child.is("field", NS_DATA));
    fields.filter_map(|field| {
        let values = field.children().filter(|child| child.is("value", NS_DATA));
        Some((
            field.attr("var")?.to_owned(),
            values.map(Element::text).collect(),
        ))
    })
}

fn submitted(typed: &[(String, Vec<String>)]) -> Element {
    let mut form = Element::bare("x", NS_DATA);
    attribute(&mut form, "type", "submit");
    for (var, values) in typed {
        let mut field = Element::bare("field", NS_DATA);
        attribute(&mut field, "var", var);
        for value in values {
            let mut one = Element::bare("value", NS_DATA);
            one.append_text(value.as_str());
            field.append_child(one);
        }
        form.append_child(field);
    }
    form
}

fn attribute(element: &mut Element, name: &str, value: &str) {
    let name = NcName::try_from(name).expect("a name");
    element.set_attr(Namespace::NONE, name, value);
}
