//! Notifications: facts that people should be told of, as values, where they become known.
//!
//! Who receives them, when and in which words is decided by [`front::notices`](crate::front::notices). The queue to
//! there is bounded and never blocks: what does not fit is counted by topic.

use std::array;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admission::Unwritten;
use crate::core::{
    Account, BanChange, BanRuling, Change, Event, ExemptionRuling, HistoryRuling, Notice, Origin,
    Ruling, Subject, Timestamp, Topic,
};
use crate::delivery::Incident;
use crate::delivery::ports::{Enforcement, Enforcer, Finding, Gap, RecordState, Task};
use crate::engine::{ClockJump, Engine, Listener};
use crate::xmpp::wire::NameConflict;

/// Maximum number of waiting notifications.
const WAITING: usize = 1_024;
/// Maximum number and age of notifications kept before a listener is there.
const KEPT: usize = 256;
const KEPT_FOR: Duration = Duration::from_secs(3_600);
/// Shorter outages are not reported.
const OUTAGE: Duration = Duration::from_secs(10);
/// Rights that come back within this time are not reported as lost: a new connection restores them.
const GRACE: Duration = Duration::from_secs(40);
/// The same finding is reported at most once in this time; and the number of findings remembered.
const FINDING_PAUSE: Duration = Duration::from_secs(3_600);
const FINDINGS: usize = 1_000;

/// A fact to notify people of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// When it became known.
    pub at: Timestamp,
    /// The fact.
    pub news: News,
}

/// The kinds of facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A decision changed something.
    Ruled {
        /// The decision.
        event: Box<Event>,
        /// The ruling on it.
        ruling: Box<Ruling>,
    },
    /// A rule reached its limit and did not ban.
    Spared(Notice),
    /// A task on the server failed several times.
    Stuck(Task),
    /// A stuck task is done.
    Unstuck(Task),
    /// Somebody else changed a ban record.
    Found(Finding),
    /// The level of enforcement fell or rose.
    Rights {
        /// The level before.
        before: u8,
        /// The level now.
        now: u8,
        /// What is missing now and was not before.
        lost: Vec<Gap>,
        /// What was missing before and is not now.
        back: Vec<String>,
    },
    /// Another program is connected under our name; `None`: no longer.
    NameConflict(Option<NameConflict>),
    /// The link is back after an outage.
    Outage {
        /// When the outage began.
        since: Timestamp,
    },
    /// The log takes no decisions, so that bans by rules are in force in memory only; `None`: it takes them again.
    Unwritten(Option<Unwritten>),
    /// The clock of this machine was set; `None`: it was put right, or is believed.
    Clock(Option<ClockJump>),
    /// A configured room could not be joined, or was joined.
    Room {
        /// Address of the room.
        room: String,
        /// Why it cannot be joined; `None`: it was joined after a failure.
        why: Option<String>,
    },
}

impl News {
    /// The subject; `None`: the server as a whole.
    pub fn subject(&self) -> Option<Subject> {
        Some(match self {
            News::Ruled { event, .. } => event.subject.clone(),
            News::Spared(notice) => notice.subject.clone(),
            News::Stuck(task) | News::Unstuck(task) => task.subject.clone(),
            News::Found(finding) => Subject::Account(finding.account.clone()),
            News::Rights { .. }
            | News::NameConflict(_)
            | News::Outage { .. }
            | News::Unwritten(_)
            | News::Clock(_)
            | News::Room { .. } => {
                return None;
            }
        })
    }

    /// The topic; `None`: nobody needs to be told.
    pub fn topic(&self) -> Option<Topic> {
        Some(match self {
            News::Ruled { event, ruling } => return topic(event, ruling),
            News::Spared(notice) => match notice.spared {
                crate::core::Spared::DryRun => Topic::DryRun,
                _ => Topic::Spared,
            },
            News::Stuck(_) | News::Unstuck(_) | News::Unwritten(_) | News::Clock(_) => Topic::Work,
            News::Found(_) => Topic::Records,
            News::Rights { .. } => Topic::Rights,
            News::Outage { .. } | News::NameConflict(_) => Topic::Link,
            News::Room { .. } => Topic::Rooms,
        })
    }
}

