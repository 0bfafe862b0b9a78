//! Names and reasons of strangers in the orders that we print: whoever copies a line acts on the subject it names.

use portcullis::core::{BanId, Subject};

use crate::support::bot::*;

/// Names that mean something else where quotes, commas or numbers are interpreted; the ban #1 is an accomplice.
const NAMES: [&str; 7] = [
    "“#1”x@example.org",
    "#1,x@example.org",
    "#1;x@example.org",
    "„#1“x@example.org",
    ",x@example.org",
    "#1@example.org",
    "😀“#1”@example.org",
];

fn stands(bot: &Bot, subject: &str) -> bool {
    let subject = Subject::parse(subject).unwrap();
    let read = &bot.world.engine;
    read.read(|ledger| ledger.bans().of(&subject).is_some())
}

/// The part of a line behind this label.
fn behind<'a>(label: &str, text: &'a str) -> &'a str {
    let rest = text
        .split_once(label)
        .unwrap_or_else(|| panic!("{label}: {text}"))
        .1;
    rest.lines().next().unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_copied_order_acts_on_whom_it_names_and_on_nobody_else() {
    for name in NAMES {
        let bot = Bot::new();
        bot.chat(ADMIN, "ban accomplice@example.org 3d spam").await;
        let accomplice = "accomplice@example.org";
        bot.chat(ADMIN, &format!("ban \"{name}\" 3d spam")).await;
        assert!(stands(&bot, &format!("\"{name}\"")), "{name}");
        let shown = bot.chat(ADMIN, "show #2").await;
        bot.chat(ADMIN, behind("To end it: ", &shown)).await;
        assert!(!stands(&bot, &format!("\"{name}\"")), "{name}: {shown}");
        assert!(stands(&bot, accomplice), "{name}: {shown}");
        // Notes have no number: to undo one, the name is printed.
        let noted = bot
            .chat(ADMIN, &format!("note \"{name}\" seen before"))
            .await;
        let undone = bot.chat(ADMIN, behind("Undo: ", &noted)).await;
        assert!(
            undone.starts_with("Undone: note"),
            "{name}: {noted}\n{undone}"
        );
        assert!(stands(&bot, accomplice), "{name}: {noted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_message_about_such_a_name_acts_on_it() {
    for name in NAMES {
        let bot = Bot::new();
        bot.chat(ADMIN, "ban accomplice@example.org 3d spam").await;
        let noted = format!(
            "<message type='chat' id='n1' from='{ADMIN}' to='bot@{DOMAIN}'><body>note \"{name}\" seen</body></message>"
        );
        let answer = bot.all(&noted).await.remove(0);
        let reply = format!(
            "<message type='chat' id='n2' from='{ADMIN}' to='bot@{DOMAIN}'><body>unban</body>\
             <reply xmlns='urn:xmpp:reply:0' to='bot@{DOMAIN}' id='{}'/></message>",
            answer.attr("id").unwrap()
        );
        let text = body_of(&bot.all(&reply).await[0]);
        assert!(text.contains("is not banned"), "{name}: {text}");
        assert!(stands(&bot, "accomplice@example.org"), "{name}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_about_many_is_answered_about_the_same() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban accomplice@example.org 3d spam").await;
    let mut line = String::from("ban");
    for number in 0..6 {
        line.push_str(&format!(" \"#1,x{number}@example.org\""));
    }
    bot.chat(ADMIN, &format!("{line} 3d spam")).await;
    bot.chat(ADMIN, "yes").await;
    assert!(stands(&bot, "\"#1,x5@example.org\""));
    let asked = bot.chat(ADMIN, "undo #2 #3 #4 #5 #6 #7").await;
    assert!(asked.contains("Undo 6 things?"), "{asked}");
    let done = bot.chat(ADMIN, "yes").await;
    assert!(!stands(&bot, "\"#1,x5@example.org\""), "{done}");
    assert!(stands(&bot, "accomplice@example.org"), "{done}");
}

#[tokio::test(start_paused = true)]
async fn what_may_be_one_name_or_several_is_refused() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban accomplice@example.org 3d spam").await;
    for line in [
        "unban #1,x@example.org",
        "kick #1;x@example.org",
        "ban 1.2.3.4,x@example.org 1d",
    ] {
        let text = bot.chat(ADMIN, line).await;
        assert!(
            text.contains("may be one name or several"),
            "{line}: {text}"
        );
    }
    assert!(stands(&bot, "accomplice@example.org"));
    let text = bot.chat(ADMIN, "ban a@example.org,b@example.org 1d").await;
    assert!(text.contains("2 of 2 done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_form_of_the_standard_takes_a_line_as_one_name() {
    let bot = Bot::new();
    bot.chat(ADMIN, "ban accomplice@example.org 3d spam").await;
    let number = bot
        .world
        .engine
        .read(|ledger| ledger.subjects().by_number(BanId(1)).cloned());
    assert_eq!(number, Subject::parse("accomplice@example.org").ok());
    let node = "http://jabber.org/protocol/admin#reenable-user";
    let form = "<x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field>\
         <field var='accountjids'><value>#1,x@example.org</value></field></x>";
    bot.command(ADMIN, &format!("node='{node}' action='execute'"), form)
        .await;
    assert!(stands(&bot, "accomplice@example.org"));
}
