//! Decides what a person or room gets now, what is held back, and when that is summed up.
//!
//! Of each topic the first few notifications are sent at once. Later ones are counted and summed up in one line at
//! the end of the window, and again at the end of each further window with events. After a window without any, the
//! next one is sent at once again. Topics are independent: a storm of bans does not hold back a lost right.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::digest::Digest;
use crate::core::{Timestamp, Topic};
use crate::news::Notification;

/// Settings `[notices]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The window: time from the first held notification to the summary.
    pub digest: Duration,
    /// Maximum number sent at once per topic within the window.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            digest: Duration::from_secs(600),
            most: 3,
        }
    }
}

/// Maximum number of messages within [`UNSEEN_SPAN`] to a person without activity; the server stores them.
pub const UNSEEN: u32 = 20;
/// The span of [`UNSEEN`].
pub const UNSEEN_SPAN: Duration = Duration::from_secs(86_400);

/// A message to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// One notification in full.
    One(Notification),
    /// The summary of a topic.
    Sum(Topic, Digest),
}

/// The state of one receiver.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    streams: BTreeMap<Topic, Stream>,
    /// Number of messages since the last activity, and the time of the first of them.
    unseen: u32,
    unseen_since: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Times of the notifications sent within the window.
    told: VecDeque<Timestamp>,
    /// Notifications waiting until something may be sent.
    whole: Vec<Notification>,
    held: Digest,
    /// When the held ones are summed up.
    due: Option<Timestamp>,
    /// The end of the storm: until then everything is counted.
    storm: Option<Timestamp>,
}

impl Throttle {
    /// Offers a notification: it is sent or held; `true` means sent. `can` says whether anything may be sent now.
    pub(super) fn offer(
        &mut self,
        told: &Notification,
        topic: Topic,
        now: Timestamp,
        settings: Settings,
        can: bool,
        count: impl FnOnce(&mut Digest),
    ) -> Option<Due> {
        let stream = self.streams.entry(topic).or_default();
        stream.refresh(now, settings);
        let is_calm = stream.storm.is_none() && stream.held.is_empty();
        if is_calm && stream.told.len() + stream.whole.len() < settings.most {
            if can && stream.whole.is_empty() {
                stream.told.push_back(now);
                return Some(Due::One(told.clone()));
            }
            stream.whole.push(told.clone());
            return None;
        }
        stream.hold(now, settings, count);
        None
    }

    /// Counts notifications that did not fit into the queue.
    pub(super) fn count_missed(
        &mut self,
        topic: Topic,
        number: u64,
        now: Timestamp,
        settings: Settings,
    ) {
        let stream = self.streams.entry(topic).or_default();
        stream.hold(now, settings, |held| held.add_unseen(number, now));
    }

    /// The messages due now, for a receiver to whom something may be sent; at the end of the program all held ones.
    pub(super) fn due(&mut self, now: Timestamp, settings: Settings, is_end: bool) -> Vec<Due> {
        let mut all = Vec::new();
        for (topic, stream) in &mut self.streams {
            stream.refresh(now, settings);
            let was_held_up = !stream.whole.is_empty();
            for told in std::mem::take(&mut stream.whole) {
                stream.told.push_back(now);
                all.push(Due::One(told));
            }
            let is_due = is_end || was_held_up || stream.due.is_some_and(|due| due <= now);
            if is_due && !stream.held.is_empty() {
                stream.due = None;
                stream.storm = Some(now.saturating_add(settings.digest));
                all.push(Due::Sum(*topic, std::mem::take(&mut stream.held)));
            }
        }
        all
    }

    /// When [`Throttle::due`] next has something; `None`: nothing is held.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.streams.values().filter_map(|stream| stream.due).min()
    }

    /// Drops held notifications of topics that are no longer wanted.
    pub(super) fn keep(&mut self, wanted: impl Fn(Topic) -> bool) {
        self.streams.retain(|topic, _| wanted(*topic));
    }

    /// Whether the person may get another message without activity.
    pub(super) fn may_get_more(&mut self, now: Timestamp) -> bool {
        let since = self.unseen_since;
        if since.is_some_and(|since| now.since(since) >= UNSEEN_SPAN) {
            self.seen();
        }
        self.unseen < UNSEEN
    }

    /// Counts a message that was sent.
    pub(super) fn sent(&mut self, now: Timestamp) {
        self.unseen = self.unseen.saturating_add(1);
        self.unseen_since.get_or_insert(now);
    }

    /// Records activity of the person.
    pub(super) fn seen(&mut self) {
        self.unseen = 0;
        self.unseen_since = None;
    }
}

