//! The requests portcullis makes of the server, each with a time limit, at most [`IN_FLIGHT`] at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use minidom::Element;
use tokio::sync::Semaphore;
use xmpp_parsers::jid::{BareJid, Jid};

use super::admin::{self, Completed, Route};
use super::courier::{Courier, Question, Unanswered, Verb};
use super::privilege::{Spelling, unwrap, wrap, wrap_to_self};
use super::record::Record;

/// Requests under way at once. ejabberd serves a component's privileged requests one after the other, and Prosody keeps a
/// table of 256 of them: more would only wait there.
pub(crate) const IN_FLIGHT: usize = 8;

/// Runs errands.
#[derive(Debug)]
pub(crate) struct Errands {
    courier: Courier,
    room: Semaphore,
    /// Inner ids must differ over all accounts (Prosody).
    next: AtomicU64,
}

impl Errands {
    pub(crate) fn new(courier: Courier) -> Self {
        Errands {
            courier,
            room: Semaphore::new(IN_FLIGHT),
            next: AtomicU64::new(1),
        }
    }

    /// A request in our own name; the child of the answer.
    pub(crate) async fn plain(
        &self,
        to: Jid,
        verb: Verb,
        payload: Element,
        limit: Duration,
    ) -> Result<Option<Element>, Unanswered> {
        let iq = self.ask(to, verb, payload, limit).await?;
        Ok(iq.children().next().cloned())
    }

    /// The same past those that wait: for what is told to a module and must not stand behind kicks.
    pub(crate) async fn aside(
        &self,
        to: Jid,
        verb: Verb,
        payload: Element,
        timeout: Duration,
    ) -> Result<(), Unanswered> {
        let question = Question {
            to,
            verb,
            payload,
            timeout,
        };
        self.courier.ask(question).await.map(drop)
    }

    /// A request in the name of an account to itself.
    pub(crate) async fn as_self(
        &self,
        account: &BareJid,
        spelling: Spelling,
        verb: Verb,
        payload: Element,
        limit: Duration,
    ) -> Result<Option<Element>, Unanswered> {
        let wrapped = wrap_to_self(account, spelling, verb, &self.inner_id(), payload);
        let iq = self
            .ask(account.clone().into(), verb, wrapped, limit)
            .await?;
        unwrap(&iq).map_err(Unanswered::Refused)
    }

    pub(crate) async fn read_record(
        &self,
        account: &BareJid,
        spelling: Spelling,
        limit: Duration,
    ) -> Result<Record, Unanswered> {
        let query = self
            .as_self(account, spelling, Verb::Get, Record::query(), limit)
            .await?;
        Ok(Record::parse_answer(query.as_ref()))
    }

    pub(crate) async fn write_record(
        &self,
        account: &BareJid,
        spelling: Spelling,
        record: &Record,
        limit: Duration,
    ) -> Result<(), Unanswered> {
        self.as_self(account, spelling, Verb::Set, record.store(), limit)
            .await
            .map(drop)
    }

    /// One admin command (XEP-0133) in one step.
    pub(crate) async fn command(
        &self,
        vhost: &Jid,
        route: &Route,
        command: Element,
        limit: Duration,
    ) -> Result<Completed, Unanswered> {
        let answer = match route {
            Route::Direct => self.plain(vhost.clone(), Verb::Set, command, limit).await?,
            Route::As(admin) => {
                let wrapped = wrap(admin, vhost.as_str(), Verb::Set, &self.inner_id(), command);
                let iq = self
                    .ask(admin.clone().into(), Verb::Set, wrapped, limit)
                    .await?;
                unwrap(&iq).map_err(Unanswered::Refused)?
            }
        };
        Ok(admin::read(answer.as_ref()))
    }

    async fn ask(
        &self,
        to: Jid,
        verb: Verb,
        payload: Element,
        timeout: Duration,
    ) -> Result<Element, Unanswered> {
        // Never closed.
        let _room = self
            .room
            .acquire()
            .await
            .map_err(|_| Unanswered::LinkDown)?;
        self.courier
            .ask(Question {
                to,
                verb,
                payload,
                timeout,
            })
            .await
    }

    fn inner_id(&self) -> String {
        format!("pc{}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}
