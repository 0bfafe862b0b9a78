//! What a folded event changes about exemptions.

use super::exemption::Exemption;
use super::{ExemptionChange, ExemptionRuling};
use crate::core::bans;
use crate::core::event::{Event, Seq};
use crate::core::ledger::{Effect, Folded, Ledger, Ruling};
use crate::core::subject::Subject;
use crate::core::time::Timestamp;
use crate::core::undo::{self, Before, UndoKind, WIDEST, is_one};

pub(in crate::core) fn fold(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    change: &ExemptionChange,
) -> Folded {
    match change {
        ExemptionChange::Granted { comment, until } => grant(ledger, seq, event, comment, *until),
        ExemptionChange::Revoked => match ledger.exemptions.remove(&event.subject) {
            Some(exemption) => Ok((ExemptionRuling::Revoked(exemption).into(), Vec::new())),
            None => Err(Box::new(
                ExemptionRuling::NotExempt(event.subject.clone()).into(),
            )),
        },
    }
}

/// Grants an exemption and lifts the bans that it covers.
fn grant(
    ledger: &mut Ledger,
    seq: Seq,
    event: &Event,
    comment: &str,
    until: Option<Timestamp>,
) -> Folded {
    let exemption = Exemption {
        subject: event.subject.clone(),
        comment: comment.to_owned(),
        by: event.actor.clone(),
        since: event.at,
        until,
    };
    ledger.exemptions.insert(exemption.clone());
    let covered: Vec<Subject> = ledger
        .bans
        .newest_first()
        .filter(|ban| exemption.covers(&ban.subject))
        .map(|ban| ban.subject.clone())
        .rev()
        .collect();
    let mut lifted = Vec::with_capacity(covered.len());
    let may_come_back = is_one(event) && covered.len() <= WIDEST;
    for subject in covered {
        let before = may_come_back.then(|| Before::of(ledger, &subject));
        if let Some(ban) = bans::end(ledger, &subject, seq, event, true) {
            if subject != event.subject {
                ledger.subjects.touch(&subject, seq, event.at);
                if let Some(before) = before {
                    undo::keep(ledger, seq, event, &subject, UndoKind::Lifted, before);
                }
            }
            lifted.push(ban);
        }
    }
    let effects = lifted.iter().map(|ban| Effect::Settle(ban.subject.clone()));
    let effects = effects.collect();
    let ruling = Ruling::Exemption(ExemptionRuling::Granted { exemption, lifted });
    Ok((ruling, effects))
}
