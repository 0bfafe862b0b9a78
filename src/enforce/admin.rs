//! Service administration (XEP-0133) over ad-hoc commands (XEP-0050), as a client of the server, one step each.
//!
//! The answers differ between servers: ejabberd 24.12 answers with a form of type `form`, later ones with `result`;
//! Prosody reports the failure of an account only in the English text of an `info` note.

use std::collections::BTreeSet;
use std::net::IpAddr;

use minidom::Element;
use xmpp_parsers::jid::BareJid;

use crate::xmpp::payload::form::{self, NS_DATA};
use crate::xmpp::payload::{one_line, with};

/// Namespace of ad-hoc commands.
pub const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";
/// Namespace of XEP-0133; a node is this, `#`, and a name.
pub const NS_ADMIN: &str = "http://jabber.org/protocol/admin";
/// Namespace of disco#items.
pub const NS_DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";

/// Number of node names kept from a command list.
const MOST_COMMANDS: usize = 256;
/// Number of addresses kept per account.
pub const MOST_ADDRESSES: usize = 64;

/// The way of commands to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// From the component itself.
    Direct,
    /// In the name of an admin account (XEP-0356). COMPAT: ejabberd up to 24.12 silently drops every ordinary IQ of a
    /// component to a bare address once `mod_privilege` is loaded.
    As(BareJid),
}

/// The answer to a command.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completed {
    /// Whether its status is `completed`; otherwise the command needs more than one step.
    pub is_complete: bool,
    /// The form, whatever its type.
    pub form: Option<Element>,
    /// The notes: type and text.
    pub notes: Vec<(String, String)>,
}

impl Completed {
    /// The values of a field of the form; `None` if there is no such field.
    pub fn values(&self, var: &str) -> Option<Vec<String>> {
        form::values(self.form.as_ref()?, var)
    }

    /// The server's text about a failure; `None` if there is none. COMPAT: Prosody.
    pub fn complaint(&self) -> Option<String> {
        let complaint = self
            .notes
            .iter()
            .find(|(kind, text)| kind == "error" || text.contains("could not be"))
            .map(|(_, text)| one_line(text, 200));
        match complaint {
            None if !self.is_complete => Some(String::from("the command was not completed")),
            complaint => complaint,
        }
    }

    /// Whether Prosody says that the account does not exist.
    pub fn says_no_account(&self) -> bool {
        self.notes
            .iter()
            .any(|(_, text)| text.contains("does not exist"))
    }
}

/// The form that ends all sessions of an account, or one for a full JID, with ejabberd's field name.
pub fn end_user_session(jid: &str) -> Element {
    command("end-user-session", "accountjid", jid)
}

/// The form that ends all sessions of an account, with the field name of XEP-0133 (4.5) and Prosody.
pub fn end_user_sessions(jid: &str) -> Element {
    command("end-user-session", "accountjids", jid)
}

/// The form that disables an account.
pub fn disable_user(jid: &str) -> Element {
    command("disable-user", "accountjids", jid)
}

/// The form that enables an account again.
pub fn reenable_user(jid: &str) -> Element {
    command("reenable-user", "accountjids", jid)
}

/// The request for the accounts that ejabberd itself banned; it answers at once, without a form (25.10 and later).
pub fn disabled_users() -> Element {
    let node = format!("{NS_ADMIN}#{DISABLED_USERS}");
    with(
        "command",
        NS_COMMANDS,
        &[("node", &node), ("action", "execute")],
    )
}

/// Name of [`disabled_users`] in the list of commands.
pub const DISABLED_USERS: &str = "get-disabled-users-list";

/// The form that asks for addresses and resources of an account.
pub fn user_stats(jid: &str) -> Element {
    command("user-stats", "accountjid", jid)
}

/// The form that asks for the last activity of an account.
pub fn last_login(jid: &str) -> Element {
    command("get-user-lastlogin", "accountjid", jid)
}

/// The request for the commands that a server offers us.
pub fn list_commands() -> Element {
    with("query", NS_DISCO_ITEMS, &[("node", NS_COMMANDS)])
}

