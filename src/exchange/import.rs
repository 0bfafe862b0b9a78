//! Takes in what was read: each thing in it becomes a report like any other.
//!
//! History goes first; what stands at its end stands then here too, with a number of its own. A ban
//! that stands here already is never shortened, and what is there already is not written again: the
//! same file twice changes nothing.

use std::collections::{HashMap, HashSet};

use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::{ImportEntry, ImportedBan, ListedExemption, Read};
use crate::command::{Context, broken, phrases};
use crate::core::{
    Action, Actor, BanChange, BanOrder, BanRuling, Change, CommandId, Event, EventId,
    ExemptionChange, ExemptionOrder, ExemptionRuling, Intent, Ledger, Order, Proposal, Ruling,
    Subject, Term, propose,
};
use crate::journal::LogFault;

/// How many records are asked of the server at the same time.
const ASKED_AT_ONCE: usize = 16;

/// What came of it, or would come of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportTally {
    /// New bans.
    pub banned: usize,
    /// Bans that stood, and end later now.
    pub prolonged: usize,
    /// Bans that stand already, with this end or a later one.
    pub standing: usize,
    /// New exemptions, or longer ones.
    pub exempted: usize,
    /// Exemptions that are there already.
    pub exempt: usize,
    /// Decisions made elsewhere that stand in the history now.
    pub recalled: usize,
    /// Those that are there already.
    pub known: usize,
    /// Those that are older than what was decided here about the same subject.
    pub older: usize,
    /// What was not taken, and why.
    pub refused: Vec<Refused>,
}

/// What was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Whom it is about, as people write it.
    pub subject: String,
    /// Why, for people.
    pub why: String,
}

impl ImportTally {
    /// Counts another one in.
    pub fn add(&mut self, other: ImportTally) {
        self.banned += other.banned;
        self.prolonged += other.prolonged;
        self.standing += other.standing;
        self.exempted += other.exempted;
        self.exempt += other.exempt;
        self.recalled += other.recalled;
        self.known += other.known;
        self.older += other.older;
        self.refused.extend(other.refused);
    }

    /// Whether anything was changed, or would be.
    pub fn changes(&self) -> bool {
        self.banned + self.prolonged + self.exempted + self.recalled > 0
    }

    fn refuse(&mut self, subject: &Subject, why: String) {
        self.refused.push(Refused {
            subject: subject.to_string(),
            why,
        });
    }
}

/// Who takes something in.
#[derive(Debug, Clone)]
pub struct Importer {
    /// Who; an admin, or nothing is taken.
    pub actor: Actor,
    /// What marks all of it in the log, so that it can be undone as one. Decisions made elsewhere keep their own.
    pub command: Option<CommandId>,
}

/// Takes it in; or, in a dry run, only says what would come of it.
pub async fn import_all(
    read: Read,
    importer: &Importer,
    dry_run: bool,
    context: &Context,
) -> ImportTally {
    let mut tally = ImportTally::default();
    let Read {
        history,
        mut entries,
        bad,
        left_out,
    } = read;
    // Whoever sent it read it already; what is wrong now became so in between, or is of another version.
    for bad in bad.into_iter().chain(left_out) {
        tally.refused.push(Refused {
            subject: String::new(),
            why: bad.why,
        });
    }
    recall(history, dry_run, context, &mut tally).await;
    read_records(&mut entries, context).await;
    let mut orders: Vec<Intent> = Vec::new();
    for entry in &entries {
        let mut order = |what| {
            orders.push(Intent::Order(
                Order::new(importer.actor.clone(), entry.subject.clone(), what)
                    .by_command(importer.command),
            ));
        };
        if let Some(exempt) = &entry.exemption {
            match is_exempt(&entry.subject, exempt, context) {
                true => tally.exempt += 1,
                false => order(Action::Exemption(ExemptionOrder::Grant {
                    term: exempt.until.map(Term::Until),
                    comment: exempt.comment.clone(),
                })),
            }
        }
        if let Some(ban) = &entry.ban {
            order(adopt(ban));
        }
    }
    if dry_run {
        for order in &orders {
            foresee(order, context, &mut tally);
        }
        return tally;
    }
    let subjects: Vec<Subject> = orders.iter().filter_map(whom).cloned().collect();
    let answers = context.engine.submit(orders).await;
    for (subject, answer) in subjects.iter().zip(answers) {
        count(subject, answer, &mut tally);
    }
    tally
}

fn adopt(ban: &ImportedBan) -> Action {
    Action::Ban(BanOrder::Import {
        reason: ban.reason.clone(),
        note: ban.note.clone(),
        term: ban.term,
        origin: ban.origin.clone(),
    })
}

fn whom(intent: &Intent) -> Option<&Subject> {
    match intent {
        Intent::Order(order) => Some(&order.subject),
        _ => None,
    }
}

