//! A server that behaves as ejabberd 24.12, 26.07 or Prosody 13 was seen to.

use super::*;

pub(super) const COOKIE: &str = "PORTCULLISLABCOOKIE";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Make {
    Ejabberd24,
    Ejabberd26,
    Prosody,
}

/// A server with accounts, records and sessions.
pub(super) struct Fake {
    /// Its Erlang cookie.
    pub(super) cookie: &'static str,
    pub(super) make: Make,
    pub(super) accounts: BTreeSet<String>,
    pub(super) records: BTreeMap<String, Element>,
    pub(super) disabled: BTreeSet<String>,
    pub(super) online: BTreeSet<String>,
    /// Overwrites her record whenever it is written, as long as she is online; with `stubborn` afterwards, too.
    pub(super) hostile: Option<String>,
    pub(super) stubborn: bool,
    /// Her last overwrite is carried out this many looks after the kick was acknowledged.
    pub(super) lingering: Option<u32>,
    pub(super) can_disable: bool,
    /// Whether the server offers us the command that ends sessions.
    pub(super) can_end: bool,
    pub(super) deaf: bool,
    /// Whether the hook module does not know what came with 1.1.0.
    pub(super) is_old_module: bool,
    /// Accounts that exist, but have no row in mod_last.
    pub(super) without_last: BTreeSet<String>,
    /// Whether the server fails to enable accounts, whether they exist or not.
    pub(super) cannot_enable: bool,
    /// Whether the hook module says which accounts exist.
    pub(super) module_knows: bool,
    /// Whether the server has forgotten the grant.
    pub(super) has_forgotten: bool,
    /// A virtual host that does not answer.
    pub(super) dead: Option<String>,
    /// Accounts that the server lists as banned.
    pub(super) listed: Vec<String>,
    /// Whether it reports the sessions of an account.
    pub(super) tells_sessions: bool,
    /// Accounts whose record exceeds the limits of a stanza.
    pub(super) oversized: BTreeSet<String>,
    /// How many times the user replaces a record of the server by one with her own hash right after it is written,
    /// and is back at once while she can log in.
    pub(super) forging: u32,
    /// Accounts that were online when we wrote a record with the right hash.
    pub(super) leaked: BTreeSet<String>,
    pub(super) log: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<Fake>>;

pub(super) fn fake(make: Make) -> Shared {
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("{name}@localhost"))
            .collect()
    };
    Arc::new(Mutex::new(Fake {
        cookie: COOKIE,
        make,
        accounts: names(&["admin", "alice"]),
        records: BTreeMap::new(),
        disabled: BTreeSet::new(),
        online: names(&["alice"]),
        hostile: None,
        stubborn: false,
        lingering: None,
        can_disable: true,
        can_end: true,
        deaf: false,
        is_old_module: false,
        without_last: BTreeSet::new(),
        cannot_enable: false,
        module_knows: false,
        has_forgotten: false,
        dead: None,
        listed: Vec::new(),
        tells_sessions: true,
        oversized: BTreeSet::new(),
        forging: 0,
        leaked: BTreeSet::new(),
        log: Vec::new(),
    }))
}

pub(super) fn refused(condition: &str) -> Unanswered {
    Unanswered::Refused(StanzaRefusal {
        condition: condition.into(),
        text: None,
        is_wrapped: false,
    })
}

pub(super) fn iq(inner: &str) -> Element {
    format!("<iq xmlns='jabber:component:accept' type='result'>{inner}</iq>")
        .parse()
        .unwrap()
}

