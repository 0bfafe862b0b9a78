//! `list`: lists active bans, newest first, in pages; also ended ones on request.

use super::broken;
use super::context::Context;
use super::outcome::{EarlyOutcome, ListEntry, Outcome, Row};
use super::parts::bans;
use super::parts::bans::KNOWN;
use super::parts::facts::Fact as _;
use super::parts::filter::{BY, EXPIRING, KIND, ORIGIN, STATE, words_field};
use super::parts::pages::{Asked, ListTitle, PAGE, PageBuilder, TABLE};
use super::phrases::{author, because, clean, in_a_list, typed, until};
use super::request::Request;
use super::spec::Spec;
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

const BANS: ListTitle = ListTitle {
    all: "Bans",
    matching: "Matching bans",
    none: "No bans in force",
    no_match: "No ban matches",
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let asked = Asked::parse(call, KNOWN, context.engine.now())?;
    let found = find(&asked, context).await;
    let (cut, more) = found.map_err(|fault| broken("list bans", &fault))?;
    let entries = cut.page.iter().map(|ban| entry(ban, context)).collect();
    let mut page = asked.page(SPEC.name, BANS, cut.total, entries, COLUMNS)?;
    if more {
        page.lines.push(format!(
            "Of those that ended, only the last {ENDS} are looked through; {} tells all of one.",
            typed("show SUBJECT")
        ));
    }
    Ok(Outcome::Rows(page))
}

/// The rows of the page, and whether more bans have ended than were searched.
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

/// A ban in the list.
enum ListedBan {
    Stands(Ban),
    Ended(EndedBan),
}

fn entry(listed: &ListedBan, context: &Context) -> ListEntry {
    let (ban, fact, end, value) = match listed {
        ListedBan::Stands(ban) => {
            let is_pending = context.delivery.task(&ban.subject).is_some();
            let value = in_a_list(ban, is_pending, context.engine.now());
            (ban, ban.json(), until(ban.until), value)
        }
        ListedBan::Ended(past) => {
            let ban = &past.ban;
            let end = format!("ended {}", past.ended);
            let how = match &past.by {
                None => String::from("its time was over"),
                Some(actor) => format!("by {}", clean(actor.bare_name())),
            };
            let (by, why) = (author(ban), because(&ban.reason));
            let value = format!("{end}, {how}; it was by {by}{why}");
            (ban, past.json(), end, value)
        }
    };
    ListEntry {
        row: Row::new(
            format!("ban{}", ban.id.0),
            format!("{} {}", ban.id, ban.subject),
            value,
        ),
        cells: vec![
            ban.id.0.to_string(),
            ban.subject.to_string(),
            end,
            clean(&author(ban)),
            clean(&ban.reason),
        ],
        fact: Some(fact),
    }
}
