//! What the model server holds, and how it answers: as ejabberd 24.12, ejabberd 26.07 and Prosody 13 were seen to.

use std::collections::{BTreeMap, BTreeSet};

use minidom::Element;
use portcullis::core::Account;
use portcullis::enforce::native_hash::native_hash;
use portcullis::enforce::record::{BanRecord, NS_BANNED};
use portcullis::xmpp::payload::hook::NS_HOOK;

use crate::support::scripted::DOMAIN;

pub(super) const HOST: &str = "example.org";
pub(super) const COOKIE: &str = "SIMULATEDCOOKIE";
const NS_PRIVILEGE: &str = "urn:xmpp:privilege:2";
const NS_COMMANDS: &str = "http://jabber.org/protocol/commands";
const NS_ITEMS: &str = "http://jabber.org/protocol/disco#items";
const NS_ADMIN: &str = "http://jabber.org/protocol/admin";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Ejabberd24,
    Ejabberd26,
    Prosody,
}

/// What outlives a connection.
pub(super) struct Model {
    pub(super) make: Make,
    pub(super) has_module: bool,
    pub(super) is_granting: bool,
    records: BTreeMap<String, Element>,
    disabled: BTreeSet<String>,
    pub(super) online: BTreeSet<String>,
    /// What the module holds: kind, subject and address of each ban, with its id.
    pub(super) held: BTreeMap<(String, String, String), String>,
    /// The state of the bans that the module holds.
    pub(super) epoch: Option<(String, u64)>,
    /// Ids of the messages to people, and their texts.
    pub(super) messages: Vec<(String, String)>,
    /// Number of stanzas that arrived, and of connections.
    pub(super) stanzas: u64,
    pub(super) connections: u64,
    /// Number of grants that were sent since the program was started last.
    pub(super) grants: u64,
}

/// What comes of a stanza.
pub(super) enum Effect {
    /// This is the answer.
    Answer(String),
    /// There is no answer: the server drops it, or it needs none.
    Nothing,
    /// The module is to ask for what it missed.
    Sync,
}

impl Model {
    pub(super) fn new(make: Make, has_module: bool) -> Self {
        Model {
            make,
            has_module,
            is_granting: true,
            records: BTreeMap::new(),
            disabled: BTreeSet::new(),
            online: BTreeSet::new(),
            held: BTreeMap::new(),
            epoch: None,
            messages: Vec::new(),
            stanzas: 0,
            connections: 0,
            grants: 0,
        }
    }

    pub(super) fn grant(&self) -> String {
        format!(
            "<message from='{HOST}' to='{DOMAIN}'><privilege xmlns='{NS_PRIVILEGE}'><perm access='iq'>\
             <namespace ns='jabber:iq:private' type='both'/><namespace ns='{NS_COMMANDS}' type='both'/></perm></privilege></message>"
        )
    }

    /// Whether the server refuses this account without the module.
    pub(super) fn refuses(&self, account: &str) -> bool {
        match self.make {
            Make::Prosody => self.disabled.contains(account),
            Make::Ejabberd24 | Make::Ejabberd26 => {
                self.records.get(account).is_some_and(|record| {
                    let hash = record.get_child("hash", NS_BANNED).map(Element::text);
                    hash.is_some_and(|hash| hash == right_hash(account))
                })
            }
        }
    }

    /// Whether the module refuses this account by itself.
    pub(super) fn holds(&self, account: &str) -> bool {
        self.held.keys().any(|(_, subject, _)| subject == account)
    }

    /// The accounts that the server refuses.
    pub(super) fn refused(&self) -> BTreeSet<String> {
        let all = self.records.keys().chain(&self.disabled);
        let refused = all.filter(|account| self.refuses(account));
        refused.cloned().collect()
    }

    /// The public reason in the record of an account.
    pub(super) fn reason(&self, account: &str) -> String {
        let record = self.records.get(account);
        record.map_or_else(String::new, |record| {
            let query = wrapped_record(record);
            BanRecord::parse_answer(Some(&query)).reason
        })
    }