fn command(name: &str, field: &str, value: &str) -> Element {
    let node = format!("{NS_ADMIN}#{name}");
    let mut command = with(
        "command",
        NS_COMMANDS,
        &[("node", &node), ("action", "complete")],
    );
    command.append_child(form::submit(NS_ADMIN, &[(field, &[value])]));
    command
}

/// Reads the answer to a command; an absent answer is an incomplete one.
pub fn read(answer: Option<&Element>) -> Completed {
    let Some(command) = answer.filter(|answer| answer.is("command", NS_COMMANDS)) else {
        return Completed::default();
    };
    let notes = command
        .children()
        .filter(|child| child.is("note", NS_COMMANDS))
        .map(|note| (note.attr("type").unwrap_or("info").to_owned(), note.text()));
    Completed {
        is_complete: command.attr("status") == Some("completed"),
        form: command.get_child("x", NS_DATA).cloned(),
        notes: notes.collect(),
    }
}

/// The names of XEP-0133 commands in the answer to [`list_commands`], without their namespace; at most
/// [`MOST_COMMANDS`].
pub fn read_list(answer: Option<&Element>) -> BTreeSet<String> {
    let items = answer.into_iter().flat_map(Element::children);
    items
        .filter_map(|item| item.attr("node")?.strip_prefix(NS_ADMIN)?.strip_prefix('#'))
        .take(MOST_COMMANDS)
        .map(str::to_owned)
        .collect()
}

/// The addresses in an answer to [`user_stats`]; at most [`MOST_ADDRESSES`]. Prosody writes plain ones. `with_port`:
/// ejabberd appends the port, to IPv6 too and without brackets: `2001:db8::1:50050` is `2001:db8::1`.
pub fn read_addresses(stats: &Completed, with_port: bool) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for line in stats.values("ipaddresses").unwrap_or_default() {
        if let Some(address) = read_address(line.trim(), with_port)
            && !addresses.contains(&address)
            && addresses.len() < MOST_ADDRESSES
        {
            addresses.push(address);
        }
    }
    addresses
}