impl Fake {
    /// The answer as it arrives, if there is one.
    pub(super) fn reply(&mut self, asked: &Received) -> Option<Received> {
        let verb = match asked.type_() {
            "get" => Verb::Get,
            _ => Verb::Set,
        };
        let payload = asked.payload().unwrap().clone();
        let to = asked.header.to.clone();
        let mut iq = match self.answer(&IqRequest::new(to, verb, payload, Duration::ZERO)) {
            Ok(iq) => iq,
            Err(Unanswered::Silent | Unanswered::Unreadable) => return None,
            Err(Unanswered::Echoed) => asked.element.clone(),
            Err(Unanswered::Refused(StanzaRefusal { condition, .. })) => format!(
                "<iq xmlns='jabber:component:accept' type='error'><error type='cancel'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
            )
            .parse()
            .unwrap(),
            Err(other) => panic!("{other:?}"),
        };
        for (name, value) in [
            ("id", asked.header.id.as_deref().unwrap()),
            ("from", asked.header.to.as_str()),
            ("to", asked.header.from.as_str()),
        ] {
            set(&mut iq, name, value);
        }
        Some(fake_wire::received(&String::from(&iq)))
    }

    pub(super) fn answer(&mut self, question: &IqRequest) -> Result<Element, Unanswered> {
        if self.deaf || self.dead.as_deref() == Some(question.to.domain().as_str()) {
            return Err(Unanswered::Silent);
        }
        if question.payload.has_ns(hook::NS_HOOK) {
            return self.module(&question.payload);
        }
        if question.payload.is("privileged_iq", NS_PRIVILEGE) {
            return self.privileged(question);
        }
        if self.make == Make::Ejabberd24 {
            return Err(Unanswered::Silent);
        }
        self.plain(&question.payload).map(|inner| iq(&inner))
    }

    /// What the hook module does.
    pub(super) fn module(&mut self, order: &Element) -> Result<Element, Unanswered> {
        let whom = order.attr("account").or(order.attr("address"));
        let whom = whom.unwrap_or_default().to_owned();
        self.log.push(format!("{} {whom}", order.name()));
        let ns = hook::NS_HOOK;
        Ok(iq(&match order.name() {
            "kick" => {
                let count = u8::from(self.online.remove(&whom));
                format!("<kicked xmlns='{ns}' count='{count}'/>")
            }
            "refusals" if self.is_old_module => return Err(refused("bad-request")),
            "refusals" => {
                let record = self.records.get(&whom).map(String::from);
                let by_record = record
                    .map(|record| format!("<refusal by='ban' reason='by hand'>{record}</refusal>"));
                let held = (order.attr("address") == Some("192.0.2.7"))
                    .then_some("<refusal by='mod_fail2ban' until='2030-01-01T12:00:00Z'/>");
                format!(
                    "<refusals xmlns='{ns}' asked='ban{}' not-asked='access'>{}{}{}<refusal by='new'/></refusals>",
                    if self.module_knows { " account" } else { "" },
                    if self.module_knows && !self.accounts.contains(&whom) {
                        "<refusal by='no-account'/>"
                    } else {
                        ""
                    },
                    by_record.unwrap_or_default(),
                    held.unwrap_or_default()
                )
            }
            "unblock" => format!("<unblocked xmlns='{ns}' count='2'/>"),
            "hash" => format!("<hash xmlns='{ns}' value='{}'/>", self.right_hash(&whom)),
            _ => String::new(),
        }))
    }

    pub(super) fn privileged(&mut self, question: &IqRequest) -> Result<Element, Unanswered> {
        let inner = question.payload.children().next().unwrap();
        assert_eq!(inner.attr("type"), Some(question.verb.as_str()));
        assert_eq!(inner.attr("from"), Some(question.to.as_str()));
        let child = inner.children().next().unwrap().clone();
        let to = inner.attr("to").unwrap();
        if child.is("command", admin::NS_COMMANDS) {
            assert_eq!((to, self.make == Make::Ejabberd24), ("localhost", true));
            let answer = self.plain(&child)?;
            return Ok(wrapped(&answer));
        }
        let account = question.to.as_str().to_owned();
        match self.make {
            Make::Ejabberd24 if to == account => return Err(Unanswered::Echoed),
            Make::Prosody if to != account => return Err(refused("internal-server-error")),
            Make::Prosody if self.has_forgotten || !self.accounts.contains(&account) => {
                return Err(refused("forbidden"));
            }
            _ => {}
        }
        if question.verb == Verb::Set {
            let banned = child.children().next().unwrap().clone();
            self.log.push(format!("write {account}"));
            self.oversized.remove(&account);
            self.records.insert(account.clone(), banned);
            if self.online.contains(&account) && self.is_banned(&account) {
                self.leaked.insert(account.clone());
            }
            if self.hostile.as_ref() == Some(&account)
                && (self.stubborn || self.online.contains(&account))
                && self.lingering.is_none()
            {
                self.overwrite(&account);
            }
            return Ok(wrapped(""));
        }
        if self.oversized.contains(&account) {
            return Err(Unanswered::Unreadable);
        }
        let banned = self.records.get(&account).map_or(
            "<banned xmlns='jabber:ejabberd:banned'/>".into(),
            String::from,
        );
        Ok(wrapped(&format!(
            "<query xmlns='jabber:iq:private'>{banned}</query>"
        )))
    }

