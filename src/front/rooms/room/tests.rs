#![allow(clippy::unwrap_used)]
use super::*;
use crate::core::Role;
use crate::front::message::MessageKind;
use crate::front::rooms::settings::RoleGrants;
use crate::xmpp::stanza::{Received, Top, parse};
use xmpp_parsers::jid::{BareJid, Jid};

const ROOM: &str = "ops@rooms.example.org";
const NS_USER: &str = "http://jabber.org/protocol/muc#user";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_320_000_000 + seconds * 1_000)
}

fn received(stanza: &str) -> Received {
    let stanza = stanza.replacen(
        ' ',
        " xmlns='jabber:component:accept' to='bot@gate.example.org/portcullis' ",
        1,
    );
    match parse(stanza.as_bytes()) {
        Top::Stanza(received) => received,
        other => panic!("{other:?}"),
    }
}

fn room() -> Room {
    Room::new(Settings {
        room: BareJid::new(ROOM).unwrap(),
        nick: "portcullis".into(),
        password: None,
        grants: RoleGrants {
            owner: Role::Admin,
            ..RoleGrants::default()
        },
        audit: false,
    })
}

/// The steps of a room at this time without jitter, until it waits.
fn steps(room: &mut Room, now: i64) -> (Vec<RoomStep>, Option<i64>) {
    let mut done = Vec::new();
    loop {
        match room.step(at(now), 0) {
            RoomStep::Wait(next) => {
                let seconds = next.map(|next| (next.as_millis() - at(0).as_millis()) / 1_000);
                return (done, seconds);
            }
            step => done.push(step),
        }
        assert!(done.len() < 10, "{done:?}");
    }
}

fn features(names: &[&str]) -> Element {
    let features: String = names
        .iter()
        .map(|name| format!("<feature var='{name}'/>"))
        .collect();
    let text = format!("<query xmlns='{}'>{features}</query>", ns::DISCO_INFO);
    text.parse().unwrap()
}

fn refusal_of(condition: &str) -> Unanswered {
    Unanswered::Refused(StanzaRefusal {
        condition: condition.into(),
        text: None,
        is_wrapped: false,
    })
}

fn presence(room: &mut Room, now: i64, nick: &str, type_: &str, inside: &str) {
    let type_ = if type_.is_empty() {
        String::new()
    } else {
        format!("type='{type_}'")
    };
    let stanza = format!("<presence from='{ROOM}/{nick}' {type_}>{inside}</presence>");
    room.presence(&received(&stanza), at(now), 0);
}

fn user(item: &str, codes: &[u16]) -> String {
    let codes: String = codes
        .iter()
        .map(|code| format!("<status code='{code}'/>"))
        .collect();
    format!("<x xmlns='{NS_USER}'>{item}{codes}</x>")
}

const MEMBER: &str = "<item affiliation='member' role='participant'/>";

fn entered(after: bool) -> Tell {
    Tell::Entered {
        nick: "portcullis".into(),
        after,
    }
}

/// A room that waits for the consent to our presence.
fn entering(nick: &str) -> Room {
    let mut room = room();
    room.link_up(at(0));
    assert_eq!(steps(&mut room, 0), (vec![RoomStep::Look(1)], None));
    let members_only = features(&["muc_membersonly"]);
    let step = room.looked(1, Ok(&members_only), at(0), 0);
    assert_eq!(step, Some(RoomStep::Enter(nick.into())));
    room
}

fn inside() -> Room {
    let mut room = entering("portcullis");
    let al = user(
        "<item jid='al@example.org/desk' affiliation='owner' role='moderator'/>",
        &[],
    );
    presence(&mut room, 1, "Al", "", &al);
    presence(
        &mut room,
        1,
        "Eve",
        "",
        &user("<item affiliation='none' role='visitor'/>", &[]),
    );
    assert_eq!(room.nick(), None, "not before our own presence");
    presence(&mut room, 1, "portcullis", "", &user(MEMBER, &[110]));
    assert_eq!(room.nick(), Some("portcullis"));
    assert_eq!(room.tell(), [entered(false)]);
    room
}

fn says(room: &mut Room, from: &str, type_: &str, inside: &str) -> Option<Heard> {
    let stanza = format!("<message from='{from}' type='{type_}' id='m1'>{inside}</message>");
    room.message(&received(&stanza), at(2), 0)
}

