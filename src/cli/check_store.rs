//! `check-store`: what is whole and what is damaged in the files of the store.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::daemon::{self, Stop};
use super::leftovers::CopyFolder;
use super::print;
use crate::command::phrases::clean;
use crate::store::{Damage, DamagedPart, StoreInspection, inspect};

/// Checks the configured store. Exit code 0: everything is whole; 1: something is damaged, or it cannot be read.
pub fn run(file: &Path, json: bool) -> ExitCode {
    daemon::with_store(file, async |store| {
        let scratch = CopyFolder::new().map_err(|why| Stop::no_copy(&why))?;
        let found = quietly(|| inspect(&store, scratch.path(), &mut |_| ()));
        let found = found.map_err(|why| Stop::failed(why.to_string()))?;
        let text = match json {
            true => as_json(&store, &found),
            false => told(&store, &found).join("\n"),
        };
        print(&text).map_err(|why| Stop::cannot_write(&why))?;
        Ok(u8::from(!found.is_whole()))
    })
}

/// Runs a look at a store without the words of panics: engines panic on some kinds of damage, and the look tells it.
pub(super) fn quietly<R>(look: impl FnOnce() -> R) -> R {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let found = look();
    std::panic::set_hook(hook);
    found
}

/// What was found, as sentences.
pub(super) fn told(store: &Path, found: &StoreInspection) -> Vec<String> {
    let store = store.display();
    let Some(engine) = found.engine.map(|engine| engine.to_string()) else {
        return match found.is_whole() {
            true => vec![format!("{store}: there is no store yet.")],
            false => vec![format!(
                "{store}: DAMAGED. The files of the log are not there."
            )],
        };
    };
    let mut lines = vec![match found.is_whole() {
        true => format!("{store} ({engine}): whole."),
        false => format!("{store} ({engine}): DAMAGED."),
    }];
    let digest = found
        .digest
        .map(|digest| format!("; digest {}", hex::encode(digest.0)));
    lines.push(format!(
        "Decisions: {} of {} are whole{}.",
        found.whole,
        found.end.0,
        digest.unwrap_or_default()
    ));
    lines.push(match found.acknowledged {
        Some(seq) => format!(
            "The last one that is known to have been acknowledged: {}.",
            seq.0
        ),
        None => String::from("Which one was acknowledged last is not known."),
    });
    lines.extend(found.damage.iter().map(sentence));
    if found.more > 0 {
        lines.push(format!("… and {} more damaged places.", found.more));
    }
    if !found.is_whole() {
        lines.push(String::from(
            "portcullis export --offline -o FILE saves everything that can still be read. How to go on from there: docs/operator.md, \"When the store is damaged\".",
        ));
    }
    lines
}

fn sentence(damage: &Damage) -> String {
    let why = clean(&damage.why);
    match damage.part {
        DamagedPart::Engine => {
            format!("The files of the storage engine cannot be opened: {why}.")
        }
        DamagedPart::Identity => {
            format!("The version or the id of the store cannot be read: {why}.")
        }
        DamagedPart::Entries(from, upto) if from == upto => {
            format!("Decision {} cannot be read: {why}.", from.0)
        }
        DamagedPart::Entries(from, upto) => {
            format!("Decisions {} to {} cannot be read: {why}.", from.0, upto.0)
        }
        DamagedPart::Note(seq) => {
            format!(
                "The private note of decision {} cannot be read: {why}.",
                seq.0
            )
        }
        DamagedPart::Outbox => format!("Unfinished work on the server cannot be read: {why}."),
        DamagedPart::Head => format!("The file head: {why}."),
        DamagedPart::Snapshot => format!(
            "The file ledger is not used: {why}. Nothing is lost by that; the next start takes longer."
        ),
    }
}

fn as_json(store: &Path, found: &StoreInspection) -> String {
    let damage = found.damage.iter().map(|damage| {
        let (part, from, upto) = match damage.part {
            DamagedPart::Engine => ("engine", None, None),
            DamagedPart::Identity => ("identity", None, None),
            DamagedPart::Entries(from, upto) => ("decisions", Some(from.0), Some(upto.0)),
            DamagedPart::Note(seq) => ("note", Some(seq.0), Some(seq.0)),
            DamagedPart::Outbox => ("unfinished work", None, None),
            DamagedPart::Head => ("head", None, None),
            DamagedPart::Snapshot => ("ledger", None, None),
        };
        json!({ "part": part, "from": from, "upto": upto, "why": damage.why })
    });
    let damage: Vec<_> = damage.collect();
    json!({
        "store": store.display().to_string(),
        "engine": found.engine.map(|engine| engine.name()),
        "whole": found.is_whole(),
        "decisions": found.whole,
        "last": found.end.0,
        "acknowledged": found.acknowledged.map(|seq| seq.0),
        "digest": found.digest.map(|digest| hex::encode(digest.0)),
        "damage": damage,
        "more": found.more,
    })
    .to_string()
}