fn topic(event: &Event, ruling: &Ruling) -> Option<Topic> {
    Some(match ruling {
        Ruling::Ban(BanRuling::Banned(ban)) => match (&ban.origin, &ban.subject) {
            (Origin::Automatic { .. }, Subject::Guard(_)) => Topic::Guards,
            (Origin::Automatic { .. }, Subject::Network(_)) => Topic::Networks,
            (Origin::Automatic { .. }, _) => Topic::Bans,
            (Origin::Server, _) => Topic::Adopted,
            (Origin::Manual | Origin::Imported, _) => Topic::Orders,
        },
        Ruling::Ban(BanRuling::Amended { .. })
        | Ruling::History(HistoryRuling::Forgotten { .. }) => Topic::Orders,
        Ruling::Ban(BanRuling::Lifted(_)) if event.change == Change::Ban(BanChange::Expired) => {
            Topic::Ends
        }
        Ruling::Ban(BanRuling::Lifted(_))
        | Ruling::Exemption(ExemptionRuling::Granted { .. })
        | Ruling::Exemption(ExemptionRuling::Revoked(_)) => Topic::Unbans,
        Ruling::PutBack { .. } => Topic::Work,
        _ => return None,
    })
}

/// Number of dropped notifications by topic.
type Missed = [AtomicU64; Topic::ALL.len()];

/// The sending end. Costs next to nothing while nobody listens.
#[derive(Default)]
pub struct Feed {
    tell: OnceLock<(mpsc::Sender<Notification>, Arc<Missed>)>,
    /// Notifications from before a listener was there.
    kept: Mutex<Vec<Notification>>,
}

/// The receiving end.
#[derive(Debug)]
pub struct NotificationFeed {
    queue: mpsc::Receiver<Notification>,
    missed: Arc<Missed>,
}

impl NotificationFeed {
    /// Waits for notifications and appends up to `most` of them to `batch`. Returns how many; 0: no more will come.
    pub async fn next(&mut self, batch: &mut Vec<Notification>, most: usize) -> usize {
        self.queue.recv_many(batch, most).await
    }

    /// The next notification that is already there; `None` if there is none.
    pub fn now(&mut self) -> Option<Notification> {
        self.queue.try_recv().ok()
    }

    /// Number of dropped notifications of each topic since the last call.
    pub fn missed(&self) -> impl Iterator<Item = (Topic, u64)> + use<> {
        let missed = array::from_fn::<_, { Topic::ALL.len() }, _>(|place| {
            let number = self.missed[place].swap(0, Ordering::Relaxed);
            (Topic::ALL[place], number)
        });
        missed.into_iter().filter(|(_, number)| *number > 0)
    }
}

impl Feed {
    /// Opens the receiving end; `None` from the second call on.
    pub fn listen(&self) -> Option<NotificationFeed> {
        let (tell, queue) = mpsc::channel(WAITING);
        let missed: Arc<Missed> = Arc::new(array::from_fn(|_| AtomicU64::new(0)));
        self.tell.set((tell, Arc::clone(&missed))).ok()?;
        for told in std::mem::take(&mut *self.kept()) {
            self.tell(told);
        }
        Some(NotificationFeed { queue, missed })
    }

    /// Sends a fact, such as a room that cannot be joined.
    pub fn announce(&self, news: News, at: Timestamp) {
        self.tell(Notification { at, news });
    }

    fn tell(&self, told: Notification) {
        if let Some(topic) = told.news.topic() {
            self.tell_as(topic, || told);
        }
    }