/// Why we are not in, and the seconds until the next attempt.
fn trouble(room: &mut Room, now: i64) -> (RoomTrouble, i64) {
    let (steps, next) = steps(room, now);
    assert_eq!(steps, []);
    (room.status().trouble.unwrap(), next.unwrap() - now)
}

#[test]
fn nothing_is_tried_without_a_link_and_at_once_with_one() {
    let mut room = room();
    assert_eq!(steps(&mut room, 0), (vec![], None));
    room.link_up(at(5));
    assert_eq!(steps(&mut room, 5), (vec![RoomStep::Look(1)], None));
    room.link_down();
    assert_eq!(
        room.looked(1, Ok(&features(&[])), at(6), 0),
        None,
        "too late"
    );
    assert_eq!(steps(&mut room, 6), (vec![], None));
}

#[test]
fn who_is_who_comes_from_presence_and_never_from_a_nick() {
    let mut room = inside();
    let body = "<body>portcullis: list</body>";
    let heard = says(&mut room, &format!("{ROOM}/Al"), "groupchat", body).unwrap();
    assert_eq!(heard.person, Some(Jid::new("al@example.org/desk").unwrap()));
    assert_eq!(
        (heard.grant, heard.ours.as_str()),
        (Role::Admin, "portcullis")
    );
    let heard = says(&mut room, &format!("{ROOM}/Eve"), "groupchat", body).unwrap();
    assert_eq!((heard.person, heard.grant), (None, Role::Stranger));
    assert_eq!(
        says(&mut room, &format!("{ROOM}/Ghost"), "groupchat", body),
        None
    );
    // A nick taken over by somebody else does not keep the role of its last holder.
    presence(&mut room, 3, "Al", "unavailable", &user(MEMBER, &[]));
    assert_eq!(
        says(&mut room, &format!("{ROOM}/Al"), "groupchat", body),
        None
    );
    presence(
        &mut room,
        3,
        "Al",
        "",
        &user(
            "<item jid='eve@evil.example/x' affiliation='none' role='participant'/>",
            &[],
        ),
    );
    let heard = says(&mut room, &format!("{ROOM}/Al"), "groupchat", body).unwrap();
    assert_eq!(heard.person, Some(Jid::new("eve@evil.example/x").unwrap()));
    assert_eq!(heard.grant, Role::Stranger);
}

#[test]
fn an_affiliation_that_is_taken_away_is_gone_at_once() {
    let mut room = inside();
    let al = user(
        "<item jid='al@example.org/desk' affiliation='none' role='participant'/>",
        &[],
    );
    presence(&mut room, 2, "Al", "", &al);
    let heard = says(
        &mut room,
        &format!("{ROOM}/Al"),
        "chat",
        "<body>list</body>",
    )
    .unwrap();
    assert_eq!(heard.grant, Role::Stranger);
    assert_eq!(heard.line.way, MessageKind::Private);
}

#[test]
fn what_nobody_in_the_room_says_now_is_not_heard() {
    let mut room = inside();
    let al = format!("{ROOM}/Al");
    let body = "<body>portcullis: list</body>";
    let history = format!("{body}<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T04:00:00Z'/>");
    assert_eq!(says(&mut room, &al, "groupchat", &history), None);
    assert_eq!(
        says(
            &mut room,
            &al,
            "groupchat",
            "<subject>portcullis: list</subject>"
        ),
        None
    );
    assert_eq!(
        says(&mut room, ROOM, "groupchat", body),
        None,
        "the room itself"
    );
    assert_eq!(
        says(&mut room, &format!("{ROOM}/portcullis"), "groupchat", body),
        None
    );
    assert_eq!(says(&mut room, &al, "headline", body), None);
    assert_eq!(says(&mut room, &al, "error", body), None);
    assert!(says(&mut room, &al, "groupchat", body).is_some());
}

#[test]
fn our_own_lines_are_known_by_the_id_the_room_gave_them() {
    let mut room = inside();
    let reflected = format!(
        "<body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='s1'/><stanza-id xmlns='urn:xmpp:sid:0' by='evil.example' id='s2'/>"
    );
    assert_eq!(
        says(
            &mut room,
            &format!("{ROOM}/portcullis"),
            "groupchat",
            &reflected
        ),
        None
    );
    assert_eq!(room.ours("s1"), Some("m1"));
    assert_eq!(room.ours("m1"), Some("m1"));
    assert_eq!(room.ours("s2"), None);
}

