//! Ad-hoc commands (XEP-0050): the elements of requesters and responders.

use minidom::Element;
use minidom::rxml::{Namespace, NcName};

use super::form::{Form, NS_DATA, submitted};
use super::{leaf, set, with};
use crate::xmpp::stanza::LANG;

/// Namespace of ad-hoc commands; also the node that lists them.
pub const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Number of characters of a node or session id that are read.
const MOST_NAME: usize = 1024;

/// The action of a request (XEP-0050, 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandAction {
    /// Begin, or take the default action of the last answer.
    Execute,
    /// Cancel the session.
    Cancel,
    /// Back to the previous stage.
    Prev,
    /// On to the next stage.
    Next,
    /// Finish the command.
    Complete,
}

impl CommandAction {
    /// Parses the attribute; a missing one means `execute`. `None` if there is no such action.
    fn parse(text: Option<&str>) -> Option<CommandAction> {
        Some(match text {
            None | Some("execute") => CommandAction::Execute,
            Some("cancel") => CommandAction::Cancel,
            Some("prev") => CommandAction::Prev,
            Some("next") => CommandAction::Next,
            Some("complete") => CommandAction::Complete,
            Some(_) => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            CommandAction::Execute => "execute",
            CommandAction::Cancel => "cancel",
            CommandAction::Prev => "prev",
            CommandAction::Next => "next",
            CommandAction::Complete => "complete",
        }
    }
}

/// A `<command/>` from a requester. A `status` in it means nothing and is ignored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// Node of the command.
    pub node: String,
    /// Session id; `None` begins a session.
    pub session: Option<String>,
    /// The action.
    pub action: CommandAction,
    /// Fields and values of the submitted form; `None` without a form.
    pub filled: Option<Vec<(String, Vec<String>)>>,
}

/// Why a `<command/>` cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandUnreadable {
    /// It names no node.
    NoNode,
    /// The action does not exist.
    Action,
    /// It has several forms, or one that is not submitted.
    Form,
}

impl CommandRequest {
    /// Reads a `<command/>`.
    ///
    /// # Errors
    /// [`CommandUnreadable`] says what is wrong with it.
    pub fn read(element: &Element) -> Result<CommandRequest, CommandUnreadable> {
        let named = |name| {
            element
                .attr(name)
                .filter(|text: &&str| text.len() <= MOST_NAME)
                .map(str::to_owned)
        };
        let node = named("node").ok_or(CommandUnreadable::NoNode)?;
        let action =
            CommandAction::parse(element.attr("action")).ok_or(CommandUnreadable::Action)?;
        let mut forms = element.children().filter(|child| child.is("x", NS_DATA));
        let filled = match (forms.next(), forms.next()) {
            (None, _) => None,
            (Some(form), None) => Some(submitted(form).ok_or(CommandUnreadable::Form)?),
            (Some(_), Some(_)) => return Err(CommandUnreadable::Form),
        };
        Ok(CommandRequest {
            node,
            session: element.attr("sessionid").map(|id| {
                // Our ids are much shorter, so a cut id never equals one of ours.
                id.chars().take(MOST_NAME).collect()
            }),
            action,
            filled,
        })
    }
}

/// The state of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It waits for a form to be submitted.
    Executing,
    /// It has finished.
    Completed,
    /// It was cancelled.
    Canceled,
}

/// The type of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// Success.
    Info,
    /// Partial success, or a warning.
    Warn,
    /// Failure.
    Error,
}

/// A `<command/>` from a responder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandAnswer {
    /// Node of the command.
    pub node: String,
    /// Session id.
    pub session: String,
    /// State of the session.
    pub status: Status,
    /// The actions that are possible next, the default first; empty unless executing.
    pub actions: &'static [CommandAction],
    /// Clients show only the first note, so there is at most one, complete in itself.
    pub note: Option<(NoteKind, String)>,
    /// While executing the form to fill in; afterwards a result or `None`.
    pub form: Option<Form>,
}

