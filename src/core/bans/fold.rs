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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::core::{Actor, BanId, EntryPoint, EventId, Role};

    const WHO: &str = "spam@example.org";

    fn subject() -> Subject {
        Subject::parse(WHO).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn person(name: &str) -> Actor {
        Actor::person(name, Role::Admin, EntryPoint::Chat)
    }

    /// Folds a change that this person makes at this second, as the next entry of the log.
    fn fold_next(ledger: &mut Ledger, name: &str, now: i64, change: BanChange) -> Ruling {
        let based_on = ledger.version(&subject());
        let seq = Seq(ledger.folded().0 + 1);
        let change = Change::Ban(change);
        let id = EventId([seq.0 as u8; 16]);
        let event = Event::decided(id, at(now), person(name), subject(), based_on, change);
        let (ruling, effects) = ledger.fold(seq, &event);
        let changed = ledger.version(&subject()) == seq;
        assert_eq!(
            effects == [Effect::Settle(subject())],
            changed,
            "{ruling:?}"
        );
        ruling
    }

    fn imposed(until: i64) -> BanChange {
        BanChange::Imposed {
            reason: String::from("spam"),
            until: Some(at(until)),
        }
    }

    fn forced(until: i64) -> BanChange {
        BanChange::Forced {
            reason: String::from("spam"),
            until: Some(at(until)),
        }
    }

    fn stands(ledger: &Ledger) -> Ban {
        ledger.bans().of(&subject()).unwrap().clone()
    }

    /// The number, end and end's position of the last ban that ended, and when somebody was pardoned.
    fn last(ledger: &Ledger) -> (BanId, Timestamp, Seq, Option<Timestamp>) {
        let history = ledger.history(&subject());
        let past = history.last.unwrap();
        (past.id, past.ended, past.seq, history.pardoned)
    }

    #[test]
    fn a_ban_ended_at_its_time_however_late_that_is_written_and_only_a_person_pardons() {
        let mut ledger = Ledger::default();
        fold_next(&mut ledger, "a@x.org", 0, imposed(10));
        // Its end is not in the log when the next one begins.
        fold_next(&mut ledger, "a@x.org", 100, imposed(200));
        assert_eq!(last(&ledger), (BanId(1), at(10), Seq(2), None));
        assert_eq!(stands(&ledger).id, BanId(2));
        fold_next(&mut ledger, "a@x.org", 250, BanChange::Expired);
        assert_eq!(last(&ledger), (BanId(2), at(200), Seq(3), None));
        fold_next(&mut ledger, "a@x.org", 300, imposed(400));
        let reason = String::new();
        fold_next(&mut ledger, "a@x.org", 310, BanChange::Lifted { reason });
        assert_eq!(last(&ledger), (BanId(3), at(310), Seq(5), Some(at(310))));
        let again = fold_next(&mut ledger, "a@x.org", 320, BanChange::Expired);
        let past = ledger.history(&subject()).last;
        assert_eq!(again, BanRuling::NotBanned(subject(), past).into());
    }

    #[test]
    fn other_terms_change_the_author_and_the_end_and_neither_start_nor_number_nor_who_insisted() {
        let mut ledger = Ledger::default();
        fold_next(&mut ledger, "a@x.org", 0, forced(10));
        let new = BanChange::Amended {
            reason: String::from("worse"),
            until: Some(at(20)),
        };
        let ruling = fold_next(&mut ledger, "b@x.org", 5, new);
        let ban = stands(&ledger);
        assert_eq!(
            (ban.id, ban.since, ban.until),
            (BanId(1), at(0), Some(at(20)))
        );
        assert_eq!((ban.version, ban.insisted), (Seq(2), true));
        assert_eq!(
            (ban.reason.as_str(), &ban.by),
            ("worse", &person("b@x.org"))
        );
        let length = ledger.history(&subject()).length;
        assert_eq!(length, Some(Duration::from_secs(20)));
        let amended = BanRuling::Amended {
            ban: ban.clone(),
            before: Some(at(10)),
            before_reason: String::from("spam"),
        };
        assert_eq!(ruling, amended.into());
        for change in [imposed(30), forced(30)] {
            let ruling = fold_next(&mut ledger, "a@x.org", 6, change);
            assert_eq!(ruling, BanRuling::Already(ban.clone()).into());
        }
    }

    #[test]
    fn who_insists_on_a_ban_that_stands_makes_it_one_that_was_insisted_on() {
        let mut ledger = Ledger::default();
        fold_next(&mut ledger, "a@x.org", 0, imposed(10));
        assert!(!stands(&ledger).insisted);
        fold_next(&mut ledger, "a@x.org", 1, forced(30));
        let ban = stands(&ledger);
        assert!(ban.insisted && ban.until == Some(at(30)) && ban.id == BanId(1));
    }
}