    pub(super) fn plain(&mut self, payload: &Element) -> Result<String, Unanswered> {
        if payload.is("query", "jabber:iq:version") {
            let (name, version) = if self.make == Make::Prosody {
                ("Prosody", "13.0.1")
            } else {
                ("ejabberd", "26.07")
            };
            return Ok(format!(
                "<query xmlns='jabber:iq:version'><name>{name}</name><version>{version}</version></query>"
            ));
        }
        if payload.is("query", admin::NS_DISCO_ITEMS) {
            let mut nodes = vec![
                "disable-user",
                "reenable-user",
                "end-user-session",
                "user-stats",
            ];
            if self.make != Make::Prosody {
                nodes.push("get-user-lastlogin");
            }
            if !self.listed.is_empty() {
                nodes.push(admin::DISABLED_USERS);
            }
            nodes.retain(|node| self.can_end || *node != "end-user-session");
            let items: String = nodes
                .iter()
                .map(|node| {
                    format!(
                        "<item jid='localhost' node='http://jabber.org/protocol/admin#{node}'/>"
                    )
                })
                .collect();
            return Ok(format!(
                "<query xmlns='http://jabber.org/protocol/disco#items'>{items}</query>"
            ));
        }
        if payload.is("command", admin::NS_COMMANDS) {
            if payload
                .attr("node")
                .unwrap()
                .ends_with(admin::DISABLED_USERS)
            {
                let values = self
                    .listed
                    .iter()
                    .map(|jid| format!("<value>{jid}</value>"));
                return Ok(format!(
                    "<command xmlns='http://jabber.org/protocol/commands' status='completed'><x xmlns='jabber:x:data' type='result'><field var='disableduserjids'>{}</field></x></command>",
                    values.collect::<String>()
                ));
            }
            let form = payload.children().next().unwrap();
            let one = |var| {
                crate::xmpp::payload::form::values(form, var)
                    .and_then(|values| values.first().cloned())
            };
            let account = one("accountjid").or_else(|| one("accountjids")).unwrap();
            return self.command(
                payload.attr("node").unwrap().rsplit('#').next().unwrap(),
                &account,
            );
        }
        Err(refused("service-unavailable"))
    }