#[test]
fn a_taken_nick_is_answered_with_another_after_a_pause() {
    let mut room = entering("portcullis");
    let conflict =
        "<error type='cancel'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (tried, second) in [
        ("portcullis-2", 2),
        ("portcullis-3", 4),
        ("portcullis-4", 6),
    ] {
        presence(&mut room, second - 2, "portcullis", "error", conflict);
        assert_eq!(steps(&mut room, second - 1).1, Some(second));
        assert_eq!(steps(&mut room, second).0, [RoomStep::Enter(tried.into())]);
    }
    presence(&mut room, 6, "portcullis-4", "error", conflict);
    assert_eq!(trouble(&mut room, 6), (RoomTrouble::NickTaken, 30));
    assert_eq!(room.tell(), [Tell::Trouble(RoomTrouble::NickTaken)]);
}

#[test]
fn the_nick_that_the_room_gives_is_ours() {
    let mut room = entering("portcullis");
    presence(&mut room, 1, "Guard", "", &user(MEMBER, &[110, 210]));
    assert_eq!(room.nick(), Some("Guard"));
    presence(
        &mut room,
        2,
        "Guard",
        "unavailable",
        &user(
            "<item nick='Warden' affiliation='member' role='participant'/>",
            &[110, 303],
        ),
    );
    presence(&mut room, 2, "Warden", "", &user(MEMBER, &[110]));
    assert_eq!(room.nick(), Some("Warden"));
    assert_eq!(
        says(
            &mut room,
            &format!("{ROOM}/Warden"),
            "groupchat",
            "<body>x</body>"
        ),
        None
    );
}

#[test]
fn every_refusal_is_told_once_and_tried_again_slowly() {
    for (condition, expected) in [
        ("not-authorized", RoomTrouble::Password),
        ("registration-required", RoomTrouble::MembersOnly),
        ("forbidden", RoomTrouble::Banned(None, None)),
        ("service-unavailable", RoomTrouble::Full),
        ("item-not-found", RoomTrouble::Missing),
        ("not-allowed", RoomTrouble::Refused("not-allowed".into())),
    ] {
        let mut room = entering("portcullis");
        let error = format!(
            "<error type='auth'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        );
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            presence(&mut room, now, "portcullis", "error", &error);
            let (why, pause) = trouble(&mut room, now);
            assert_eq!(why, expected);
            pauses.push(pause);
            now += pause;
            let (asked, _) = steps(&mut room, now);
            let RoomStep::Look(round) = asked[0] else {
                panic!("{asked:?}")
            };
            room.looked(round, Ok(&features(&[])), at(now), 0);
        }
        assert_eq!(
            pauses,
            [30, 60, 120, 240, 480, 960, 1_800, 1_800],
            "{condition}"
        );
        assert_eq!(room.tell(), [Tell::Trouble(expected)]);
    }
}

#[test]
fn a_room_that_is_not_there_is_not_made() {
    let mut asked = room();
    asked.link_up(at(0));
    steps(&mut asked, 0);
    let fault = refusal_of("item-not-found");
    assert_eq!(asked.looked(1, Err(&fault), at(0), 0), None);
    assert_eq!(trouble(&mut asked, 0), (RoomTrouble::Missing, 30));
    // Without disco a room created by our presence is left at once, and not tried again soon.
    let mut made = entering("portcullis");
    presence(
        &mut made,
        1,
        "portcullis",
        "",
        &user("<item affiliation='owner' role='moderator'/>", &[110, 201]),
    );
    assert_eq!(
        steps(&mut made, 1),
        (vec![RoomStep::Leave("portcullis".into())], Some(31))
    );
    assert_eq!(made.status().trouble, Some(RoomTrouble::Missing));
}

#[test]
fn a_room_that_does_not_say_what_it_is_is_entered_all_the_same() {
    for fault in [Unanswered::Silent, refusal_of("forbidden")] {
        let mut room = room();
        room.link_up(at(0));
        steps(&mut room, 0);
        let step = room.looked(1, Err(&fault), at(5), 0);
        assert_eq!(step, Some(RoomStep::Enter("portcullis".into())));
        assert_eq!(room.status().public, None);
    }
}

#[test]
fn no_answer_is_an_answer() {
    let mut room = entering("portcullis");
    assert_eq!(steps(&mut room, 29).1, Some(30));
    assert_eq!(trouble(&mut room, 30), (RoomTrouble::Silent, 10));
    // A late stanza changes nothing any more.
    presence(&mut room, 31, "portcullis", "", &user(MEMBER, &[110]));
    assert_eq!(room.nick(), None);
}

