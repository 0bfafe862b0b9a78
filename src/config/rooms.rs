//! `[[rooms]]`: rooms in which commands are taken, and the roles that their affiliations grant.

use std::collections::BTreeSet;

use xmpp_parsers::jid::{BareJid, DomainRef, Jid};

use super::{
    key::{GRANTS, ROOMS},
    problem::ByteSpan,
    roles::People,
    secrets::check_secret,
    section::Section,
};
use crate::{
    core::{Account, Role, account::domain_key},
    front::rooms::{NICK, RoleGrants, Settings},
};

/// The names of grantable roles.
const GRANTED: [(&str, Role); 4] = [
    ("admin", Role::Admin),
    ("moderator", Role::Moderator),
    ("viewer", Role::Viewer),
    ("none", Role::Stranger),
];

/// Reads the rooms. `people` are the role holders, `component` is our own domain.
pub(super) fn rooms(
    top: &mut Section<'_, '_>,
    people: &People,
    component: Option<&DomainRef>,
) -> Vec<Settings> {
    let mut seen = BTreeSet::new();
    let rooms = top.tables(
        "rooms",
        ROOMS,
        r#"[{ jid = "ops@conference.example.org" }]"#,
        |t| {
            let jid = t.text(
                "jid",
                "the address of a room",
                "ops@conference.example.org",
                address,
            );
            let jid = jid.required().placed();
            let typed = t.text("nick", "a nick, without blanks around it", NICK, |text| {
                Ok(text.to_owned())
            });
            let typed = typed.map(|_, text| match &jid {
                Some((room, _)) => nick(room, &text),
                None => Ok(text),
            });
            let nick = typed.or(NICK.to_owned());
            let file = "/etc/portcullis/room.password";
            let password = t.secret(
                ["password", "password_file"],
                "the password of the room",
                file,
                None,
                check_secret,
            );
            let example = r#"{ owner = "admin", admin = "moderator" }"#;
            let grants = t
                .inner("grants", GRANTS, example)
                .map(grants)
                .unwrap_or_default();
            let audit = t.flag("audit", true).or(false);
            let (room, place) = jid?;
            if !seen.insert(room.clone()) {
                t.wrong(Some(place.clone()), format!("two of [[rooms]] are {room}"));
            }
            look_closely(t, &room, place, people, component);
            Some(Settings {
                room,
                nick,
                password: password.usable(),
                grants,
                audit,
            })
        },
    );
    rooms.or(Vec::new())
}

fn grants(mut t: Section<'_, '_>) -> RoleGrants {
    RoleGrants {
        owner: t.word("owner", &GRANTED, "admin").or(Role::Stranger),
        admin: t.word("admin", &GRANTED, "moderator").or(Role::Stranger),
        member: t.word("member", &GRANTED, "viewer").or(Role::Stranger),
    }
}

/// Refuses a room whose address has a role of its own, and warns of a room on a foreign server, whose operator
/// controls who speaks there.
fn look_closely(
    t: &mut Section<'_, '_>,
    room: &BareJid,
    place: ByteSpan,
    people: &People,
    component: Option<&DomainRef>,
) {
    let account = Account::from_jid(&Jid::from(room.clone()));
    if let Some(account) = account
        && people.granted.iter().any(|(person, _)| *person == account)
    {
        let said = format!(
            "{account} is a room, and has a role by its address; name people instead, and what the room grants in `grants`"
        );
        t.wrong(Some(place), said);
        return;
    }
    let domain = domain_key(room.domain().as_str());
    let home = component
        .map(|ours| domain_key(ours.as_str().split_once('.').map_or("", |(_, home)| home)));
    if let Some(home) = home
        && domain != *home
        && !domain.ends_with(&format!(".{home}"))
    {
        let said = format!(
            "whoever runs {domain} decides who speaks in {room}, and could speak as any of the `admins`"
        );
        t.odd(Some(place), said);
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
    // If the nick is taken, the bot appends a number.
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