impl Stream {
    fn refresh(&mut self, now: Timestamp, settings: Settings) {
        while (self.told.front()).is_some_and(|told| now.since(*told) >= settings.digest) {
            self.told.pop_front();
        }
        if self.storm.is_some_and(|until| until <= now) && self.held.is_empty() {
            self.storm = None;
        }
    }

    fn hold(&mut self, now: Timestamp, settings: Settings, count: impl FnOnce(&mut Digest)) {
        count(&mut self.held);
        let end = now.saturating_add(settings.digest);
        self.due.get_or_insert(self.storm.unwrap_or(end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::news::News;

    const SETTINGS: Settings = Settings {
        digest: Duration::from_secs(600),
        most: 2,
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_320_000_000 + seconds * 1_000)
    }

    fn told(seconds: i64) -> Notification {
        Notification {
            at: at(seconds),
            news: News::Outage { since: at(0) },
        }
    }

    fn offer(throttle: &mut Throttle, seconds: i64, can: bool) -> bool {
        let (told, now) = (told(seconds), at(seconds));
        let out = throttle.offer(&told, Topic::Bans, now, SETTINGS, can, |held| {
            held.add(&told.news, now, Some);
        });
        out.is_some()
    }

    fn sums(throttle: &mut Throttle, seconds: i64) -> Vec<u64> {
        let all = throttle.due(at(seconds), SETTINGS, false).into_iter();
        all.map(|out| match out {
            Due::One(_) => 0,
            Due::Sum(_, tally) => tally.groups.values().map(|count| count.number).sum(),
        })
        .collect()
    }

    #[test]
    fn the_first_come_at_once_and_a_storm_is_one_line_a_window() {
        let mut throttle = Throttle::default();
        assert!(offer(&mut throttle, 0, true) && offer(&mut throttle, 1, true));
        for second in 2..500 {
            assert!(!offer(&mut throttle, second, true));
        }
        assert_eq!(throttle.next(), Some(at(602)));
        assert!(sums(&mut throttle, 601).is_empty());
        assert_eq!(sums(&mut throttle, 602), [498]);
        // The storm goes on: the next summary is one window later, and nothing is sent before.
        assert!(!offer(&mut throttle, 700, true));
        assert_eq!(throttle.next(), Some(at(1_202)));
        assert_eq!(sums(&mut throttle, 1_202), [1]);
        assert_eq!(throttle.next(), None);
        // After a quiet window the next one is sent at once again.
        assert!(offer(&mut throttle, 1_803, true));
    }

    #[test]
    fn one_now_and_then_always_comes_at_once() {
        let mut throttle = Throttle::default();
        for round in 0..50 {
            assert!(offer(&mut throttle, round * 301, true), "{round}");
        }
        assert_eq!(throttle.next(), None);
    }

    #[test]
    fn what_cannot_be_told_waits_and_comes_together() {
        let mut throttle = Throttle::default();
        for second in 0..10 {
            assert!(!offer(&mut throttle, second, false));
        }
        assert_eq!(sums(&mut throttle, 60), [0, 0, 8]);
        assert!(sums(&mut throttle, 10_000).is_empty());
    }

    #[test]
    fn nobody_s_mailbox_is_filled_while_away() {
        let mut throttle = Throttle::default();
        for _ in 0..UNSEEN {
            assert!(throttle.may_get_more(at(0)));
            throttle.sent(at(0));
        }
        assert!(!throttle.may_get_more(at(80_000)));
        throttle.seen();
        assert!(throttle.may_get_more(at(80_000)));
        for _ in 0..UNSEEN {
            throttle.sent(at(80_000));
        }
        assert!(!throttle.may_get_more(at(90_000)));
        assert!(throttle.may_get_more(at(80_000 + 86_400)), "a day later");
    }

    #[test]
    fn topics_do_not_stand_in_one_another_s_way() {
        let mut throttle = Throttle::default();
        for second in 0..100 {
            offer(&mut throttle, second, true);
        }
        let news = told(100);
        let out = throttle.offer(&news, Topic::Rights, at(100), SETTINGS, true, |_| {});
        assert_eq!(out, Some(Due::One(news)));
        throttle.count_missed(Topic::Bans, 9, at(101), SETTINGS);
        assert_eq!(sums(&mut throttle, 700), [98 + 9]);
        throttle.keep(|topic| topic == Topic::Rights);
        assert_eq!(throttle.next(), None);
        throttle.count_missed(Topic::Rights, 1, at(702), SETTINGS);
        assert!(sums(&mut throttle, 702).is_empty());
        assert_eq!(throttle.due(at(702), SETTINGS, true).len(), 1, "at the end");
    }
}
