//! `undo`: takes back changes and restores the earlier state.

mod last;
mod text;
mod wanted;

use std::net::IpAddr;

use futures::future::join_all;

use super::call::Caller;
use super::context::Context;
use super::outcome::{Ask, EarlyOutcome, Outcome, Row};
use super::parts::many::{self, TargetFailure};
use super::parts::results::{Said, TargetResult, answer, carry_out};
use super::parts::settle::{MANY, own_homes};
use super::parts::subjects;
use super::phrases::{self, NAMED};
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use crate::core::undo::UNDO_ENTRIES;
use crate::core::{Action, Ledger, Order, Role, Ruling, Subject, UndoKind, UndoRuling};
use wanted::{One, UndoTargets};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "undo",
    title: "Undo",
    summary: "Takes back your last command, or the last change of a ban or subject, and restores the state before it.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field::new(subjects::FIELD, "#number or whom", Kind::Line).at(Place::Subjects)
            .desc("The number of a ban (#17) or whom it was about; several with spaces between them. Or all that one command did, by the name its answer gave (command:4f2a91c7d0e1b2a3). Left out: what your last command did, unless somebody else changed it since."),
        Field::new(OTHERS, "Even what others did", Kind::Flag).at(Place::Option)
            .desc("Where somebody else changed it after you; admins only."),
    ],
    usage: "undo [#N|SUBJECT…|command:ID]",
    examples: &[
        ("undo", "all that your last command did"),
        ("undo #17", "what was done last to the ban #17"),
        ("undo 198.51.100.0/24", "an exemption, or its end"),
        (
            "undo command:4f2a91c7d0e1b2a3",
            "all that one command did, as its answer named it",
        ),
    ],
    changes: true,
};

const OTHERS: &str = "others";
/// Maximum number of changes that are listed one by one, before and after.
const TOLD: usize = 20;
/// Maximum number of changes whose undo is offered by their numbers.
const NUMBERED: usize = 5;

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let wanted = wanted::find(call, context).await?;
    let reach = UndoReach::of(call, &wanted, context);
    let is_risky = wanted.entries.len() + reach.with_them > MANY || reach.is_risky();
    call.confirm(is_risky, || question(call, &wanted, &reach))?;
    match wanted.entries.len() {
        ..=TOLD => take_back_few(call, &wanted, context).await,
        _ => Ok(take_back_many(call, &wanted, context).await),
    }
}

/// What an undo does beyond the named changes, as far as the first [`TOLD`] of them.
struct UndoReach {
    /// Number of other subjects that are restored with them.
    with_them: usize,
    /// Wide networks that are banned or exempt again.
    wide: Vec<Subject>,
    /// What is banned again and covers a place where the caller logged in before, each with an address there.
    homes: Vec<(Subject, IpAddr)>,
}

impl UndoReach {
    fn of(call: &Request<'_>, wanted: &UndoTargets, context: &Context) -> UndoReach {
        let policy = context.engine.policy();
        let mut reach = UndoReach {
            with_them: 0,
            wide: Vec::new(),
            homes: Vec::new(),
        };
        let mut banned = Vec::new();
        context.engine.read(|ledger| {
            for one in wanted.entries.iter().take(TOLD) {
                let with = ledger.undo().restored_with(&one.subject);
                for (number, subject) in std::iter::once(&one.subject).chain(with).enumerate() {
                    reach.with_them += usize::from(number > 0);
                    let bans = is_banned_again(ledger, subject);
                    if policy.is_risky(subject) && (bans || is_exempt_again(ledger, subject)) {
                        reach.wide.push(subject.clone());
                    }
                    if bans && subject.net().is_some() {
                        banned.push(subject.clone());
                    }
                }
            }
        });
        reach.homes = own_homes(&banned, call, context);
        reach
    }

    fn is_risky(&self) -> bool {
        !self.wide.is_empty() || !self.homes.is_empty()
    }
}

/// Whether an undo of the last change of a subject bans it, and it is not banned now.
fn is_banned_again(ledger: &Ledger, subject: &Subject) -> bool {
    let last = ledger.undo().of(subject);
    last.is_some_and(|entry| entry.ban_before().is_some()) && ledger.bans().of(subject).is_none()
}

/// Whether an undo of the last change of a subject exempts it, and it is not exempt now.
fn is_exempt_again(ledger: &Ledger, subject: &Subject) -> bool {
    let last = ledger.undo().of(subject);
    last.is_some_and(|entry| entry.exemption_before().is_some())
        && ledger.exemptions().of(subject).is_none()
}