    fn tell_as(&self, topic: Topic, told: impl FnOnce() -> Notification) {
        let Some((tell, missed)) = self.tell.get() else {
            return;
        };
        match tell.try_reserve() {
            Ok(room) => room.send(told()),
            Err(mpsc::error::TrySendError::Full(())) => {
                let place = Topic::ALL.iter().position(|one| *one == topic);
                if let Some(missed) = place.and_then(|place| missed.get(place)) {
                    missed.fetch_add(1, Ordering::Relaxed);
                }
            }
            // The program is stopping.
            Err(mpsc::error::TrySendError::Closed(())) => {}
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Notification>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Feed {
    fn ruled(&self, event: &Event, ruling: &Ruling) {
        if let Some(topic) = topic(event, ruling) {
            self.tell_as(topic, || ruled(event, ruling));
        }
    }

    /// Kept until a listener is there.
    fn replayed(&self, event: &Event, ruling: &Ruling, now: Timestamp) {
        if now.since(event.at) > KEPT_FOR || topic(event, ruling).is_none() {
            return;
        }
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(ruled(event, ruling));
        }
    }
}

impl From<Incident> for News {
    fn from(incident: Incident) -> News {
        match incident {
            Incident::Stuck(task) => News::Stuck(task),
            Incident::Unstuck(task) => News::Unstuck(task),
        }
    }
}

fn ruled(event: &Event, ruling: &Ruling) -> Notification {
    Notification {
        at: event.at,
        news: News::Ruled {
            event: Box::new(event.clone()),
            ruling: Box::new(ruling.clone()),
        },
    }
}

/// The state of the server from one change to the next.
#[derive(Debug, Default)]
struct Watched {
    linked: bool,
    down_since: Option<Timestamp>,
    /// The state that was last reported, or first seen.
    told: Option<Arc<Enforcement>>,
    first_seen: Option<Timestamp>,
    worse_since: Option<Timestamp>,
    /// Whether a name conflict was reported that is not over.
    in_conflict: bool,
}

impl Watched {
    /// Handles a change; returns the facts to report.
    fn look(&mut self, standing: &Arc<Enforcement>, now: Timestamp) -> Vec<News> {
        let mut news = Vec::new();
        match (self.linked, standing.linked) {
            (true, false) => self.down_since = Some(now),
            (false, true) => {
                let since = self.down_since.take();
                let since = since.filter(|since| now.since(*since) >= OUTAGE);
                news.extend(since.map(|since| News::Outage { since }));
            }
            _ => {}
        }
        self.linked = standing.linked;
        if standing.conflict.is_some() != self.in_conflict {
            self.in_conflict = standing.conflict.is_some();
            news.push(News::NameConflict(standing.conflict.clone()));
        }
        if !standing.linked || !standing.probed {
            return news;
        }
        let Some(before) = &self.told else {
            self.told = Some(Arc::clone(standing));
            self.first_seen = Some(now);
            return news;
        };
        let (lost, back) = (gaps_beyond(standing, before), gaps_beyond(before, standing));
        let is_worse = standing.level < before.level || !lost.is_empty();
        // A hook module says hello some time after our start, and nobody was told that it was missing.
        let is_new = self
            .first_seen
            .is_some_and(|first| now.since(first) < GRACE);
        if is_new && !is_worse {
            self.worse_since = None;
            self.told = Some(Arc::clone(standing));
            return news;
        }
        if is_worse {
            let since = *self.worse_since.get_or_insert(now);
            if now.since(since) < GRACE {
                return news;
            }
        }
        self.worse_since = None;
        if is_worse || standing.level > before.level || !back.is_empty() {
            news.push(News::Rights {
                before: before.level,
                now: standing.level,
                lost,
                back: back.into_iter().map(|gap| gap.what).collect(),
            });
        }
        self.told = Some(Arc::clone(standing));
        news
    }
}

/// The gaps in `one` that are not in `other`.
fn gaps_beyond(one: &Enforcement, other: &Enforcement) -> Vec<Gap> {
    let is_new = |gap: &&Gap| !other.gaps.iter().any(|old| old.what == gap.what);
    one.gaps.iter().filter(is_new).cloned().collect()
}

/// Reports when the log stops storing decisions and when it works again, until told to stop.
pub async fn watch_the_log(
    mut unwritten: watch::Receiver<Option<Unwritten>>,
    engine: Arc<Engine>,
    feed: Arc<Feed>,
    stop: CancellationToken,
) {
    let mut is_told = false;
    loop {
        let now = unwritten.borrow_and_update().clone();
        if now.is_some() != is_told {
            is_told = now.is_some();
            feed.announce(News::Unwritten(now), engine.now());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = unwritten.changed() => if changed.is_err() { return },
        }
    }
}

/// Reports that the clock was set, and that this is over, until told to stop.
pub async fn watch_the_clock(engine: Arc<Engine>, feed: Arc<Feed>, stop: CancellationToken) {
    let mut jump = engine.clock_jump();
    let mut told = None;
    loop {
        let now = *jump.borrow_and_update();
        if now.map(|jump| jump.at) != told.map(|jump: ClockJump| jump.at) {
            told = now;
            feed.announce(News::Clock(now), engine.now());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = jump.changed() => if changed.is_err() { return },
        }
    }
}

/// Reports changes of the link, of our rights and of the records on the server, until told to stop.
pub async fn watch_the_server(
    server: Arc<dyn Enforcer>,
    engine: Arc<Engine>,
    feed: Arc<Feed>,
    stop: CancellationToken,
) {
    let mut standing = server.standing();
    let mut findings = server.findings();
    let mut watched = Watched::default();
    let mut given: HashMap<(Account, RecordState), Timestamp> = HashMap::new();
    let mut no_findings = false;
    loop {
        let seen = Arc::clone(&standing.borrow_and_update());
        for news in watched.look(&seen, engine.now()) {
            feed.announce(news, engine.now());
        }
        tokio::select! {
            () = stop.cancelled() => return,
            changed = standing.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(GRACE), if watched.worse_since.is_some() => {}
            found = findings.recv(), if !no_findings => match found {
                Ok(finding) => {
                    let (key, now) = ((finding.account.clone(), finding.found), engine.now());
                    let before = given.get(&key);
                    if before.is_none_or(|before| now.since(*before) >= FINDING_PAUSE) {
                        if given.len() >= FINDINGS {
                            given.clear();
                        }
                        given.insert(key, now);
                        feed.announce(News::Found(finding), now);
                    }
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => no_findings = true,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_320_000_000 + seconds * 1_000)
    }

    fn standing(linked: bool, level: u8, gaps: &[&str]) -> Arc<Enforcement> {
        Arc::new(Enforcement {
            linked,
            probed: linked,
            level,
            gaps: gaps
                .iter()
                .map(|what| Gap {
                    what: (*what).into(),
                    effect: String::new(),
                    remedy: String::new(),
                })
                .collect(),
            ..Enforcement::default()
        })
    }

    #[test]
    fn a_name_conflict_is_told_once_at_each_end_whether_the_link_is_up_or_not() {
        let mut watched = Watched::default();
        let other = NameConflict {
            other: Some(String::from("process 7 on other")),
        };
        let with = |linked, conflict: Option<&NameConflict>| {
            let mut standing = (*standing(linked, 1, &[])).clone();
            standing.conflict = conflict.cloned();
            Arc::new(standing)
        };
        assert_eq!(watched.look(&with(true, None), at(0)), []);
        let told = watched.look(&with(true, Some(&other)), at(20));
        assert_eq!(told, [News::NameConflict(Some(other.clone()))]);
        // The two replace each other.
        assert_eq!(watched.look(&with(false, Some(&other)), at(21)), []);
        assert_eq!(
            watched.look(&with(true, Some(&NameConflict::default())), at(25)),
            []
        );
        let told = watched.look(&with(true, None), at(90));
        assert_eq!(told, [News::NameConflict(None)]);
    }

    #[test]
    fn an_outage_is_told_once_when_it_is_over_and_a_short_one_not_at_all() {
        let mut watched = Watched::default();
        let (up, down) = (standing(true, 2, &[]), standing(false, 0, &[]));
        assert_eq!(watched.look(&down, at(0)), []);
        assert_eq!(watched.look(&up, at(9)), [], "the first link is no outage");
        assert_eq!(watched.look(&down, at(20)), []);
        assert_eq!(watched.look(&down, at(30)), []);
        let outage = News::Outage { since: at(20) };
        assert_eq!(watched.look(&up, at(95)), [outage]);
        assert_eq!(watched.look(&up, at(96)), []);
        assert_eq!(watched.look(&down, at(100)), []);
        assert_eq!(watched.look(&up, at(109)), []);
    }

    #[test]
    fn rights_are_told_when_they_stay_away_and_when_they_are_back() {
        let mut watched = Watched::default();
        let (full, less) = (standing(true, 2, &[]), standing(true, 1, &["no module"]));
        assert_eq!(watched.look(&full, at(0)), []);
        assert_eq!(watched.look(&less, at(10)), []);
        assert_eq!(watched.look(&full, at(20)), [], "they were back at once");
        assert_eq!(watched.look(&less, at(30)), []);
        let told = watched.look(&less, at(70));
        assert!(
            matches!(&told[..], [News::Rights { before: 2, now: 1, lost, back }]
                if lost[0].what == "no module" && back.is_empty()),
            "{told:?}"
        );
        assert_eq!(watched.look(&less, at(200)), []);
        let told = watched.look(&full, at(300));
        assert!(
            matches!(&told[..], [News::Rights { before: 1, now: 2, lost, back }]
                if lost.is_empty() && back == &["no module"]),
            "{told:?}"
        );
    }

    #[test]
    fn a_module_that_reports_after_the_start_was_never_missed() {
        let mut watched = Watched::default();
        let (full, less) = (standing(true, 2, &[]), standing(true, 1, &["no module"]));
        assert_eq!(watched.look(&less, at(0)), []);
        assert_eq!(watched.look(&full, at(5)), []);
        assert_eq!(watched.look(&less, at(10)), []);
        assert_eq!(watched.look(&less, at(50)).len(), 1, "it is missed now");
        let mut watched = Watched::default();
        assert_eq!(watched.look(&less, at(0)), []);
        assert_eq!(watched.look(&full, at(41)).len(), 1, "it is news by then");
    }

    #[tokio::test]
    async fn a_full_queue_loses_and_counts_by_topic_and_does_not_wait() {
        let feed = Feed::default();
        let room = |name: &str| Notification {
            at: at(0),
            news: News::Room {
                room: name.into(),
                why: None,
            },
        };
        feed.tell(room("before anybody listens"));
        let mut hearing = feed.listen().unwrap();
        assert!(feed.listen().is_none(), "there is one listener");
        for _ in 0..WAITING + 3 {
            feed.tell(room("ops"));
        }
        let missed: Vec<_> = hearing.missed().collect();
        assert_eq!(missed, [(Topic::Rooms, 3)]);
        assert_eq!(hearing.missed().count(), 0);
        let mut all = Vec::new();
        assert_eq!(hearing.next(&mut all, usize::MAX).await, WAITING);
    }
}