    /// Carries out a stanza. `is_privileged`: this connection has its rights.
    pub(super) fn take(&mut self, stanza: &Element, is_privileged: bool) -> Effect {
        self.stanzas += 1;
        let (from, to) = (
            stanza.attr("from").unwrap_or(DOMAIN),
            stanza.attr("to").unwrap(),
        );
        let is_ours = |jid: &str| {
            let domain = jid.split('/').next().unwrap().rsplit('@').next().unwrap();
            domain == DOMAIN
        };
        if is_ours(to) {
            return Effect::Answer(String::from(stanza));
        }
        let Some(type_) = stanza
            .attr("type")
            .filter(|type_| stanza.name() == "iq" && matches!(*type_, "get" | "set"))
        else {
            if stanza.name() == "message" {
                let body = stanza.children().find(|child| child.name() == "body");
                let body = body.map(Element::text).unwrap_or_default();
                self.messages
                    .push((stanza.attr("id").unwrap_or("").to_owned(), body));
            }
            return Effect::Nothing;
        };
        let payload = stanza.children().next().unwrap();
        let mut is_news = false;
        let inner = if payload.has_ns(NS_HOOK) {
            if !self.has_module {
                Err("service-unavailable")
            } else {
                is_news = payload.name() == "news";
                Ok(self.module(payload))
            }
        } else if payload.is("privileged_iq", NS_PRIVILEGE) {
            // ejabberd drops it without a word. Prosody's rights are those of an admin, below.
            if !is_privileged && self.make != Make::Prosody {
                return Effect::Nothing;
            } else {
                let account = to.to_owned();
                let request = payload.children().next().unwrap();
                let child = request.children().next().unwrap();
                if child.is("command", NS_COMMANDS) {
                    self.command(child).map(|answer| wrapped(&answer))
                } else if self.make == Make::Ejabberd24 && request.attr("to") == Some(to) {
                    return Effect::Answer(readdressed(stanza, from, to));
                } else if type_ == "set" {
                    let record = child.children().next().unwrap().clone();
                    self.records.insert(account, record);
                    Ok(wrapped(""))
                } else {
                    let empty = format!("<banned xmlns='{NS_BANNED}'/>");
                    let record = self.records.get(&account).map_or(empty, String::from);
                    Ok(wrapped(&format!(
                        "<query xmlns='jabber:iq:private'>{record}</query>"
                    )))
                }
            }
        } else if self.make == Make::Ejabberd24 || self.make == Make::Ejabberd26 && !is_privileged {
            return Effect::Nothing;
        } else if !is_privileged && payload.has_ns(NS_COMMANDS) {
            Err("forbidden")
        } else if !is_privileged && payload.is("query", NS_ITEMS) {
            Ok(format!("<query xmlns='{NS_ITEMS}'/>"))
        } else {
            self.plain(payload)
        };
        if is_news {
            return Effect::Sync;
        }
        let id = stanza.attr("id").unwrap();
        Effect::Answer(match inner {
            Ok(inner) => {
                format!("<iq type='result' id='{id}' from='{to}' to='{from}'>{inner}</iq>")
            }
            Err(condition) => format!(
                "<iq type='error' id='{id}' from='{to}' to='{from}'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            ),
        })
    }

    fn module(&mut self, order: &Element) -> String {
        let whom = order.attr("account").unwrap_or_default().to_owned();
        match order.name() {
            "kick" => {
                let count = u8::from(self.online.remove(&whom));
                format!("<kicked xmlns='{NS_HOOK}' count='{count}'/>")
            }
            "refusals" => {
                let refusal = match (self.refuses(&whom), self.make) {
                    (false, _) => String::new(),
                    (true, Make::Prosody) => String::from("<refusal by='disabled'/>"),
                    (true, _) => {
                        format!(
                            "<refusal by='ban'>{}</refusal>",
                            String::from(&self.records[&whom])
                        )
                    }
                };
                format!("<refusals xmlns='{NS_HOOK}' asked='account'>{refusal}</refusals>")
            }
            "hash" => format!("<hash xmlns='{NS_HOOK}' value='{}'/>", right_hash(&whom)),
            _ => String::new(),
        }
    }

    fn plain(&mut self, payload: &Element) -> Result<String, &'static str> {
        if payload.is("query", "jabber:iq:version") {
            let (name, version) = match self.make {
                Make::Prosody => ("Prosody", "13.0.1"),
                _ => ("ejabberd", "26.07"),
            };
            return Ok(format!(
                "<query xmlns='jabber:iq:version'><name>{name}</name><version>{version}</version></query>"
            ));
        }
        if payload.is("query", NS_ITEMS) {
            let mut nodes = vec![
                "disable-user",
                "reenable-user",
                "end-user-session",
                "user-stats",
            ];
            if self.make == Make::Ejabberd26 {
                nodes.extend(["get-user-lastlogin", "get-disabled-users-list"]);
            }
            let items = nodes.iter();
            let items: String = items
                .map(|node| format!("<item jid='{HOST}' node='{NS_ADMIN}#{node}'/>"))
                .collect();
            return Ok(format!("<query xmlns='{NS_ITEMS}'>{items}</query>"));
        }
        if payload.is("command", NS_COMMANDS) {
            return self.command(payload);
        }
        Err("service-unavailable")
    }

