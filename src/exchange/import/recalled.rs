//! Imports the history of another portcullis, and says where it ends.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{ImportTally, Importer, NamedCount, not_stored};
use crate::command::{Context, phrases};
use crate::core::{
    BanChange, BanRuling, Change, Event, EventId, ExemptionChange, ExemptionRuling, HistoryRuling,
    Intent, Ledger, Proposal, Ruling, Subject, Timestamp, UndoRuling, propose,
};
use crate::journal::LogFault;

/// Where an imported history ends: what differs from before the import, by subject as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HistoryEnds {
    /// Bans.
    pub bans: BTreeMap<String, HistoryEnd>,
    /// Exemptions.
    pub exemptions: BTreeMap<String, HistoryEnd>,
    /// Subscriptions.
    pub subscriptions: BTreeMap<String, HistoryEnd>,
    /// Subjects whose last change, possibly one made here, is undone.
    pub undone: NamedCount,
    /// Bans in force here that exemptions lift.
    pub freed: NamedCount,
}

/// Where an imported history leaves one part of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEnd {
    /// What is in force at the end, in words (`forever`); `None`: nothing.
    pub now: Option<String>,
    /// Whether something was in force before the import.
    pub stood: bool,
}

impl HistoryEnds {
    pub(super) fn join(&mut self, other: HistoryEnds) {
        for (here, there) in [
            (&mut self.bans, other.bans),
            (&mut self.exemptions, other.exemptions),
            (&mut self.subscriptions, other.subscriptions),
        ] {
            there
                .into_iter()
                .for_each(|(name, end)| put(here, name, end));
        }
        self.undone.join(other.undone);
        self.freed.join(other.freed);
    }
}

/// Replaces where an earlier decision had left the subject.
fn put(ends: &mut BTreeMap<String, HistoryEnd>, name: String, mut end: HistoryEnd) {
    if let Some(earlier) = ends.remove(&name) {
        end.stood = earlier.stood;
    }
    if end.now.is_some() || end.stood {
        ends.insert(name, end);
    }
}

/// Imports decisions in their order. Decisions that are here already are skipped, and so are those older than the
/// last decision here about the same subject, because two histories of one subject cannot be merged.
pub(super) async fn recall(
    history: Vec<Event>,
    importer: &Importer,
    dry_run: bool,
    context: &Context,
    tally: &mut ImportTally,
) {
    let mut here = Here::default();
    let mut new = Vec::with_capacity(history.len());
    for event in history {
        match here.knows(&event, context).await {
            Ok(true) => tally.known += 1,
            Ok(false) => new.push(event),
            Err(fault) => {
                let why = not_stored(&event.subject, &fault);
                tally.refuse(&event.subject, why);
            }
        }
    }
    let now = context.engine.now();
    // What is in force before anything is imported.
    let ends: Vec<HistoryEnds> = context.engine.read(|ledger| {
        let of = |event: &Event| end_of(event, ledger, now);
        new.iter().map(of).collect()
    });
    let granted: Vec<&Event> = new.iter().filter(|event| grants(event)).collect();
    let held: Vec<Subject> = context.engine.read(|ledger| {
        let bans = ledger.bans().newest_first();
        let bans = bans.filter(|ban| ban.is_in_force(now) && frees(&granted, &ban.subject));
        match granted.is_empty() {
            true => Vec::new(),
            false => bans.map(|ban| ban.subject.clone()).collect(),
        }
    });
    let intents: Vec<Intent> = new
        .iter()
        .map(|event| Intent::Recall(Box::new(event.clone()), importer.actor.role))
        .collect();
    let answers: Vec<Result<Option<Ruling>, LogFault>> = match dry_run {
        true => {
            let policy = context.engine.policy();
            let answer = |intent| {
                let mut fresh = || EventId([0; 16]);
                let proposal = context
                    .engine
                    .read(|ledger| propose(ledger, &policy, intent, now, &mut fresh));
                Ok(match proposal {
                    Proposal::Events(_) => None,
                    Proposal::Answer(ruling) => Some(ruling),
                })
            };
            intents.iter().map(answer).collect()
        }
        false => {
            let answers = context.engine.submit(intents).await;
            answers.into_iter().map(|answer| answer.map(Some)).collect()
        }
    };
    let mut taken_in = Vec::new();
    for ((event, end), answer) in new.iter().zip(ends).zip(answers) {
        if is_recalled(&event.subject, answer, tally) {
            if grants(event) {
                taken_in.push(event);
            }
            tally.recalled += 1;
            tally.ends.join(end);
            if dry_run {
                tally.note_wide(Some(&event.subject), &context.engine.policy());
            }
        }
    }
    // A ban that several exemptions end is one ban.
    let freed = held.iter().filter(|ban| frees(&taken_in, ban));
    freed.for_each(|ban| tally.ends.freed.add(ban.to_string()));
}

fn grants(event: &Event) -> bool {
    matches!(
        event.change,
        Change::Exemption(ExemptionChange::Granted { .. })
    )
}

