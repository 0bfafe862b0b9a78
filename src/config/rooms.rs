//! `[[rooms]]`: where orders are taken, and what a room makes of its own people.

use std::collections::BTreeSet;

use toml::Spanned;
use xmpp_parsers::jid::{BareJid, DomainRef, Jid};

use super::{
    keys::{GRANTS, ROOMS},
    raw,
    reader::{Place, Reader, first},
    secrets::check_secret,
    values::one_of,
};
use crate::{
    core::{Account, Role},
    front::rooms::{Grants, NICK, Settings},
    xmpp::secret::Secret,
};

/// What a room may grant, by name.
const GRANTED: [(&str, Role); 4] = [
    ("admin", Role::Admin),
    ("moderator", Role::Moderator),
    ("viewer", Role::Viewer),
    ("none", Role::Stranger),
];

impl Reader<'_, '_> {
    /// The rooms that are right; the rest is reported. `people` have a role by their account, `component` is ours.
    pub(super) fn rooms(
        &mut self,
        typed: Option<Vec<Spanned<raw::Room>>>,
        people: &[&Account],
        component: Option<&DomainRef>,
    ) -> Vec<Settings> {
        let mut seen = BTreeSet::new();
        let mut rooms = Vec::new();
        for typed in typed.unwrap_or_default() {
            let place = typed.span();
            let typed = typed.into_inner();
            let password = self.password(&typed);
            let Some(jid) = typed.jid else {
                let said = "one of [[rooms]] has no `jid`; for example `jid = \"ops@conference.example.org\"`";
                self.found.wrong(Some(place), said.to_owned());
                continue;
            };
            let Some((room, place)) = self.value(ROOMS, "jid", Some(jid), address) else {
                continue;
            };
            if !seen.insert(room.clone()) {
                let said = format!("two of [[rooms]] are {room}");
                self.found.wrong(Some(place.clone()), said);
            }
            self.look_closely(&room, place, people, component);
            let nick = self.value(ROOMS, "nick", typed.nick, |text| nick(&room, text));
            let grants = self.grants(typed.grants.unwrap_or_default());
            let (Some(password), Some(grants)) = (password, grants) else {
                continue;
            };
            rooms.push(Settings {
                nick: nick.map_or_else(|| NICK.to_owned(), first),
                room,
                password,
                grants,
                audit: typed.audit.is_some_and(Spanned::into_inner),
            });
        }
        rooms
    }

    /// Whoever runs a room says who is in it.
    fn look_closely(
        &mut self,
        room: &BareJid,
        place: Place,
        people: &[&Account],
        component: Option<&DomainRef>,
    ) {
        let account = Account::from_jid(&Jid::from(room.clone()));
        if let Some(account) = account.filter(|room| people.contains(&room)) {
            let said = format!(
                "{account} is a room, and has a role by its address; name people instead, and what the room grants in `grants`"
            );
            self.found.wrong(Some(place), said);
            return;
        }
        let domain = room.domain().as_str();
        let home = component.map(|ours| ours.as_str().split_once('.').map_or("", |(_, home)| home));
        if let Some(home) = home
            && domain != home
            && !domain.ends_with(&format!(".{home}"))
        {
            let said = format!(
                "whoever runs {domain} decides who speaks in {room}, and could speak as any of the `admins`"
            );
            self.found.odd(Some(place), said);
        }
    }

    /// `None`: it was reported as wrong; `Some(None)`: there is none.
    fn password(&mut self, typed: &raw::Room) -> Option<Option<Secret>> {
        let (name, file_name) = ("password", "password_file");
        match self.written(
            ROOMS,
            [name, file_name],
            &typed.password,
            &typed.password_file,
            check_secret,
        ) {
            None => Some(None),
            Some(read) => read.map(Some),
        }
    }

    fn grants(&mut self, typed: raw::Grants) -> Option<Grants> {
        let before = self.found.problems.len();
        let mut one = |name, typed| {
            let granted = self.value(GRANTS, name, typed, |text| one_of(text, &GRANTED));
            granted.map_or(Role::Stranger, first)
        };
        let grants = Grants {
            owner: one("owner", typed.owner),
            admin: one("admin", typed.admin),
            member: one("member", typed.member),
        };
        (self.found.problems.len() == before).then_some(grants)
    }
}

fn address(text: &str) -> Result<BareJid, String> {
    let jid =
        Jid::new(text.trim()).map_err(|error| format!("{text:?} is not a valid JID ({error})"))?;
    if jid.resource().is_some() {
        return Err(format!(
            "{text:?} names somebody in a room; leave out the / and what follows, and set `nick` instead"
        ));
    }
    if jid.node().is_none() {
        return Err(format!(
            "{text:?} is a domain, not a room; a room is written name@conference.domain"
        ));
    }
    Ok(jid.to_bare())
}

fn nick(room: &BareJid, text: &str) -> Result<String, String> {
    // The longest one that is tried has a number behind it.
    match room.with_resource_str(&format!("{text}-9")) {
        Ok(_) if text.trim() == text && !text.is_empty() => {
            let jid = room
                .with_resource_str(text)
                .map_err(|error| error.to_string())?;
            Ok(jid.resource().to_string())
        }
        Ok(_) => Err(format!("{text:?} is empty, or has blanks around it")),
        Err(error) => Err(format!("{text:?} cannot be a nick ({error})")),
    }
}
