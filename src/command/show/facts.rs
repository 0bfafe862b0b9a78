//! Facts of `show`.

use serde::Serialize;

use crate::command::broken;
use crate::command::call::Caller;
use crate::command::context::Context;
use crate::command::outcome::Reference;
use crate::command::parts::facts::fact;
use crate::command::parts::login::{failed_since, keep_out};
use crate::command::parts::notes;
use crate::command::parts::on_server::OnServer;
use crate::command::parts::reach::visible;
use crate::command::parts::server_side::{self, ServerReply};
use crate::command::parts::settle::ASK_WAIT;
use crate::core::{Ban, Counting, Past, Subject, Timestamp};
use crate::delivery::ports::Recorded;
use crate::journal::Entry;

/// Maximum number of events and of notes, newest first.
const REMEMBERED: usize = 20;

/// Everything known about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ShowFacts {
    /// When this was so.
    #[serde(serialize_with = "fact")]
    pub(super) at: Timestamp,
    /// The subject.
    #[serde(serialize_with = "fact")]
    pub(super) subject: Subject,
    /// Its active ban.
    #[serde(serialize_with = "fact")]
    pub(super) ban: Option<Ban>,
    /// Its last ban that ended.
    #[serde(serialize_with = "fact")]
    pub(super) last: Option<Past>,
    /// Other active bans that keep it out, or keep it out somewhere.
    #[serde(serialize_with = "fact")]
    pub(super) kept_out_by: Vec<Ban>,
    /// What of the server itself refuses it; `None` for a network, about which there is nothing to ask.
    #[serde(serialize_with = "fact")]
    pub(super) beside: Option<ServerReply>,
    /// Other active bans that concern the account or the source.
    #[serde(serialize_with = "fact")]
    pub(super) others: Vec<Ban>,
    /// The exemption of the source, or else of the account.
    pub(super) exempt_by: Option<String>,
    /// What the server does about it; `None` if it has nothing to do.
    pub(super) server: Option<OnServer>,
    /// The ban that only the server's own record of the account holds.
    #[serde(serialize_with = "fact")]
    pub(super) record: Option<Recorded>,
    /// The counts of the rules; those at zero are left out.
    #[serde(serialize_with = "fact")]
    pub(super) counters: Vec<Counting>,
    /// Number of logins that failed since the ban began: the server looked at their passwords.
    pub(super) failed_since: usize,
    /// Until when failures do not count, because of an un-ban.
    #[serde(serialize_with = "fact")]
    pub(super) grace_until: Option<Timestamp>,
    /// Number of bans since the history was last forgotten.
    pub(super) times_banned: u32,
    /// The current private notes, newest first.
    pub(super) notes: Vec<PrivateNote>,
    /// The history, newest first.
    #[serde(serialize_with = "fact")]
    pub(super) events: Vec<Entry>,
    /// Number of older events, which are left out.
    pub(super) older: usize,
}

/// A current private note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PrivateNote {
    /// The position in the log of its event.
    pub(super) seq: u64,
    /// When it was written.
    #[serde(serialize_with = "fact")]
    pub(super) at: Timestamp,
    /// The author.
    pub(super) by: String,
    /// What it says; may have several lines.
    pub(super) text: String,
}

impl ShowFacts {
    /// What is known about a subject, as far as the caller may see it.
    ///
    /// # Errors
    /// If its history cannot be read.
    pub(super) async fn gather(
        subject: Subject,
        caller: &Caller,
        context: &Context,
    ) -> Result<ShowFacts, Reference> {
        let rights = &caller.rights;
        let entries = context.engine.history(&subject).await;
        let mut entries = entries.map_err(|fault| broken("read the history", &fault))?;
        entries.retain(|entry| caller.may_read(&entry.event));
        let ban = context.active_ban(&subject);
        let past = context.engine.read(|ledger| *ledger.history(&subject));
        let task = context.delivery.task(&subject);
        let explanation = context.admission.explain(subject.whose(), subject.place());
        let mut kept_out = keep_out(&subject, &explanation, context);
        kept_out.retain(|ban| rights.see(&ban.subject));
        let mut beside = server_side::look(&subject, &explanation.homes, context).await;
        let mut explanation = visible(explanation, rights);
        let own = ban.as_ref().map(|ban| ban.id);
        explanation.bans.retain(|other| Some(other.id) != own);
        let record = match subject.account() {
            Some(account) => context.delivery.record_beyond(account, ASK_WAIT).await,
            None => None,
        };
        if record.is_some() {
            beside = beside.map(ServerReply::beside_the_record);
        }
        let is_at_work = ban.is_some() || task.is_some();
        let notes = current_notes(&entries);
        let older = entries.len().saturating_sub(REMEMBERED);
        entries.drain(..older);
        entries.reverse();
        Ok(ShowFacts {
            at: context.engine.now(),
            kept_out_by: kept_out,
            beside,
            others: explanation.bans,
            exempt_by: explanation.exempt,
            server: is_at_work.then(|| OnServer::about(&subject, context)),
            record,
            counters: explanation.counting,
            failed_since: ban.as_ref().map_or(0, |ban| failed_since(ban, context)),
            grace_until: explanation.grace_until,
            times_banned: past.bans,
            notes,
            events: entries,
            older,
            last: past.last,
            ban,
            subject,
        })
    }
}

fn current_notes(entries: &[Entry]) -> Vec<PrivateNote> {
    let notes = notes::standing(entries).into_iter().rev().take(REMEMBERED);
    let note = |entry: &Entry| PrivateNote {
        seq: entry.seq.0,
        at: entry.event.at,
        by: entry.event.actor.bare_name().to_owned(),
        text: entry.event.personal.note.clone().unwrap_or_default(),
    };
    notes.map(note).collect()
}
