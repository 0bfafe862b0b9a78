//! `show`: shows everything known about one subject.

use super::broken;
use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Row};
use super::parts::fields::WHOM;
use super::parts::login::{counters, covering, others};
use super::parts::notes;
use super::parts::reach::visible;
use super::phrases::{self, clean, clean_lines, count};
use super::request::Request;
use super::spec::Spec;
use crate::core::time::in_words;
use crate::core::{Rights, Role, Subject};
use crate::delivery::ports::Task;
use crate::journal::Entry;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "show",
    title: "Show a ban",
    summary: "Shows one subject: its ban, what the server made of it, what is counted, and its history.",
    needs: Role::Viewer,
    form: true,
    fields: &[WHOM.desc("An account, an address, a network, one from the other (alice@example.org from 203.0.113.7), or the number of a ban (#17), also of one that is over.")],
    usage: "show SUBJECT|#N",
    examples: &[
        (
            "show spam@example.org",
            "with private notes and who did what",
        ),
        ("show #17", "the same by number"),
    ],
    changes: false,
};

/// Number of history entries shown, newest first.
const REMEMBERED: usize = 20;

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = call.subject()?;
    let entries = context.engine.history(&subject).await;
    let entries = entries.map_err(|fault| broken("read the history", &fault))?;
    let answer = answer(&subject, &entries, &call.caller.rights, context);
    Ok(Outcome::Done(answer))
}

fn answer(subject: &Subject, entries: &[Entry], rights: &Rights, context: &Context) -> Answer {
    let now = context.engine.now();
    let current = context.active_ban(subject);
    let past = context.engine.read(|ledger| *ledger.history(subject));
    let task = context.delivery.task(subject);
    let mut rows = Vec::new();
    let (title, mut lines) = match &current {
        Some(ban) => {
            let until = match ban.until {
                None => String::from("forever"),
                Some(end) => format!("{end} ({} left)", in_words(end.since(now))),
            };
            rows.push(Row::new("number", "Number", ban.id.to_string()));
            rows.push(Row::new("until", "Until", until));
            rows.push(Row::new("since", "Since", ban.since.to_string()));
            rows.push(Row::new("by", "By", phrases::giver(&ban.by)));
            rows.push(Row::new("origin", "Origin", ban.origin.to_string()));
            (
                format!("{subject} is banned ({})", ban.id),
                vec![phrases::is_banned(ban, now)],
            )
        }
        None => (
            format!("{subject} is not banned"),
            vec![phrases::not_banned(subject, past.last.as_ref())],
        ),
    };
    let covering = covering(subject, context);
    lines.extend(covering.map(|ban| phrases::still_covered(&ban, now)));
    let explanation = context.admission.explain(subject.whose(), subject.place());
    let explanation = visible(explanation, rights);
    let told = current.as_ref().map(|ban| ban.id);
    rows.extend(others(&explanation, told, context));
    let exempt = explanation.exempt.as_deref();
    rows.extend(exempt.map(|by| Row::new("exempt", "Exempt", clean(by))));
    let level = context.delivery.server().standing().borrow().level;
    if current.is_some() || task.is_some() {
        let server = on_the_server(subject, task.as_ref(), level);
        if task.is_some() || level == 0 {
            lines.push(server.clone());
        }
        rows.push(Row::new("server", "On the server", server));
    }
    if current.is_some() {
        lines.extend(phrases::meaning(subject));
        lines.push(phrases::how_to_end(subject));
    }
    if !explanation.counting.is_empty() {
        rows.extend(counters(&explanation));
    }
    rows.push(Row::new("times", "Times banned", past.bans.to_string()));
    rows.extend(noted(entries));
    rows.extend(history(entries));
    let grade = match task {
        Some(_) => Grade::Warning,
        None => Grade::Good,
    };
    Answer::new(grade, title, lines).with_rows(rows)
}

fn on_the_server(subject: &Subject, task: Option<&Task>, level: u8) -> String {
    match (task, subject) {
        (Some(task), _) => format!("Not carried out yet: {}", phrases::task(task)),
        _ if level == 0 => phrases::nothing_enforced(),
        (None, Subject::Account(_)) => String::from("The server refuses them."),
        (None, _) if level < 2 => phrases::needs_module(subject),
        (None, _) => String::from(phrases::ENFORCED),
    }
}

/// The current private notes, newest first.
fn noted(entries: &[Entry]) -> impl Iterator<Item = Row> {
    let notes = notes::standing(entries).into_iter().rev().take(REMEMBERED);
    notes.filter_map(|entry| {
        let event = &entry.event;
        let note = clean_lines(event.personal.note.as_ref()?);
        let (by, at) = (clean(event.actor.bare_name()), event.at);
        let value = format!("{note} ({by}, {at})");
        Some(Row::new(
            format!("note{}", entry.seq.0),
            "Private note",
            value,
        ))
    })
}

/// The history, newest first.
fn history(entries: &[Entry]) -> impl Iterator<Item = Row> {
    let older = entries.len().saturating_sub(REMEMBERED);
    let shown = entries.iter().rev().take(REMEMBERED).flat_map(|entry| {
        let (event, seq) = (&entry.event, entry.seq.0);
        let what = phrases::happened(event);
        let happened = Row::new(format!("event{seq}"), event.at.to_string(), what);
        let evidence = event.personal.evidence.as_deref();
        let evidence =
            evidence.map(|text| Row::new(format!("evidence{seq}"), "Evidence", clean(text)));
        std::iter::once(happened).chain(evidence)
    });
    let more = format!("{} more", count(older, "event"));
    shown.chain((older > 0).then(|| Row::new("older", "Before that", more)))
}
