//! `undo`: takes back what was done last, as if it had not been done.

use futures::FutureExt;

use super::ban::{MANY, WAIT};
use super::call::{Call, Context};
use super::outcome::{Answer, Ask, Grade, Outcome, Problem, Row};
use super::spec::{Field, Kind, Place, Spec, Values};
use super::{broken, subjects, words};
use crate::ban::{Ban, BanId, Deed, Did, Order, Report, Role, Ruling, Seq, Subject, What};
use crate::gate::ports::LogFault;
use std::time::Duration;

/// The description.
pub const SPEC: Spec = Spec {
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
            desc: "The number of a ban (#17) or whom it was about; several with spaces between them. Left out: what you did last.",
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
    usage: "undo [#N|SUBJECT…]",
    examples: &[
        ("undo", "what you did last"),
        ("undo #17", "what was done last to the ban #17"),
        ("undo 198.51.100.0/24", "an exemption, or its end"),
    ],
    run: |call, context| run(call, context).boxed(),
};

const OTHERS: &str = "others";
/// Things one did this close to one another, each of the same kind, were one command.
const ONE_COMMAND: Duration = Duration::from_secs(2);
/// How many things one command did at most, as far as undo is concerned.
const MOST: usize = subjects::MOST;

/// One thing to undo: to whom, which, and as the caller named it.
struct Wanted {
    subject: Subject,
    deed: Seq,
    did: Did,
}

async fn run(call: &Call, context: &Context) -> Outcome {
    let wanted = match find(call, context).await {
        Ok(wanted) => wanted,
        Err(outcome) => return *outcome,
    };
    if wanted.len() > MANY && !call.confirmed {
        return Outcome::Ask(question(&wanted));
    }
    let all = wanted.len();
    let mut answer = Answer {
        grade: Grade::Good,
        title: String::new(),
        lines: Vec::new(),
        rows: Vec::new(),
        undo: None,
    };
    let mut done = 0;
    let mut again = Vec::new();
    for one in wanted {
        let subject = one.subject.clone();
        let ruled = submit(call, &one, context).await;
        let (grade, lines, way_back) = match ruled {
            Ok(Ruling::Refused(why)) if all == 1 => {
                return Outcome::Refused(vec![Problem {
                    field: subjects::FIELD,
                    text: words::refusal(&why, call.caller.rights.over(&subject)),
                }]);
            }
            Ok(Ruling::Undone { deed, stood, ban }) => {
                done += 1;
                tell(&deed, stood.as_ref(), ban.as_ref(), context).await
            }
            Ok(Ruling::ChangedSince(subject)) => {
                let line = changed_since(&subject, context).await;
                (Grade::Bad, vec![line], None)
            }
            Ok(ruling) => (Grade::Bad, vec![words::not_done(&subject, &ruling)], None),
            Err(fault) => {
                let reference = broken("store an undo", &fault);
                let line = words::failed(&subject, &fault, &reference);
                (Grade::Bad, vec![line], None)
            }
        };
        answer.grade = answer.grade.max(grade);
        again.extend(way_back);
        match all {
            1 => answer.lines = lines,
            _ => {
                let var = format!("result{}", answer.rows.len() + 1);
                let row = Row::new(var, subject.to_string(), lines.join(" "));
                answer.rows.push(row);
            }
        }
    }
    if answer.grade == Grade::Bad && done > 0 {
        answer.grade = Grade::Warning;
    }
    answer.title = words::summary_title(done, all);
    if all > 1 {
        answer.lines.push(words::summary(done, all, &[]));
    }
    if !again.is_empty() {
        let again: Vec<&str> = again.iter().map(String::as_str).collect();
        answer.undo = Some(words::undo(&again));
    }
    Outcome::Done(answer)
}

/// What the caller means.
async fn find(call: &Call, context: &Context) -> Result<Vec<Wanted>, Box<Outcome>> {
    let words = call.values.words(subjects::FIELD);
    if words.is_empty() {
        let own = own_last(call, context);
        return match own.is_empty() {
            true => Err(Box::new(bad(words::nothing_to_undo()))),
            false if own.len() > MOST => Err(Box::new(bad(words::too_many_to_undo(MOST)))),
            false => Ok(own),
        };
    }
    let others = call.values.flag(OTHERS).unwrap_or(false);
    let invalid = |problems| Box::new(Outcome::Invalid(problems));
    let named = subjects::read(&words, context).map_err(invalid)?;
    let only = named.len() == 1;
    let mut wanted = Vec::with_capacity(named.len());
    for subject in named {
        let deed = context
            .gate
            .read(|ledger| ledger.undoable(&subject).cloned());
        let number = match words[..] {
            [word] if only => word.starts_with('#').then(|| BanId::parse(word)).flatten(),
            _ => None,
        };
        let Some(deed) = deed.filter(|deed| number.is_none() || deed.number == number) else {
            let line = changed_since(&subject, context).await;
            return Err(Box::new(bad(line)));
        };
        let is_anothers = deed.by.bare_name() != call.caller.jid.to_bare().as_str();
        if is_anothers && !others && did_before(call, &subject, &deed, context).await {
            let name = words.first().copied().unwrap_or_default();
            return Err(Box::new(bad(words::others_did(&deed, name))));
        }
        wanted.push(Wanted {
            subject,
            deed: deed.seq,
            did: deed.did,
        });
    }
    Ok(wanted)
}

