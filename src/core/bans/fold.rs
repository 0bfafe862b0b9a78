//! What a folded event changes about bans.

use std::sync::Arc;

use super::{Ban, BanChange, BanRuling, EndedBan, Past};
use crate::core::event::{Change, Event, Seq};
use crate::core::ledger::{Effect, Folded, Ledger, Ruling};
use crate::core::refusal::Refusal;
use crate::core::subject::Subject;
use crate::core::time::Timestamp;

pub(in crate::core) fn fold(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    change: &BanChange,
) -> Folded {
    let ruling = match change {
        BanChange::Imposed { reason, until } | BanChange::Forced { reason, until } => {
            impose(ledger, seq, event, reason, *until, None)?
        }
        BanChange::ImposedByRule {
            reason,
            until,
            ordinal,
        } => impose(ledger, seq, event, reason, Some(*until), Some(*ordinal))?,
        BanChange::Amended { reason, until } => amend(ledger, seq, event, reason, *until)?,
        BanChange::Lifted { .. } | BanChange::Expired => {
            let by_hand = matches!(change, BanChange::Lifted { .. });
            let ended = end(ledger, &event.subject, seq, event, by_hand);
            BanRuling::Lifted(ended.ok_or_else(|| not_banned(ledger, &event.subject))?)
        }
    };
    Ok((ruling.into(), vec![Effect::Settle(event.subject.clone())]))
}

/// Ends the active ban of a subject and returns it; `by_hand`: a person lifted it.
pub(in crate::core) fn end(
    ledger: &mut Ledger,
    subject: &Subject,
    seq: Seq,
    event: &Event,
    by_hand: bool,
) -> Option<Ban> {
    let ban = Arc::unwrap_or_clone(ledger.bans.remove(subject)?);
    ledger
        .bans
        .keep_ended(EndedBan::of(ban.clone(), seq, event));
    let past = Past {
        id: ban.id,
        // A ban ends at the time it was set to, even if that is recorded later.
        ended: ban.until.map_or(event.at, |end| end.min(event.at)),
        seq,
    };
    let history = ledger.subjects.history_mut(subject);
    history.ended(past, event.at, by_hand);
    Some(ban)
}

fn impose(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    reason: &str,
    until: Option<Timestamp>,
    ordinal: Option<u32>,
) -> Result<BanRuling, Box<Ruling>> {
    let subject = &event.subject;
    let insists = is_forced(event);
    // The subject may have been exempted after this ban was decided.
    if let Some(exemption) = ledger.exemptions.covering(subject, event.at)
        && !insists
    {
        return Err(Refusal::Allowed(subject.clone(), exemption.to_string()).into());
    }
    if let Some(ban) = ledger.bans.of(subject) {
        if ban.is_in_force(event.at) {
            return match insists && !ban.insisted {
                true => amend(ledger, seq, event, reason, until),
                false => Err(Box::new(BanRuling::Already(ban.clone()).into())),
            };
        }
        // The earlier ban has expired, but its end is not in the log yet.
        end(ledger, subject, seq, event, false);
    }
    let id = ledger.subjects.next_number(subject);
    let history = ledger.subjects.history_mut(subject);
    history.began(event.at, until, ordinal);
    let ban = Ban {
        id,
        subject: subject.clone(),
        reason: reason.to_owned(),
        by: event.actor.clone(),
        origin: event.origin.clone(),
        since: event.at,
        until,
        ordinal: history.counted,
        insisted: insists,
        version: seq,
    };
    ledger.bans.insert(Arc::new(ban.clone()));
    Ok(BanRuling::Banned(ban))
}

fn amend(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    reason: &str,
    until: Option<Timestamp>,
) -> Result<BanRuling, Box<Ruling>> {
    let subject = &event.subject;
    let ban = ledger.bans.remove(subject);
    let mut ban = Arc::unwrap_or_clone(ban.ok_or_else(|| not_banned(ledger, subject))?);
    let before = ban.until;
    let before_reason = std::mem::replace(&mut ban.reason, reason.to_owned());
    ban.until = until;
    ban.by = event.actor.clone();
    ban.insisted |= is_forced(event);
    ban.version = seq;
    ledger.subjects.history_mut(subject).length = until.map(|end| end.since(ban.since));
    ledger.bans.insert(Arc::new(ban.clone()));
    Ok(BanRuling::Amended {
        ban,
        before,
        before_reason,
    })
}

fn is_forced(event: &Event) -> bool {
    matches!(event.change, Change::Ban(BanChange::Forced { .. }))
}

fn not_banned(ledger: &Ledger, subject: &Subject) -> Box<Ruling> {
    let last = ledger.history(subject).last;
    Box::new(BanRuling::NotBanned(subject.clone(), last).into())
}
