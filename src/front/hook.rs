//! The entry point of the hook modules (docs/hook-protocol.md): hello, check, sync, report.
//!
//! Every request is answered from memory, where and in the order it arrives, because a login waits for it. There are
//! two exceptions: a report that led to bans is answered once they are durable, and a check of one of many
//! simultaneous logins once the outcomes of others are known. For anybody but a module of this server this namespace
//! does not exist.
//!
//! Start reading at [`Hook::receive`].

mod epoch;
mod given;
mod runs;
mod seen;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use minidom::Element;
use tokio::sync::Semaphore;
use xmpp_parsers::jid::{BareJid, Jid, NodePart};
use xmpp_parsers::stanza_error::StanzaError;

use super::bot::BOT;
use super::reply::{PendingIq, Reply};
use crate::admission::{Admission, AdmitAnswer, PendingBans, crowded};
use crate::core::account::domain_key;
use crate::core::{
    Account, Attempt, BanId, Changed, EventId, Ledger, PutBackMark, Seq, Subject, Verdict,
};
use crate::enforce::XmppServer;
use crate::engine::Engine;
use crate::xmpp::fault::Fault;
use crate::xmpp::payload::hook::{
    self, Check, HeldState, Hello, HookRequest, HookUnreadable, NS_HOOK, PlainCheck, Report,
};
use crate::xmpp::stanza::Received;
use given::GivenPositions;
use runs::Runs;
use seen::SeenReports;

/// Maximum number of changes on one page.
pub const PAGE: usize = 200;
/// Maximum size of a page in bytes, well below the limit of a stanza.
const PAGE_BYTES: usize = 160 * 1024;
/// Maximum number of reports whose bans are being made durable at the same time.
const IMPOSING: usize = 256;
/// Maximum number of answers held back at the same time.
const HOLDING: usize = 4_096;

/// Answers the requests of hook modules.
pub struct Hook {
    domain: BareJid,
    /// The contact that people chat with: events about the store as a whole are in its history.
    bot: Jid,
    engine: Arc<Engine>,
    admission: Arc<Admission>,
    server: Arc<XmppServer>,
    /// The id of the log in hexadecimal digits.
    log: String,
    given: Mutex<GivenPositions>,
    runs: Mutex<Runs>,
    seen: Mutex<SeenReports>,
    imposing: Arc<Semaphore>,
    holding: Arc<Semaphore>,
}

impl Hook {
    /// The entry point at a component with this domain. `store` identifies the log whose positions are sent.
    pub fn new(
        domain: BareJid,
        engine: Arc<Engine>,
        admission: Arc<Admission>,
        server: Arc<XmppServer>,
        store: [u8; 16],
    ) -> Arc<Hook> {
        let name = NodePart::new(BOT).expect("the name is a literal without anything forbidden");
        let began = engine.read(Ledger::folded);
        Arc::new(Hook {
            bot: BareJid::from_parts(Some(&name), domain.domain()).into(),
            domain,
            engine,
            admission,
            server,
            log: hex::encode(store),
            given: Mutex::new(GivenPositions::new(began)),
            runs: Mutex::default(),
            seen: Mutex::default(),
            imposing: Arc::new(Semaphore::new(IMPOSING)),
            holding: Arc::new(Semaphore::new(HOLDING)),
        })
    }

    /// The epoch in the protocol. Positions of another epoch mean nothing here.
    pub fn epoch(&self) -> String {
        self.engine
            .read(|ledger| epoch::print(&self.log, ledger.put_backs().last()))
    }

    /// Handles a request of a module; `None` if it is none, or not from a module.
    pub fn receive(self: &Arc<Self>, received: &Received) -> Option<Reply> {
        if !received.is_request() {
            return None;
        }
        let payload = received
            .payload()
            .filter(|payload| payload.has_ns(NS_HOOK))?;
        let (from, to) = (&received.header.from, &received.header.to);
        if to.to_bare() != self.domain {
            return None;
        }
        let asked = PendingIq::of(&received.header);
        let is_get = received.type_() == "get";
        if !self.server.believes(from) {
            if payload.name() == "hello" && from.node().is_none() {
                self.server.doubts(from);
            }
            return None;
        }
        Some(
            match HookRequest::read(payload, is_get, self.engine.now()) {
                Ok(HookRequest::Check(check)) => self.check(asked, check),
                Ok(HookRequest::Report(report)) => self.report(asked, from, report),
                Ok(HookRequest::Sync(held)) => {
                    let domain = from.domain().as_str().to_owned();
                    let beyond = held.as_ref().and_then(|held| self.beyond(held, &domain));
                    self.noticed(asked, beyond, move |hook| hook.sync(held.as_ref(), &domain))
                }
                Ok(HookRequest::Hello(hello)) => self.hello(asked, from, hello),
                Err(why) => {
                    tracing::warn!(%from, request = payload.name(), "cannot answer a hook module: {why}");
                    asked.now(Err(refusal(why)))
                }
            },
        )
    }