/// What the caller did last: all that one command of theirs did.
fn own_last(call: &Call, context: &Context) -> Vec<Wanted> {
    let own = call.caller.jid.to_bare();
    context.gate.read(|ledger| {
        let mut found: Vec<Wanted> = Vec::new();
        let mut last: Option<&Deed> = None;
        let deeds = ledger.deeds();
        for deed in deeds.filter(|deed| deed.by.bare_name() == own.as_str()) {
            match last {
                Some(last) if goes_with(last, deed) => continue,
                Some(last) if !is_same_command(last, deed) || found.len() > MOST => break,
                _ => {}
            }
            last = Some(deed);
            found.push(Wanted {
                subject: deed.subject.clone(),
                deed: deed.seq,
                did: deed.did,
            });
        }
        found
    })
}

/// Whether one order did both, so that they go back together.
fn goes_with(last: &Deed, deed: &Deed) -> bool {
    let is_group = matches!(last.did, Did::Forgot | Did::Undid);
    last.seq == deed.seq || (is_group && last.did == deed.did && last.at == deed.at)
}

fn is_same_command(last: &Deed, deed: &Deed) -> bool {
    last.did == deed.did && last.by == deed.by && last.at.since(deed.at) <= ONE_COMMAND
}

/// Whether the caller did something to the subject, before somebody else did the last thing.
async fn did_before(call: &Call, subject: &Subject, last: &Deed, context: &Context) -> bool {
    let own = call.caller.jid.to_bare();
    let entries = context.gate.history(subject).await.unwrap_or_default();
    let within = context.gate.policy().undo_for;
    entries.iter().any(|entry| {
        entry.seq < last.seq
            && last.at.since(entry.event.at) <= within
            && entry.event.actor.bare_name() == own.as_str()
    })
}

async fn submit(call: &Call, one: &Wanted, context: &Context) -> Result<Ruling, LogFault> {
    let order = Order {
        actor: call.caller.actor(call.door, &one.subject),
        own_account: call.caller.account(),
        own_addresses: Vec::new(),
        subject: one.subject.clone(),
        what: What::Undo { deed: one.deed },
    };
    context.gate.submit(Report::Order(order)).await
}

/// The answer for one, and how to take it back.
async fn tell(
    deed: &Deed,
    stood: Option<&Ban>,
    ban: Option<&Ban>,
    context: &Context,
) -> (Grade, Vec<String>, Option<String>) {
    let now = context.gate.now();
    let subject = &deed.subject;
    let mut lines = vec![words::undone(deed)];
    let mut grade = Grade::Good;
    if stood.is_some() || ban.is_some() {
        lines.push(words::as_before(stood, ban, subject, now));
        let level = context.gate.server().standing().borrow().level;
        let settled = context.gate.settled(subject, WAIT).await;
        let (server_grade, server) = match ban {
            Some(_) => words::held(subject, &settled, level, stood.is_none()),
            None => words::released(subject, &settled),
        };
        grade = server_grade;
        lines.push(server);
    }
    lines.extend(words::exemption_again(deed, now));
    if lines.len() == 1 {
        lines.push(words::as_before(None, None, subject, now));
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
    let entries = context.gate.history(subject).await.unwrap_or_default();
    let last = entries.last().map(|entry| &entry.event);
    let what = last.map(words::happened);
    words::changed_since(subject, last.map(|event| event.at).zip(what.as_deref()))
}

fn question(wanted: &[Wanted]) -> Ask {
    let row = |(place, one): (usize, &Wanted)| {
        let var = format!("subject{}", place + 1);
        Row::new(var, one.subject.to_string(), one.did.to_string())
    };
    // What is done last may be another thing when the answer comes.
    let mut values = Values::new();
    let named = wanted.iter().map(|one| one.subject.to_string()).collect();
    values.set(subjects::FIELD, named);
    Ask {
        title: words::ask_undo_title(wanted.len()),
        lines: vec![words::ask_undo(wanted.len())],
        rows: wanted.iter().enumerate().map(row).collect(),
        values: Some(values),
    }
}

fn bad(line: String) -> Outcome {
    Outcome::Done(Answer {
        grade: Grade::Bad,
        title: words::summary_title(0, 1),
        lines: vec![line],
        rows: Vec::new(),
        undo: None,
    })
}
