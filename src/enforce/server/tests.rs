//! Bans on servers that behave as ejabberd 24.12, 26.07 and Prosody 13 were observed to.
#![allow(clippy::unwrap_used)]

mod fake;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use minidom::Element;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::core::seal::{KEY_BYTES, generate_key_line};
use crate::core::{Actor, Ban, BanId, EntryPoint, Origin, Role, Seq, Subject, Timestamp};
use crate::delivery::ports::{Enforcer, Existence, Held};
use crate::delivery::refusals::{ServerAsked, ServerRefusal};
use crate::enforce::native_hash::native_hash;
use crate::enforce::privilege::NS_PRIVILEGE;
use crate::enforce::record::{BanRecord, NS_BANNED};
use crate::xmpp::fake_wire;
use crate::xmpp::iq::{IqRequest, StanzaRefusal, Verb};
use crate::xmpp::payload::hook;
use crate::xmpp::payload::set;
use crate::xmpp::stanza::{Header, Received};
use fake::{COOKIE, Make, Shared, fake, locked, right_hash};

fn account(text: &str) -> Account {
    Account::from_jid(&Jid::new(text).unwrap()).unwrap()
}

fn server(fake: &Shared, cookie: Option<&str>) -> Arc<XmppServer> {
    let (fake, (wire, mut other)) = (Arc::clone(fake), fake_wire::up("portcullis.localhost"));
    let asker = Asker::new(wire);
    let answers = asker.clone();
    tokio::spawn(async move {
        while let Some(asked) = other.next().await {
            let reply = locked(&fake).reply(&asked);
            match reply {
                Some(reply) => drop(answers.route(reply)),
                // As the link reports an answer over a limit.
                None if locked(&fake).oversized.contains(asked.header.to.as_str()) => {
                    answers.unreadable(&asked.header.to, asked.header.id.as_deref().unwrap());
                }
                None => {}
            }
        }
    });
    XmppServer::new(asker, settings(cookie))
}

fn settings(cookie: Option<&str>) -> Settings {
    Settings {
        component: BareJid::new("portcullis.localhost").unwrap(),
        admins: vec![account("admin@localhost")],
        act_as: None,
        keyring: Keyring::parse(&generate_key_line(&"k1".parse().unwrap(), &[1; KEY_BYTES]))
            .unwrap(),
        cookie: cookie.map(|cookie| Secret::new(cookie.into())),
        hook_hosts: Vec::new(),
        limits: Timeouts::default(),
    }
}

fn message(from: &str, inner: &str) -> Received {
    let element: Element = format!("<message xmlns='jabber:component:accept' from='{from}' to='portcullis.localhost'>{inner}</message>").parse().unwrap();
    let (from, to) = (
        Jid::new(from).unwrap(),
        Jid::new("portcullis.localhost").unwrap(),
    );
    Received {
        kind: StanzaKind::Message,
        header: Header {
            from,
            to,
            id: None,
            type_: None,
            lang: None,
        },
        element,
    }
}

fn grant(from: &str) -> Received {
    message(
        from,
        "<privilege xmlns='urn:xmpp:privilege:2'><perm access='iq'><namespace ns='jabber:iq:private' type='both'/><namespace ns='http://jabber.org/protocol/commands' type='both'/></perm></privilege>",
    )
}

/// A server that is up and probed.
async fn ready(fake: &Shared, cookie: Option<&str>) -> Arc<XmppServer> {
    let server = server(fake, cookie);
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    assert!(server.take(&grant("localhost")));
    server
        .standing()
        .wait_for(|standing| standing.probed)
        .await
        .unwrap();
    locked(fake).log.clear();
    server
}

fn ban(whom: &str) -> Ban {
    Ban {
        id: BanId(17),
        subject: Subject::parse(whom).unwrap(),
        reason: "spam".into(),
        by: Actor::person("admin@localhost/x", Role::Admin, EntryPoint::Chat),
        origin: Origin::Manual,
        since: Timestamp::from_millis(1_795_320_000_000),
        until: None,
        ordinal: 1,
        insisted: false,
        version: Seq(1),
    }
}

fn why(done: Result<Held, Undone>) -> String {
    done.unwrap_err().0
}

#[tokio::test(start_paused = true)]
async fn a_ban_takes_hold_on_both_ejabberds_and_is_taken_back() {
    for make in [Make::Ejabberd24, Make::Ejabberd26] {
        let fake = fake(make);
        let server = ready(&fake, Some(COOKIE)).await;
        let standing = server.standing().borrow().clone();
        assert_eq!(
            (standing.level, standing.gaps.len()),
            (1, 1),
            "{standing:?}"
        );
        assert_eq!(
            server.enforce(&ban("alice@localhost")).await,
            Ok(Held::Enforced)
        );
        assert!(locked(&fake).is_banned("alice@localhost"));
        assert!(!locked(&fake).online.contains("alice@localhost"));
        assert_eq!(
            server.release(&ban("alice@localhost").subject).await,
            Ok(())
        );
        assert!(!locked(&fake).is_banned("alice@localhost"));
        let left = locked(&fake).records.contains_key("alice@localhost");
        assert_eq!(
            left,
            make == Make::Ejabberd24,
            "the row itself is deleted where the server can"
        );
    }
}

