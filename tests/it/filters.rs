//! Commands that look at many bans: filters of lists, and paging.

use minidom::Element;
use portcullis::core::{Account, BanRuling, Intent, Rights, Role, Ruling, Seq};
use portcullis::front::Roles;
use portcullis::journal::Replica as _;
use xmpp_parsers::jid::Jid;

use crate::support::bot::{ADMIN, Bot, MODERATOR, NS_DATA, form, note, submit};

/// The first line of an answer. Waits first, so that the rate limit does not apply.
async fn first(bot: &Bot, line: &str) -> String {
    bot.pass(1);
    let text = bot.chat(ADMIN, line).await;
    text.lines().next().unwrap_or_default().to_owned()
}

/// Bans by hand of both admins and by a rule, some of them ended.
async fn some_bans() -> Bot {
    let bot = Bot::new();
    for line in [
        "ban spam@example.org 1h spam",
        "ban alice@example.org 3d loud",
        "ban bob@example.org from 203.0.113.7 forever x",
        "ban 203.0.113.0/24 1d flood",
        "attempt 198.51.100.9 5",
    ] {
        bot.chat(ADMIN, line).await;
    }
    bot.chat(MODERATOR, "ban carol@example.org 2d spam again")
        .await;
    bot
}

#[tokio::test(start_paused = true)]
async fn a_list_shows_bans_that_match_all_filters() {
    let bot = some_bans().await;
    for (filter, found) in [
        ("", "Bans 1-6 of 6."),
        ("account", "Matching bans 1-3 of 3."),
        ("pairs", "Matching bans 1-1 of 1."),
        ("by:mod", "Matching bans 1-1 of 1."),
        ("origin:hand", "Matching bans 1-5 of 5."),
        ("origin:rule", "Matching bans 1-1 of 1."),
        ("origin:import", "No ban matches."),
        ("rule:address-failures", "Matching bans 1-1 of 1."),
        ("expiring:2h", "Matching bans 1-2 of 2."),
        ("expiring:1d", "Matching bans 1-3 of 3."),
        ("account expiring:1d", "Matching bans 1-1 of 1."),
        ("spam", "Matching bans 1-2 of 2."),
        ("spam by:admin", "Matching bans 1-1 of 1."),
        ("bob@example.org", "Matching bans 1-1 of 1."),
        ("203.0.113.7", "Matching bans 1-2 of 2."),
        ("203.0.0.0/16", "Matching bans 1-2 of 2."),
        (
            "bob@example.org from 203.0.113.7",
            "Matching bans 1-1 of 1.",
        ),
        ("#2..4", "Matching bans 1-3 of 3."),
        ("state:any", "Matching bans 1-6 of 6."),
        ("state:ended", "No ban matches."),
        ("state:pending", "No ban matches."),
        ("state:ended state:in-force", "No ban matches."),
    ] {
        let line = format!("list {filter}");
        assert_eq!(first(&bot, line.trim()).await, found, "{line}");
    }
    for wrong in [
        "origin:mars",
        "state:over",
        "since:now",
        "expiring:5",
        "#a..b",
    ] {
        bot.pass(11);
        let text = bot.chat(ADMIN, &format!("list {wrong}")).await;
        assert!(
            text.contains("Nothing was done. Write: list [FILTER] [PAGE]"),
            "{text}"
        );
    }
    let text = bot.chat(ADMIN, "list color:red shape:round").await;
    assert!(
        text.contains("“color:red”") && text.contains("“shape:round”"),
        "all at once: {text}"
    );
}

