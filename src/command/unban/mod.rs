//! `unban`: ends bans, of named subjects or by a filter.

mod by_filter;
mod text;

use std::collections::HashMap;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome, Problem};
use super::parts::fields::{REASON, WHOM};
use super::parts::login::keep_out;
use super::parts::results::{ASKED, Beside, Said, TargetResult, answer, carry_out};
use super::parts::settle::ASK_WAIT;
use super::parts::subjects;
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::policy::Whose;
use crate::core::{
    Account, Action, BanOrder, BanRuling, Order, Rights, Role, Ruling, Subject, Term,
};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "unban",
    title: "Un-ban",
    summary: "Ends a ban now, on the server too.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            required: false,
            ..WHOM
        },
        Field::new("filter", "Or all that match", Kind::Line).at(Place::All)
            .desc("A filter as list takes it, such as origin:import by:alice; every ban in force that meets it. You are asked first. In chat: unban all FILTER."),
        Field {
            label: "Reason, for the history",
            desc: "Those with a role here see it, with show. In chat, behind a filter, in quotes.",
            ..REASON
        },
    ],
    usage: "unban SUBJECT…|all FILTER [REASON…]",
    examples: &[
        ("unban #17", "the ban of this number"),
        (
            "unban spam@example.org it was a misunderstanding",
            "with a reason",
        ),
        (
            "unban all origin:import by:alice",
            "what alice imported; you are told how many that are, and asked",
        ),
    ],
    changes: true,
};

/// Number of records read at the same time.
const RECORDS_AT_ONCE: usize = 4;

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let is_named = !call.values.words(subjects::FIELD).is_empty();
    match call.values.line("filter") {
        Some(_) if is_named => Err(problem(text::NOT_BOTH).into()),
        Some(_) => by_filter::run(call, context).await,
        None => run_named(call, context).await,
    }
}

async fn run_named(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let reason = call.clean_line("reason").unwrap_or_default();
    let subjects = call.subjects()?;
    let orders = subjects.iter().map(|subject| lift(call, subject, &reason));
    let mut results = carry_out(call, orders.collect(), |_| subjects::FIELD, context).await?;
    let mut released = Vec::new();
    for one in &mut results {
        if one.releases(call, context) {
            released.push(one.subject.clone());
        }
    }
    let unknown = results.iter().filter(|one| {
        let is_unknown = matches!(one.ruling, Ok(Ruling::Ban(BanRuling::NotBanned(..))));
        is_unknown && !released.contains(&one.subject)
    });
    let unknown = unknown.filter_map(|one| one.subject.account().cloned());
    let records = lift_records(unknown.collect(), &call.caller.rights, context).await;
    let is_told = |account: &Account| records.contains_key(account);
    let untold = results
        .iter_mut()
        .take(ASKED)
        .filter(|one| one.subject.account().is_some_and(|it| !is_told(it)));
    join_all(untold.map(|one| one.ask_server(context))).await;
    Ok(Outcome::Done(answer(&results, context, |one| {
        match one
            .subject
            .account()
            .and_then(|account| records.get(account))
        {
            Some(said) => Some(said.clone()),
            None => say(one, &released, &call.caller.rights, context),
        }
    })))
}

/// Lifts what the server's own records hold against accounts that are not banned here, and says so. A record may be
/// from after the copy that the store was put back to.
async fn lift_records(
    accounts: Vec<Account>,
    rights: &Rights,
    context: &Context,
) -> HashMap<Account, Said> {
    let mut lifted = HashMap::new();
    for few in accounts.chunks(RECORDS_AT_ONCE) {
        let few = few.iter().cloned();
        let said = join_all(few.map(|account| lift_record(account, rights, context))).await;
        lifted.extend(said.into_iter().flatten());
    }
    lifted
}

async fn lift_record(
    account: Account,
    rights: &Rights,
    context: &Context,
) -> Option<(Account, Said)> {
    let role = rights.over_account(Some(&account));
    let found = context.delivery.record_beyond(&account, ASK_WAIT).await?;
    if found.needs_server {
        let why = phrases::only_the_server_lifts(&account, &found);
        return Some((account, Said::failed(why)));
    }
    let term = Term::up_to(found.until);
    let (policy, now) = (context.engine.policy(), context.engine.now());
    // Whose ban it is, the record does not prove to somebody who may only end their own.
    let may_not = role < Role::Admin && (!found.is_ours || policy.moderators_change == Whose::Own);
    if may_not {
        let only = phrases::only_in_a_record(&account, &found);
        return Some((account, Said::failed(text::an_admin_can(&only))));
    }
    if policy.allows_term(role, term, now).is_err() {
        let only = phrases::only_in_a_record(&account, &found);
        return Some((account, Said::failed(text::longer_than_allowed(&only))));
    }
    let settled = context
        .delivery
        .lift_record(&account, &found, ASK_WAIT)
        .await;
    let subject = Subject::Account(account.clone());
    let beside = Beside::of(&subject, context).await;
    let standing = context.delivery.server().standing().borrow().clone();
    let is_free = beside.is_clear();
    let (grade, text) = phrases::lifted_from_record(&account, &found, &settled, &standing, is_free);
    let said = Said::graded(grade, text).with(beside.lines(&subject));
    Some((account, said))
}

/// The order to end one ban.
fn lift(call: &Call, subject: &Subject, reason: &str) -> Order {
    let reason = reason.to_owned();
    call.order(subject, Action::Ban(BanOrder::Lift { reason }))
}

fn problem(text: impl Into<String>) -> Problem {
    Problem::new("filter", text)
}

fn say(
    result: &TargetResult,
    released: &[Subject],
    rights: &Rights,
    context: &Context,
) -> Option<Said> {
    let now = context.engine.now();
    let said = match &result.ruling {
        Ok(Ruling::Ban(BanRuling::NotBanned(subject, _))) if released.contains(subject) => {
            Said::done(text::lifted_in_memory(subject))
        }
        Ok(Ruling::Ban(BanRuling::Lifted(ban))) => Said::done(phrases::lifted(ban)),
        Ok(Ruling::Ban(BanRuling::NotBanned(subject, last))) => {
            Said::done(phrases::not_banned(subject, last.as_ref()))
        }
        _ => Said::failed(result.not_done()),
    };
    let subject = &result.subject;
    let explanation = context.admission.explain(subject.whose(), subject.place());
    let mut kept_out = keep_out(subject, &explanation, context);
    kept_out.retain(|ban| rights.see(&ban.subject));
    let lines = phrases::still_kept_out(&kept_out, now).into_iter();
    Some(lines.fold(said, |said, line| said.but(Some(line))))
}