/// After a new cookie no record bans anybody, although each is as we wrote it.
#[tokio::test(start_paused = true)]
async fn records_from_before_a_new_cookie_are_written_again() {
    const NEW: &str = "ANOTHERCOOKIEOFTHELAB";
    for (make, before, after) in [
        (Make::Ejabberd24, Some(COOKIE), Some(NEW)),
        (Make::Ejabberd26, Some(COOKIE), Some(NEW)),
        // The copy is old: the server is asked.
        (Make::Ejabberd26, Some(COOKIE), Some(COOKIE)),
        (Make::Ejabberd26, None, None),
    ] {
        let fake = fake(make);
        let names = ["alice@localhost", "admin@localhost"];
        let bans = names.map(|name| Ban {
            id: BanId(u64::from(name.as_bytes()[1])),
            ..ban(name)
        });
        let server = ready(&fake, before).await;
        for ban in &bans {
            assert_eq!(server.enforce(ban).await, Ok(Held::Enforced));
        }
        locked(&fake).cookie = NEW;
        let server = ready(&fake, after).await;
        let mut findings = server.findings();
        // Rounds of the regular check.
        for _ in 0..2 {
            for ban in &bans {
                if server.holds(ban).await == Some(false) {
                    assert_eq!(server.enforce(ban).await, Ok(Held::Enforced));
                }
            }
        }
        assert!(
            names.iter().all(|name| locked(&fake).is_banned(name)),
            "{after:?}"
        );
        for ban in &bans {
            assert_eq!(server.holds(ban).await, Some(true));
        }
        assert_eq!(findings.try_recv().unwrap().found, RecordState::Refused);
        let says = |what: &str| {
            let gaps = server.standing().borrow().gaps.clone();
            gaps.iter().any(|gap| gap.what.contains(what))
        };
        assert_eq!(says("does not hold the cookie"), after == Some(COOKIE));
    }
}

/// The module told the right hash, and is gone; the cookie file is another server's.
#[tokio::test(start_paused = true)]
async fn a_right_hash_survives_a_cookie_that_is_known_to_be_wrong() {
    for make in [Make::Ejabberd24, Make::Ejabberd26] {
        let fake = fake(make);
        let server = ready(&fake, Some("NOTTHECOOKIE")).await;
        hello(&server, None);
        let ban = ban("alice@localhost");
        assert_eq!(server.enforce(&ban).await, Ok(Held::Enforced));
        assert_eq!(server.holds(&ban).await, Some(true));
        server.state().modules.clear();
        locked(&fake).log.clear();
        let longer = Ban {
            until: Some(Timestamp::from_millis(1_895_320_000_000)),
            ..ban
        };
        assert_eq!(server.enforce(&longer).await, Ok(Held::Enforced));
        assert!(locked(&fake).is_banned("alice@localhost"));
        let log = std::mem::take(&mut locked(&fake).log);
        let writes = log.iter().filter(|line| line.starts_with("write"));
        assert_eq!(writes.count(), 1, "{log:?}");
    }
}

/// ejabberd 24.12 tells nobody whether a hash is right, so nothing is promised.
#[tokio::test(start_paused = true)]
async fn a_cookie_that_cannot_be_checked_is_said_to_be_unchecked() {
    let server = ready(&fake(Make::Ejabberd24), Some(COOKIE)).await;
    let standing = server.standing().borrow().clone();
    let said = standing
        .has
        .iter()
        .any(|has| has.contains("which this server lets nobody check"));
    assert!(said, "{standing:?}");
}

#[tokio::test(start_paused = true)]
async fn the_kinds_and_their_ways_are_told_apart() {
    let check = async |make, software: &str, route: Option<Route>, echoing| {
        let server = ready(&fake(make), Some(COOKIE)).await;
        let host = server.capabilities().remove(0);
        assert_eq!(
            (host.software().as_str(), &host.route, host.is_echoing()),
            (software, &route, echoing)
        );
        assert_eq!(server.standing().borrow().server, software);
    };
    use crate::enforce::admin::Route;
    let admin = BareJid::new("admin@localhost").unwrap();
    check(
        Make::Ejabberd24,
        "ejabberd 24.12 or older",
        Some(Route::As(admin)),
        true,
    )
    .await;
    check(
        Make::Ejabberd26,
        "ejabberd 26.07",
        Some(Route::Direct),
        false,
    )
    .await;
    check(Make::Prosody, "Prosody 13.0.1", Some(Route::Direct), false).await;
}

#[tokio::test(start_paused = true)]
async fn a_user_who_undoes_the_ban_is_kicked_and_banned_again() {
    let fake = fake(Make::Ejabberd24);
    locked(&fake).hostile = Some("alice@localhost".into());
    let server = ready(&fake, Some(COOKIE)).await;
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).is_banned("alice@localhost"));
    let writes = locked(&fake)
        .log
        .iter()
        .filter(|line| line.starts_with("write"))
        .count();
    assert_eq!(writes, 1, "she was out before there was anything to undo");
    locked(&fake).stubborn = true;
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("changed each time"));
}

/// A user who stores an unreadable record is kicked and refused like anybody else.
#[tokio::test(start_paused = true)]
async fn a_record_over_the_limits_is_junk_and_delays_nothing() {
    for (make, cookie) in [
        (Make::Ejabberd24, Some(COOKIE)),
        (Make::Ejabberd26, Some(COOKIE)),
        (Make::Ejabberd26, None),
    ] {
        let fake = fake(make);
        let server = ready(&fake, cookie).await;
        locked(&fake).oversized.insert("alice@localhost".into());
        assert_eq!(
            server.enforce(&ban("alice@localhost")).await,
            Ok(Held::Enforced)
        );
        assert!(locked(&fake).is_banned("alice@localhost"));
        assert!(!locked(&fake).online.contains("alice@localhost"));
        // She overwrites it again while the ban is in force: reconciliation notices, and an un-ban empties it.
        locked(&fake).oversized.insert("alice@localhost".into());
        assert_eq!(server.holds(&ban("alice@localhost")).await, Some(false));
        assert_eq!(server.recorded(&account("alice@localhost")).await, None);
        let subject = ban("alice@localhost").subject;
        assert_eq!(server.release(&subject).await, Ok(()));
        assert!(locked(&fake).oversized.is_empty());
    }
}