#[tokio::test(start_paused = true)]
async fn pending_bans_can_be_listed() {
    let server = crate::support::FakeServer::new(true);
    server
        .failures
        .store(1, std::sync::atomic::Ordering::SeqCst);
    let bot = Bot::with(server);
    bot.chat(ADMIN, "ban a@example.org 1h x").await;
    bot.chat(ADMIN, "ban b@example.org 1h x").await;
    let text = bot.chat(ADMIN, "list state:pending").await;
    assert!(
        text.starts_with("Matching bans 1-1 of 1.\n#1 a@example.org: until"),
        "{text}"
    );
    assert!(text.contains("(not carried out yet)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_un_ban_of_what_is_pending_ends_those_bans_and_no_others() {
    let server = crate::support::FakeServer::new(true);
    server
        .failures
        .store(1, std::sync::atomic::Ordering::SeqCst);
    let bot = Bot::with(server);
    bot.chat(ADMIN, "ban a@example.org 1h x").await;
    bot.chat(ADMIN, "ban b@example.org 1h x").await;
    let text = bot.chat(ADMIN, "unban all state:pending").await;
    assert!(text.contains("End 1 ban"), "{text}");
    let text = bot.chat(ADMIN, "yes").await;
    assert!(text.contains("1 of 1"), "{text}");
    bot.pass(1);
    let text = bot.chat(ADMIN, "list").await;
    assert!(
        text.starts_with("Bans 1-1 of 1.\n#2 b@example.org"),
        "{text}"
    );
    // Once the server has nothing left to do, nothing is pending.
    tokio::time::sleep(std::time::Duration::from_secs(600)).await;
    bot.pass(1);
    let text = bot.chat(ADMIN, "unban all state:pending").await;
    assert!(text.starts_with("No ban in force matches"), "{text}");
    assert_eq!(first(&bot, "list").await, "Bans 1-1 of 1.");
}

#[tokio::test(start_paused = true)]
async fn bans_that_ended_are_listed_with_how_they_ended_newest_end_first() {
    let bot = some_bans().await;
    bot.chat(ADMIN, "ban #2 4d louder").await;
    bot.chat(ADMIN, "unban #2 sorry").await;
    bot.pass(2 * 3_600);
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    bot.chat(ADMIN, "allow 203.0.113.0/24 office").await;
    bot.chat(ADMIN, "ban alice@example.org 5d once more").await;
    assert_eq!(
        bot.chat(ADMIN, "list state:ended").await,
        "Matching bans 1-5 of 5.\n\
         #4 203.0.113.0/24: ended 2026-11-22 06:00 UTC, by admin@example.org; it was by admin@example.org: flood.\n\
         #3 bob@example.org from 203.0.113.7: ended 2026-11-22 06:00 UTC, by admin@example.org; it was by admin@example.org: x.\n\
         #1 spam@example.org: ended 2026-11-22 05:00 UTC, its time was over; it was by admin@example.org: spam.\n\
         #5 198.51.100.9: ended 2026-11-22 04:30 UTC, its time was over; it was by the rule address-failures (on a command of admin@example.org): too many failed logins from this address.\n\
         #2 alice@example.org: ended 2026-11-22 04:00 UTC, by admin@example.org; it was by admin@example.org: louder."
    );
    assert_eq!(
        first(&bot, "list state:ended louder").await,
        "Matching bans 1-1 of 1."
    );
    assert_eq!(
        first(&bot, "list state:ended origin:rule").await,
        "Matching bans 1-1 of 1."
    );
    assert_eq!(
        first(&bot, "list state:any alice@example.org").await,
        "Matching bans 1-2 of 2."
    );
}

#[tokio::test(start_paused = true)]
async fn next_and_previous_turn_the_pages_of_ones_own_last_list() {
    let bot = Bot::new();
    for n in 1..=23 {
        bot.chat(ADMIN, &format!("ban u{n}@example.org 1d x{}", n % 2))
            .await;
        bot.pass(11);
    }
    assert_eq!(
        first(&bot, "next").await,
        "There is no list to turn a page of. Write list, failures or allowed first."
    );
    let text = bot.chat(ADMIN, "list x1").await;
    assert!(text.ends_with("More: next, or list x1 2"), "{text}");
    assert_eq!(first(&bot, "next").await, "Matching bans 11-12 of 12.");
    assert_eq!(first(&bot, "Next").await, "That was the last page.");
    assert_eq!(first(&bot, "previous").await, "Matching bans 1-10 of 12.");
    assert_eq!(first(&bot, "previous").await, "That was the first page.");
    // Another person's list does not matter, and neither does another command in between.
    assert!(
        bot.chat(MODERATOR, "next")
            .await
            .contains("no list to turn")
    );
    bot.chat(ADMIN, "show #1").await;
    assert_eq!(first(&bot, "next").await, "Matching bans 11-12 of 12.");
    bot.pass(60);
    bot.chat(ADMIN, "failures").await;
    assert_eq!(first(&bot, "next").await, "That was the last page.");
    // A person whose role was taken away can no longer page.
    bot.chat(ADMIN, "list").await;
    bot.bot.set_roles(crate::support::bot::roles(&[], &[]));
    assert!(
        bot.chat(ADMIN, "next")
            .await
            .starts_with("This is portcullis")
    );
}

#[tokio::test(start_paused = true)]
async fn the_fields_of_a_list_say_the_same_as_its_words() {
    let bot = some_bans().await;
    let shown = bot.command(ADMIN, "node='list'", "").await;
    let fields: Vec<(String, String)> = form(&shown)
        .children()
        .filter(|child| child.name() == "field")
        .map(|field| {
            let attr = |name| field.attr(name).unwrap_or_default().to_owned();
            (attr("var"), attr("type"))
        })
        .collect();
    let expected = [
        ("FORM_TYPE", "hidden"),
        ("filter", "text-single"),
        ("kind", "list-single"),
        ("state", "list-single"),
        ("origin", "list-single"),
        ("by", "text-single"),
        ("expiring", "text-single"),
        ("page", "text-single"),
        ("table", "boolean"),
    ];
    assert_eq!(
        fields,
        expected.map(|(var, kind)| (var.to_owned(), kind.to_owned()))
    );
    let list = async |fields: &[(&str, &[&str])]| {
        note(&bot.command(ADMIN, "node='list'", &submit(fields)).await)
    };
    // As a client sends an untouched form.
    let untouched: &[(&str, &[&str])] = &[
        ("filter", &[""]),
        ("kind", &["any"]),
        ("state", &["in-force"]),
        ("origin", &["any"]),
        ("by", &[]),
        ("expiring", &[" "]),
        ("page", &[]),
        ("table", &["0"]),
    ];
    assert_eq!(list(untouched).await, "Bans 1-6 of 6.");
    assert_eq!(
        list(&[("kind", &["account"]), ("by", &["mod"])]).await,
        "Matching bans 1-1 of 1."
    );
    assert_eq!(
        list(&[("expiring", &["1 d"]), ("origin", &["hand"])]).await,
        "Matching bans 1-2 of 2."
    );
    let wrong = bot
        .command(
            ADMIN,
            "node='list'",
            &submit(&[("kind", &["account"]), ("origin", &["mars"])]),
        )
        .await;
    assert_eq!(wrong.attr("status"), Some("executing"));
    assert!(
        note(&wrong).contains("There is no filter “origin:mars”"),
        "{}",
        note(&wrong)
    );
    let kept: Vec<String> = form(&wrong)
        .children()
        .filter(|field| field.attr("var") == Some("kind"))
        .flat_map(Element::children)
        .filter(|value| value.name() == "value")
        .map(Element::text)
        .collect();
    assert_eq!(kept, ["account"]);
    let page = form(&shown)
        .children()
        .find(|field| field.attr("var") == Some("page"))
        .unwrap();
    let hint = page
        .get_child("validate", "http://jabber.org/protocol/xdata-validate")
        .unwrap();
    assert_eq!(hint.attr("datatype"), Some("xs:integer"));
    assert!(form(&shown).has_child("title", NS_DATA));
}

#[tokio::test(start_paused = true)]
async fn an_unban_by_filter_asks_with_a_count_and_ends_only_those() {
    let bot = some_bans().await;
    assert_eq!(
        bot.chat(ADMIN, "unban all account spam \"the list was wrong\"")
            .await,
        "Nothing is done yet. End 2 bans in force (2 accounts).\n\
         The filter: “account spam”.\n\
         These are: #6 carol@example.org, #1 spam@example.org\n\
         Answer yes within 2 minutes to do it; anything else drops it."
    );
    // A ban that begins before the yes was not part of the question.
    bot.chat(MODERATOR, "ban dave@example.org 1h spam").await;
    assert_eq!(
        bot.chat(ADMIN, "yes").await,
        "Un-banned 2 of 2. The filter: “account spam #..6”.\n\
         portcullis no longer refuses them. Whether the server itself refuses some of them was not asked.\n\
         Undo: undo #6 #1"
    );
    assert_eq!(first(&bot, "list spam").await, "Matching bans 1-1 of 1.");
    let text = bot.chat(ADMIN, "show carol@example.org").await;
    assert!(
        text.contains("un-banned by admin@example.org/desk (chat): the list was wrong."),
        "{text}"
    );
    bot.pass(11);
    for (line, part) in [
        ("unban all", "All of what?"),
        ("unban all state:ended", "Only bans in force can be ended"),
        ("unban all origin:mars", "There is no filter “origin:mars”"),
        ("unban all nobody", "No ban in force matches: nobody"),
        ("unban", "Say whom"),
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(text.contains(part), "{line}: {text}");
    }
    let both = submit(&[("subject", &["#1"]), ("filter", &["spam"])]);
    let again = bot.command(ADMIN, "node='unban'", &both).await;
    assert!(note(&again).contains("not both"), "{}", note(&again));
}

#[tokio::test(start_paused = true)]
async fn an_unban_by_filter_goes_through_the_form_and_says_whom_one_may_not_unban() {
    let bot = some_bans().await;
    let filled = submit(&[("subject", &[""]), ("filter", &["#1..4"]), ("reason", &[])]);
    let asked = bot.command(MODERATOR, "node='unban'", &filled).await;
    assert_eq!(asked.attr("status"), Some("executing"));
    let said = note(&asked);
    assert!(
        said.contains("End 4 bans in force (2 accounts, 1 network, 1 pair)."),
        "{said}"
    );
    assert!(said.contains("2 of them will stay: "), "{said}");
    assert!(said.contains("needs the role admin"), "{said}");
    let id = asked.attr("sessionid").unwrap();
    let back = bot
        .command(
            MODERATOR,
            &format!("node='unban' sessionid='{id}' action='prev'"),
            "",
        )
        .await;
    let kept: Vec<String> = form(&back)
        .children()
        .filter(|field| field.attr("var") == Some("filter"))
        .flat_map(Element::children)
        .filter(|value| value.name() == "value")
        .map(Element::text)
        .collect();
    assert_eq!(kept, ["#1..4"], "as it was filled in");
    bot.command(
        MODERATOR,
        &format!("node='unban' sessionid='{id}' action='complete'"),
        &filled,
    )
    .await;
    let done = bot
        .command(
            MODERATOR,
            &format!("node='unban' sessionid='{id}' action='complete'"),
            "",
        )
        .await;
    assert_eq!(done.attr("status"), Some("completed"));
    let said = note(&done);
    assert!(
        said.starts_with("Un-banned 2 of 4. The filter: “#1..4 #..4”."),
        "{said}"
    );
    assert!(
        said.contains("1 FAILED (203.0.113.0/24): Ending or changing the ban of a network needs the role admin."),
        "{said}"
    );
    assert!(
        said.contains("1 FAILED (bob@example.org from 203.0.113.7): "),
        "{said}"
    );
    assert_eq!(first(&bot, "list").await, "Bans 1-4 of 4.");
}

#[tokio::test(start_paused = true)]
async fn an_unban_by_filter_is_taken_back_by_its_own_name() {
    let bot = Bot::new();
    for n in 0..7 {
        bot.chat(ADMIN, &format!("ban u{n}@example.org 1d spam"))
            .await;
    }
    bot.chat(ADMIN, "unban all spam").await;
    let text = bot.chat(ADMIN, "yes").await;
    let (_, undo) = text.rsplit_once("\nUndo: ").unwrap();
    assert!(undo.starts_with("undo command:"), "{text}");
    bot.pass(11);
    bot.chat(ADMIN, "ban other@example.org 1d loud").await;
    let asked = bot.chat(ADMIN, undo).await;
    assert!(
        asked.starts_with("Nothing is done yet. Undo 7 things?"),
        "{asked}"
    );
    bot.chat(ADMIN, "yes").await;
    assert_eq!(first(&bot, "list spam").await, "Matching bans 1-7 of 7.");
    assert_eq!(first(&bot, "list loud").await, "Matching bans 1-1 of 1.");
}

#[tokio::test(start_paused = true)]
async fn an_unban_of_all_does_not_overrule_another_admin() {
    // More than one batch: the last orders are submitted some time after the filter was applied.
    const MANY: usize = 9_000;
    let bot = Bot::new();
    let ban = |n: usize, term: &str| {
        let what = portcullis::core::Action::Ban(portcullis::core::BanOrder::Impose {
            term: portcullis::core::Term::parse(term).ok(),
            reason: Some("import".into()),
            note: None,
        });
        crate::support::order(&format!("u{n}@example.org"), what)
    };
    let bans = (0..MANY).map(|n| ban(n, "1d")).collect();
    bot.world.engine.submit(bans).await;
    bot.chat(ADMIN, "unban all import").await;
    let Intent::Order(mut longer) = ban(0, "2d") else {
        panic!("no order")
    };
    longer.actor.name = "other@example.org/y".into();
    let (text, other) = tokio::join!(bot.chat(ADMIN, "yes"), bot.world.engine.submit_one(longer),);
    assert!(
        matches!(other, Ok(Ruling::Ban(BanRuling::Amended { .. }))),
        "{other:?}"
    );
    assert!(text.starts_with("Un-banned 8999 of 9000"), "{text}");
    assert!(text.contains("other@example.org was first"), "{text}");
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 1);
}

#[tokio::test(start_paused = true)]
async fn many_unbans_are_one_call_with_one_answer() {
    let bot = Bot::new();
    let reports = (0..3_000)
        .map(|n| {
            let what = portcullis::core::Action::Ban(portcullis::core::BanOrder::Impose {
                term: None,
                reason: Some("import".into()),
                note: None,
            });
            crate::support::order(&format!("u{n}@example.org"), what)
        })
        .collect();
    bot.world.engine.submit(reports).await;
    let text = bot.chat(ADMIN, "unban all import").await;
    assert!(text.contains("End 3000 bans in force"), "{text}");
    assert!(
        text.contains("The newest of them: #3000 u2999@example.org, "),
        "{text}"
    );
    let text = bot.chat(ADMIN, "yes").await;
    assert!(text.starts_with("Un-banned 3000 of 3000"), "{text}");
    let (_, undo) = text.rsplit_once("\nUndo: ").unwrap();
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
    let text = bot.chat(ADMIN, "list state:ended").await;
    assert!(
        text.starts_with("Matching bans 1-10 of 2000.\nOf those that ended, only the last 2000"),
        "{text}"
    );
    let text = bot.chat(ADMIN, "show u7@example.org").await;
    assert!(
        text.contains("one of 3000 un-banned by filter: import #..3000."),
        "{text}"
    );
    // Everything is restored except what was changed since, and nothing else is touched.
    bot.pass(11);
    bot.chat(MODERATOR, "ban u7@example.org 2d again").await;
    bot.chat(MODERATOR, "ban v@example.org 2d new").await;
    let before = bot.world.store.read(Seq(1), 1_000_000).unwrap().len();
    let text = bot.chat(ADMIN, undo).await;
    assert_eq!(
        text.lines().next(),
        Some("Nothing is done yet. Undo 2999 things? The newest 20 of them:"),
        "{text}"
    );
    bot.chat(MODERATOR, "note u8@example.org changed before the yes")
        .await;
    let text = bot.chat(ADMIN, "yes").await;
    let command = undo.strip_prefix("undo ").unwrap();
    assert!(
        text.starts_with(&format!("Undone: 2998 of 2998, all that {command} did.")),
        "{text}"
    );
    bot.pass(11);
    let (_, redo) = text.rsplit_once("\nUndo: ").unwrap();
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 3_000);
    let entries = bot.world.store.read(Seq(1), 1_000_000).unwrap();
    assert_eq!(entries.len(), before + 1 + 2_998);
    let text = bot.chat(ADMIN, "show u7@example.org").await;
    assert!(text.contains("2 days") && text.contains("again"), "{text}");
    // The undo can be undone, by its id or as the last command.
    assert!(bot.chat(ADMIN, "undo").await.contains("Undo 2998 things?"));
    bot.chat(ADMIN, "no").await;
    bot.chat(ADMIN, redo).await;
    let text = bot.chat(ADMIN, "yes").await;
    assert!(text.starts_with("Undone: 2998 of 2998"), "{text}");
    assert_eq!(bot.world.engine.read(|ledger| ledger.bans().len()), 2);
    let text = bot.chat(ADMIN, undo).await;
    assert!(text.starts_with("There is nothing of command:"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_nodes_of_the_standard_take_the_road_of_our_commands() {
    const NODE: &str = "http://jabber.org/protocol/admin#";
    let bot = Bot::new();
    let run = async |who, name: &str, fields: &[(&str, &[&str])]| {
        bot.command(who, &format!("node='{NODE}{name}'"), &submit(fields))
            .await
    };
    let shown = bot
        .command(ADMIN, &format!("node='{NODE}disable-user'"), "")
        .await;
    let asked = form(&shown)
        .children()
        .find(|field| field.attr("var") == Some("accountjids"))
        .unwrap();
    assert_eq!(asked.attr("type"), Some("jid-multi"));
    assert!(asked.has_child("required", NS_DATA));
    assert_eq!(
        field_of(&shown, "FORM_TYPE"),
        ["http://jabber.org/protocol/admin"]
    );

    let two: &[&str] = &["spam@example.org", "Eve@Example.org/phone"];
    let done = run(ADMIN, "disable-user", &[("accountjids", two)]).await;
    assert_eq!(done.attr("status"), Some("completed"));
    assert!(
        note(&done).ends_with(
            "The whole account is meant; the resource was left out of Eve@Example.org/phone · Undo: undo #1 #2"
        ),
        "{}",
        note(&done)
    );
    assert_eq!(
        bot.world.server.done(),
        ["ban #1 spam@example.org", "ban #2 eve@example.org"]
    );
    let number = run(MODERATOR, "get-disabled-users-num", &[]).await;
    assert_eq!(field_of(&number, "disabledusersnum"), ["2"]);
    let list = run(
        MODERATOR,
        "get-disabled-users-list",
        &[("max_items", &["none"])],
    )
    .await;
    assert_eq!(
        field_of(&list, "disableduserjids"),
        ["eve@example.org", "spam@example.org"]
    );
    let jids = form(&list)
        .children()
        .find(|field| field.attr("var") == Some("disableduserjids"))
        .unwrap();
    assert_eq!(jids.attr("type"), Some("jid-multi"));
    let done = run(ADMIN, "reenable-user", &[("accountjids", two)]).await;
    assert!(note(&done).starts_with("2 of 2 done."), "{}", note(&done));
    let list = run(ADMIN, "get-disabled-users-list", &[]).await;
    assert_eq!(field_of(&list, "disableduserjids"), Vec::<String>::new());

    // Refused as in our own commands: exempt, oneself, beyond the role, no account.
    for (who, jid, said) in [
        (ADMIN, "admin@example.org", "your own account"),
        (ADMIN, "203.0.113.7", "only accounts are taken"),
        (ADMIN, "example.org", "is a whole domain"),
        (ADMIN, "", "Say whom"),
    ] {
        let again = run(who, "disable-user", &[("accountjids", &[jid])]).await;
        assert_eq!(again.attr("status"), Some("executing"), "{jid}");
        assert!(note(&again).contains(said), "{jid}: {}", note(&again));
    }
    let done = run(
        MODERATOR,
        "disable-user",
        &[("accountjids", &["b@example.org"])],
    )
    .await;
    assert!(
        note(&done).contains("(30 days)"),
        "no longer than a moderator may: {}",
        note(&done)
    );
    let payload = format!("node='{NODE}get-disabled-users-num'");
    assert_eq!(
        bot.command_fault(crate::support::bot::STRANGER, &payload, "")
            .await,
        "forbidden"
    );
    assert_eq!(
        bot.command_fault(ADMIN, &format!("node='{NODE}shutdown'"), "")
            .await,
        "item-not-found"
    );
    // They exist as forms only.
    assert!(
        bot.chat(ADMIN, &format!("{NODE}disable-user a@example.org"))
            .await
            .contains("no command")
    );
}

fn field_of(command: &Element, var: &str) -> Vec<String> {
    let field = form(command)
        .children()
        .find(|field| field.attr("var") == Some(var));
    let values = field
        .expect(var)
        .children()
        .filter(|child| child.name() == "value");
    values.map(Element::text).collect()
}

#[tokio::test(start_paused = true)]
async fn policy_describes_the_settings_in_force() {
    let bot = Bot::new();
    let text = bot.chat(ADMIN, "policy").await;
    for line in [
        "6 rules in force.",
        "Your role: admin",
        "[ban] moderator_longest: of 30 days at most",
        "address-failures: 5 failures from one address within 10 minutes: strangers there are refused for 30 minutes, then 1 hour, 2 hours, 4 hours, … 7 days at most; failures of the known bad weigh more; half of the bans forgotten each 30 days; all 90 days after the last",
        "[exempt] networks, loopback: 127.0.0.0/8, ::1/128",
    ] {
        assert!(text.lines().any(|told| told == line), "{line}\n--\n{text}");
    }
    assert!(
        !bot.chat(MODERATOR, "policy")
            .await
            .contains("An admin also")
    );
}

#[tokio::test(start_paused = true)]
async fn rehearse_plays_the_recording_through_the_rules_as_they_are_or_changed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("attempts.jsonl");
    let line = |n: u32, kind: &str| {
        format!(
            "{{\"at\":\"2026-11-22T04:00:{n:02}Z\",\"kind\":\"{kind}\",\"account\":\"u{n}@example.org\",\"address\":\"203.0.113.7\"}}\n"
        )
    };
    std::fs::write(
        folder.path().join("attempts.jsonl.1"),
        (0..4).map(|n| line(n, "failure")).collect::<String>(),
    )
    .unwrap();
    std::fs::write(
        &file,
        (4..8).map(|n| line(n, "failure")).collect::<String>(),
    )
    .unwrap();
    let recorded = portcullis::rehearse::recorded::RecordingFiles {
        file: file.clone(),
        keep: 5,
    };
    let bot = Bot::recording(crate::support::FakeServer::new(true), Some(recorded));
    assert_eq!(
        bot.chat(ADMIN, "rehearse").await,
        "Rehearsed bans 1-1 of 1.\n\
         Played 8 lines of the recording, from 2026-11-22T04:00:00Z to 2026-11-22T04:00:07Z.\n\
         The rules would have made 1 ban of 1 subject (address-failures 1).\n\
         203.0.113.7: from 2026-11-22T04:00:04Z until 2026-11-22T04:30:04Z, by the rule address-failures, ban no. 1 of it."
    );
    let text = bot
        .chat(ADMIN, "rehearse address-failures limit=8 last=8")
        .await;
    assert!(
        text.contains("1 ban of 1 subject (address-failures 1); without the change 1 ban."),
        "{text}"
    );
    assert!(text.contains("from 2026-11-22T04:00:07Z"), "{text}");
    let text = bot.chat(ADMIN, "rehearse address-failures limit=9").await;
    assert!(
        text.starts_with("No ban would have been.") && text.contains("without the change 1 ban."),
        "{text}"
    );
    let text = bot.chat(ADMIN, "rehearse last=3").await;
    assert!(text.contains("Played the newest 3 lines"), "{text}");
    for (line, said) in [
        ("rehearse limit=9", "Say of which rule"),
        ("rehearse address-failures", "what should be other"),
        (
            "rehearse nobody limit=9",
            "The rules are pair-failures, address-failures",
        ),
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(text.contains(said), "{line}: {text}");
    }
    // Somebody limited to hosts sees what concerns them, and how much that is.
    let account = |text| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    bot.bot.set_roles(Roles::new([
        (account(ADMIN), Rights::everywhere(Role::Admin)),
        (account(MODERATOR), Rights::everywhere(Role::Moderator)),
        (
            account("local@a.example"),
            Rights::on(Role::Admin, ["a.example"]),
        ),
    ]));
    let failed = |n: u32, account: &str, from: u8| {
        format!(
            "{{\"at\":\"2026-11-22T04:01:{n:02}Z\",\"kind\":\"failure\",\"account\":\"{account}\",\"address\":\"203.0.113.{from}\"}}\n"
        )
    };
    let here = (0..10).map(|n| failed(n, "x@a.example", 7));
    let elsewhere = (10..20).map(|n| failed(n, "x@b.example", 8));
    std::fs::write(&file, here.chain(elsewhere).collect::<String>()).unwrap();
    let text = bot.chat("local@a.example/x", "rehearse last=20").await;
    assert!(text.contains("x@a.example from 203.0.113.7"), "{text}");
    assert!(
        text.contains("1 ban of 1 subject (pair-failures 1)."),
        "{text}"
    );
    assert!(
        !text.contains("b.example") && !text.contains("\n203.0.113"),
        "{text}"
    );
    let text = bot.chat(ADMIN, "rehearse last=20").await;
    assert!(text.contains("x@b.example from 203.0.113.8"), "{text}");
    // Nothing happened.
    assert_eq!(
        bot.chat(ADMIN, "failures").await,
        "No failed logins since the start."
    );
    assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
    std::fs::write(&file, "nonsense\n").unwrap();
    let text = bot.chat(ADMIN, "rehearse").await;
    assert!(
        text.contains("The recording holds a line that is no event"),
        "{text}"
    );
    let text = Bot::new().chat(ADMIN, "rehearse").await;
    assert!(text.contains("Set [record_attempts] file"), "{text}");
    assert!(
        bot.chat(MODERATOR, "rehearse").await.contains("role admin"),
        "admins only"
    );
}
