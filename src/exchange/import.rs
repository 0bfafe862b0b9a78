//! Imports entries: each becomes an intent like any other.
//!
//! History is imported first; a ban that is in force at its end is then in force here too, with a new number. An
//! existing ban is never shortened, and nothing that exists is written again: importing the same file twice changes
//! nothing.

pub mod recalled;

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use super::{ImportEntry, ImportedBan, ListedExemption, Read};
use crate::command::{Context, phrases};
use crate::core::{
    Account, Action, Actor, BanChange, BanOrder, BanRuling, Change, CommandId, EventId,
    ExemptionChange, ExemptionOrder, ExemptionRuling, Intent, Order, Policy, Proposal, Role,
    Ruling, Subject, Term, propose,
};
use crate::delivery::ports::Existence;
use crate::journal::LogFault;
use recalled::{HistoryEnds, recall};

/// Number of ban records read from the server at the same time.
const ASKED_AT_ONCE: usize = 16;
/// How long the server may take to say whether it has an account.
const ASK_WAIT: Duration = Duration::from_secs(3);

/// What an import changed, or in a dry run would change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportTally {
    /// New bans.
    pub banned: usize,
    /// Existing bans that now end later.
    pub prolonged: usize,
    /// Existing bans with the same or a later end.
    pub standing: usize,
    /// New exemptions, and existing ones that now end later.
    pub exempted: usize,
    /// Existing exemptions with the same or a later end.
    pub exempt: usize,
    /// Decisions added to the history.
    pub recalled: usize,
    /// Decisions that are in the history already.
    pub known: usize,
    /// Decisions older than the last one about the same subject here.
    pub older: usize,
    /// Entries that were rejected.
    pub refused: Vec<Refused>,
    /// Where the imported history ends.
    pub ends: HistoryEnds,
    /// Of a dry run: networks so wide that a ban or exemption of them is asked about in chat, each with its reach.
    pub wide: NamedCount,
    /// Of a dry run: bans without an end, if that is not the usual.
    pub endless: usize,
    /// Of a dry run: accounts that the server does not have, as far as it was asked.
    pub unknown: NamedCount,
    /// Of a dry run: accounts of which the server knows no login and no registration; they may exist.
    pub no_trace: NamedCount,
    /// What `undo` takes to undo the import.
    pub command: Option<String>,
}

/// How many there are, and the first ones by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamedCount {
    /// The number.
    pub number: usize,
    /// At most [`phrases::NAMED`] of them.
    pub first: Vec<String>,
}

impl NamedCount {
    /// Counts one more.
    pub fn add(&mut self, name: String) {
        self.number += 1;
        if self.first.len() < phrases::NAMED {
            self.first.push(name);
        }
    }

    fn join(&mut self, other: NamedCount) {
        let unnamed = other.number - other.first.len();
        other.first.into_iter().for_each(|name| self.add(name));
        self.number += unnamed;
    }
}

/// A rejected entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The subject, as people write it.
    pub subject: String,
    /// The reason, as a sentence for people.
    pub why: String,
}

impl ImportTally {
    /// Adds the counts of another part of the same import.
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
        self.ends.join(other.ends);
        self.wide.join(other.wide);
        self.endless += other.endless;
        self.unknown.join(other.unknown);
        self.no_trace.join(other.no_trace);
        self.command = self.command.take().or(other.command);
    }

    /// Whether the import changed anything, or would.
    pub fn changes(&self) -> bool {
        self.banned + self.prolonged + self.exempted + self.recalled > 0
    }

    fn note_wide(&mut self, subject: Option<&Subject>, policy: &Policy) {
        if let Some(subject) = subject.filter(|subject| policy.is_risky(subject)) {
            let reach = phrases::reach(subject);
            self.wide.add(format!("{subject} ({reach})"));
        }
    }

    fn refuse(&mut self, subject: &Subject, why: String) {
        self.refused.push(Refused {
            subject: subject.to_string(),
            why,
        });
    }
}

/// On whose behalf an import runs.
#[derive(Debug, Clone)]
pub struct Importer {
    /// The person; must be an admin, otherwise everything is rejected.
    pub actor: Actor,
    /// The command id that all imported bans and exemptions carry, so that one undo takes them back. Imported history
    /// keeps its own ids.
    pub command: Option<CommandId>,
}

