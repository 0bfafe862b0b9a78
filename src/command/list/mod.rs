//! `list`: the bans in force, newest first, page by page; on request those that ended.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{ListEntry, Outcome, Row};
use super::parts::bans::KNOWN;
use super::parts::filter::{BY, EXPIRING, KIND, ORIGIN, STATE, words_field};
use super::parts::pages::{Asked, PAGE, PageBuilder, TABLE};
use super::parts::{bans, facts};
use super::spec::Spec;
use super::{broken, phrases};
use crate::core::{Ban, EndedBan, Role};
use crate::engine::ENDS;
use crate::journal::LogFault;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "list",
    title: "List bans",
    summary: "Shows the bans in force, newest first, ten on a page; also those that ended.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        words_field(
            "Any of: account, address, network, pair, guard, by:NAME, origin:hand (or rule, import, server), rule:NAME, state:ended (or pending, any), expiring:2h, #10.. (numbers from 10 on), #10..20, an account, an address or network for what covers it or lies in it, or words from subject and reason. All of them must hold.",
        ),
        KIND,
        STATE,
        ORIGIN,
        BY,
        EXPIRING,
        PAGE,
        TABLE,
    ],
    usage: "list [FILTER] [PAGE]",
    examples: &[
        ("list", "the newest ten"),
        (
            "list account by:alice 2",
            "page 2 of the accounts banned by alice",
        ),
        ("list 203.0.113.7", "what covers this address"),
        ("list rule:pair-failures", "what this rule banned"),
        ("list origin:hand expiring:1d", "by hand, over within a day"),
        ("list state:ended spam", "those that ended, about spam"),
    ],
    changes: false,
};

const COLUMNS: &[(&str, &str)] = &[
    ("number", "Number"),
    ("subject", "Subject"),
    ("until", "Until"),
    ("by", "By"),
    ("reason", "Reason"),
];

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let asked = match Asked::parse(
        &call.values,
        &call.caller.rights,
        KNOWN,
        context.engine.now(),
    ) {
        Ok(asked) => asked,
        Err(problems) => return Outcome::Invalid(problems),
    };
    match find(&asked, context).await {
        Ok((cut, more)) => page(asked, &cut, more, context),
        Err(fault) => Outcome::Broken(broken("list bans", &fault)),
    }
}

/// What is on the page, and whether more has ended than was looked through.
async fn find(
    asked: &Asked,
    context: &Context,
) -> Result<(PageBuilder<ListedBan>, bool), LogFault> {
    let cut = bans::in_force(context, &asked.filter, asked.cut(), |cut, ban| {
        cut.take(|| ListedBan::Stands(ban.clone()));
    });
    let mut cut = cut.await?;
    let (past, more) = bans::ended(context, &asked.filter);
    for past in past {
        cut.take(|| ListedBan::Ended(past));
    }
    Ok((cut, more))
}

fn page(asked: Asked, cut: &PageBuilder<ListedBan>, more: bool, context: &Context) -> Outcome {
    let rows = cut.page.iter().map(|ban| entry(ban, context)).collect();
    let mut outcome = asked.page(SPEC.name, text::BANS, cut.total, rows, COLUMNS);
    if let Outcome::Rows(page) = &mut outcome
        && more
    {
        page.lines.push(text::only_the_last(ENDS));
    }
    outcome
}

/// A ban of a list.
enum ListedBan {
    Stands(Ban),
    Ended(EndedBan),
}

fn entry(listed: &ListedBan, context: &Context) -> ListEntry {
    let now = context.engine.now();
    let is_pending = |ban: &Ban| context.delivery.task(&ban.subject).is_some();
    let (ban, fact, end, value) = match listed {
        ListedBan::Stands(ban) => (
            ban,
            facts::ban(ban),
            phrases::until(ban.until),
            phrases::in_a_list(ban, is_pending(ban), now),
        ),
        ListedBan::Ended(past) => (
            &past.ban,
            facts::past(past),
            text::ended(past),
            text::ended_in_a_list(past),
        ),
    };
    ListEntry {
        row: Row::new(
            format!("ban{}", ban.id.0),
            format!("{} {}", ban.id, ban.subject),
            value,
        )
        .with(fact),
        cells: vec![
            ban.id.0.to_string(),
            ban.subject.to_string(),
            end,
            phrases::clean(&phrases::author(ban)),
            phrases::clean(&ban.reason),
        ],
    }
}
