//! `note`: what people here should know of somebody, and nobody else.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem};
use super::parts::fields::{NOTE, WHOM};
use super::parts::{notes, subjects};
use super::spec::{Field, Kind, Place, Spec};
use super::{broken, phrases};
use crate::core::{Action, HistoryOrder, HistoryRuling, Role, Ruling};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "note",
    title: "Write a private note",
    summary: "Adds a private note, banned or not; show tells the notes there are.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            desc: "An account, an address, a network or the number of a ban (#17).",
            place: Place::Subject,
            ..WHOM
        },
        NOTE,
        Field {
            name: "replace",
            label: "In place of those there are",
            kind: Kind::Flag,
            required: false,
            desc: "The notes there are count no more.",
            place: Place::Option,
        },
        Field {
            name: "remove",
            label: "Take the notes away",
            kind: Kind::Flag,
            required: false,
            desc: "All of them; without a new one.",
            place: Place::Option,
        },
    ],
    usage: "note SUBJECT|#N TEXT…",
    examples: &[
        ("note #17 ask alice before you un-ban", "one note more"),
        ("note #17 --replace settled with alice", "this one alone"),
        ("note spam@example.org --remove", "none any more"),
    ],
    changes: true,
};

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let words = call.values.words(subjects::FIELD);
    let subject = match subjects::read_one(&words, context) {
        Ok(subject) => subject,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let note = call
        .values
        .text(NOTE.name)
        .map(|text| phrases::clean_lines(&text))
        .filter(|text| !text.is_empty());
    let flag = |name| call.values.flag(name).unwrap_or(false);
    let (replaces, removes) = (flag("replace"), flag("remove"));
    let wrong = match (&note, removes) {
        (None, false) => Some(text::no_note()),
        (Some(_), true) => Some(String::from(text::NOTE_OR_REMOVE)),
        _ => None,
    };
    if let Some(text) = wrong {
        return Outcome::Invalid(vec![Problem {
            field: NOTE.name,
            text,
        }]);
    }
    if removes {
        match context.engine.history(&subject).await {
            Ok(entries) if notes::standing(&entries).is_empty() => {
                return done(Grade::Good, vec![text::no_notes_there(&subject)]);
            }
            Ok(_) => {}
            Err(fault) => return Outcome::Broken(broken("read the notes", &fault)),
        }
    }
    let order = call.order(
        &subject,
        Action::History(HistoryOrder::Annotate {
            note: note.clone(),
            replaces: replaces || removes,
        }),
    );
    match context.engine.submit_one(order).await {
        Ok(Ruling::History(HistoryRuling::Annotated(subject))) => done(
            Grade::Good,
            vec![
                text::annotated(&subject, note.as_deref(), replaces),
                phrases::undo(&[&subject.to_string()]),
            ],
        ),
        Ok(Ruling::Refused(why)) => Outcome::Refused(vec![Problem {
            field: NOTE.name,
            text: phrases::refusal(&why, call.caller.role()),
        }]),
        Ok(ruling) => done(Grade::Bad, vec![phrases::not_done(&subject, &ruling)]),
        Err(fault) => {
            let reference = broken("store a note", &fault);
            done(
                Grade::Bad,
                vec![phrases::failed(&subject, &fault, &reference)],
            )
        }
    }
}

fn done(grade: Grade, lines: Vec<String>) -> Outcome {
    Outcome::Done(Answer::new(
        grade,
        phrases::summary_title(usize::from(grade == Grade::Good), 1),
        lines,
    ))
}