/// Whether one of these exemptions ends the ban of a subject.
fn frees(exemptions: &[&Event], banned: &Subject) -> bool {
    exemptions.iter().any(|one| one.subject.holds(banned))
}

/// Whether the answer, `None` in a dry run, takes the decision in; otherwise counts why it does not.
fn is_recalled(
    subject: &Subject,
    answer: Result<Option<Ruling>, LogFault>,
    tally: &mut ImportTally,
) -> bool {
    match answer {
        Ok(
            None
            | Some(
                Ruling::Ban(
                    BanRuling::Banned(_) | BanRuling::Amended { .. } | BanRuling::Lifted(_),
                )
                | Ruling::Exemption(ExemptionRuling::Granted { .. } | ExemptionRuling::Revoked(_))
                | Ruling::History(
                    HistoryRuling::Forgotten { .. }
                    | HistoryRuling::Annotated(_)
                    | HistoryRuling::Kicked(_),
                )
                | Ruling::Undo(UndoRuling::Undone { .. })
                | Ruling::PutBack { .. }
                | Ruling::Subscribed { .. },
            ),
        ) => return true,
        Ok(Some(Ruling::Stale)) => tally.older += 1,
        Ok(Some(
            Ruling::Ban(BanRuling::NotBanned(..) | BanRuling::Already(_))
            | Ruling::Exemption(ExemptionRuling::NotExempt(_))
            | Ruling::Undo(UndoRuling::ChangedSince(_))
            | Ruling::Noted,
        )) => tally.known += 1,
        Ok(Some(Ruling::Refused(why))) => tally.refuse(subject, phrases::why_refused(&why)),
        Ok(Some(other @ Ruling::Overtaken(_))) => {
            tally.refuse(subject, phrases::not_done(subject, &other));
        }
        Err(fault) => tally.refuse(subject, not_stored(subject, &fault)),
    }
    false
}

/// What one decision leads to, if nothing follows it.
fn end_of(event: &Event, ledger: &Ledger, now: Timestamp) -> HistoryEnds {
    let subject = &event.subject;
    let lasts = |until: Option<Timestamp>, how: &str| {
        let is_over = until.is_some_and(|end| end <= now);
        let until = until.map_or_else(|| String::from("forever"), |end| format!("until {end}"));
        (!is_over).then(|| until + how)
    };
    let one = |now: Option<String>, stood: bool| {
        let end = HistoryEnd { now, stood };
        BTreeMap::from([(subject.to_string(), end)])
    };
    let is_banned = ledger.bans().of(subject);
    let is_banned = is_banned.is_some_and(|ban| ban.is_in_force(now));
    let is_exempt = ledger.exemptions().of(subject);
    let is_exempt = is_exempt.is_some_and(|one| one.is_in_force(now));
    let mut ends = HistoryEnds::default();
    match &event.change {
        Change::Ban(BanChange::Imposed { until, .. } | BanChange::Amended { until, .. }) => {
            ends.bans = one(lasts(*until, ""), is_banned);
        }
        Change::Ban(BanChange::ImposedByRule { until, .. }) => {
            ends.bans = one(lasts(Some(*until), ""), is_banned);
        }
        Change::Ban(BanChange::Forced { until, .. }) => {
            ends.bans = one(lasts(*until, ", even if it is exempt"), is_banned);
        }
        Change::Ban(BanChange::Lifted { .. } | BanChange::Expired) => {
            ends.bans = one(None, is_banned);
        }
        Change::Exemption(ExemptionChange::Granted { until, .. }) => {
            ends.exemptions = one(lasts(*until, ""), is_exempt);
        }
        Change::Exemption(ExemptionChange::Revoked) => ends.exemptions = one(None, is_exempt),
        Change::Subscribed { watch } => {
            let told = watch.as_ref().map(|watch| phrases::heard(Some(watch)));
            ends.subscriptions = one(told, ledger.subscriptions().of(subject).is_some());
        }
        Change::Undone => ends.undone.add(subject.to_string()),
        Change::History(_) | Change::PutBack { .. } => {}
    }
    ends
}

/// The ids of the decisions about each subject here, read once per subject.
#[derive(Default)]
struct Here(HashMap<Subject, HashSet<EventId>>);

impl Here {
    async fn knows(&mut self, event: &Event, context: &Context) -> Result<bool, LogFault> {
        // Ask for the trail, not for the version: a kick is in the history but changes no version.
        let is_unheard_of = |ledger: &Ledger| ledger.subjects().trail(&event.subject).is_empty();
        if context.engine.read(is_unheard_of) {
            return Ok(false);
        }
        if !self.0.contains_key(&event.subject) {
            let entries = context.engine.history(&event.subject).await?;
            let ids = entries.into_iter().map(|entry| entry.event.id).collect();
            self.0.insert(event.subject.clone(), ids);
        }
        let here = self.0.get(&event.subject);
        Ok(here.is_some_and(|ids| ids.contains(&event.id)))
    }
}