/// Imports the entries; in a dry run only counts what would change.
pub async fn import_all(
    read: Read,
    importer: &Importer,
    dry_run: bool,
    context: &Context,
) -> ImportTally {
    let mut tally = ImportTally::default();
    let Read {
        history,
        unasked: _,
        mut entries,
        bad,
        left_out,
    } = read;
    // The client read the file before and reported bad lines. Lines that are bad only now have expired since, or the
    // versions of client and server differ.
    for bad in bad.into_iter().chain(left_out) {
        tally.refused.push(Refused {
            subject: String::new(),
            why: bad.why,
        });
    }
    recall(history, importer, dry_run, context, &mut tally).await;
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
        let mut accounts = Vec::new();
        for order in &orders {
            let before = tally.banned;
            foresee(order, context, &mut tally);
            let account = whom(order).and_then(Subject::account);
            accounts.extend(account.filter(|_| tally.banned > before));
        }
        count_unknown(&accounts, context, &mut tally).await;
        return tally;
    }
    tally.command = importer.command.map(|id| id.to_string());
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
        Ok(Ruling::Refused(why)) => tally.refuse(subject, phrases::why_refused(&why)),
        Ok(other) => tally.refuse(subject, phrases::not_done(subject, &other)),
        Err(fault) => {
            tally.refuse(subject, not_stored(subject, &fault));
        }
    }
}

/// Why an entry was not imported, or possibly not.
fn not_stored(subject: &Subject, fault: &LogFault) -> String {
    match fault {
        // The outcome is unknown, and what exists is not written again, so the import may simply be repeated.
        LogFault::Unknown(_) => format!(
            "{subject}: not known yet. The log of decisions does not answer; it may still happen. Import the same file again later."
        ),
        _ => phrases::not_stored(subject, fault),
    }
}

/// Counts the result an intent would have now, without submitting it.
fn foresee(order: &Intent, context: &Context, tally: &mut ImportTally) {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let proposal = context
        .engine
        .read(|ledger| propose(ledger, &policy, order, now, &mut || EventId([0; 16])));
    match (proposal, whom(order)) {
        (Proposal::Answer(ruling), Some(subject)) => count(subject, Ok(ruling), tally),
        (Proposal::Answer(_), None) => {}
        (Proposal::Events(events), subject) => {
            let until = match events.last().map(|event| &event.change) {
                Some(Change::Ban(BanChange::Imposed { until, .. })) => {
                    tally.banned += 1;
                    until
                }
                Some(Change::Ban(BanChange::Amended { until, .. })) => {
                    tally.prolonged += 1;
                    until
                }
                Some(Change::Exemption(ExemptionChange::Granted { .. })) => {
                    tally.exempted += 1;
                    tally.note_wide(subject, &policy);
                    return;
                }
                _ => return,
            };
            tally.note_wide(subject, &policy);
            let usual = policy.default_term_for(Role::Admin, now);
            tally.endless += usize::from(until.is_none() && usual != Term::Forever);
        }
    }
}

/// Asks the server which of these accounts it does not have or knows nothing of, until it stops answering.
async fn count_unknown(accounts: &[&Account], context: &Context, tally: &mut ImportTally) {
    let server = context.delivery.server();
    for some in accounts.chunks(ASKED_AT_ONCE) {
        let asked = some.iter().map(async |account| {
            let answer = tokio::time::timeout(ASK_WAIT, server.exists(account)).await;
            (account, answer.unwrap_or_default())
        });
        let answers = futures::future::join_all(asked).await;
        if answers
            .iter()
            .all(|(_, exists)| *exists == Existence::Unknown)
        {
            return;
        }
        for (account, exists) in answers {
            match exists {
                Existence::Missing => tally.unknown.add(account.to_string()),
                Existence::NoTrace => tally.no_trace.add(account.to_string()),
                Existence::Exists | Existence::Unknown => {}
            }
        }
    }
}

/// Whether the subject has an exemption with the same or a later end.
fn is_exempt(subject: &Subject, exempt: &ListedExemption, context: &Context) -> bool {
    let now = context.engine.now();
    context.engine.read(|ledger| {
        ledger.exemptions().of(subject).is_some_and(|one| {
            one.is_in_force(now)
                && one
                    .until
                    .is_none_or(|end| exempt.until.is_some_and(|other| other <= end))
        })
    })
}

/// Completes bans that the server made itself from the server's records.
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
            // Only our own records have an end, so this one is left from a lost store.
            if let Some(end) = found.until {
                ban.term = Term::Until(end);
            }
        })
    });
    stream::iter(asked)
        .for_each_concurrent(ASKED_AT_ONCE, |asked| asked)
        .await;
}
