//! An export from the files of a store that nobody has open, damaged or not: everything that can be read.
//!
//! A line `damage` stands where decisions are missing. The bans in force at the end are those that follow from what
//! was read; they come from the snapshot of the ledger where it knows more than the log. Behind the first missing
//! decision stands an event `PutBack`, so that an import gives no ban number again that may have been in use.

use std::path::Path;

use super::lines::ExportLine;
use crate::core::{
    Actor, Ban, BanChange, BanId, Change, Event, EventId, Ledger, Seq, Subject, Timestamp,
};
use crate::journal::Entry;
use crate::store::{Found, LedgerFile, OpenFault, StoreInspection, inspect};

/// Ban numbers left out beyond those that may have been given.
const SPARE: u64 = 1_000;

/// Writes the lines of the export to `out`, and returns what the look at the store found. `now` is the time, `mark` a
/// fresh id. `scratch` is a folder with room for a copy of the store.
///
/// # Errors
/// [`OpenFault`] if the store cannot be looked at; the export is then incomplete.
pub fn salvage(
    store: &Path,
    scratch: &Path,
    with_personal: bool,
    (now, mark): (Timestamp, EventId),
    out: &mut dyn FnMut(ExportLine),
) -> Result<StoreInspection, OpenFault> {
    let snapshot = LedgerFile::new(store).load().unwrap_or_default();
    let mut salvage = Salvage {
        folded: Ledger::default(),
        snapshot: Ledger::restore(&snapshot).ok(),
        missing: Vec::new(),
        mark: None,
        id: mark,
    };
    out(ExportLine::head(now));
    let found = inspect(store, scratch, &mut |found| match found {
        Found::Entry(entry) => salvage.entry(*entry, with_personal, out),
        Found::Damaged(from, upto, why) => {
            salvage.missing.push((from, upto));
            if salvage.missing.len() == 1 {
                salvage.mark = Some(upto);
            }
            out(ExportLine::Damage {
                from: from.0,
                upto: upto.0,
                why,
            });
        }
    })?;
    salvage.end(now, out);
    Ok(found)
}

struct Salvage {
    /// What follows from the entries that were read.
    folded: Ledger,
    /// What follows from the snapshot and the entries after it; `None`: there is none that fits.
    snapshot: Option<(Ledger, crate::core::event::Chain)>,
    missing: Vec<(Seq, Seq)>,
    /// Set while the event that leaves out ban numbers is still to be written.
    mark: Option<Seq>,
    /// The id of that event.
    id: EventId,
}

impl Salvage {
    fn entry(&mut self, entry: Entry, with_personal: bool, out: &mut dyn FnMut(ExportLine)) {
        let Entry { seq, event, chain } = entry;
        if let Some((ledger, hash)) = &mut self.snapshot {
            if seq == ledger.folded() && chain != *hash {
                // It belongs to another log.
                self.snapshot = None;
            } else if seq > ledger.folded() {
                let event = mended(&event, ledger, &self.missing);
                ledger.fold(seq, &event);
            }
        }
        if self.mark.is_some() {
            self.leave_out_numbers(&event.subject, event.at, out);
        }
        let mended = mended(&event, &self.folded, &self.missing);
        self.folded.fold(seq, &mended);
        // What was stale changed nothing and is not history.
        if self.folded.subjects().trail(&event.subject).last() == Some(&seq) {
            out(ExportLine::event(&event, with_personal));
        }
    }

    /// The end: exemptions and bans in force.
    fn end(mut self, now: Timestamp, out: &mut dyn FnMut(ExportLine)) {
        let upto = self.snapshot.as_ref().map(|(ledger, _)| ledger.folded());
        let knows_more = |(from, _): &(Seq, Seq)| upto.is_some_and(|upto| *from <= upto);
        let ledger = match self.snapshot.take() {
            Some((ledger, _)) if self.missing.iter().any(knows_more) => ledger,
            _ => std::mem::take(&mut self.folded),
        };
        let bans: Vec<&Ban> = ledger.bans().newest_first().rev().collect();
        let bans = bans.into_iter().filter(|ban| ban.is_in_force(now));
        let bans: Vec<&Ban> = bans.collect();
        if self.mark.is_some()
            && let Some(first) = bans.first()
        {
            self.leave_out_numbers(&first.subject, now, out);
        }
        let exemptions = ledger.exemptions().all();
        for one in exemptions.filter(|one| one.is_in_force(now)) {
            out(ExportLine::exemption(one));
        }
        for ban in bans {
            out(ExportLine::ban(ban, None));
        }
    }

    fn leave_out_numbers(
        &mut self,
        about: &Subject,
        at: Timestamp,
        out: &mut dyn FnMut(ExportLine),
    ) {
        let Some(missing_upto) = self.mark.take() else {
            return;
        };
        let snapshot = self.snapshot.as_ref();
        let next = snapshot.map_or(BanId(0), |(ledger, _)| ledger.subjects().next_ban());
        let next = next.max(self.folded.subjects().next_ban());
        // Each ban takes a position in the log. An import believes no more than so many.
        let known = self.folded.subjects();
        let furthest = known.next_ban().0.saturating_add(known.may_be_left_out());
        let next = next.0.max(missing_upto.0).saturating_add(SPARE);
        let next = BanId(next.min(furthest));
        let event = Event::decided(
            self.id,
            at,
            Actor::clock(),
            about.clone(),
            Seq(0),
            Change::PutBack { next },
        );
        out(ExportLine::event(&event, false));
    }
}

/// The event as it must be folded behind missing ones: based on what is known of its subject, and a change of a ban
/// whose beginning is missing begins it.
fn mended(event: &Event, ledger: &Ledger, missing: &[(Seq, Seq)]) -> Event {
    let mut event = event.clone();
    let is_missing = |seq: Seq| {
        let at = missing.partition_point(|(_, upto)| *upto < seq);
        missing.get(at).is_some_and(|(from, _)| *from <= seq)
    };
    if !is_missing(event.based_on) {
        return event;
    }
    event.based_on = ledger.version(&event.subject);
    if let Change::Ban(BanChange::Amended { reason, until }) = &event.change
        && ledger.bans().of(&event.subject).is_none()
    {
        event.change = Change::Ban(BanChange::Imposed {
            reason: reason.clone(),
            until: *until,
        });
    }
    event
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Ruling;

    #[test]
    fn an_import_believes_the_numbers_left_out_behind_any_number_of_missing_decisions() {
        for missing in [7, 5_000_000, u64::MAX] {
            let mut salvage = Salvage {
                folded: Ledger::default(),
                snapshot: None,
                missing: vec![(Seq(1), Seq(missing))],
                mark: Some(Seq(missing)),
                id: EventId([9; 16]),
            };
            let about = Subject::parse("spam@example.org").unwrap();
            let now = Timestamp::from_millis(5);
            let mut lines = Vec::new();
            salvage.leave_out_numbers(&about.clone(), now, &mut |line| lines.push(line));
            let [ExportLine::Event(decision)] = &lines[..] else {
                panic!("{lines:?}")
            };
            let change = decision.change.clone();
            let event =
                Event::decided(EventId([9; 16]), now, Actor::clock(), about, Seq(0), change);
            let (ruling, _) = Ledger::default().fold(Seq(1), &event);
            assert!(
                matches!(ruling, Ruling::PutBack { .. }),
                "{missing}: {ruling:?}"
            );
        }
    }
}
