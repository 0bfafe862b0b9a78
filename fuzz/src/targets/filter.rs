//! Filters: the filter that a page or a question prints is the filter that was asked for.

use std::sync::OnceLock;

use portcullis::command::{self, Call, Caller, Command, Outcome, Page, Values};
use portcullis::core::{EntryPoint, Rights, Role};
use portcullis::front::line::read_line;
use xmpp_parsers::jid::Jid;

use super::bot::{self, ADMIN, Bot};
use super::case_and_text;

/// The fields beside `filter`, in the order of the lines behind the first.
const FIELDS: [&str; 6] = ["kind", "state", "origin", "by", "expiring", "rule"];

/// The first line of the text is the filter; the others are the fields beside it.
pub fn run(data: &[u8]) {
    let Some((case, text)) = case_and_text(data) else {
        return;
    };
    let mut lines = text.split('\n');
    let mut values = Values::new().with("filter", lines.next().unwrap_or_default());
    for (field, line) in FIELDS.iter().zip(lines) {
        if !line.is_empty() {
            values.set(field, vec![line.to_owned()]);
        }
    }
    bot::run(async {
        static BOT: OnceLock<Bot> = OnceLock::new();
        if BOT.get().is_none() {
            let _ = BOT.set(full().await);
        }
        let bot = BOT.get().expect("it was set");
        let before = bot.head();
        match case % 3 {
            0 => pages(&values, "list", bot).await,
            1 => pages(&values, "allowed", bot).await,
            _ => question(&values, bot).await,
        }
        assert_eq!(bot.head(), before, "something was done");
    });
}

/// A bot with bans and exemptions of every kind, enough for several pages of most filters.
async fn full() -> Bot {
    let bot = Bot::new();
    for n in 0..12 {
        for line in [
            format!("ban spam{n}@example.org forever spam"),
            format!("ban 203.0.113.{n} forever flood"),
            format!("ban bob{n}@example.org from 203.0.113.7 1000y \"x\" y"),
            format!("ban 198.51.{n}.0/24 forever net"),
            format!("allow 192.0.2.{n} office"),
        ] {
            bot.says(&line).await;
        }
    }
    bot
}

async fn run_command(name: &str, values: Values, bot: &Bot) -> Outcome {
    let caller = Caller {
        jid: Jid::new(&format!("{ADMIN}/desk")).expect("a JID"),
        rights: Rights::everywhere(Role::Admin),
        occupant: None,
    };
    command::handle(
        &Call::new(caller, EntryPoint::Chat, find(name)).with_values(values),
        &bot.context,
    )
    .await
}

fn find(name: &str) -> &'static Command {
    command::find(name).expect("there is such a command")
}

async fn page(name: &str, values: Values, bot: &Bot) -> Option<Page> {
    match run_command(name, values, bot).await {
        Outcome::Rows(page) => Some(page),
        _ => None,
    }
}

/// Follows the line for the next page.
async fn pages(values: &Values, name: &str, bot: &Bot) {
    let Some(first) = page(name, values.clone(), bot).await else {
        return;
    };
    let Some(line) = first.next else {
        return;
    };
    let mut second = values.clone();
    second.set("page", vec![String::from("2")]);
    let second = page(name, second, bot)
        .await
        .expect("there is a second page");
    let rest = line
        .strip_prefix(name)
        .expect("the line begins with the command");
    let typed = read_line(find(name), rest, false);
    let typed = typed.unwrap_or_else(|why| panic!("{line:?} cannot be typed: {why:?}"));
    let typed = page(name, typed, bot).await;
    let typed = typed.unwrap_or_else(|| panic!("{line:?} shows no page"));
    assert_eq!(typed.cells, second.cells, "{line:?} shows another page");
    assert_eq!(typed.title, second.title, "{line:?} shows another page");
}

/// Asks the question of `unban all` again with the values that a yes would send.
async fn question(values: &Values, bot: &Bot) {
    let Outcome::Ask(ask) = run_command("unban", values.clone(), bot).await else {
        return;
    };
    let values = ask.values.expect("the question has values");
    let Outcome::Ask(again) = run_command("unban", values, bot).await else {
        panic!("the question is another one after a yes");
    };
    assert_eq!(again.title, ask.title);
    assert_eq!(again.rows, ask.rows);
}