impl From<CommandAnswer> for Element {
    fn from(answer: CommandAnswer) -> Element {
        let status = match answer.status {
            Status::Executing => "executing",
            Status::Completed => "completed",
            Status::Canceled => "canceled",
        };
        let mut command = with(
            "command",
            NS_COMMANDS,
            &[
                ("node", &answer.node),
                ("sessionid", &answer.session),
                ("status", status),
            ],
        );
        let lang = NcName::try_from("lang").expect("lang is a name");
        command.set_attr(Namespace::XML, lang, LANG);
        if let Some(default) = answer.actions.first() {
            let mut actions = with("actions", NS_COMMANDS, &[("execute", default.name())]);
            for action in [
                CommandAction::Prev,
                CommandAction::Next,
                CommandAction::Complete,
            ] {
                if answer.actions.contains(&action) {
                    actions.append_child(Element::bare(action.name(), NS_COMMANDS));
                }
            }
            command.append_child(actions);
        }
        if let Some((kind, text)) = &answer.note {
            let mut note = leaf("note", NS_COMMANDS, text);
            let kind = match kind {
                NoteKind::Info => "info",
                NoteKind::Warn => "warn",
                NoteKind::Error => "error",
            };
            set(&mut note, "type", kind);
            command.append_child(note);
        }
        if let Some(form) = answer.form {
            command.append_child(form.into());
        }
        command
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(attributes: &str, inside: &str) -> Result<CommandRequest, CommandUnreadable> {
        let text = format!("<command xmlns='{NS_COMMANDS}' {attributes}>{inside}</command>");
        CommandRequest::read(&text.parse().unwrap())
    }

    #[test]
    fn a_missing_action_means_execute_and_a_strange_one_is_a_fault() {
        assert_eq!(
            read("node='ban'", "").unwrap().action,
            CommandAction::Execute
        );
        assert_eq!(
            read("node='ban' action='explode'", ""),
            Err(CommandUnreadable::Action)
        );
        assert_eq!(read("action='execute'", ""), Err(CommandUnreadable::NoNode));
        let request = read(
            "node='ban' sessionid='7' action='prev' status='completed'",
            "",
        )
        .unwrap();
        assert_eq!(
            (request.session.as_deref(), request.action),
            (Some("7"), CommandAction::Prev)
        );
    }

    #[test]
    fn forms_are_read_as_real_clients_send_them() {
        let filled = |form: &str| read("node='ban'", form).map(|request| request.filled);
        let echoed = "<x xmlns='jabber:x:data' type='submit'><title>Ban</title>\
             <field type='fixed'><value>no var</value></field>\
             <field var='subject'><value>a@b</value><value/></field>\
             <field var='subject'><value>again</value></field><field var='note'/>\
             <field var='x'><validate xmlns='http://jabber.org/protocol/xdata-validate'/></field></x>";
        let fields = filled(echoed).unwrap().unwrap();
        assert_eq!(
            fields[0],
            ("subject".into(), vec!["a@b".into(), String::new()])
        );
        assert_eq!(fields[1], ("note".into(), vec![]));
        assert_eq!(fields.len(), 3);
        let x = "<x xmlns='jabber:x:data' type='cancel'/>";
        assert_eq!(filled(x), Ok(Some(vec![])));
        assert_eq!(filled(&x.repeat(2)), Err(CommandUnreadable::Form));
        assert_eq!(
            filled("<x xmlns='jabber:x:data' type='form'/>"),
            Err(CommandUnreadable::Form)
        );
    }

    #[test]
    fn the_default_action_is_named_and_listed() {
        let answer = CommandAnswer {
            node: "ban".into(),
            session: "1".into(),
            status: Status::Executing,
            actions: &[CommandAction::Complete, CommandAction::Prev],
            note: None,
            form: None,
        };
        let actions = Element::from(answer);
        let actions = actions.get_child("actions", NS_COMMANDS).unwrap();
        assert_eq!(actions.attr("execute"), Some("complete"));
        let names: Vec<_> = actions.children().map(Element::name).collect();
        assert_eq!(names, ["prev", "complete"]);
    }
}