    pub(super) fn command(&mut self, name: &str, account: &str) -> Result<String, Unanswered> {
        let known = self.accounts.contains(account);
        let prosody = self.make == Make::Prosody;
        self.log.push(format!("{name} {account}"));
        let done = |inner: &str| {
            Ok(format!(
                "<command xmlns='http://jabber.org/protocol/commands' status='completed'>{inner}</command>"
            ))
        };
        let field = |var: &str, value: &str| {
            format!(
                "<x xmlns='jabber:x:data' type='form'><field var='{var}'><value>{value}</value></field></x>"
            )
        };
        match name {
            "end-user-session" => {
                if self.lingering.is_none() {
                    self.online.remove(account);
                }
                done("")
            }
            "user-stats" if self.lingering.is_some() => {
                self.lingering = self.lingering.and_then(|looks| looks.checked_sub(1));
                if self.lingering.is_none() {
                    self.online.remove(account);
                    self.overwrite(account);
                }
                done(&field("onlineresources", "phone"))
            }
            "user-stats" if prosody && !known => {
                done("<note type='error'>User does not exist</note>")
            }
            "user-stats" => {
                let address = if prosody {
                    "192.0.2.1"
                } else {
                    "192.0.2.1:5000"
                };
                let online = if self.tells_sessions && self.online.contains(account) {
                    "<field var='onlineresources'><value>phone</value></field>"
                } else {
                    ""
                };
                done(&format!(
                    "<x xmlns='jabber:x:data' type='form'><field var='ipaddresses'><value>{address}</value></field>{online}</x>"
                ))
            }
            "get-user-lastlogin" if !prosody => done(&field(
                "lastlogin",
                if known && !self.without_last.contains(account) {
                    "2026-11-22 10:30:11"
                } else {
                    "Never"
                },
            )),
            "disable-user" | "reenable-user" if prosody => {
                let word = if name == "disable-user" {
                    "disabled"
                } else {
                    "enabled"
                };
                if !known || !self.can_disable {
                    return done(&format!(
                        "<note type='info'>The following accounts could not be {word}:\n{account}</note>"
                    ));
                }
                self.online.remove(account);
                if name == "disable-user" {
                    self.disabled.insert(account.into())
                } else {
                    self.disabled.remove(account)
                };
                done(&format!(
                    "<note type='info'>The following accounts were successfully {word}:\n{account}</note>"
                ))
            }
            "reenable-user" if self.cannot_enable => Err(refused("internal-server-error")),
            "disable-user" | "reenable-user" if self.make == Make::Ejabberd24 || !known => {
                Err(refused("item-not-found"))
            }
            "disable-user" => {
                if !self.is_banned(account) {
                    let own = format!(
                        "<banned xmlns='jabber:ejabberd:banned'><reason/><bandate>2026-11-22T10:39:39.908841Z</bandate><hash>{}</hash></banned>",
                        self.right_hash(account)
                    );
                    self.records.insert(account.into(), own.parse().unwrap());
                    if self.forging > 0 {
                        self.forging -= 1;
                        self.forge(account);
                    }
                }
                self.online.remove(account);
                done("")
            }
            "reenable-user" => {
                if self.is_banned(account) {
                    self.records.remove(account);
                }
                done("")
            }
            _ => Err(refused("item-not-found")),
        }
    }

    /// A record made by the user that looks like the server's own.
    pub(super) fn forge(&mut self, account: &str) {
        let hash = native_hash("somebody", "else", b"guess");
        let forged = format!(
            "<banned xmlns='jabber:ejabberd:banned'><reason>see https://evil.example</reason><bandate>2026-11-22T10:39:39.908841Z</bandate><hash>{hash}</hash></banned>"
        );
        self.records.insert(account.into(), forged.parse().unwrap());
    }

    pub(super) fn overwrite(&mut self, account: &str) {
        self.records.insert(
            account.into(),
            "<banned xmlns='jabber:ejabberd:banned'><reason>ha</reason></banned>"
                .parse()
                .unwrap(),
        );
    }

    fn right_hash(&self, account: &str) -> String {
        let (localpart, domain) = account.split_once('@').unwrap();
        native_hash(localpart, domain, self.cookie.as_bytes())
    }

    /// As the password check sees it.
    pub(super) fn is_banned(&self, account: &str) -> bool {
        let record = self.records.get(account);
        record.is_some_and(|record| {
            crate::xmpp::payload::text_of(record, "hash", NS_BANNED) == self.right_hash(account)
        })
    }
}

pub(super) fn wrapped(inner: &str) -> Element {
    iq(&format!(
        "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='result' id='x'>{inner}</iq></forwarded></privilege>"
    ))
}

pub(super) fn right_hash(account: &str) -> String {
    let (localpart, domain) = account.split_once('@').unwrap();
    native_hash(localpart, domain, COOKIE.as_bytes())
}

pub(super) fn locked(fake: &Shared) -> MutexGuard<'_, Fake> {
    fake.lock().unwrap()
}