/// Cookies generated by Erlang can be guessed from the hash, and a user can read her record.
#[tokio::test(start_paused = true)]
async fn the_hash_is_written_when_the_sessions_are_gone() {
    for make in [Make::Ejabberd24, Make::Ejabberd26] {
        let fake = fake(make);
        let server = ready(&fake, Some(COOKIE)).await;
        server.enforce(&ban("alice@localhost")).await.unwrap();
        assert!(locked(&fake).is_banned("alice@localhost"));
        assert!(locked(&fake).leaked.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_hash_is_learnt_only_when_the_server_has_left_it_alone() {
    for cookie in [None, Some(COOKIE)] {
        for forged in 0..3 {
            let fake = fake(Make::Ejabberd26);
            let server = ready(&fake, cookie).await;
            locked(&fake).forging = forged;
            assert_eq!(
                server.enforce(&ban("alice@localhost")).await,
                Ok(Held::Enforced),
                "{forged}"
            );
            assert!(locked(&fake).is_banned("alice@localhost"), "{forged}");
            let host = server.capabilities().remove(0);
            assert_eq!(host.cookie, cookie.map(|_| true), "{forged}");
        }
        let fake = fake(Make::Ejabberd26);
        let server = ready(&fake, None).await;
        locked(&fake).forging = u32::MAX;
        why(server.enforce(&ban("alice@localhost")).await);
    }
}

/// Somebody could register a known name and store a record that silences the probe.
#[tokio::test(start_paused = true)]
async fn a_host_without_admins_is_probed_under_a_name_nobody_can_have() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, None).await;
    let other = self::server(&fake, None);
    assert!(server.nobody.len() > 20 && server.nobody != other.nobody);
    assert!(!server.nobody.contains("probe"));
}

#[tokio::test(start_paused = true)]
async fn what_a_kicked_session_had_still_to_do_is_waited_for() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, Some(COOKIE)).await;
    locked(&fake).lingering = Some(3);
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).is_banned("alice@localhost"));
    locked(&fake).lingering = Some(u32::MAX);
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("do not end"));
}

#[tokio::test(start_paused = true)]
async fn without_a_cookie_the_hash_is_learnt_where_the_server_tells_it() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    assert_eq!(server.standing().borrow().level, 1);
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).is_banned("alice@localhost"));
    let record = BanRecord::parse(&locked(&fake).records["alice@localhost"]);
    assert_eq!(
        record.ours.map(|ours| ours.id),
        Some(17),
        "ours stands, with the server's hash"
    );
    locked(&fake).log.clear();
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    let log = std::mem::take(&mut locked(&fake).log);
    let writes = log.iter().filter(|line| line.starts_with("write"));
    assert_eq!(writes.count(), 1, "the sealed hash proves itself: {log:?}");
    assert!(
        why(server.enforce(&ban("nobody@localhost")).await)
            .contains("no account nobody@localhost yet")
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_cookie_an_old_ejabberd_is_said_not_to_refuse() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, None).await;
    assert_eq!(server.standing().borrow().level, 0);
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("ejabberd_cookie_file"));
    assert!(
        !locked(&fake).online.contains("alice@localhost"),
        "still kicked"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wrong_cookie_is_found_out_and_told() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, Some("NOTTHECOOKIE")).await;
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).is_banned("alice@localhost"));
    let gaps = server.standing().borrow().gaps.clone();
    assert!(
        gaps.iter().any(|gap| gap.what.contains("cookie")),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_name_can_be_banned_before_it_exists() {
    for make in [Make::Ejabberd24, Make::Ejabberd26] {
        let fake = fake(make);
        let server = ready(&fake, Some(COOKIE)).await;
        assert_eq!(
            server.enforce(&ban("later@localhost")).await,
            Ok(Held::Enforced)
        );
        assert!(locked(&fake).is_banned("later@localhost"));
        assert_eq!(
            server.release(&ban("later@localhost").subject).await,
            Ok(())
        );
        assert!(!locked(&fake).is_banned("later@localhost"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_with_a_password_is_never_emptied() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, Some(COOKIE)).await;
    let own = format!(
        "<banned xmlns='jabber:ejabberd:banned'><reason>x</reason><bandate>2026-11-22T10:39:39.908841Z</bandate><hash>{}</hash><password>secret</password></banned>",
        right_hash("alice@localhost")
    );
    locked(&fake)
        .records
        .insert("alice@localhost".into(), own.parse().unwrap());
    let alice = account("alice@localhost");
    let recorded = server.recorded(&alice).await.unwrap();
    assert!(recorded.needs_server && !recorded.is_ours);
    assert_eq!(
        server.release(&ban("alice@localhost").subject).await,
        Ok(()),
        "nothing of ours is left to do"
    );
    assert!(BanRecord::parse(&locked(&fake).records["alice@localhost"]).holds_password());
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(
        BanRecord::parse(&locked(&fake).records["alice@localhost"]).holds_password(),
        "our ban keeps it"
    );
    assert_eq!(
        server.release(&ban("alice@localhost").subject).await,
        Ok(())
    );
    let left = BanRecord::parse(&locked(&fake).records["alice@localhost"]);
    assert!(left.holds_password() && left.ours.is_none(), "{left:?}");
    assert!(
        locked(&fake).is_banned("alice@localhost"),
        "the server's own ban stands, so that unban_account finds it"
    );
    let refusals = server.refusals(Some(&alice), &[]).await;
    assert!(
        matches!(refusals.found[..], [ServerRefusal::OwnBan { .. }]),
        "{refusals:?}"
    );
}

/// `unban_account` of ejabberd 24.12 gives the password back only if the hash is the server's.
#[tokio::test(start_paused = true)]
async fn a_ban_without_a_cookie_leaves_the_hash_beside_a_password() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, None).await;
    let own = format!(
        "<banned xmlns='jabber:ejabberd:banned'><reason>x</reason><bandate>2026-11-22T10:39:39.908841Z</bandate><hash>{}</hash><password>secret</password></banned>",
        right_hash("alice@localhost")
    );
    locked(&fake)
        .records
        .insert("alice@localhost".into(), own.parse().unwrap());
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("ejabberd_cookie_file"));
    assert!(locked(&fake).is_banned("alice@localhost"));
}

#[tokio::test(start_paused = true)]
async fn prosody_disables_exports_and_enables() {
    let fake = fake(Make::Prosody);
    let server = ready(&fake, Some(COOKIE)).await;
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).disabled.contains("alice@localhost"));
    assert_eq!(
        BanRecord::parse(&locked(&fake).records["alice@localhost"]).reason,
        "spam"
    );
    assert_eq!(
        server.release(&ban("alice@localhost").subject).await,
        Ok(())
    );
    assert!(locked(&fake).disabled.is_empty());
    assert!(BanRecord::parse(&locked(&fake).records["alice@localhost"]).is_empty());
    assert!(
        why(server.enforce(&ban("nobody@localhost")).await)
            .contains("There is no account nobody@localhost")
    );
    assert_eq!(
        server.release(&ban("nobody@localhost").subject).await,
        Ok(())
    );
}

