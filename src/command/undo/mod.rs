//! `undo`: takes back what was done last, as if it had not been done.

mod text;

mod wanted;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Ask, Grade, Outcome, Problem, Row};
use super::parts::many;
use super::parts::many::TargetFailure;
use super::parts::settle::{MANY, WAIT};
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{broken, phrases};
use crate::core::undo::UNDO_ENTRIES;
use crate::core::{Action, Ban, Order, Role, Ruling, Subject, UndoEntry, UndoRuling};
use crate::journal::LogFault;
use wanted::{One, UndoTargets};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "undo",
    title: "Undo",
    summary: "Takes back what you did last, or what was done last to a ban or subject: all is as it was before.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            name: subjects::FIELD,
            label: "#number or whom",
            kind: Kind::Line,
            required: false,
            desc: "The number of a ban (#17) or whom it was about; several with spaces between them. Or all that one command did, by the name its answer gave (command:4f2a91c7d0e1b2a3). Left out: what your last command did.",
            place: Place::Subjects,
        },
        Field {
            name: OTHERS,
            label: "Even what others did",
            kind: Kind::Flag,
            required: false,
            desc: "Where somebody else changed it after you; admins only.",
            place: Place::Option,
        },
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
/// Up to so many are told one by one, before and after.
const TOLD: usize = 20;
/// Up to so many are offered to be undone again by their numbers.
const NUMBERED: usize = 5;

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let wanted = match wanted::find(call, context).await {
        Ok(wanted) => wanted,
        Err(outcome) => return *outcome,
    };
    if wanted.deeds.len() > MANY && !call.confirmed {
        return Outcome::Ask(question(&wanted));
    }
    match wanted.deeds.len() {
        ..=TOLD => take_back_few(call, &wanted.deeds, context).await,
        _ => take_back_many(call, &wanted, context).await,
    }
}

/// Takes back a handful and tells what came of each.
async fn take_back_few(call: &Call, deeds: &[One], context: &Context) -> Outcome {
    let orders = deeds.iter().map(|one| order(call, one).into()).collect();
    let answers = context.engine.submit(orders).await;
    if let ([one], [Ok(Ruling::Refused(why))]) = (deeds, &answers[..]) {
        return Outcome::Refused(vec![Problem {
            field: subjects::FIELD,
            text: phrases::refusal(why, call.caller.rights.over(&one.subject)),
        }]);
    }
    let is_done = |answer: &&Result<Ruling, LogFault>| {
        matches!(answer, Ok(Ruling::Undo(UndoRuling::Undone { .. })))
    };
    let (all, done) = (deeds.len(), answers.iter().filter(is_done).count());
    let told = deeds.iter().zip(answers);
    let told = join_all(told.map(|(one, answer)| tell(&one.subject, answer, context))).await;
    let mut answer = Answer::new(Grade::Good, phrases::summary_title(done, all), Vec::new());
    let mut again = Vec::new();
    for (one, (grade, lines, way_back)) in deeds.iter().zip(told) {
        answer.grade = answer.grade.max(grade);
        again.extend(way_back);
        match all {
            1 => answer.lines = lines,
            _ => {
                let var = format!("result{}", answer.rows.len() + 1);
                let row = Row::new(var, one.subject.to_string(), lines.join(" "));
                answer.rows.push(row);
            }
        }
    }
    if answer.grade == Grade::Bad && done > 0 {
        answer.grade = Grade::Warning;
    }
    if all > 1 {
        answer.lines.push(phrases::summary(done, all, &[]));
    }
    answer.undo = way_back(&again, call);
    Outcome::Done(answer)
}

/// Takes back what one command did to many, and counts.
async fn take_back_many(call: &Call, wanted: &UndoTargets, context: &Context) -> Outcome {
    let started = context.engine.now();
    let all = wanted.deeds.len();
    let mut undone = Vec::with_capacity(all);
    let mut failed = TargetFailure::default();
    let take = |one: &One, answer| match answer {
        Ok(Ruling::Undo(UndoRuling::Undone { .. })) => undone.push(one.subject.clone()),
        Ok(Ruling::Undo(UndoRuling::ChangedSince(subject))) => {
            failed.add(&subject, String::from(text::WERE_CHANGED_SINCE))
        }
        other => failed.take(&one.subject, other, call),
    };
    let order = |one: &One| order(call, one);
    many::carry_out(call, &wanted.deeds, order, take, context).await;
    let pending = many::still_pending(&undone, context).await;
    let took = context.engine.now().since(started);
    let mut lines = vec![text::undone_many(undone.len(), all, wanted.command, took)];
    lines.extend(failed.lines());
    lines.extend(wanted.is_cut.then(|| text::more_than_is_kept(UNDO_ENTRIES)));
    if !undone.is_empty() {
        lines.push(text::server_follows(pending));
    }
    Outcome::Done(
        Answer::new(
            match (undone.len(), failed.is_empty() && pending == 0) {
                (0, _) => Grade::Bad,
                (_, true) => Grade::Good,
                (_, false) => Grade::Warning,
            },
            phrases::summary_title(undone.len(), all),
            lines,
        )
        .with_undo(
            call.id
                .filter(|_| !undone.is_empty())
                .map(phrases::undo_command),
        ),
    )
}