#[test]
fn whoever_throws_us_out_is_named_and_we_come_back() {
    let item =
        "<item affiliation='none' role='none'><actor nick='Al'/><reason>too loud</reason></item>";
    let (by, why) = (Some(String::from("Al")), Some(String::from("too loud")));
    for (codes, expected, pause) in [
        (
            &[110, 307][..],
            RoomTrouble::Kicked(by.clone(), why.clone()),
            15,
        ),
        (&[307], RoomTrouble::Kicked(by.clone(), why.clone()), 15),
        (&[110, 307, 333], RoomTrouble::Unreachable, 2),
        (&[110, 332], RoomTrouble::Unreachable, 2),
        (
            &[110, 301],
            RoomTrouble::Banned(by.clone(), why.clone()),
            30,
        ),
        (&[110, 321], RoomTrouble::MembersOnly, 30),
        (&[110, 322], RoomTrouble::MembersOnly, 30),
        (&[110], RoomTrouble::Lost, 2),
    ] {
        let mut room = inside();
        presence(
            &mut room,
            300,
            "portcullis",
            "unavailable",
            &user(item, codes),
        );
        assert_eq!(trouble(&mut room, 300), (expected, pause), "{codes:?}");
        assert_eq!(room.status().others, 0);
        assert!(matches!(
            steps(&mut room, 300 + pause).0[..],
            [RoomStep::Look(_)]
        ));
    }
    let mut room = inside();
    let gone = format!(
        "<x xmlns='{NS_USER}'><item affiliation='none' role='none'/><destroy><reason>moved</reason></destroy></x>"
    );
    presence(&mut room, 2, "portcullis", "unavailable", &gone);
    assert_eq!(
        trouble(&mut room, 2).0,
        RoomTrouble::Destroyed(Some("moved".into()))
    );
}

#[test]
fn what_mends_itself_is_told_only_when_it_does_not() {
    let mut room = inside();
    let restart = user("<item affiliation='none' role='none'/>", &[110, 332]);
    presence(&mut room, 5, "portcullis", "unavailable", &restart);
    let mut now = 5;
    let mut told = Vec::new();
    for _ in 0..5 {
        now += trouble(&mut room, now).1;
        let (asked, _) = steps(&mut room, now);
        let RoomStep::Look(round) = asked[0] else {
            panic!("{asked:?}")
        };
        told.push(room.tell().len());
        room.looked(round, Err(&refusal_of("remote-server-timeout")), at(now), 0);
    }
    assert_eq!(told, [0, 0, 0, 1, 0]);
    now += trouble(&mut room, now).1;
    let (asked, _) = steps(&mut room, now);
    let RoomStep::Look(round) = asked[0] else {
        panic!("{asked:?}")
    };
    room.looked(round, Ok(&features(&[])), at(now), 0);
    presence(&mut room, now, "portcullis", "", &user(MEMBER, &[110]));
    assert_eq!(room.tell(), [entered(true)]);
}

#[test]
fn kicked_again_and_again_we_come_back_less_and_less_often() {
    let mut room = inside();
    let kicked = user("<item affiliation='none' role='none'/>", &[110, 307]);
    let (mut now, mut pauses) = (10, Vec::new());
    for _ in 0..9 {
        presence(&mut room, now, "portcullis", "unavailable", &kicked);
        let (_, pause) = trouble(&mut room, now);
        pauses.push(pause);
        now += pause;
        let (asked, _) = steps(&mut room, now);
        let RoomStep::Look(round) = asked[0] else {
            panic!("{asked:?}")
        };
        room.looked(round, Ok(&features(&[])), at(now), 0);
        presence(&mut room, now, "portcullis", "", &user(MEMBER, &[110]));
        now += 10;
    }
    assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 960, 1_800, 1_800]);
    presence(&mut room, now + 120, "portcullis", "unavailable", &kicked);
    assert_eq!(
        trouble(&mut room, now + 120).1,
        15,
        "after two quiet minutes"
    );
}