fn read_address(text: &str, with_port: bool) -> Option<IpAddr> {
    let without_port = match with_port {
        true => text.rsplit_once(':').map_or(text, |parts| parts.0),
        false => text,
    };
    let bare = without_port.trim_start_matches('[').trim_end_matches(']');
    bare.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// Number of open sessions in an answer to [`user_stats`]; `None` if it does not say.
pub fn sessions(stats: &Completed) -> Option<u64> {
    let resources = stats.values("onlineresources")?;
    let open = resources.iter().filter(|one| !one.trim().is_empty());
    u64::try_from(open.count()).ok()
}

/// Whether an answer to [`user_stats`] has a session with this resource; `None` if it does not say.
pub fn has_session(stats: &Completed, resource: &str) -> Option<bool> {
    let resources = stats.values("onlineresources")?;
    let mut open = resources.iter().flat_map(|value| value.lines());
    Some(open.any(|one| one.trim() == resource.trim()))
}

/// Whether an answer to [`user_stats`] has an open session.
pub fn is_online(stats: &Completed) -> bool {
    let resources = stats.values("onlineresources").unwrap_or_default();
    resources.iter().any(|resource| !resource.trim().is_empty())
}

/// Whether an answer to [`last_login`] shows that the account has been used: a date, or `Online`; `None` if it does
/// not say. COMPAT: ejabberd says `Never` for unknown accounts, for accounts that never logged in, and for all
/// accounts if `mod_last` is not loaded.
pub fn has_been_there(answer: &Completed) -> Option<bool> {
    let values = answer.values("lastlogin")?;
    let value = values.first()?.trim();
    Some(value.starts_with(|c: char| c.is_ascii_digit()) || value.eq_ignore_ascii_case("online"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn completed(text: &str) -> Completed {
        read(Some(&text.parse().unwrap()))
    }

    #[test]
    fn a_command_is_one_step_with_its_form() {
        let expect: Element = "<command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#end-user-session' action='complete'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field><field var='accountjid'><value>alice@localhost</value></field></x></command>".parse().unwrap();
        assert_eq!(end_user_session("alice@localhost"), expect);
    }

    #[test]
    fn prosody_tells_a_failure_in_a_note() {
        let failed = completed(
            "<command status='completed' node='http://jabber.org/protocol/admin#disable-user' xmlns='http://jabber.org/protocol/commands' sessionid='x'><note type='info'>The following accounts could not be disabled:\nnosuch@localhost</note></command>",
        );
        assert!(
            failed
                .complaint()
                .unwrap()
                .starts_with("The following accounts could not be disabled")
        );
        let done = completed(
            "<command status='completed' xmlns='http://jabber.org/protocol/commands'><note type='info'>The following accounts were successfully disabled:\nalice@localhost</note></command>",
        );
        assert_eq!(done.complaint(), None);
        let unknown = completed(
            "<command status='completed' xmlns='http://jabber.org/protocol/commands'><note type='error'>User does not exist</note></command>",
        );
        assert!(unknown.says_no_account() && unknown.complaint().is_some());
    }

    #[test]
    fn a_command_that_wants_more_steps_is_not_done() {
        let form = completed(
            "<command status='executing' xmlns='http://jabber.org/protocol/commands'><x xmlns='jabber:x:data' type='form'/></command>",
        );
        assert!(form.complaint().is_some());
        assert!(read(None).complaint().is_some());
        assert!(completed("<x xmlns='other'/>").complaint().is_some());
    }

    fn stats(type_: &str, addresses: &str) -> Completed {
        completed(&format!(
            "<command status='completed' xmlns='http://jabber.org/protocol/commands'><x type='{type_}' xmlns='jabber:x:data'><field var='ipaddresses' type='text-multi' label='IP addresses'>{addresses}</field></x></command>"
        ))
    }

    #[test]
    fn addresses_are_found_as_each_server_writes_them() {
        let check = |text: &str, with_port: bool, expect: &str| {
            let found =
                read_addresses(&stats("form", &format!("<value>{text}</value>")), with_port);
            assert_eq!(
                found.first().map(ToString::to_string).unwrap_or_default(),
                expect,
                "{text}"
            );
        };
        check("127.0.0.1:50050", true, "127.0.0.1");
        check("2001:db8::1:5005", true, "2001:db8::1");
        check("[2001:db8::1]:50050", true, "2001:db8::1");
        check("127.0.0.1", false, "127.0.0.1");
        check("2001:db8::1", false, "2001:db8::1");
        check("::ffff:192.0.2.1", false, "192.0.2.1");
        check("nonsense", true, "");
        assert!(read_addresses(&stats("result", ""), false).is_empty());
        let twice = stats(
            "result",
            "<value>127.0.0.1:5</value><value>127.0.0.1:7</value>",
        );
        assert_eq!(read_addresses(&twice, true).len(), 1);
    }

    #[test]
    fn the_last_login_tells_what_it_can() {
        let of = |value: &str| {
            has_been_there(&completed(&format!(
                "<command status='completed' xmlns='http://jabber.org/protocol/commands'><x type='form' xmlns='jabber:x:data'><field var='lastlogin'><value>{value}</value></field></x></command>"
            )))
        };
        assert_eq!(of("2026-11-22 10:30:11"), Some(true));
        assert_eq!(of("Online"), Some(true));
        assert_eq!(of("Never"), Some(false));
        assert_eq!(has_been_there(&Completed::default()), None);
    }

    #[test]
    fn a_command_list_yields_its_names() {
        let list: Element = "<query node='http://jabber.org/protocol/commands' xmlns='http://jabber.org/protocol/disco#items'><item node='http://jabber.org/protocol/admin#disable-user' name='Disable User' jid='localhost'/><item node='http://prosody.im/protocol/modules#list' jid='localhost'/><item/><item node='ping' jid='localhost'/></query>".parse().unwrap();
        assert_eq!(
            read_list(Some(&list)).into_iter().collect::<Vec<_>>(),
            ["disable-user"]
        );
        assert!(read_list(None).is_empty());
    }
}