#[tokio::test(start_paused = true)]
async fn a_prosody_that_cannot_disable_is_found_out_and_told() {
    let fake = fake(Make::Prosody);
    locked(&fake).can_disable = false;
    let server = ready(&fake, None).await;
    assert_eq!(
        server.standing().borrow().level,
        1,
        "it cannot be known before it is tried"
    );
    assert!(
        why(server.enforce(&ban("alice@localhost")).await).contains("knows no disabled accounts")
    );
    let standing = server.standing().borrow().clone();
    assert_eq!(standing.level, 0);
    assert!(
        standing
            .gaps
            .iter()
            .any(|gap| gap.remedy.contains("internal_hashed"))
    );
    locked(&fake).overwrite("alice@localhost");
    assert_eq!(
        server.release(&ban("alice@localhost").subject).await,
        Ok(()),
        "there was nothing to take back"
    );
}

#[tokio::test(start_paused = true)]
async fn accounts_are_found_and_missed_on_all_servers() {
    for make in [Make::Ejabberd24, Make::Ejabberd26, Make::Prosody] {
        let server = ready(&fake(make), Some(COOKIE)).await;
        assert_eq!(exists(&server, "alice@localhost").await, Existence::Exists);
        let nobody = match make {
            Make::Ejabberd24 => Existence::NoTrace,
            Make::Ejabberd26 | Make::Prosody => Existence::Missing,
        };
        assert_eq!(exists(&server, "nobody@localhost").await, nobody);
        assert_eq!(
            exists(&server, "nobody@elsewhere.example").await,
            Existence::Unknown
        );
        let addresses: Vec<IpAddr> = vec!["192.0.2.1".parse().unwrap()];
        assert_eq!(
            server.addresses(&account("alice@localhost")).await,
            addresses
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_without_a_row_in_mod_last_is_not_said_to_be_missing() {
    for make in [Make::Ejabberd24, Make::Ejabberd26] {
        let fake = fake(make);
        let server = ready(&fake, Some(COOKIE)).await;
        locked(&fake).without_last.insert("alice@localhost".into());
        // The command that would tell fails for a reason of its own.
        locked(&fake).cannot_enable = true;
        assert_eq!(exists(&server, "alice@localhost").await, Existence::NoTrace);
        assert_eq!(
            exists(&server, "nobody@localhost").await,
            Existence::NoTrace
        );
        let from = Jid::new("localhost/portcullis").unwrap();
        server.heard(&from, hook::Hello::default(), 0, Timestamp::from_millis(0));
        assert_eq!(exists(&server, "alice@localhost").await, Existence::NoTrace);
        locked(&fake).module_knows = true;
        assert_eq!(exists(&server, "alice@localhost").await, Existence::Exists);
        assert_eq!(
            exists(&server, "nobody@localhost").await,
            Existence::Missing
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_grant_that_is_gone_does_not_make_accounts_missing() {
    let fake = fake(Make::Prosody);
    let server = ready(&fake, Some(COOKIE)).await;
    locked(&fake).has_forgotten = true;
    assert_eq!(exists(&server, "alice@localhost").await, Existence::Exists);
    server.learn("localhost", |host| host.commands.clear());
    assert_eq!(exists(&server, "alice@localhost").await, Existence::Unknown);
    locked(&fake).has_forgotten = false;
    assert_eq!(
        exists(&server, "nobody@localhost").await,
        Existence::Missing
    );
}

/// The question would lift a ban whose record is written between its two requests.
#[tokio::test(start_paused = true)]
async fn asking_whether_an_account_exists_lifts_no_ban_that_begins_meanwhile() {
    for later in 0..60 {
        for asked_first in [true, false] {
            let fake = fake(Make::Ejabberd26);
            let server = ready(&fake, Some(COOKIE)).await;
            let asks = async {
                for _ in 0..later {
                    tokio::task::yield_now().await;
                }
                exists(&server, "alice@localhost").await
            };
            let banned = ban("alice@localhost");
            let ban = server.enforce(&banned);
            let done = match asked_first {
                true => tokio::join!(asks, ban).1,
                false => tokio::join!(ban, asks).0,
            };
            assert_eq!(done, Ok(Held::Enforced), "{later}");
            assert!(locked(&fake).is_banned("alice@localhost"), "{later}");
        }
    }
}

async fn exists(server: &XmppServer, whom: &str) -> Existence {
    server.exists(&account(whom)).await
}

#[tokio::test(start_paused = true)]
async fn looking_for_an_account_never_lifts_a_ban() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, Some(COOKIE)).await;
    server.enforce(&ban("alice@localhost")).await.unwrap();
    assert_eq!(exists(&server, "alice@localhost").await, Existence::Exists);
    assert!(locked(&fake).is_banned("alice@localhost"));
}

#[tokio::test(start_paused = true)]
async fn addresses_networks_and_strange_domains_are_told_apart() {
    let server = ready(&fake(Make::Ejabberd26), Some(COOKIE)).await;
    assert_eq!(
        server.enforce(&ban("192.0.2.1")).await,
        Ok(Held::NeedsModule)
    );
    assert_eq!(
        server.enforce(&ban("192.0.2.0/24")).await,
        Ok(Held::NeedsModule)
    );
    assert_eq!(server.release(&ban("192.0.2.0/24").subject).await, Ok(()));
    assert!(
        why(server.enforce(&ban("spam@elsewhere.example")).await).contains("not a virtual host")
    );
}

#[tokio::test(start_paused = true)]
async fn without_rights_nothing_is_enforced_and_both_remedies_are_shown() {
    let fake = fake(Make::Ejabberd24);
    let server = server(&fake, None);
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("no link"));
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("still being asked"));
    server
        .standing()
        .wait_for(|standing| standing.probed)
        .await
        .unwrap();
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("no rights"));
    let standing = server.standing().borrow().clone();
    assert_eq!(standing.level, 0);
    assert!(
        standing.gaps[0].remedy.contains("mod_privilege:")
            && standing.gaps[0].remedy.contains("privileged_entities")
    );
    server.link_down();
    assert_eq!(*server.standing().borrow().clone(), Enforcement::default());
}

#[tokio::test(start_paused = true)]
async fn a_fake_grant_changes_nothing() {
    let server = ready(&fake(Make::Ejabberd26), Some(COOKIE)).await;
    for from in ["mallory@localhost/x", "mallory@evil.example", "localhost/x"] {
        assert!(server.take(&grant(from)), "it goes no further");
    }
    assert!(
        !server.take(&message("mallory@localhost", "<body>ban alice</body>")),
        "other messages are somebody else's"
    );
    assert_eq!(
        server.state().grants.vhosts().collect::<Vec<_>>(),
        ["localhost"]
    );
}

/// Counts the lines that an operator sees.
#[derive(Clone, Default)]
struct Lines(Arc<std::sync::atomic::AtomicUsize>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn strangers_write_no_lines_into_the_log() {
    let server = ready(&fake(Make::Ejabberd26), Some(COOKIE)).await;
    let lines = Lines::default();
    let _listening = tracing::subscriber::set_default(lines.clone());
    tracing::info!("this one counts");
    for n in 0..100 {
        for from in [
            format!("evil{n}.example"),
            format!("mallory{n}@localhost/x"),
            format!("localhost/{n}"),
            format!("mallory@evil{n}.example"),
        ] {
            assert!(server.take(&grant(&from)));
        }
    }
    assert_eq!(lines.0.load(std::sync::atomic::Ordering::Relaxed), 1);
}

/// A remote server may send a grant as soon as it sees us, answer once and then be silent, again and again.
#[tokio::test(start_paused = true)]
async fn a_strangers_grant_makes_no_virtual_host_and_no_new_connection() {
    let fake = fake(Make::Ejabberd26);
    let server = server(&fake, Some(COOKIE));
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    let begun = tokio::time::Instant::now();
    for n in 0..300 {
        assert!(server.take(&grant(&format!("evil{n}.example"))));
    }
    assert!(server.take(&grant("localhost")), "there is still room");
    let mut standing = server.standing();
    standing.wait_for(|standing| standing.probed).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "no stranger is waited for"
    );
    let hosts: Vec<String> = server
        .capabilities()
        .into_iter()
        .map(|host| host.vhost)
        .collect();
    assert_eq!(hosts, ["localhost"]);
    assert!(
        server.capabilities()[0].granted,
        "no grant of a stranger took its room"
    );
    locked(&fake).dead = Some("evil0.example".into());
    for _ in 0..20 {
        server.take(&grant("evil0.example"));
        let asked = tokio::time::timeout(Duration::from_secs(10), server.reconnect_wanted());
        assert!(asked.await.is_err(), "a stranger broke the link");
    }
}

/// The parent domain of ours is trusted, but it may be on another server.
#[tokio::test(start_paused = true)]
async fn a_parent_domain_elsewhere_is_named_and_cannot_break_the_link() {
    let fake = fake(Make::Ejabberd26);
    let (wire, mut other) = fake_wire::up("portcullis.im.example.net");
    let asker = Asker::new(wire);
    let answers = asker.clone();
    let server_side = Arc::clone(&fake);
    tokio::spawn(async move {
        while let Some(asked) = other.next().await {
            let reply = locked(&server_side).reply(&asked);
            reply.map(|reply| answers.route(reply));
        }
    });
    let settings = Settings {
        component: BareJid::new("portcullis.im.example.net").unwrap(),
        ..settings(None)
    };
    let server = XmppServer::new(asker, settings);
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    let parents = |from: &str| {
        let mut grant = grant(from);
        grant.header.to = Jid::new("portcullis.im.example.net").unwrap();
        grant
    };
    assert!(server.take(&parents("localhost")));
    assert!(server.take(&parents("im.example.net")));
    let mut standing = server.standing();
    standing.wait_for(|standing| standing.probed).await.unwrap();
    let has = standing.borrow().has.join("\n");
    assert!(has.contains("im.example.net is believed because"), "{has}");
    locked(&fake).dead = Some("im.example.net".into());
    server.doubt.notify_one();
    let asked = tokio::time::timeout(Duration::from_secs(60), server.reconnect_wanted());
    assert!(asked.await.is_err());
}

/// ejabberd compares names byte by byte, and knows a virtual host only as it is spelled in its configuration.
#[tokio::test(start_paused = true)]
async fn a_virtual_host_is_spelled_as_the_server_spells_it() {
    let wire_name = "xn--bcher-kva.example";
    let alice = format!("alice@{wire_name}");
    let fake = fake(Make::Ejabberd26);
    locked(&fake).accounts.insert(alice.clone());
    locked(&fake).online.insert(alice.clone());
    let (wire, mut other) = fake_wire::up("portcullis.localhost");
    let asker = Asker::new(wire);
    let (answers, server_side) = (asker.clone(), Arc::clone(&fake));
    tokio::spawn(async move {
        while let Some(asked) = other.next().await {
            assert!(
                !String::from(&asked.element).contains("bücher"),
                "{asked:?}"
            );
            let reply = locked(&server_side).reply(&asked);
            reply.map(|reply| answers.route(reply));
        }
    });
    let settings = Settings {
        admins: vec![account("admin@bücher.example")],
        ..settings(Some(COOKIE))
    };
    let server = XmppServer::new(asker, settings);
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    assert!(server.take(&grant(wire_name)));
    let mut standing = server.standing();
    standing.wait_for(|standing| standing.probed).await.unwrap();
    let whom = "alice@bücher.example";
    assert_eq!(server.enforce(&ban(whom)).await, Ok(Held::Enforced));
    assert!(locked(&fake).is_banned(&alice) && !locked(&fake).online.contains(&alice));
    assert_eq!(exists(&server, whom).await, Existence::Exists);
    assert_eq!(server.release(&ban(whom).subject).await, Ok(()));
    assert!(!locked(&fake).is_banned(&alice));

    let from = Jid::new(&format!("{wire_name}/portcullis")).unwrap();
    server.heard(&from, hook::Hello::default(), 0, Timestamp::from_millis(0));
    locked(&fake).online.insert(alice.clone());
    assert_eq!(server.enforce(&ban(whom)).await, Ok(Held::Enforced));
    assert!(
        !locked(&fake).online.contains(&alice),
        "kicked by the module"
    );
    assert!(locked(&fake).log.contains(&format!("hash {alice}")));
}

#[tokio::test(start_paused = true)]
async fn a_host_lists_its_own_accounts_and_a_record_without_the_servers_hash_is_nobodys_ban() {
    for (cookie, module) in [(Some(COOKIE), false), (None, true), (None, false)] {
        let fake = fake(Make::Ejabberd26);
        locked(&fake).listed = vec!["alice@localhost".into(), "victim@evil.example".into()];
        let server = ready(&fake, cookie).await;
        if module {
            hello(&server, None);
        }
        let alice = account("alice@localhost");
        assert_eq!(server.banned_there().await, std::slice::from_ref(&alice));
        locked(&fake).forge("alice@localhost");
        assert_eq!(server.recorded(&alice).await, None, "she wrote it herself");
        locked(&fake).records.clear();
        locked(&fake)
            .command("disable-user", "alice@localhost")
            .unwrap();
        let told = server.recorded(&alice).await;
        assert_eq!(told.is_some(), cookie.is_some() || module);
    }
}

#[tokio::test(start_paused = true)]
async fn another_host_by_a_reload_gets_its_grants_by_a_new_connection() {
    let server = ready(&fake(Make::Ejabberd26), Some(COOKIE)).await;
    let admins = || vec![account("admin@localhost")];
    server.set_admins(admins(), None, Vec::new());
    let asked = tokio::time::timeout(Duration::from_secs(5), server.reconnect_wanted());
    assert!(asked.await.is_err());
    server.set_admins(admins(), None, vec!["second.example".into()]);
    let asked = tokio::time::timeout(Duration::from_secs(5), server.reconnect_wanted());
    asked.await.unwrap();
    assert!(server.take(&grant("second.example")));
    server.set_admins(admins(), None, Vec::new());
    assert_eq!(
        server.state().grants.vhosts().collect::<Vec<_>>(),
        ["localhost"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_cookie_of_erlangs_own_making_is_warned_of_at_level_one() {
    for (cookie, warned) in [(COOKIE, false), ("ABCDEFGHIJKLMNOPQRST\n", true)] {
        let server = ready(&fake(Make::Ejabberd26), Some(cookie)).await;
        let told = |server: &XmppServer| {
            let standing = server.standing().borrow().clone();
            standing
                .gaps
                .iter()
                .any(|gap| gap.what.contains("Erlang made itself"))
        };
        assert_eq!(told(&server), warned);
        hello(&server, None);
        assert!(!told(&server), "with the module it matters less");
    }
}

#[tokio::test(start_paused = true)]
async fn silence_after_answers_asks_for_a_new_connection() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, Some(COOKIE)).await;
    locked(&fake).deaf = true;
    assert!(why(server.enforce(&ban("alice@localhost")).await).contains("did not answer"));
    tokio::time::timeout(Duration::from_secs(60), server.reconnect_wanted())
        .await
        .unwrap();
    assert_eq!(server.standing().borrow().level, 0);
    locked(&fake).deaf = false;
    server.link_down();
    server.link_up();
    server.take(&grant("localhost"));
    server
        .standing()
        .wait_for(|standing| standing.probed)
        .await
        .unwrap();
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_the_grants_of_the_one_before_asks_for_another() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, Some(COOKIE)).await;
    server.link_down();
    server.link_up();
    let asked = tokio::time::timeout(Duration::from_secs(120), server.reconnect_wanted()).await;
    assert!(
        asked.is_ok(),
        "the old connection took the new one's grants with it"
    );
}

#[tokio::test(start_paused = true)]
async fn rights_that_never_worked_are_tried_on_new_connections_less_and_less_often() {
    let fake = fake(Make::Ejabberd24);
    locked(&fake).deaf = true;
    let server = server(&fake, Some(COOKIE));
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    let mut waits = Vec::new();
    for _ in 0..3 {
        server.link_up();
        assert!(server.take(&grant("localhost")));
        let began = tokio::time::Instant::now();
        server.reconnect_wanted().await;
        waits.push(began.elapsed().as_secs());
        server.link_down();
    }
    assert!((300..600).contains(&waits[0]), "{waits:?}");
    assert!((600..1_200).contains(&waits[1]), "{waits:?}");
    assert!((1_200..2_400).contains(&waits[2]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_granted_anything_is_not_asked_again_and_again() {
    let server = server(&fake(Make::Ejabberd26), Some(COOKIE));
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    server.link_up();
    let asked = tokio::time::timeout(Duration::from_secs(3_600), server.reconnect_wanted()).await;
    assert!(asked.is_err());
}

fn hello(server: &XmppServer, trouble: Option<&str>) {
    let hello = hook::Hello {
        software: "ejabberd".into(),
        version: "26.07".into(),
        module: "1.0.0".into(),
        node: "n1".into(),
        trouble: trouble.map(str::to_owned),
        ..hook::Hello::default()
    };
    let now = Timestamp::from_millis(0);
    server.heard(&Jid::new("localhost/portcullis").unwrap(), hello, 0, now);
}

#[tokio::test(start_paused = true)]
async fn with_the_module_the_cookie_stays_on_the_server_and_kicks_have_the_reason() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    hello(&server, None);
    let standing = server.standing().borrow().clone();
    assert_eq!(
        (standing.level, standing.gaps.len()),
        (2, 0),
        "{standing:?}"
    );
    assert_eq!(
        server.enforce(&ban("alice@localhost")).await,
        Ok(Held::Enforced)
    );
    assert!(locked(&fake).is_banned("alice@localhost"));
    let log = std::mem::take(&mut locked(&fake).log);
    let steps: Vec<_> = log
        .iter()
        .filter(|step| !step.starts_with("user-stats"))
        .collect();
    assert_eq!(
        steps,
        [
            "kick alice@localhost",
            "hash alice@localhost",
            "write alice@localhost",
            "kick alice@localhost"
        ]
    );
    for (whom, kicked) in [
        ("192.0.2.7", true),
        ("alice@localhost from 192.0.2.7", false),
        ("guard of alice@localhost", false),
    ] {
        assert_eq!(
            server.enforce(&ban(whom)).await,
            Ok(Held::Enforced),
            "{whom}"
        );
        let log = std::mem::take(&mut locked(&fake).log);
        assert_eq!(log == ["kick 192.0.2.7"], kicked, "{whom}: {log:?}");
    }
    locked(&fake).deaf = true;
    assert!(why(server.enforce(&ban("192.0.2.7")).await).contains("did not answer"));
}

#[tokio::test(start_paused = true)]
async fn the_module_alone_is_enough_on_prosody() {
    let fake = fake(Make::Prosody);
    let server = server(&fake, None);
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    locked(&fake).can_disable = false;
    server.link_up();
    let mut standing = server.standing();
    standing.wait_for(|standing| standing.probed).await.unwrap();
    hello(&server, None);
    assert_eq!(standing.borrow().level, 2);
    let banned = server.enforce(&ban("alice@localhost")).await;
    assert_eq!(banned, Ok(Held::Enforced));
    assert!(locked(&fake).disabled.is_empty());
    assert!(
        !locked(&fake)
            .log
            .iter()
            .any(|step| step.starts_with("disable"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_module_in_trouble_is_shown_and_a_silent_one_is_missed() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    assert!(
        server.standing().borrow().gaps[0]
            .remedy
            .contains("module_install")
    );
    hello(&server, Some("the table of held bans was gone"));
    let told = server.standing().borrow().clone();
    assert!(
        told.gaps[0]
            .what
            .contains("the table of held bans was gone"),
        "{told:?}"
    );
    let (_tell, news) = watch::channel(Seq(0));
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&server).tell_news(|| "e".into(), news, stop.clone()));
    sleep(Duration::from_secs(150)).await;
    assert_eq!(server.standing().borrow().level, 2);
    sleep(Duration::from_secs(60)).await;
    let told = server.standing().borrow().clone();
    assert_eq!(told.level, 1, "{told:?}");
    assert!(
        told.gaps[0].what.contains("is not on localhost"),
        "{told:?}"
    );
    assert_eq!(
        server.enforce(&ban("192.0.2.7")).await,
        Ok(Held::NeedsModule)
    );
}

#[tokio::test(start_paused = true)]
async fn news_reach_a_module_at_once_and_a_burst_of_them_as_one() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    hello(&server, None);
    let (tell, news) = watch::channel(Seq(0));
    let stop = CancellationToken::new();
    tokio::spawn(Arc::clone(&server).tell_news(|| "e".into(), news, stop.clone()));
    sleep(Duration::from_millis(10)).await;
    for seq in 1..=100 {
        tell.send_replace(Seq(seq));
        sleep(Duration::from_micros(100)).await;
    }
    sleep(Duration::from_millis(100)).await;
    let told = locked(&fake)
        .log
        .iter()
        .filter(|step| step.starts_with("news"))
        .count();
    assert!((1..=2).contains(&told), "{told}");
    tell.send_replace(Seq(101));
    sleep(Duration::from_millis(100)).await;
    let again = locked(&fake)
        .log
        .iter()
        .filter(|step| step.starts_with("news"))
        .count();
    assert_eq!(again, told + 1);
}

#[tokio::test(start_paused = true)]
async fn one_session_is_ended_by_its_full_jid_and_never_all_instead() {
    for make in [Make::Ejabberd26, Make::Prosody] {
        let fake = fake(make);
        let server = ready(&fake, None).await;
        // A module would end all sessions of an account, so it is not asked.
        hello(&server, None);
        let alice = account("alice@localhost");
        locked(&fake).log.clear();
        locked(&fake).tells_sessions = false;
        assert_eq!(server.end_session(&alice, "my phone").await, Ok(None));
        let log = std::mem::take(&mut locked(&fake).log);
        let ended: Vec<&String> = log
            .iter()
            .filter(|step| !step.starts_with("user-stats"))
            .collect();
        assert_eq!(
            ended,
            ["end-user-session alice@localhost/my phone"],
            "{log:?}"
        );
        // The server reports its sessions: nothing is done for one that does not exist.
        locked(&fake).lingering = Some(100);
        assert_eq!(server.end_session(&alice, "my phone").await, Ok(Some(0)));
        assert_eq!(server.end_session(&alice, "phone").await, Ok(Some(1)));
        let log = std::mem::take(&mut locked(&fake).log);
        let ended: Vec<&String> = log
            .iter()
            .filter(|step| !step.starts_with("user-stats"))
            .collect();
        assert_eq!(ended, ["end-user-session alice@localhost/phone"], "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_the_server_has_no_command_for_it_one_session_stays_and_that_is_told() {
    let fake = fake(Make::Ejabberd26);
    locked(&fake).can_end = false;
    let server = ready(&fake, None).await;
    hello(&server, None);
    locked(&fake).log.clear();
    let alice = account("alice@localhost");
    let told = server.end_session(&alice, "phone").await.unwrap_err().0;
    assert!(
        told.contains("does not let portcullis end single sessions"),
        "{told}"
    );
    assert_eq!(locked(&fake).log, Vec::<String>::new());
}

/// The module lets her in again, but the record of the ban would refuse her for ever.
#[tokio::test(start_paused = true)]
async fn an_unban_while_the_rights_are_withdrawn_waits_until_they_are_back() {
    let fake = fake(Make::Ejabberd24);
    let server = ready(&fake, Some(COOKIE)).await;
    hello(&server, None);
    let banned = ban("alice@localhost");
    assert_eq!(server.enforce(&banned).await, Ok(Held::Enforced));
    assert!(locked(&fake).is_banned("alice@localhost"));
    let again = async |is_granted: bool| {
        server.link_down();
        server.link_up();
        if is_granted {
            assert!(server.take(&grant("localhost")));
        }
        hello(&server, None);
        let mut standing = server.standing();
        standing.wait_for(|standing| standing.probed).await.unwrap();
    };
    again(false).await;
    let why = server.release(&banned.subject).await.unwrap_err().0;
    assert!(why.contains("any more"), "{why}");
    again(true).await;
    assert_eq!(server.release(&banned.subject).await, Ok(()));
    assert!(!locked(&fake).is_banned("alice@localhost"));
}

/// A program that was started after that has never seen the rights, but the record is there.
#[tokio::test(start_paused = true)]
async fn an_unban_after_a_restart_without_rights_waits_for_what_a_ban_left() {
    let fake = fake(Make::Ejabberd24);
    let banned = ban("alice@localhost");
    let before = ready(&fake, Some(COOKIE)).await;
    assert_eq!(before.enforce(&banned).await, Ok(Held::Enforced));
    let server = server(&fake, Some(COOKIE));
    tokio::spawn(Arc::clone(&server).run(CancellationToken::new()));
    let again = async |is_granted: bool| {
        server.link_down();
        server.link_up();
        if is_granted {
            assert!(server.take(&grant("localhost")));
        }
        hello(&server, None);
        let mut standing = server.standing();
        standing.wait_for(|standing| standing.probed).await.unwrap();
    };
    again(false).await;
    let why = server.release(&banned.subject).await.unwrap_err().0;
    assert!(why.contains("may still be refused"), "{why}");
    let bob = ban("bob@localhost").subject;
    assert_eq!(server.release(&bob).await, Ok(()), "nothing was left there");
    again(true).await;
    assert_eq!(server.release(&banned.subject).await, Ok(()));
    assert!(!locked(&fake).is_banned("alice@localhost"));
}

#[tokio::test(start_paused = true)]
async fn the_module_is_asked_what_the_server_itself_refuses() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    let alice = account("alice@localhost");
    let away = server.refusals(Some(&alice), &[]).await;
    assert_eq!(away.asked, ServerAsked::NoModule);
    assert_eq!(server.unblock("192.0.2.7/32".parse().unwrap()).await, None);
    hello(&server, None);
    let places = ["192.0.2.7", "192.0.2.8"].map(|place| place.parse().unwrap());
    locked(&fake).log.clear();
    let told = server.refusals(Some(&alice), &places).await;
    let held = ServerRefusal::Fail2ban {
        address: places[0],
        until: Timestamp::parse("2030-01-01T12:00:00Z"),
    };
    assert_eq!((told.asked, told.found), (ServerAsked::Yes, vec![held]));
    assert_eq!(told.left_out, ["access"], "once");
    assert_eq!(
        std::mem::take(&mut locked(&fake).log),
        ["refusals alice@localhost", "refusals alice@localhost"]
    );
    assert_eq!(
        server.unblock("192.0.2.0/24".parse().unwrap()).await,
        Some(2)
    );
    let many: Vec<IpAddr> = (1..=6).map(|last| [198, 51, 100, last].into()).collect();
    locked(&fake).log.clear();
    let told = server.refusals(Some(&alice), &many).await;
    assert_eq!((locked(&fake).log.len(), told.more_addresses), (4, 2));
    locked(&fake).is_old_module = true;
    let old = server.refusals(None, &places).await;
    assert_eq!((old.asked, old.found.len()), (ServerAsked::TooOld, 0));
    locked(&fake).deaf = true;
    let silent = server.refusals(None, &places).await;
    assert_eq!((silent.asked, silent.found.len()), (ServerAsked::Silent, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_under_our_seal_is_not_taken_for_a_ban_by_the_server() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    hello(&server, None);
    let (alice, bob) = (account("alice@localhost"), account("bob@localhost"));
    let ban = ban("alice@localhost");
    assert_eq!(server.enforce(&ban).await, Ok(Held::Enforced));
    let ours = server.refusals(Some(&alice), &[]).await.found;
    assert_eq!(ours, [ServerRefusal::OurRecord { ban: ban.id }]);
    let record = locked(&fake).records["alice@localhost"].clone();
    locked(&fake).records.insert("bob@localhost".into(), record);
    let other = server.refusals(Some(&bob), &[]).await.found;
    assert_eq!(
        other,
        [ServerRefusal::OwnBan {
            reason: "by hand".into()
        }],
        "the seal is that of another account"
    );
}

#[tokio::test(start_paused = true)]
async fn other_modules_and_domains_without_a_name_are_warned_of() {
    let fake = fake(Make::Ejabberd26);
    let server = ready(&fake, None).await;
    hello(&server, None);
    assert!(server.standing().borrow().warnings.is_empty());
    let beside = hook::Hello {
        node: "n1".into(),
        beside: vec!["mod_fail2ban".into()],
        ..hook::Hello::default()
    };
    let from = Jid::new("localhost/portcullis").unwrap();
    server.heard(&from, beside, 0, Timestamp::from_millis(0));
    server.doubts(&Jid::new("second.test/portcullis").unwrap());
    server.doubts(&Jid::new("a\u{22}]b.test/portcullis").unwrap_or(from));
    let warnings = server.standing().borrow().warnings.clone();
    let what: Vec<&str> = warnings.iter().map(|gap| gap.what.as_str()).collect();
    assert_eq!(what.len(), 2, "{what:?}");
    assert!(what[0].starts_with("mod_fail2ban runs beside portcullis on localhost"));
    assert!(warnings[0].remedy.contains("unban_ip"));
    assert!(what[1].starts_with("second.test spoke to portcullis"));
    assert!(warnings[1].remedy.contains("hosts = [\"second.test\"]"));
    // The next connection begins anew, and what is named by then needs no warning.
    server.link_down();
    server.link_up();
    assert!(server.standing().borrow().warnings.is_empty());
}