    /// Answers a frame from memory if it is a check in its plain form from a module of this server; returns the whole
    /// answer as bytes. `None`: the frame is for [`Hook::receive`].
    pub fn answer_plain(&self, frame: &[u8]) -> Option<Vec<u8>> {
        let asked = PlainCheck::read(frame)?;
        if asked.to != self.domain.as_str() || !self.server.believes_plain(asked.from) {
            return None;
        }
        match self.admit(&asked.check) {
            AdmitAnswer::Now(verdict) => {
                Some(asked.answer(&verdict, self.head(), self.engine.now()))
            }
            AdmitAnswer::Later => None,
        }
    }

    /// Only a login whose outcome will be reported may have to wait for others.
    fn admit(&self, check: &Check) -> AdmitAnswer {
        match check {
            Check {
                account: Some(account),
                address: Some(address),
                hold: Some(_),
            } => self.admission.try_admit(account, *address),
            Check {
                account, address, ..
            } => AdmitAnswer::Now(self.admission.check(account.as_ref(), *address)),
        }
    }

    fn check(self: &Arc<Self>, asked: PendingIq, check: Check) -> Reply {
        let now = |verdict| asked.now(Ok(Some(self.verdict(&verdict))));
        let (account, address, hold) = match (self.admit(&check), check) {
            (AdmitAnswer::Now(verdict), _) => return now(verdict),
            (
                AdmitAnswer::Later,
                Check {
                    account: Some(account),
                    address: Some(address),
                    hold: Some(hold),
                },
            ) => (account, address, hold),
            (AdmitAnswer::Later, _) => return now(crowded(self.engine.now())),
        };
        let Ok(place) = Arc::clone(&self.holding).try_acquire_owned() else {
            return now(crowded(self.engine.now()));
        };
        let hook = Arc::clone(self);
        let work = async move {
            let _place = place;
            let verdict = hook.admission.admit_within(&account, address, hold).await;
            vec![asked.stanza(Ok(Some(hook.verdict(&verdict))))]
        };
        Reply {
            now: Vec::new(),
            later: Some(work.boxed()),
        }
    }

    fn verdict(&self, verdict: &Verdict) -> Element {
        hook::verdict(verdict, self.head(), self.engine.now())
    }

    fn head(&self) -> Seq {
        self.engine.read(|ledger| ledger.folded())
    }

    fn hello(self: &Arc<Self>, asked: PendingIq, from: &Jid, hello: Hello) -> Reply {
        let (head, epoch) = (self.head(), self.epoch());
        let held = hello.held.as_ref();
        let beyond = held.and_then(|held| self.beyond(held, from.domain().as_str()));
        // No difference: a module that has just started, and is about to ask for all bans.
        let same = held.filter(|held| held.epoch == epoch);
        let behind = same.map_or(0, |held| head.0.saturating_sub(held.seq));
        self.server.heard(from, hello, behind, self.engine.now());
        self.noticed(asked, beyond, |hook| {
            Some(hook::welcome(&hook.epoch(), hook.head(), hook.engine.now()))
        })
    }

    /// What the state that a module holds proves of a store that was put back to an older copy, or is a new one in place of
    /// another: the module holds a position of this epoch that nobody gave to it, an epoch of this log that the log does not
    /// know, or a position of another log, where later bans may have been numbered than here.
    fn beyond(&self, held: &HeldState, domain: &str) -> Option<Beyond> {
        if !runs::is_position(Seq(held.seq)) {
            return None;
        }
        if let Some(lead) = epoch::lead_elsewhere(&self.log, &held.epoch) {
            let number = BanId(held.seq.saturating_add(lead));
            let next = self.engine.read(|ledger| ledger.subjects().next_ban());
            return (number >= next).then_some(Beyond { number, mark: None });
        }
        let (lead, mark) = self.engine.read(|ledger| {
            let marks = ledger.put_backs();
            if held.epoch == epoch::print(&self.log, marks.last()) {
                let is_given = Seq(held.seq) <= lock(&self.given).to(domain);
                return (!is_given).then(|| (marks.last().map_or(0, PutBackMark::lead), None));
            }
            let (id, lead) = epoch::put_back(&self.log, &held.epoch)?;
            let is_known = marks.knows(id) || lock(&self.given).is_noticed(id);
            (!is_known).then_some((lead, Some(id)))
        })?;
        let next = self.engine.read(|ledger| ledger.subjects().next_ban());
        let number = next.max(BanId(held.seq.saturating_add(lead)));
        Some(Beyond { number, mark })
    }

    /// Answers; before that, it records that the store was put back to an older copy if that is proven.
    fn noticed(
        self: &Arc<Self>,
        asked: PendingIq,
        beyond: Option<Beyond>,
        answer: impl FnOnce(&Hook) -> Option<Element> + Send + 'static,
    ) -> Reply {
        let Some(beyond) = beyond else {
            return asked.now(some_or_fault(answer(self)));
        };
        let hook = Arc::clone(self);
        let work = async move {
            hook.put_back(beyond).await;
            vec![asked.stanza(some_or_fault(answer(&hook)))]
        };
        Reply {
            now: Vec::new(),
            later: Some(work.boxed()),
        }
    }

