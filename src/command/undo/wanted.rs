//! What to undo: the caller's last command, a named command, or the last change of named subjects.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::{OTHERS, last, not_undone, text};
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, EarlyOutcome};
use crate::command::parts::subjects;
use crate::command::request::Request;
use crate::core::{BanId, CommandId, Ledger, Seq, Subject, UndoEntry, UndoKind};

/// Number of undo entries read under one lock.
pub(super) const LOOKED_AT_ONCE: usize = 4_096;

/// The changes to undo, in this order.
pub(super) struct UndoTargets {
    pub(super) entries: Vec<One>,
    /// The command that made all of them, if it was named or found by its id.
    pub(super) command: Option<CommandId>,
    /// Whether the command made further changes that can no longer be undone.
    pub(super) is_cut: bool,
    /// What of the command stays, because somebody else changed it since.
    pub(super) left: Option<String>,
}

/// One change: subject, position and kind.
pub(super) struct One {
    pub(super) subject: Subject,
    pub(super) entry: Seq,
    pub(super) kind: UndoKind,
}

impl One {
    fn of(entry: &UndoEntry) -> One {
        One {
            subject: entry.subject.clone(),
            entry: entry.seq,
            kind: entry.kind,
        }
    }
}

/// Finds the changes that the caller means.
pub(super) async fn find(
    call: &Request<'_>,
    context: &Context,
) -> Result<UndoTargets, EarlyOutcome> {
    let words = call.values.words(subjects::FIELD);
    if words.is_empty() {
        return last::find(call, context).await;
    }
    if let [word] = words[..]
        && let Some(command) = CommandId::parse(word)
    {
        let first = first_of(context, |entry| entry.command == Some(command));
        let mut wanted = first.map(|first| whole(&first, context));
        // The id may come from somebody with more rights.
        let rights = &call.caller.rights;
        if let Some(wanted) = &mut wanted {
            wanted.entries.retain(|one| rights.see(&one.subject));
        }
        let wanted = wanted.filter(|wanted| !wanted.entries.is_empty());
        return wanted.ok_or_else(|| stop(text::nothing_of(command)));
    }
    named(&words, call, context).await
}

async fn named(
    words: &[&str],
    call: &Request<'_>,
    context: &Context,
) -> Result<UndoTargets, EarlyOutcome> {
    let others = call.values.flag(OTHERS).unwrap_or(false);
    let named = call.subjects()?;
    let only = named.len() == 1;
    let mut entries = Vec::with_capacity(named.len());
    for subject in named {
        let entry = context
            .engine
            .read(|ledger| ledger.undo().of(&subject).cloned());
        let number = match words[..] {
            [word] if only => word.starts_with('#').then(|| BanId::parse(word)).flatten(),
            _ => None,
        };
        let Some(entry) = entry.filter(|entry| number.is_none() || entry.number == number) else {
            return Err(stop(not_undone(&call.caller, &subject, context).await));
        };
        let is_anothers = entry.by.bare_name() != own_name(call);
        if is_anothers && !others && did_before(call, &subject, &entry, context).await {
            let name = words.first().copied().unwrap_or_default();
            return Err(stop(text::others_did(&entry, name)));
        }
        entries.push(One::of(&entry));
    }
    Ok(UndoTargets {
        entries,
        command: None,
        is_cut: false,
        left: None,
    })
}

pub(super) fn stop(line: String) -> EarlyOutcome {
    Answer::failed(line).into()
}

/// The caller's name in undo entries.
pub(super) fn own_name(call: &Call) -> String {
    call.caller.actor_for_self(call.door).bare_name().to_owned()
}

/// The newest undo entry of which something holds.
pub(super) fn first_of(context: &Context, is_it: impl Fn(&UndoEntry) -> bool) -> Option<UndoEntry> {
    let mut found = None;
    look_back(Seq(u64::MAX), context, |_, entry| match is_it(entry) {
        false => ControlFlow::Continue(()),
        true => {
            found = Some(entry.clone());
            ControlFlow::Break(())
        }
    });
    found
}

/// All changes of the command of an entry, newest first; only the entry itself if it belongs to no command.
pub(super) fn whole(first: &UndoEntry, context: &Context) -> UndoTargets {
    let Some(command) = first.command else {
        return UndoTargets {
            entries: vec![One::of(first)],
            command: None,
            is_cut: false,
            left: None,
        };
    };
    let mut entries = Vec::new();
    // Subjects that are restored together with another one.
    let mut covered: HashSet<Subject> = HashSet::new();
    look_back(first.seq, context, |ledger, entry| {
        if entry.command == Some(command)
            && entry.by.bare_name() == first.by.bare_name()
            && !covered.contains(&entry.subject)
        {
            covered.extend(ledger.undo().restored_with(&entry.subject).cloned());
            entries.push(One::of(entry));
        }
        ControlFlow::Continue(())
    });
    UndoTargets {
        entries,
        command: Some(command),
        is_cut: context
            .engine
            .read(|ledger| ledger.undo().is_partly_dropped(command)),
        left: None,
    }
}

/// Visits undo entries up to a position in the log, newest first, in pieces that others wait for one at a time.
fn look_back(
    upto: Seq,
    context: &Context,
    mut visit: impl FnMut(&Ledger, &UndoEntry) -> ControlFlow<()>,
) {
    let mut upto = Some(upto);
    while let Some(from) = upto.take() {
        context.engine.read(|ledger| {
            let mut last = from;
            for (looked_at, entry) in ledger.undo().up_to(from).enumerate() {
                // All entries of one position belong to the same piece.
                if looked_at >= LOOKED_AT_ONCE && entry.seq < last {
                    upto = Some(entry.seq);
                    return;
                }
                last = entry.seq;
                if visit(ledger, entry).is_break() {
                    return;
                }
            }
        });
    }
}

/// Whether the caller changed the subject before somebody else made its last change.
async fn did_before(call: &Call, subject: &Subject, last: &UndoEntry, context: &Context) -> bool {
    let own = own_name(call);
    let entries = context.engine.history(subject).await.unwrap_or_default();
    let within = context.engine.policy().undo_for;
    entries.iter().any(|entry| {
        entry.seq < last.seq
            && last.at.since(entry.event.at) <= within
            && entry.event.actor.bare_name() == own
    })
}