fn order(call: &Call, one: &One) -> Order {
    call.order(&one.subject, Action::Undo { deed: one.deed })
}

/// How to take back what was taken back.
fn way_back(names: &[String], call: &Call) -> Option<String> {
    match (names, call.id) {
        ([], _) => None,
        (many, Some(command)) if many.len() > NUMBERED => Some(phrases::undo_command(command)),
        (few, _) => {
            let few: Vec<&str> = few.iter().map(String::as_str).collect();
            Some(phrases::undo(&few))
        }
    }
}

type UndoResult = (Grade, Vec<String>, Option<String>);

/// The answer for one, and how to take it back.
async fn tell(
    subject: &Subject,
    answer: Result<Ruling, LogFault>,
    context: &Context,
) -> UndoResult {
    let line = match answer {
        Ok(Ruling::Undo(UndoRuling::Undone { deed, stood, ban })) => {
            return tell_undone(&deed, stood.as_ref(), ban.as_ref(), context).await;
        }
        Ok(Ruling::Undo(UndoRuling::ChangedSince(subject))) => {
            changed_since(&subject, context).await
        }
        Ok(ruling) => phrases::not_done(subject, &ruling),
        Err(fault) => phrases::failed(subject, &fault, &broken("store an undo", &fault)),
    };
    (Grade::Bad, vec![line], None)
}

async fn tell_undone(
    deed: &UndoEntry,
    stood: Option<&Ban>,
    ban: Option<&Ban>,
    context: &Context,
) -> UndoResult {
    let now = context.engine.now();
    let subject = &deed.subject;
    let mut lines = vec![text::undone(deed)];
    let mut grade = Grade::Good;
    if stood.is_some() || ban.is_some() {
        lines.push(text::as_before(stood, ban, subject, now));
        let level = context.delivery.server().standing().borrow().level;
        let settled = context.delivery.settled(subject, WAIT).await;
        let (server_grade, server) = match ban {
            Some(_) => phrases::held(subject, &settled, level, stood.is_none()),
            None => phrases::released(subject, &settled),
        };
        grade = server_grade;
        lines.push(server);
    }
    lines.extend(text::exemption_again(deed, now));
    if lines.len() == 1 {
        lines.push(text::as_before(None, None, subject, now));
    }
    let number = deed.number.map(|id| id.to_string());
    (
        grade,
        lines,
        Some(number.unwrap_or_else(|| subject.to_string())),
    )
}

/// Who changed it since, and how.
async fn changed_since(subject: &Subject, context: &Context) -> String {
    let entries = context.engine.history(subject).await.unwrap_or_default();
    let last = entries.last().map(|entry| &entry.event);
    let what = last.map(phrases::happened);
    text::changed_since(subject, last.map(|event| event.at).zip(what.as_deref()))
}

fn question(wanted: &UndoTargets) -> Ask {
    let (deeds, shown) = (&wanted.deeds, wanted.deeds.iter().take(TOLD));
    let row = |(place, one): (usize, &One)| {
        let var = format!("subject{}", place + 1);
        Row::new(var, one.subject.to_string(), one.did.to_string())
    };
    // What is done last may be another thing when the answer comes.
    let named = match wanted.command {
        Some(command) => vec![command.to_string()],
        None => deeds.iter().map(|one| one.subject.to_string()).collect(),
    };
    let mut values = Values::new();
    values.set(subjects::FIELD, named);
    let mut lines = vec![text::ask_undo(deeds.len(), shown.len())];
    lines.extend(wanted.is_cut.then(|| text::more_than_is_kept(UNDO_ENTRIES)));
    Ask {
        title: text::ask_undo_title(deeds.len()),
        lines,
        rows: shown.enumerate().map(row).collect(),
        values: Some(values),
    }
}

fn bad(line: String) -> Box<Outcome> {
    Box::new(Outcome::Done(Answer::not_done(line)))
}