    fn command(&mut self, command: &Element) -> Result<String, &'static str> {
        let name = command.attr("node").unwrap().rsplit('#').next().unwrap();
        let done = |inner: &str| {
            Ok(format!(
                "<command xmlns='{NS_COMMANDS}' status='completed'>{inner}</command>"
            ))
        };
        let form = |fields: &[(&str, Vec<String>)]| {
            let fields: String = fields
                .iter()
                .map(|(var, values)| {
                    let values = values.iter().map(|value| format!("<value>{value}</value>"));
                    format!("<field var='{var}'>{}</field>", values.collect::<String>())
                })
                .collect();
            format!("<x xmlns='jabber:x:data' type='form'>{fields}</x>")
        };
        if name == "get-disabled-users-list" {
            let banned = self.refused().into_iter().collect();
            return done(&form(&[("disableduserjids", banned)]));
        }
        let fields = command.children().next().map(|form| form.children());
        let account = fields.into_iter().flatten().find_map(|field| {
            matches!(field.attr("var"), Some("accountjid" | "accountjids"))
                .then(|| field.children().next().map(Element::text))?
        });
        let account = account.unwrap();
        let is_prosody = self.make == Make::Prosody;
        match name {
            "end-user-session" => {
                self.online.remove(&account);
                done("")
            }
            "user-stats" => {
                let open = self.online.contains(&account);
                let open = open.then(|| String::from("phone")).into_iter().collect();
                done(&form(&[("onlineresources", open)]))
            }
            "get-user-lastlogin" if !is_prosody => done(&form(&[(
                "lastlogin",
                vec![String::from("2026-11-22 10:30:11")],
            )])),
            "disable-user" | "reenable-user" if is_prosody => {
                let is_off = name == "disable-user";
                match is_off {
                    true => self.disabled.insert(account.clone()),
                    false => self.disabled.remove(&account),
                };
                self.online.remove(&account);
                let word = if is_off { "disabled" } else { "enabled" };
                done(&format!(
                    "<note type='info'>The following accounts were successfully {word}:\n{account}</note>"
                ))
            }
            "disable-user" if self.make == Make::Ejabberd26 => {
                if !self.refuses(&account) {
                    let own = format!(
                        "<banned xmlns='{NS_BANNED}'><reason/><bandate>2026-11-22T10:39:39.908841Z</bandate><hash>{}</hash></banned>",
                        right_hash(&account)
                    );
                    self.records.insert(account.clone(), own.parse().unwrap());
                }
                self.online.remove(&account);
                done("")
            }
            "reenable-user" if self.make == Make::Ejabberd26 => {
                if self.refuses(&account) {
                    self.records.remove(&account);
                }
                done("")
            }
            _ => Err("item-not-found"),
        }
    }

    /// What the module takes from a page; returns whether it must ask for the next one.
    pub(super) fn learn(&mut self, changes: &Element) -> bool {
        if changes.attr("fresh") == Some("true") {
            self.held.clear();
        }
        for change in changes.children() {
            let attr = |name| change.attr(name).unwrap_or_default().to_owned();
            let key = (attr("kind"), attr("subject"), attr("address"));
            match change.name() {
                "ban" => self.held.insert(key, attr("id")),
                _ => self.held.remove(&key),
            };
        }
        let seq = changes.attr("seq").unwrap().parse().unwrap();
        self.epoch = Some((changes.attr("epoch").unwrap().to_owned(), seq));
        changes.attr("more") == Some("true")
    }
}

fn right_hash(account: &str) -> String {
    let account = Account::from_plain(account).unwrap();
    native_hash(account.localpart(), HOST, COOKIE.as_bytes())
}

fn wrapped(inner: &str) -> String {
    format!(
        "<privilege xmlns='{NS_PRIVILEGE}'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='result' id='x'>{inner}</iq></forwarded></privilege>"
    )
}

fn wrapped_record(record: &Element) -> Element {
    format!(
        "<query xmlns='jabber:iq:private'>{}</query>",
        String::from(record)
    )
    .parse()
    .unwrap()
}

/// The stanza as it comes back to its sender.
fn readdressed(stanza: &Element, to: &str, from: &str) -> String {
    let text = String::from(stanza);
    let mut back: Element = text.parse().unwrap();
    back.set_attr(
        minidom::rxml::Namespace::NONE,
        minidom::rxml::NcName::try_from("to").unwrap(),
        to,
    );
    back.set_attr(
        minidom::rxml::Namespace::NONE,
        minidom::rxml::NcName::try_from("from").unwrap(),
        from,
    );
    String::from(&back)
}