fn count(subject: &Subject, answer: Result<Ruling, LogFault>, tally: &mut ImportTally) {
    match answer {
        Ok(Ruling::Ban(BanRuling::Banned(_))) => tally.banned += 1,
        Ok(Ruling::Ban(BanRuling::Amended { .. })) => tally.prolonged += 1,
        Ok(Ruling::Ban(BanRuling::Already(_))) => tally.standing += 1,
        Ok(Ruling::Exemption(ExemptionRuling::Granted { .. })) => tally.exempted += 1,
        Ok(Ruling::Refused(why)) => tally.refuse(subject, why.to_string()),
        Ok(other) => tally.refuse(subject, phrases::not_done(subject, &other)),
        Err(fault) => {
            let reference = broken("take over a ban", &fault);
            tally.refuse(subject, phrases::failed(subject, &fault, &reference));
        }
    }
}

/// Counts what an order would lead to now; nothing is done.
fn foresee(order: &Intent, context: &Context, tally: &mut ImportTally) {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let proposal = context
        .engine
        .read(|ledger| propose(ledger, &policy, order, now, &mut || EventId([0; 16])));
    match (proposal, whom(order)) {
        (Proposal::Answer(ruling), Some(subject)) => count(subject, Ok(ruling), tally),
        (Proposal::Answer(_), None) => {}
        (Proposal::Events(events), _) => match events.last().map(|event| &event.change) {
            Some(Change::Ban(BanChange::Imposed { .. })) => tally.banned += 1,
            Some(Change::Ban(BanChange::Amended { .. })) => tally.prolonged += 1,
            Some(Change::Exemption(ExemptionChange::Granted { .. })) => tally.exempted += 1,
            _ => {}
        },
    }
}

/// An exemption that is there, as long or longer.
fn is_exempt(subject: &Subject, exempt: &ListedExemption, context: &Context) -> bool {
    let now = context.engine.now();
    context.engine.read(|ledger| {
        ledger.exemptions().any(|one| {
            one.subject == *subject
                && one.is_in_force(now)
                && one
                    .until
                    .is_none_or(|end| exempt.until.is_some_and(|other| other <= end))
        })
    })
}

/// Fills in what the server's own records say of bans it made.
async fn read_records(entries: &mut [ImportEntry], context: &Context) {
    let server = context.delivery.server();
    let asked = entries.iter_mut().filter_map(|entry| {
        let account = entry.subject.account()?.clone();
        let ban = entry.ban.as_mut().filter(|ban| ban.recorded)?;
        Some(async move {
            let Some(found) = server.recorded(&account).await else {
                return;
            };
            if ban.reason.is_empty() {
                ban.reason = phrases::clean(&found.reason);
            }
            // Ours, from before a store was lost: it had an end, which nobody else can set.
            if let Some(end) = found.until {
                ban.term = Term::Until(end);
            }
        })
    });
    stream::iter(asked)
        .for_each_concurrent(ASKED_AT_ONCE, |asked| asked)
        .await;
}

/// Takes decisions made elsewhere, in their order. One that is here already is passed over, and so
/// is one that is older than what was decided here: two histories of one subject cannot become one.
async fn recall(history: Vec<Event>, dry_run: bool, context: &Context, tally: &mut ImportTally) {
    let mut here = Here::default();
    let mut new = Vec::with_capacity(history.len());
    for event in history {
        match here.knows(&event, context).await {
            Ok(true) => tally.known += 1,
            Ok(false) => new.push(event),
            Err(fault) => {
                let reference = broken("read a history", &fault);
                let why = phrases::failed(&event.subject, &fault, &reference);
                tally.refuse(&event.subject, why);
            }
        }
    }
    let subjects: Vec<Subject> = new.iter().map(|event| event.subject.clone()).collect();
    let intents: Vec<Intent> = new
        .into_iter()
        .map(|event| Intent::Recall(Box::new(event)))
        .collect();
    if dry_run {
        let (policy, now) = (context.engine.policy(), context.engine.now());
        for (intent, subject) in intents.iter().zip(&subjects) {
            let proposal = context
                .engine
                .read(|ledger| propose(ledger, &policy, intent, now, &mut || EventId([0; 16])));
            match proposal {
                Proposal::Events(_) => tally.recalled += 1,
                Proposal::Answer(ruling) => recalled(subject, Ok(ruling), tally),
            }
        }
        return;
    }
    let answers = context.engine.submit(intents).await;
    for (subject, answer) in subjects.iter().zip(answers) {
        recalled(subject, answer, tally);
    }
}

fn recalled(subject: &Subject, answer: Result<Ruling, LogFault>, tally: &mut ImportTally) {
    match answer {
        Ok(Ruling::Stale) => tally.older += 1,
        Ok(Ruling::Ban(BanRuling::NotBanned(..))) => tally.known += 1,
        Ok(Ruling::Refused(why)) => tally.refuse(subject, why.to_string()),
        Ok(_) => tally.recalled += 1,
        Err(fault) => {
            let reference = broken("take over a history", &fault);
            tally.refuse(subject, phrases::failed(subject, &fault, &reference));
        }
    }
}

/// The decisions about a subject that are here, read once for each.
#[derive(Default)]
struct Here(HashMap<Subject, HashSet<EventId>>);

impl Here {
    async fn knows(&mut self, event: &Event, context: &Context) -> Result<bool, LogFault> {
        // Not by when it changed last: a kick stands in the history and changes nothing.
        let is_unheard_of = |ledger: &Ledger| ledger.trail(&event.subject).is_empty();
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