    async fn put_back(&self, beyond: Beyond) {
        let Some(about) = Account::from_jid(&self.bot) else {
            return;
        };
        let recorded = self
            .engine
            .was_put_back(&Subject::Account(about), beyond.number)
            .await;
        match (recorded, beyond.mark) {
            (Ok(_), Some(mark)) => lock(&self.given).noticed(mark),
            (Ok(_), None) => {}
            (Err(why), _) => {
                tracing::error!(%why, "cannot record that the store was put back to an older copy");
            }
        }
    }

    /// Counts at once, so that the next question takes the report into account.
    fn report(self: &Arc<Self>, asked: PendingIq, from: &Jid, report: Report) -> Reply {
        let vhost = domain_key(from.domain().as_str());
        let attempts = lock(&self.seen).new_ones(&vhost, report);
        // A module may only report accounts of its own virtual host.
        let own = |attempt: &Attempt| {
            let account = attempt.account.as_ref();
            account.is_none_or(|account| account.domain() == vhost)
        };
        let attempts = attempts.into_iter().filter(own).collect();
        match self.admission.count(attempts) {
            Ok(wanted) if wanted.is_empty() => asked.now(Ok(None)),
            Ok(wanted) => self.impose(asked, wanted),
            Err(why) => {
                tracing::error!(%why, "logins were not counted");
                asked.now(Err(Fault::Internal.stanza_error()))
            }
        }
    }

    fn impose(self: &Arc<Self>, asked: PendingIq, wanted: PendingBans) -> Reply {
        let Ok(place) = Arc::clone(&self.imposing).try_acquire_owned() else {
            // The store is behind. They hold in memory and are written in their turn.
            drop(wanted);
            return asked.now(Ok(None));
        };
        let hook = Arc::clone(self);
        let work = async move {
            let _place = place;
            // What the log does not take now holds in memory and is written later.
            let _ = hook.admission.impose(wanted).await;
            vec![asked.stanza(Ok(None))]
        };
        Reply {
            now: Vec::new(),
            later: Some(work.boxed()),
        }
    }

    /// The changes after the module's state, or the first page of everything.
    /// `None`: there is no such page. An empty list instead would tell the module that nobody is banned.
    fn sync(&self, held: Option<&HeldState>, domain: &str) -> Option<Element> {
        let (head, epoch) = (self.head(), self.epoch());
        let known = held.filter(|held| held.epoch == epoch).and_then(|held| {
            match lock(&self.runs).begun(held.seq) {
                Some(run) => Some((run.since, run.begun, true)),
                None if Seq(held.seq) <= lock(&self.given).to(domain) => {
                    Some((Seq(held.seq), Seq(held.seq), false))
                }
                // The module's state is from another store.
                None => None,
            }
        });
        let read = |since, begun| {
            self.engine.read(|ledger| {
                ledger
                    .bans()
                    .changes(since, begun, PAGE, PAGE_BYTES, ledger.folded())
            })
        };
        let known = known
            .and_then(|(since, begun, in_run)| Some((read(since, begun)?, begun, in_run, false)));
        let (page, begun, in_run, fresh) = match known {
            Some(known) => known,
            None => {
                let Some(page) = read(Seq(0), head) else {
                    tracing::error!(
                        "the list of bans does not begin; a hook module keeps what it has"
                    );
                    return None;
                };
                (page, head, true, true)
            }
        };
        let seq = match page.more && in_run {
            true => lock(&self.runs).goes_on(page.upto, begun),
            false => {
                lock(&self.given).give(domain, page.upto);
                page.upto.0
            }
        };
        let now = self.engine.now();
        let list = page.list.iter().filter_map(|changed| match changed {
            Changed::Stands(ban) if !ban.is_in_force(now) => None,
            Changed::Stands(ban) => {
                hook::change(changed, self.admission.holds_at_start(ban), domain)
            }
            Changed::Ended(_) => hook::change(changed, false, domain),
        });
        Some(hook::changes(&epoch, seq, page.more, fresh, now, list))
    }
}

/// What proves that the store was put back to an older copy.
struct Beyond {
    /// The last ban number that may have been given.
    number: BanId,
    /// A mark of this log that the log does not have; `None`: it is a position.
    mark: Option<EventId>,
}

// An answer of this type goes to the wire as it is.
#[expect(clippy::result_large_err)]
fn some_or_fault(answer: Option<Element>) -> Result<Option<Element>, StanzaError> {
    match answer {
        Some(answer) => Ok(Some(answer)),
        None => Err(Fault::Internal.stanza_error()),
    }
}

fn refusal(why: HookUnreadable) -> StanzaError {
    match why {
        HookUnreadable::Name => Fault::NotImplemented.stanza_error(),
        HookUnreadable::Type | HookUnreadable::Who | HookUnreadable::Many => {
            Fault::Malformed.with_text(why.to_string())
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock is held leaves the value intact, because each change is a single call.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
