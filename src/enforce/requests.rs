//! Requests of enforcement to the server, at most [`AT_ONCE`] at a time: in our own name, in the name of an account
//! (XEP-0356), for records, and for admin commands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use minidom::Element;
use tokio::sync::Semaphore;
use xmpp_parsers::jid::{BareJid, Jid};

use super::admin::{self, Completed, Route};
use super::privilege::{Spelling, unwrap, wrap, wrap_to_self};
use super::record::BanRecord;
use crate::xmpp::iq::{Asker, IqRequest, Unanswered, Verb};

/// Maximum number of concurrent requests. ejabberd serves a component's privileged requests one after the other, and
/// Prosody keeps a table of 256; more would only wait there.
pub(crate) const AT_ONCE: usize = 8;

/// Sends requests to the server. Every method fails with [`Unanswered`] if there is no result.
#[derive(Debug)]
pub(crate) struct Requests {
    asker: Asker,
    permits: Semaphore,
    /// Inner ids must be unique across all accounts (Prosody).
    next: AtomicU64,
}

impl Requests {
    pub(crate) fn new(asker: Asker) -> Self {
        Requests {
            asker,
            permits: Semaphore::new(AT_ONCE),
            next: AtomicU64::new(1),
        }
    }

    /// A request in our own name; returns the child of the answer.
    pub(crate) async fn plain(&self, question: IqRequest) -> Result<Option<Element>, Unanswered> {
        let iq = self.ask(question).await?;
        Ok(iq.children().next().cloned())
    }

    /// A request that takes none of the [`AT_ONCE`] permits: news for a module must not wait behind kicks.
    pub(crate) async fn aside(&self, question: IqRequest) -> Result<(), Unanswered> {
        self.asker.ask(question).await.map(drop)
    }

    /// A request in the name of an account to itself; returns the child of the inner answer.
    pub(crate) async fn as_self(
        &self,
        account: &BareJid,
        spelling: Spelling,
        verb: Verb,
        payload: Element,
        limit: Duration,
    ) -> Result<Option<Element>, Unanswered> {
        let wrapped = wrap_to_self(account, spelling, verb, &self.inner_id(), payload);
        self.wrapped(account, verb, wrapped, limit).await
    }

    /// Reads the record of an account. An answer over the limits of a stanza counts as an unreadable record, which
    /// only a user can have stored.
    pub(crate) async fn read_record(
        &self,
        account: &BareJid,
        spelling: Spelling,
        limit: Duration,
    ) -> Result<BanRecord, Unanswered> {
        match self
            .as_self(account, spelling, Verb::Get, BanRecord::query(), limit)
            .await
        {
            Ok(query) => Ok(BanRecord::parse_answer(query.as_ref())),
            Err(Unanswered::Unreadable) => Ok(BanRecord::unreadable()),
            Err(why) => Err(why),
        }
    }

    pub(crate) async fn write_record(
        &self,
        account: &BareJid,
        spelling: Spelling,
        record: &BanRecord,
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
        let set = Verb::Set;
        let answer = match route {
            Route::Direct => {
                self.plain(IqRequest::new(vhost.clone(), set, command, limit))
                    .await?
            }
            Route::As(admin) => {
                let wrapped = wrap(admin, vhost.as_str(), set, &self.inner_id(), command);
                self.wrapped(admin, set, wrapped, limit).await?
            }
        };
        Ok(admin::read(answer.as_ref()))
    }

    /// Sends a wrapped request to the account in whose name it is.
    async fn wrapped(
        &self,
        account: &BareJid,
        verb: Verb,
        wrapped: Element,
        limit: Duration,
    ) -> Result<Option<Element>, Unanswered> {
        let question = IqRequest::new(account.clone().into(), verb, wrapped, limit);
        unwrap(&self.ask(question).await?).map_err(Unanswered::Refused)
    }

    async fn ask(&self, question: IqRequest) -> Result<Element, Unanswered> {
        // The semaphore is never closed.
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| Unanswered::LinkDown)?;
        self.asker.ask(question).await
    }

    fn inner_id(&self) -> String {
        format!("pc{}", self.next.fetch_add(1, Ordering::Relaxed))
    }
}
