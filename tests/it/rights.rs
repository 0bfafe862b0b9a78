//! Who may do what, over whom: every command for every role, by form and by chat line.

use std::time::Duration;

use portcullis::command::{Place, Spec, permitted, specs};
use portcullis::core::{Account, Attempt, LoginOutcome, Policy, Rights, Role, Subject, Term};
use portcullis::front::Roles;
use xmpp_parsers::jid::Jid;

use crate::support::bot::{Bot, DOMAIN, NS_COMMANDS, note, submit};

const SOMEBODY: &str = "somebody@a.example/phone";

/// The bot, with one person who has these rights.
fn bot(rights: Rights) -> Bot {
    let bot = Bot::new();
    let account = |text| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    let admin = (account(ROOT), Rights::everywhere(Role::Admin));
    bot.bot
        .set_roles(Roles::new([admin, (account(SOMEBODY), rights)]));
    bot
}

const ROOT: &str = "root@root.example/x";

fn whom(spec: &Spec) -> Option<&'static str> {
    let places = [Place::Subjects, Place::Login];
    let field = spec
        .fields
        .iter()
        .find(|field| places.contains(&field.place));
    field.map(|field| field.name)
}

#[tokio::test(start_paused = true)]
async fn the_list_of_commands_and_their_execution_agree_for_every_role() {
    for role in Role::ALL {
        let bot = bot(Rights::everywhere(role));
        let query =
            format!("<query xmlns='http://jabber.org/protocol/disco#items' node='{NS_COMMANDS}'/>");
        let items = bot.iq("get", SOMEBODY, DOMAIN, &query).await;
        let query = items.children().next().unwrap();
        let listed: Vec<&str> = query
            .children()
            .filter_map(|item| item.attr("node"))
            .collect();
        let help = bot.chat(SOMEBODY, "help").await;
        for spec in specs() {
            let may = role >= spec.needs;
            assert_eq!(permitted(role).any(|one| one.name == spec.name), may);
            assert_eq!(
                listed.contains(&spec.name),
                may && spec.form,
                "{} for a {role}",
                spec.name
            );
            let node = format!("node='{}'", spec.name);
            if spec.form {
                let fault = bot.command_fault(SOMEBODY, &node, "").await;
                let wanted = if may { "" } else { "forbidden" };
                assert_eq!(fault, wanted, "{} for a {role}", spec.name);
            }
            // A stranger already got the sentence for strangers.
            let said = bot.chat(SOMEBODY, spec.name).await;
            let forbidden = format!(
                "You need the role {} for that. Nothing was done.",
                spec.needs
            );
            match (role, may) {
                (Role::Stranger, _) => assert_eq!(said, ""),
                (_, true) => assert_ne!(said, forbidden, "{}", spec.name),
                (_, false) => assert_eq!(said, forbidden, "{}", spec.name),
            }
            let told = help
                .lines()
                .any(|line| line.starts_with(&format!("{}:", spec.usage)));
            assert_eq!(told, may, "help of {} for a {role}", spec.name);
            bot.pass(11);
        }
        assert_eq!(bot.world.engine.read(|ledger| ledger.folded().0), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_role_limited_to_hosts_covers_only_their_accounts_in_every_command() {
    for role in [Role::Viewer, Role::Moderator, Role::Admin] {
        let bot = bot(Rights::on(role, ["a.example"]));
        bot.chat(ROOT, "ban 203.0.113.7 1d secret").await;
        bot.chat(ROOT, "ban x@b.example 1d secret").await;
        let before = bot.world.engine.read(|ledger| ledger.folded());
        let specs = permitted(role).filter_map(|spec| Some((spec, whom(spec)?)));
        for (spec, field) in specs {
            let name = spec.name;
            for (whom, why) in [
                (
                    "x@b.example",
                    format!(
                        "x@b.example: that needs the role {} on b.example. You are {role} on a.example.",
                        spec.needs
                    ),
                ),
                (
                    "203.0.113.7",
                    format!(
                        "203.0.113.7: addresses and networks concern every host, so that needs the role {} everywhere.",
                        spec.needs
                    ),
                ),
                ("203.0.113.0/24", String::from("concern every host")),
                (
                    "#1",
                    format!(
                        "#1 is not about an account of your hosts; that needs the role {} there.",
                        spec.needs
                    ),
                ),
                (
                    "y@b.example from 203.0.113.7",
                    String::from("needs the role"),
                ),
            ] {
                bot.pass(11);
                let said = bot.chat(SOMEBODY, &format!("{name} {whom}")).await;
                assert!(said.contains(&why), "{name} {whom}:\n{said}");
                assert!(!said.contains("secret"), "{said}");
                let node = format!("node='{name}' action='complete'");
                let again = bot
                    .command(SOMEBODY, &node, &submit(&[(field, &[whom])]))
                    .await;
                assert_eq!(again.attr("status"), Some("executing"), "{name}");
                assert!(note(&again).contains(&why), "{}", note(&again));
            }
            // They may act on accounts of their own hosts.
            bot.pass(11);
            let said = bot.chat(SOMEBODY, &format!("{name} z@a.example")).await;
            assert!(!said.contains("needs the role"), "{name}: {said}");
        }
        if role < Role::Moderator {
            assert_eq!(bot.world.engine.read(|ledger| ledger.folded()), before);
        }
        bot.world.engine.read(|ledger| {
            for ban in ledger.bans().newest_first().filter(|ban| ban.id.0 > 2) {
                assert_eq!(ban.subject.whose().unwrap().domain(), "a.example");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_limited_to_hosts_counts_by_hand_counts_toward_no_address() {
    let bot = bot(Rights::on(Role::Admin, ["a.example"]));
    for line in [
        "attempt x@a.example 203.0.113.7 9",
        "attempt x@a.example from 203.0.113.7 9",
    ] {
        let said = bot.chat(SOMEBODY, line).await;
        assert!(
            said.contains("203.0.113.7: addresses and networks concern every host"),
            "{said}"
        );
    }
    let said = bot.chat(SOMEBODY, "attempt x@a.example 2").await;
    assert!(said.starts_with("Counted 2 failed logins"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn lists_show_only_the_hosts_of_a_limited_role() {
    let bot = bot(Rights::on(Role::Viewer, ["a.example"]));
    for line in [
        "ban x@a.example 1d here",
        "ban x@b.example 1d elsewhere",
        "ban 203.0.113.7 1d elsewhere",
        "ban x@a.example from 198.51.100.0/24 1d here",
        "allow ok@a.example here",
        "allow ok@b.example elsewhere",
    ] {
        bot.chat(ROOT, line).await;
    }
    for (account, address) in [("x@a.example", "192.0.2.1"), ("x@b.example", "192.0.2.1")] {
        let attempt = Attempt {
            account: Subject::parse(account).unwrap().account().cloned(),
            address: address.parse().ok(),
            outcome: LoginOutcome::Failure,
            unknown: false,
            at: bot.world.engine.now(),
        };
        bot.world.admission.report(vec![attempt]).await.unwrap();
    }
    bot.chat(ROOT, "attempt y@a.example 192.0.2.9").await;
    bot.chat(ROOT, "attempt y@b.example 192.0.2.9").await;
    for (line, first) in [
        ("list", "Bans 1-2 of 2."),
        ("list 203.0.113.7", "No ban matches."),
        ("failures", "Failed logins 1-2 of 2."),
        ("allowed", "Exemptions 1-1 of 1."),
    ] {
        let said = bot.chat(SOMEBODY, line).await;
        assert!(said.starts_with(first), "{line}: {said}");
        assert!(
            !said.contains("b.example") && !said.contains("elsewhere"),
            "{said}"
        );
    }
    let said = bot.chat(SOMEBODY, "status").await;
    assert!(
        said.contains("Bans in force: 1 account, 0 addresses, 0 networks, 1 pair"),
        "{said}"
    );
    // They read why the account may not log in, as the user would; the address is not their concern.
    let said = bot.chat(SOMEBODY, "check y@a.example 203.0.113.7").await;
    assert!(said.contains("203.0.113.7 is banned: #3"), "{said}");
    let said = bot.chat(SOMEBODY, "show x@a.example").await;
    assert!(said.contains("x@a.example is banned: #1"), "{said}");
}

/// What every command says that names no subject, for the commands where that is possible. A new command must be added.
fn lines_without_a_subject(name: &str, command: &str) -> Vec<String> {
    let lines: &[&str] = match name {
        "list" => &[
            "list",
            "list all",
            "list ended",
            "list zeta",
            "list by:zeta",
            "list #1",
            "list state:pending",
        ],
        "allowed" => &["allowed", "allowed zeta", "allowed ended"],
        "failures" => &["failures", "failures zeta"],
        "unban" => &[
            "unban all",
            "unban all zeta",
            "unban all by:root@root.example",
            "unban all state:pending",
            "unban all origin:manual",
        ],
        "extend" => &["extend #1 #2 3d", "extend all 3d"],
        "undo" => &[
            "undo",
            "undo COMMAND",
            "undo COMMAND --others",
            "undo #1 --others",
            "undo #1",
        ],
        "watch" => &[
            "watch",
            "watch zeta-mod@b.example",
            "watch zeta-mod@b.example off",
            "watch zeta-room@conference.b.example",
            "watch zeta-room@conference.b.example all",
            "watch root@root.example",
            "watch root@root.example off",
            "watch mate@a.example",
            "watch mate@a.example off",
        ],
        "show" => &["show #1", "show #2", "show #99"],
        "note" => &["note #1 x"],
        "help" => &["help", "help undo"],
        "policy" | "status" => &[name],
        "rehearse" => &["rehearse", "rehearse last=10", "rehearse guesser limit=2"],
        "ban" => &["ban #1 1d", "ban zeta", "ban all 1d"],
        "allow" | "unallow" | "check" | "kick" | "forget" | "attempt" => &[],
        _ => panic!("{name}: write lines for it here"),
    };
    let lines = lines.iter().chain(&["#1", "zeta"]);
    let named = |line: &&str| match line.starts_with(name) {
        true => (*line).to_owned(),
        false => format!("{name} {line}"),
    };
    lines
        .map(named)
        .map(|line| line.replace("COMMAND", command))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn no_command_tells_or_changes_what_concerns_other_hosts_only() {
    let mut leaks = Vec::new();
    for role in [Role::Viewer, Role::Moderator, Role::Admin] {
        let bot = bot(Rights::on(role, ["a.example"]));
        let account = |text: &str| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
        bot.bot.set_roles(Roles::new([
            (account(ROOT), Rights::everywhere(Role::Admin)),
            (account(SOMEBODY), Rights::on(role, ["a.example"])),
            (account("mate@a.example"), Rights::on(role, ["a.example"])),
            (
                account("zeta-mod@b.example"),
                Rights::on(Role::Moderator, ["b.example"]),
            ),
        ]));
        let mut policy = Policy::clone(&bot.world.engine.policy());
        policy.exempt_accounts = ["root@root.example", "boss@a.example", "zeta-boss@b.example"]
            .map(account)
            .to_vec();
        bot.world.engine.set_policy(policy);
        let many: Vec<String> = (1..=7).map(|n| format!("zeta{n}@b.example")).collect();
        let banned = bot
            .chat(ROOT, &format!("ban {} 1d zeta-reason", many.join(" ")))
            .await;
        assert!(banned.contains("Answer yes"), "{banned}");
        bot.chat(ROOT, "yes").await;
        let banned = Subject::parse("zeta1@b.example").unwrap();
        let command = bot
            .world
            .engine
            .read(|ledger| ledger.undo().of(&banned).unwrap().command);
        let command = command.unwrap().to_string();
        for line in [
            "ban zeta@b.example from 203.0.113.7 1d zeta",
            "allow zeta-ok@b.example 1d zeta",
            "note zeta1@b.example zeta-note",
            "attempt zeta9@b.example 2",
            "watch zeta-mod@b.example guards quiet 01:23-02:34",
            "watch zeta-room@conference.b.example all",
            "ban x@a.example 1d here",
            "unban zeta7@b.example",
        ] {
            bot.pass(11);
            let said = bot.chat(ROOT, line).await;
            assert!(!said.contains("Nothing was done"), "{line}: {said}");
        }
        let subscriptions = |bot: &Bot| {
            let of = |who: &str| {
                let subject = Subject::parse(who).unwrap();
                bot.world
                    .engine
                    .read(|ledger| ledger.subscriptions().of(&subject).cloned())
            };
            [
                "zeta-mod@b.example",
                "zeta-room@conference.b.example",
                "root@root.example",
            ]
            .map(of)
        };
        let bans = |bot: &Bot| {
            bot.world.engine.read(|ledger| {
                let others = ledger
                    .bans()
                    .newest_first()
                    .filter(|ban| ban.subject.to_string().contains("zeta"));
                others.map(|ban| (ban.id, ban.version)).collect::<Vec<_>>()
            })
        };
        let before = (subscriptions(&bot), bans(&bot));
        for spec in permitted(role) {
            for line in lines_without_a_subject(spec.name, &command) {
                for line in [line.as_str(), "yes"] {
                    bot.pass(11);
                    let said = bot.chat(SOMEBODY, line).await;
                    // The caller's own words may be repeated.
                    let told = line
                        .split_whitespace()
                        .fold(said.clone(), |said, word| said.replace(word, ""));
                    let told = told.replace("“zeta”", "").replace("\"zeta\"", "");
                    if told.contains("zeta") || told.contains("01:23") {
                        leaks.push(format!("a {role} says {line} and reads:\n{said}"));
                    }
                }
            }
            if spec.form {
                let form = bot
                    .command(SOMEBODY, &format!("node='{}'", spec.name), "")
                    .await;
                let shown = String::from(&form);
                if shown.contains("zeta") {
                    leaks.push(format!("the form {} of a {role}: {shown}", spec.name));
                }
            }
        }
        assert_eq!(
            (subscriptions(&bot), bans(&bot)),
            before,
            "a {role} changed something"
        );
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n\n"));
}

#[tokio::test(start_paused = true)]
async fn nobody_below_a_moderator_subscribes_to_anything() {
    for role in [Role::Stranger, Role::Viewer] {
        let bot = bot(Rights::everywhere(role));
        let watched = |bot: &Bot| {
            let engine = &bot.world.engine;
            engine.read(|ledger| (ledger.folded(), ledger.subscriptions().all().len()))
        };
        let before = watched(&bot);
        for line in [
            "watch",
            "watch all",
            "watch quiet 1-2",
            "watch root@root.example off",
            "watch room@conference.a.example all",
        ] {
            bot.pass(3_600);
            let said = bot.chat(SOMEBODY, line).await;
            assert!(
                !said.contains("Changed") && !said.contains("hear"),
                "{said}"
            );
        }
        let fields = submit(&[("topics", &["all"])]);
        let fault = bot.command_fault(SOMEBODY, "node='watch'", &fields).await;
        assert_eq!(fault, "forbidden", "{role}");
        assert_eq!(watched(&bot), before, "{role}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_moderator_is_told_that_a_ban_without_a_duration_is_shorter_than_usual() {
    let bot = bot(Rights::everywhere(Role::Moderator));
    let mut policy = Policy::clone(&bot.world.engine.policy());
    policy.default_term = Term::Forever;
    policy.moderator_longest = Some(Duration::from_secs(86_400));
    bot.world.engine.set_policy(policy);
    const SHORTER: &str =
        "No duration was named, and the longest ban for the role moderator is 1 day.";
    for (who, line, is_told) in [
        (SOMEBODY, "ban one@a.example", true),
        (SOMEBODY, "ban two@a.example 12h", false),
        (ROOT, "ban three@a.example", false),
    ] {
        let said = bot.chat(who, line).await;
        assert!(said.starts_with("Banned #"), "{said}");
        assert_eq!(said.contains(SHORTER), is_told, "{line}: {said}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_somebody_hears_is_known_to_them_and_to_admins_over_them() {
    for (rights, may_know) in [
        (Rights::everywhere(Role::Viewer), false),
        (Rights::everywhere(Role::Moderator), false),
        (
            Rights::everywhere(Role::Viewer).join(Rights::on(Role::Admin, ["b.example"])),
            false,
        ),
        (
            Rights::everywhere(Role::Viewer).join(Rights::on(Role::Admin, ["a.example"])),
            true,
        ),
    ] {
        let is_moderator = rights.highest() >= Role::Moderator;
        let bot = bot(rights.clone());
        bot.chat(SOMEBODY, "ban z@a.example 1d").await;
        for line in [
            "unban z@a.example",
            "watch z@a.example bans quiet 01:23-02:34",
        ] {
            bot.pass(11);
            bot.chat(ROOT, line).await;
        }
        for line in ["show z@a.example", "undo", "undo z@a.example"] {
            bot.pass(11);
            let told = bot.chat(SOMEBODY, line).await;
            let knows = told.contains("01:23");
            assert!(!knows || may_know, "{rights}: {line}: {told}");
            assert!(knows || !may_know || line != "show z@a.example", "{told}");
        }
        if is_moderator {
            bot.chat(SOMEBODY, "watch bans quiet 03:45-04:56").await;
            let told = bot.chat(SOMEBODY, &format!("show {SOMEBODY}")).await;
            assert!(told.contains("03:45"), "{rights}: {told}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_admins_see_who_holds_which_role() {
    let account = |text: &str| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    let granted = |limited: Rights| {
        Roles::new([
            (account(ROOT), Rights::everywhere(Role::Admin)),
            (
                account("mod@a.example"),
                Rights::everywhere(Role::Moderator),
            ),
            (
                account("ann@a.example"),
                Rights::on(Role::Moderator, ["a.example", "b.example"]),
            ),
            (
                account("ben@b.example"),
                Rights::on(Role::Viewer, ["b.example"]),
            ),
            (account(SOMEBODY), limited),
        ])
    };
    let bot = Bot::new();
    bot.bot.set_roles(granted(Rights::everywhere(Role::Viewer)));
    let told = bot.chat(ROOT, "policy").await;
    for line in [
        "Admins: root@root.example\n",
        "Moderators: mod@a.example\n",
        "Moderators on a.example: ann@a.example\n",
        "Moderators on b.example: ann@a.example\n",
        "Viewers: somebody@a.example\n",
        "Viewers on b.example: ben@b.example\n",
    ] {
        assert!(told.contains(line), "{line}{told}");
    }
    let told = bot.chat(SOMEBODY, "policy").await;
    assert!(
        told.contains("A viewer may") && !told.contains("root@"),
        "{told}"
    );
    // Admins of some hosts get no notices about other hosts. After a reload the new roles count.
    bot.bot
        .set_roles(granted(Rights::on(Role::Admin, ["a.example"])));
    let told = bot.chat(SOMEBODY, "policy").await;
    for line in [
        "Admins: root@root.example\n",
        "Admins on a.example: somebody@a.example\n",
        "Moderators on a.example: ann@a.example\n",
    ] {
        assert!(told.contains(line), "{line}{told}");
    }
    assert!(!told.contains("b.example"), "{told}");
}

const MOD: &str = "mod@a.example/phone";

/// An admin who logged in from 203.0.113.9 and from an IPv6 network, and a moderator.
async fn two() -> Bot {
    let bot = Bot::new();
    let account = |text| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    bot.bot.set_roles(Roles::new([
        (account(ROOT), Rights::everywhere(Role::Admin)),
        (account(MOD), Rights::everywhere(Role::Moderator)),
    ]));
    for address in ["203.0.113.9", "2001:db8:1:2::9"] {
        let login = Attempt {
            account: Some(account(ROOT)),
            address: address.parse().ok(),
            outcome: LoginOutcome::Success,
            unknown: false,
            at: bot.world.engine.now(),
        };
        bot.world.admission.report(vec![login]).await.unwrap();
    }
    bot
}

/// Without the right to ask for sessions nobody tells where the caller is connected from.
#[tokio::test(start_paused = true)]
async fn an_admin_is_asked_before_a_ban_of_a_place_of_their_own() {
    let bot = two().await;
    for (line, asked) in [
        (
            "ban 203.0.113.9 1d x",
            "You logged in from 203.0.113.9 before",
        ),
        (
            "ban 203.0.113.0/28 1d x",
            "203.0.113.0/28 covers 203.0.113.9, where you logged in before",
        ),
        (
            "ban 2001:db8:1:2::1 1d x",
            "You logged in from 2001:db8:1:2::1 before",
        ),
    ] {
        let said = bot.chat(ROOT, line).await;
        assert!(said.starts_with("Nothing is done yet."), "{said}");
        assert!(said.contains(asked), "{said}");
        assert!(bot.world.engine.read(|ledger| ledger.bans().is_empty()));
    }
    let said = bot.chat(ROOT, "yes").await;
    assert!(said.starts_with("Banned #1 2001:db8:1:2::1"), "{said}");
    let said = bot.chat(ROOT, "ban 203.0.113.10 1d x").await;
    assert!(said.starts_with("Banned #2 203.0.113.10"), "{said}");
    // Nor does an undo bring such a ban back without asking.
    bot.chat(ROOT, "unban #1").await;
    bot.pass(11);
    for line in ["undo", "undo #1"] {
        let said = bot.chat(ROOT, line).await;
        assert!(said.starts_with("Nothing is done yet."), "{said}");
        assert!(
            said.contains("You logged in from 2001:db8:1:2::1 before"),
            "{said}"
        );
    }
    let said = bot.chat(ROOT, "yes").await;
    assert!(said.contains("2001:db8:1:2::1 is banned: #1"), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_moderator_locks_out_and_kicks_no_admin() {
    let bot = two().await;
    let node = "http://jabber.org/protocol/admin#end-user-session";
    for line in [
        "ban root@root.example from 203.0.113.9 1d x",
        "ban root@root.example from 198.51.100.1 1d x",
        "ban 203.0.113.9 1d x",
        "ban 2001:db8:1:2::1 1d x",
        "kick root@root.example",
        "kick root@root.example/x",
        "kick 203.0.113.9",
    ] {
        let text = bot.chat(MOD, line).await;
        assert!(text.contains("needs the role admin"), "{line}: {text}");
        assert!(text.contains("Nothing was done"), "{line}: {text}");
        bot.pass(11);
    }
    for (node, fields) in [
        (
            "ban",
            &[("subject", &["203.0.113.9"][..]), ("duration", &["1d"])][..],
        ),
        (
            "ban",
            &[
                ("subject", &["root@root.example from 203.0.113.9"][..]),
                ("duration", &["1d"]),
            ],
        ),
        ("kick", &[("subject", &["root@root.example"][..])]),
        (node, &[("accountjids", &["root@root.example"][..])]),
    ] {
        let done = bot
            .command(
                MOD,
                &format!("node='{node}' action='execute'"),
                &submit(fields),
            )
            .await;
        assert!(
            note(&done).contains("needs the role admin"),
            "{node}: {}",
            note(&done)
        );
    }
    assert_eq!(bot.world.engine.read(|ledger| ledger.folded().0), 0);
    assert_eq!(bot.world.server.done(), [""; 0]);
    // A ban from before the admin came there: it may end, and not be made longer or brought back.
    let line = "ban 198.51.100.7 1d x";
    let text = bot.chat(MOD, line).await;
    assert!(text.starts_with("Banned #1"), "{text}");
    bot.chat(MOD, "unban #1").await;
    let login = Attempt {
        account: Account::from_jid(&Jid::new(ROOT).unwrap()),
        address: "198.51.100.7".parse().ok(),
        outcome: LoginOutcome::Success,
        unknown: false,
        at: bot.world.engine.now(),
    };
    bot.world.admission.report(vec![login]).await.unwrap();
    for line in ["undo", "undo #1", line] {
        let text = bot.chat(MOD, line).await;
        assert!(
            text.contains("An admin logs in from 198.51.100.7"),
            "{line}: {text}"
        );
    }
    // Long ago is over, other addresses are nobody's, and an admin may do it.
    bot.pass(91 * 86_400);
    let text = bot.chat(MOD, "ban 203.0.113.9 1d x").await;
    assert!(text.starts_with("Banned #2"), "{text}");
    let text = bot.chat(ROOT, "ban 198.51.100.7 1d x").await;
    assert!(text.starts_with("Banned #3"), "{text}");
    let text = bot.chat(MOD, "extend #3 1d").await;
    assert!(
        text.starts_with("Extended #3"),
        "the admin was not there for long: {text}"
    );
}

/// Reports that an account logged in from an address just now.
async fn logged_in(bot: &Bot, account: &str, address: &str) {
    let login = Attempt {
        account: Account::from_jid(&Jid::new(account).unwrap()),
        address: address.parse().ok(),
        outcome: LoginOutcome::Success,
        unknown: false,
        at: bot.world.engine.now(),
    };
    bot.world.admission.report(vec![login]).await.unwrap();
}

async fn refuses_to_reach_up(bot: &Bot, who: &str, lines: &[&str]) {
    for line in lines {
        let text = bot.chat(who, line).await;
        assert!(text.contains("needs the role admin"), "{line}: {text}");
        assert!(text.contains("Nothing was done"), "{line}: {text}");
        bot.pass(11);
    }
    assert_eq!(bot.world.engine.read(|ledger| ledger.folded().0), 0);
    assert_eq!(bot.world.server.done(), [""; 0]);
}

/// An admin, one of `root.example` alone, another such, and a moderator.
async fn with_admins_of_one_host() -> Bot {
    let bot = Bot::new();
    let account = |text| Account::from_jid(&Jid::new(text).unwrap()).unwrap();
    let local = || Rights::on(Role::Admin, ["root.example"]);
    bot.bot.set_roles(Roles::new([
        (account(ROOT), Rights::everywhere(Role::Admin)),
        (account(LOCAL), local()),
        (account("peer@root.example"), local()),
        (
            account(WIDER),
            Rights::on(Role::Admin, ["root.example", "b.example"]),
        ),
        (account(MOD), Rights::everywhere(Role::Moderator)),
    ]));
    logged_in(&bot, LOCAL, "203.0.113.9").await;
    bot
}

const LOCAL: &str = "local@root.example/x";
const WIDER: &str = "wider@root.example";

#[tokio::test(start_paused = true)]
async fn a_moderator_locks_out_no_admin_of_a_single_host_and_nobody_whom_the_configuration_exempts()
{
    let bot = with_admins_of_one_host().await;
    let mut policy = Policy::clone(&bot.world.engine.policy());
    let boss = Subject::parse("boss@a.example").unwrap();
    policy.exempt_accounts.push(boss.account().unwrap().clone());
    bot.world.engine.set_policy(policy);
    let lines = [
        "ban local@root.example 1d x",
        "ban local@root.example from 203.0.113.9 1d x",
        "ban 203.0.113.9 1d x",
        "kick local@root.example",
        "ban boss@a.example from 192.0.2.1 1d x",
        "kick boss@a.example",
    ];
    refuses_to_reach_up(&bot, MOD, &lines).await;
}

/// With the accounts that the configuration exempts: every admin, and `boss@root.example`.
async fn with_exempt_accounts() -> Bot {
    let bot = with_admins_of_one_host().await;
    let mut policy = Policy::clone(&bot.world.engine.policy());
    policy.exempt_accounts = [ROOT, LOCAL, "peer@root.example", WIDER, "boss@root.example"]
        .map(|text| Account::from_jid(&Jid::new(text).unwrap()).unwrap())
        .to_vec();
    bot.world.engine.set_policy(policy);
    bot
}

#[tokio::test(start_paused = true)]
async fn an_admin_of_a_single_host_decides_nothing_about_admins_of_others_or_of_all() {
    let bot = with_exempt_accounts().await;
    for whom in ["root@root.example", WIDER] {
        let lines = [
            "ban WHOM 1d x",
            "ban WHOM 30d x --force",
            "ban WHOM from 203.0.113.9 1d x",
            "ban \"guard of WHOM\" 1d x",
            "extend WHOM 1d",
            "unban WHOM",
            "kick WHOM",
            "kick WHOM/x",
            "allow WHOM",
            "allow WHOM 1d",
            "unallow WHOM",
            "forget WHOM",
            "note WHOM x",
            "watch WHOM off",
            "attempt WHOM 9",
        ];
        let lines = lines.map(|line| line.replace("WHOM", whom));
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        refuses_to_reach_up(&bot, LOCAL, &lines).await;
    }
    // Not what somebody else did to them, either.
    bot.chat(ROOT, "ban wider@root.example 1d x --force").await;
    let text = bot.chat(ROOT, "yes").await;
    assert!(text.starts_with("Banned #1"), "{text}");
    let before = bot.world.engine.read(|ledger| ledger.folded());
    for line in [
        "unban #1",
        "extend #1 1d",
        "ban #1 2d",
        "undo #1",
        "undo wider@root.example",
    ] {
        bot.pass(11);
        let text = bot.chat(LOCAL, line).await;
        assert!(text.contains("needs the role admin"), "{line}: {text}");
    }
    let text = bot.chat(LOCAL, "unban all account").await;
    assert!(text.contains("needs the role admin"), "{text}");
    let text = bot.chat(LOCAL, "yes").await;
    assert!(text.contains("needs the role admin"), "{text}");
    assert_eq!(bot.world.engine.read(|ledger| ledger.folded()), before);
    // What concerns only themselves, they choose.
    let text = bot.chat(LOCAL, "watch off").await;
    assert!(text.contains("nothing"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_admin_of_a_single_host_keeps_out_nobody_whom_the_configuration_exempts() {
    let bot = with_exempt_accounts().await;
    let lines = [
        "ban boss@root.example 1d x",
        "ban boss@root.example 1d x --force",
        "ban boss@root.example from 192.0.2.1 1d x",
        "kick boss@root.example",
        "attempt boss@root.example 9",
    ];
    for line in lines {
        let text = bot.chat(LOCAL, line).await;
        assert!(text.contains("Nothing was done"), "{line}: {text}");
        bot.pass(11);
    }
    assert_eq!(bot.world.engine.read(|ledger| ledger.folded().0), 0);
    // An admin of the same hosts is exempt as well, and not above them.
    let text = bot.chat(LOCAL, "ban peer@root.example 1d x --force").await;
    assert!(text.contains("EXEMPT"), "{text}");
    let text = bot.chat(LOCAL, "yes").await;
    assert!(text.starts_with("Banned #1"), "{text}");
    let text = bot.chat(LOCAL, "note boss@root.example x").await;
    assert!(!text.contains("Nothing was done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_admin_of_a_single_host_locks_out_and_kicks_no_admin_of_all() {
    let bot = with_admins_of_one_host().await;
    let lines = [
        "ban root@root.example from 203.0.113.9 1d x",
        "kick root@root.example",
        "kick root@root.example/x",
    ];
    refuses_to_reach_up(&bot, LOCAL, &lines).await;
    // Others like them are not above them.
    let text = bot
        .chat(LOCAL, "ban peer@root.example from 192.0.2.1 1d x")
        .await;
    assert!(text.starts_with("Banned #1"), "{text}");
    bot.pass(11);
    let text = bot
        .chat(ROOT, "ban local@root.example from 192.0.2.1 1d x")
        .await;
    assert!(text.starts_with("Banned #2"), "{text}");
}