#[test]
fn silence_is_broken_by_asking_ourselves_whether_we_are_in() {
    let silence = i64::try_from(SILENCE.as_secs()).unwrap();
    let mut room = inside();
    assert_eq!(steps(&mut room, 1), (vec![], Some(1 + silence)));
    says(
        &mut room,
        &format!("{ROOM}/Al"),
        "groupchat",
        "<body>hello</body>",
    );
    assert_eq!(
        steps(&mut room, 1 + silence),
        (vec![], Some(2 + silence)),
        "it was not silent"
    );
    let mut ask = |answer: Result<(), &Unanswered>, now: i64| {
        let (asked, _) = steps(&mut room, now);
        let [RoomStep::Ping(nick, round)] = &asked[..] else {
            panic!("{asked:?}")
        };
        assert_eq!(nick, "portcullis");
        assert_eq!(steps(&mut room, now + 5), (vec![], None), "one at a time");
        room.pinged(round + 1, answer, at(now + 5), 0);
        assert_eq!(steps(&mut room, now + 5), (vec![], None), "not the answer");
        room.pinged(*round, answer, at(now + 5), 0);
        steps(&mut room, now + 5).1
    };
    let mut now = 2 + silence;
    for condition in [
        "",
        "service-unavailable",
        "feature-not-implemented",
        "item-not-found",
    ] {
        let fault = refusal_of(condition);
        let answer = if condition.is_empty() {
            Ok(())
        } else {
            Err(&fault)
        };
        assert_eq!(ask(answer, now), Some(now + 5 + silence), "{condition}");
        now += 5 + silence;
    }
    for fault in [refusal_of("remote-server-timeout"), Unanswered::Silent] {
        assert_eq!(ask(Err(&fault), now), Some(now + 65), "asked again soon");
        now += 65;
    }
    ask(Err(&refusal_of("not-acceptable")), now);
    assert_eq!(room.nick(), None);
    assert_eq!(trouble(&mut room, now + 5), (RoomTrouble::Lost, 2));
}

#[test]
fn a_line_of_ours_that_does_not_get_in_shows_that_we_are_out() {
    let mut room = inside();
    let error = |condition: &str| {
        format!(
            "<body>x</body><error type='modify'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        )
    };
    says(
        &mut room,
        &format!("{ROOM}/Al"),
        "error",
        &error("not-acceptable"),
    );
    says(&mut room, ROOM, "error", &error("forbidden"));
    assert!(room.nick().is_some(), "it only was not passed on");
    says(&mut room, ROOM, "error", &error("not-acceptable"));
    assert_eq!(room.nick(), None);
}

#[test]
fn when_more_can_be_seen_we_enter_anew_to_see_it() {
    let mut room = inside();
    assert_eq!(room.status().faceless, 1);
    let promoted = user("<item affiliation='admin' role='moderator'/>", &[110]);
    presence(&mut room, 5, "portcullis", "", &promoted);
    assert_eq!(
        steps(&mut room, 5),
        (vec![RoomStep::Leave("portcullis".into())], Some(6))
    );
    let mut room = inside();
    let changed = |code: u16| format!("<x xmlns='{NS_USER}'><status code='{code}'/></x>");
    says(&mut room, ROOM, "groupchat", &changed(172));
    assert_eq!(
        steps(&mut room, 2),
        (vec![RoomStep::Leave("portcullis".into())], Some(3))
    );
    let mut room = inside();
    says(&mut room, ROOM, "groupchat", &changed(104));
    assert!(matches!(steps(&mut room, 2).0[..], [RoomStep::Look(2)]));
    room.looked(2, Ok(&features(&["muc_open"])), at(2), 0);
    assert_eq!(room.tell(), [Tell::Public]);
    assert_eq!(room.status().public, Some(true));
    assert!(room.nick().is_some());
}

#[test]
fn an_invitation_shortens_the_wait() {
    let mut room = entering("portcullis");
    let error = "<error type='auth'><registration-required xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    presence(&mut room, 0, "portcullis", "error", error);
    assert_eq!(steps(&mut room, 2), (vec![], Some(30)));
    let invite = format!("<x xmlns='{NS_USER}'><invite from='al@example.org'/></x>");
    says(&mut room, ROOM, "normal", &invite);
    assert!(matches!(steps(&mut room, 2).0[..], [RoomStep::Look(_)]));
}

#[test]
fn chance_only_shortens_a_pause_and_by_a_quarter_at_most() {
    for tries in [0, 3, 40, u32::MAX] {
        let [longest, shortest] =
            [0, u32::MAX].map(|chance| pause(&RoomTrouble::Full, tries, chance));
        assert_eq!(shortest, longest * 3 / 4);
        assert!(longest <= Duration::from_secs(1_800));
    }
}
