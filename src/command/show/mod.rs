//! `show`: all there is to know of one subject.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Row};
use super::parts::fields::WHOM;
use super::parts::login::covering;
use super::parts::login::{counters, others};
use super::parts::reach::visible;
use super::parts::{notes, subjects};
use super::spec::{Field, Spec};
use super::{broken, phrases};
use crate::core::{Rights, Role, Subject};
use crate::journal::Entry;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "show",
    title: "Show a ban",
    summary: "Shows one subject: its ban, what the server made of it, what is counted, and its history.",
    needs: Role::Viewer,
    form: true,
    fields: &[Field {
        desc: "An account, an address, a network, one from the other (alice@example.org from 203.0.113.7), or the number of a ban (#17), also of one that is over.",
        ..WHOM
    }],
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

/// How much of the history is shown, newest first.
const REMEMBERED: usize = 20;

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let named = subjects::read_one(&call.values.words(subjects::FIELD), context);
    let subject = match named {
        Ok(subject) => subject,
        Err(problems) => return Outcome::Invalid(problems),
    };
    match context.engine.history(&subject).await {
        Ok(entries) => Outcome::Done(answer(&subject, &entries, &call.caller.rights, context)),
        Err(fault) => Outcome::Broken(broken("read the history", &fault)),
    }
}

fn answer(subject: &Subject, entries: &[Entry], rights: &Rights, context: &Context) -> Answer {
    let now = context.engine.now();
    let (current, last, times) = context.engine.read(|ledger| {
        (
            ledger
                .bans()
                .of(subject)
                .filter(|ban| ban.is_in_force(now))
                .cloned(),
            ledger.history(subject).last,
            ledger.history(subject).bans,
        )
    });
    let task = context.delivery.task(subject);
    let covering = covering(subject, context);
    let mut rows = Vec::new();
    let (title, mut lines) = match &current {
        Some(ban) => {
            rows.push(Row::new("number", "Number", ban.id.to_string()));
            rows.push(Row::new("until", "Until", text::until_and_left(ban, now)));
            rows.push(Row::new("since", "Since", ban.since.to_string()));
            rows.push(Row::new("by", "By", phrases::giver(&ban.by)));
            rows.push(Row::new("origin", "Origin", ban.origin.to_string()));
            (
                text::is_banned_title(ban),
                vec![phrases::is_banned(ban, now)],
            )
        }
        None => (
            text::not_banned_title(subject),
            vec![phrases::not_banned(subject, last.as_ref())],
        ),
    };
    if let Some(ban) = &covering {
        lines.push(phrases::still_covered(ban, now));
    }
    let explanation = context.admission.explain(subject.whose(), subject.place());
    let explanation = visible(explanation, rights);
    rows.extend(others(
        &explanation,
        current.as_ref().map(|ban| ban.id),
        context,
    ));
    if let Some(by) = &explanation.exempt {
        rows.push(Row::new("exempt", "Exempt", phrases::exempt(by)));
    }
    let level = context.delivery.server().standing().borrow().level;
    if current.is_some() || task.is_some() {
        let server = text::on_the_server(subject, task.as_ref(), level);
        if task.is_some() || level == 0 {
            lines.push(server.clone());
        }
        rows.push(Row::new("server", text::ON_THE_SERVER, server));
    }
    if current.is_some() {
        lines.extend(phrases::meaning(subject));
        lines.push(phrases::how_to_end(subject));
    }
    if !explanation.counting.is_empty() {
        rows.extend(counters(&explanation));
    }
    rows.push(Row::new("times", "Times banned", times.to_string()));
    rows.extend(noted(entries));
    rows.extend(history(entries));
    Answer::new(
        if task.is_some() {
            Grade::Warning
        } else {
            Grade::Good
        },
        title,
        lines,
    )
    .with_rows(rows)
}

/// The private notes there are, newest first.
fn noted(entries: &[Entry]) -> impl Iterator<Item = Row> {
    let notes = notes::standing(entries).into_iter().rev().take(REMEMBERED);
    notes.filter_map(|entry| {
        let event = &entry.event;
        let note = event.personal.note.as_ref()?;
        Some(Row::new(
            format!("note{}", entry.seq.0),
            "Private note",
            text::note_by(note, event.actor.bare_name(), event.at),
        ))
    })
}

/// What happened, newest first.
fn history(entries: &[Entry]) -> impl Iterator<Item = Row> {
    let older = entries.len().saturating_sub(REMEMBERED);
    let shown = entries.iter().rev().take(REMEMBERED).flat_map(|entry| {
        let event = &entry.event;
        let happened = Row::new(
            format!("event{}", entry.seq.0),
            event.at.to_string(),
            phrases::happened(event),
        );
        let evidence = event.personal.evidence.as_ref().map(|evidence| {
            Row::new(
                format!("evidence{}", entry.seq.0),
                "Evidence",
                phrases::clean(evidence),
            )
        });
        std::iter::once(happened).chain(evidence)
    });
    let more = (older > 0).then(|| Row::new("older", "Before that", text::older(older)));
    shown.chain(more)
}
