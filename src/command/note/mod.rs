//! `note`: adds, replaces or deletes private notes about a subject.

mod text;

use super::broken;
use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Outcome, Problem};
use super::parts::fields::{NOTE, WHOM};
use super::parts::notes;
use super::parts::results::{Said, answer, carry_out};
use super::phrases::clean;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{Action, HistoryOrder, HistoryRuling, Role, Ruling};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "note",
    title: "Write a private note",
    summary: "Adds a private note to a subject, banned or not; show displays the notes.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        WHOM.at(Place::Subject)
            .desc("An account, an address, a network or the number of a ban (#17)."),
        NOTE,
        Field::new("replace", "Replace the existing notes", Kind::Flag)
            .at(Place::Option)
            .desc("The existing notes are deleted."),
        Field::new("remove", "Delete the notes", Kind::Flag)
            .at(Place::Option)
            .desc("All of them, without a new one."),
    ],
    usage: "note SUBJECT|#N TEXT…",
    examples: &[
        ("note #17 ask alice before you un-ban", "one note more"),
        ("note #17 --replace settled with alice", "this one alone"),
        ("note spam@example.org --remove", "none any more"),
    ],
    changes: true,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = call.subject()?;
    let note = call.clean_text(NOTE.name);
    let flag = |name| call.values.flag(name).unwrap_or(false);
    let (replaces, removes) = (flag("replace"), flag("remove"));
    let wrong = match (&note, removes) {
        (None, false) => Some(text::write_it()),
        (Some(_), true) => Some(String::from(text::NOT_BOTH)),
        _ => None,
    };
    if let Some(wrong) = wrong {
        return Err(Problem::new(NOTE.name, wrong).into());
    }
    if removes {
        let entries = context.engine.history(&subject).await;
        let entries = entries.map_err(|fault| broken("read the notes", &fault))?;
        if notes::standing(&entries).is_empty() {
            return Ok(Outcome::Done(Answer::done(text::no_note(&subject))));
        }
    }
    let order = HistoryOrder::Annotate {
        note: note.clone(),
        replaces: replaces || removes,
    };
    let orders = vec![call.order(&subject, Action::History(order))];
    let results = carry_out(call, orders, |_| NOTE.name, context).await?;
    let note = note.as_deref().map(clean);
    Ok(Outcome::Done(answer(&results, context, |result| {
        let Ok(Ruling::History(HistoryRuling::Annotated(subject))) = &result.ruling else {
            return None;
        };
        Some(Said::done(text::noted(subject, note.as_deref(), replaces)))
    })))
}
