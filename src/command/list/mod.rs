//! `list`: lists active bans, newest first, in pages; also ended ones on request.

mod text;

use super::broken;
use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::parts::bans;
use super::parts::bans::KNOWN;
use super::parts::filter::{BY, EXPIRING, KIND, ORIGIN, STATE, words_field};
use super::parts::pages::{Asked, PAGE, PageBuilder, TABLE};
use super::request::Request;
use super::spec::Spec;
use crate::core::{Ban, EndedBan, Role};
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

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let asked = Asked::parse(call, KNOWN, context.engine.now())?;
    let found = find(&asked, context).await;
    let (cut, more) = found.map_err(|fault| broken("list bans", &fault))?;
    let now = context.engine.now();
    let entries = cut.page.iter().map(|ban| text::entry(ban, now)).collect();
    let mut page = asked.page(SPEC.name, text::BANS, cut.total, entries, text::COLUMNS)?;
    page.lines.extend(more.then(text::more_ended));
    Ok(Outcome::Rows(page))
}

/// The rows of the page, and whether more bans have ended than were searched.
async fn find(
    asked: &Asked,
    context: &Context,
) -> Result<(PageBuilder<ListedBan>, bool), LogFault> {
    let cut = bans::in_force(context, &asked.filter, asked.cut(), |cut, ban| {
        cut.take(|| ban.clone());
    });
    let cut = cut.await?;
    let is_pending = |ban: &Ban| context.delivery.task(&ban.subject).is_some();
    let mut cut = cut.map(|ban| ListedBan::InForce {
        is_pending: is_pending(&ban),
        ban,
    });
    let (past, more) = bans::ended(context, &asked.filter);
    for past in past {
        cut.take(|| ListedBan::Ended(past));
    }
    Ok((cut, more))
}

/// A ban in the list.
enum ListedBan {
    InForce {
        ban: Ban,
        /// Whether the server has yet to carry it out.
        is_pending: bool,
    },
    Ended(EndedBan),
}