/// Undoes a few changes and reports each.
async fn take_back_few(
    call: &Request<'_>,
    wanted: &UndoTargets,
    context: &Context,
) -> Result<Outcome, EarlyOutcome> {
    let orders = wanted.entries.iter().map(|one| order(call, one)).collect();
    let results = carry_out(call, orders, |_| subjects::FIELD, context).await?;
    let said = join_all(results.iter().map(|one| say(one, call, context))).await;
    let mut said = said.into_iter();
    let mut answer = answer(&results, context, |_| said.next().flatten());
    answer.lines.extend(wanted.left.clone());
    let undone = results.iter().filter_map(TargetResult::undo).count();
    if undone > NUMBERED {
        answer.undo = call.id.map(phrases::undo_command);
    }
    Ok(Outcome::Done(answer))
}

/// Undoes the many changes of one command and counts them.
async fn take_back_many(call: &Request<'_>, wanted: &UndoTargets, context: &Context) -> Outcome {
    let started = context.engine.now();
    let all = wanted.entries.len();
    let mut undone = Vec::with_capacity(all);
    let mut failed = TargetFailure::default();
    let take = |one: &One, answer| match answer {
        Ok(Ruling::Undo(UndoRuling::Undone { .. })) => undone.push(one.subject.clone()),
        Ok(Ruling::Undo(UndoRuling::ChangedSince(subject))) => {
            failed.add(&subject, String::from(text::STAY_AS_THEY_ARE));
        }
        other => failed.take(&one.subject, other, call),
    };
    let order = |one: &One| order(call, one);
    many::carry_out(call, &wanted.entries, order, take, context).await;
    let pending = many::still_pending(&undone, context).await;
    let took = context.engine.now().since(started);
    let mut lines = vec![text::undone_many(undone.len(), all, wanted.command, took)];
    lines.extend(failed.lines());
    lines.extend(wanted.is_cut.then(|| text::more_than_is_kept(UNDO_ENTRIES)));
    lines.extend(wanted.left.clone());
    if !undone.is_empty() {
        lines.push(text::server_follows(pending));
    }
    let again = call.id.filter(|_| !undone.is_empty());
    let answer = many::answer(undone.len(), all, &failed, pending, lines);
    Outcome::Done(answer.with_undo(again.map(phrases::undo_command)))
}

fn order(call: &Request<'_>, one: &One) -> Order {
    call.order(&one.subject, Action::Undo { change: one.entry })
}

async fn say(result: &TargetResult, call: &Request<'_>, context: &Context) -> Option<Said> {
    let (now, subject) = (context.engine.now(), &result.subject);
    match result.ruling.as_ref().ok()? {
        Ruling::Undo(UndoRuling::Undone { entry, stood, ban }) => {
            let exemption = text::exemption_again(entry, now);
            let as_before = text::as_before(stood.as_ref(), ban.as_ref(), subject, now);
            let said = Said::done(text::undone(entry));
            if entry.kind == UndoKind::Annotated {
                return Some(said.and(text::notes_again(subject)));
            }
            Some(match (stood, ban, &exemption) {
                (None, None, Some(_)) => said.with(exemption),
                _ => said.and(as_before).with(exemption),
            })
        }
        Ruling::Undo(UndoRuling::ChangedSince(subject)) => Some(Said::failed(
            not_undone(&call.caller, subject, context).await,
        )),
        _ => None,
    }
}

/// As [`changed_since`], for something that is not undone for that reason.
async fn not_undone(caller: &Caller, subject: &Subject, context: &Context) -> String {
    text::nothing_undone(&changed_since(caller, subject, context).await)
}

/// Who changed the subject since, and how.
async fn changed_since(caller: &Caller, subject: &Subject, context: &Context) -> String {
    let entries = context.engine.history(subject).await.unwrap_or_default();
    let mut events = entries.iter().map(|entry| &entry.event);
    text::changed_since(subject, events.rfind(|event| caller.may_read(event)))
}

fn question(call: &Request<'_>, wanted: &UndoTargets, reach: &UndoReach) -> Ask {
    let (number, shown) = (wanted.entries.len(), wanted.entries.iter().take(TOLD));
    let mut values = call.values.clone();
    if values.words(subjects::FIELD).is_empty() {
        // By the time of the answer something else may be the last change.
        let named = match wanted.command {
            Some(command) => vec![command.to_string()],
            None => shown.clone().map(|one| one.subject.written()).collect(),
        };
        values = Values::new();
        values.set(subjects::FIELD, named);
    }
    let mut lines = vec![text::ask_undo(number, shown.len())];
    lines.extend((reach.with_them > 0).then(|| text::restored_too(reach.with_them)));
    lines.extend(reach.wide.iter().take(NAMED).map(phrases::is_wide));
    lines.extend(reach.homes.iter().take(NAMED).map(phrases::covers_home));
    lines.extend(wanted.is_cut.then(|| text::more_than_is_kept(UNDO_ENTRIES)));
    lines.extend(wanted.left.clone());
    let row = |one: &One| (one.subject.to_string(), one.kind.to_string());
    Ask {
        title: text::really_undo(number),
        lines,
        rows: Row::numbered("subject", shown.map(row)),
        values: Some(values),
    }
}
