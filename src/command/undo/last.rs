//! What the caller did last, found in the log: the ledger keeps one undo entry per subject, so what somebody else changed
//! since has none of the caller's.

use super::changed_since;
use super::text;
use super::wanted::{LOOKED_AT_ONCE, UndoTargets, first_of, own_name, stop, whole};
use crate::command::broken;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::EarlyOutcome;
use crate::core::undo::is_one;
use crate::core::{Event, Seq, UndoEntry};

/// Number of entries of the log in which the last command is looked for.
const LOOKED_BACK: u64 = 100_000;

/// The caller's last command, with everything else that it did.
///
/// # Errors
/// There is none; or somebody else changed all of it since: a command before it is not what the caller means.
pub(super) async fn find(call: &Call, context: &Context) -> Result<UndoTargets, EarlyOutcome> {
    let own = own_name(call);
    let kept = first_of(context, |entry| entry.by.bare_name() == own);
    let after = kept.as_ref().map_or(Seq(0), |entry| entry.seq);
    let is_by_another = |entry: &UndoEntry| entry.seq > after;
    let gone = match first_of(context, |_| true).filter(is_by_another) {
        Some(_) => changed_by_others(&own, kept.as_ref(), context).await?,
        None => Vec::new(),
    };
    let last = gone.first();
    let is_same = |kept: &UndoEntry| {
        last.is_none_or(|last| last.command == kept.command && last.command.is_some())
    };
    match (last, kept) {
        (None, None) => Err(stop(text::nothing_to_undo())),
        (_, Some(kept)) if is_same(&kept) => {
            let mut targets = whole(&kept, context);
            if let Some(last) = last {
                let since = changed_since(&call.caller, &last.subject, context).await;
                targets.left = Some(text::left(gone.len(), &since));
            }
            Ok(targets)
        }
        (Some(last), kept) => Err(stop(
            refused(call, last, gone.len(), kept.as_ref(), context).await,
        )),
        (None, Some(kept)) => Ok(whole(&kept, context)),
    }
}

/// What the caller's last command did and others changed since, newest first. `kept`: the newest change of the caller that
/// nobody else touched; before it only the rest of its own command counts.
async fn changed_by_others(
    own: &str,
    kept: Option<&UndoEntry>,
    context: &Context,
) -> Result<Vec<Event>, EarlyOutcome> {
    let after = kept.map_or(0, |entry| entry.seq.0);
    let least = match kept.is_some_and(|entry| entry.command.is_some()) {
        true => after.saturating_sub(LOOKED_BACK),
        false => after,
    };
    let (now, within) = (context.engine.now(), context.engine.policy().undo_for);
    let newest = context.engine.read(|ledger| ledger.folded()).0;
    let mut upto = newest;
    let mut found: Vec<Event> = Vec::new();
    while upto > least {
        if newest - upto >= LOOKED_BACK && upto > after && found.is_empty() {
            return Err(stop(text::too_much_since(LOOKED_BACK)));
        }
        let from = (upto + 1)
            .saturating_sub(LOOKED_AT_ONCE as u64)
            .max(least + 1);
        let most = usize::try_from(upto + 1 - from).unwrap_or(LOOKED_AT_ONCE);
        let read = context.engine.entries(Seq(from), most).await;
        let read = read.map_err(|fault| broken("read the log for an undo", &fault))?;
        let oldest = read.first().map(|entry| entry.event.at);
        for entry in read.into_iter().rev() {
            let event = entry.event;
            if !is_one(&event) || event.actor.bare_name() != own {
                continue;
            }
            let is_rest = |command| command == event.command && event.command.is_some();
            let is_it = match (found.first(), kept) {
                (Some(last), _) => is_rest(last.command),
                (None, Some(kept)) if entry.seq.0 <= after => is_rest(kept.command),
                (None, _) => true,
            };
            if !is_it {
                return Ok(found);
            }
            if is_gone(&event, entry.seq, context) {
                found.push(event);
            }
        }
        if oldest.is_none_or(|oldest| now.since(oldest) > within) {
            break;
        }
        upto = from - 1;
    }
    Ok(found)
}

/// Whether an event of the log changed its subject, and something else changed it since. What the fold dropped as stale
/// did nothing.
fn is_gone(event: &Event, seq: Seq, context: &Context) -> bool {
    context.engine.read(|ledger| {
        let was_folded = ledger
            .subjects()
            .trail(&event.subject)
            .binary_search(&seq)
            .is_ok();
        let last = ledger.undo().of(&event.subject);
        was_folded && last.is_none_or(|last| last.seq != seq)
    })
}

/// Why nothing is undone, and what the caller did before that.
async fn refused(
    call: &Call,
    last: &Event,
    number: usize,
    before: Option<&UndoEntry>,
    context: &Context,
) -> String {
    let since = changed_since(&call.caller, &last.subject, context).await;
    let before = before.map(|entry| {
        let (all, is_one) = (whole(entry, context), |all: &UndoTargets| {
            all.entries.len() == 1
        });
        let name = match (all.command, entry.number) {
            (Some(command), _) if !is_one(&all) => command.to_string(),
            (_, Some(number)) => number.to_string(),
            (_, None) => entry.subject.written(),
        };
        text::one_before(entry, &name)
    });
    text::last_was_changed(last, number, &since, before)
}
