//! One subscription: topics and quiet hours. [`Watch::usual_for`] is the default.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::core::actor::Role;

/// The most subscriptions that are kept; a further subscriber is refused.
pub const MOST_WATCHES: usize = 1_000;
/// Minutes in a day.
const DAY: u16 = 24 * 60;

/// A topic of notifications. Stored by position, so new ones are added at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// A rule banned an address or a pair.
    Bans,
    /// A rule banned a network.
    Networks,
    /// An account is under attack and was locked down.
    Guards,
    /// Another person banned, changed a ban, or forgot a history.
    Orders,
    /// Another person lifted a ban, or granted or revoked an exemption.
    Unbans,
    /// The term of a ban was over.
    Ends,
    /// The server had banned an account by itself, and portcullis imported the ban.
    Adopted,
    /// A ban record on the server differs from what portcullis wrote.
    Records,
    /// The server revoked rights of portcullis, or granted them again.
    Rights,
    /// A decision could not be carried out on the server.
    Work,
    /// The connection to the server was down.
    Link,
    /// A MUC room could not be joined.
    Rooms,
    /// A rule in dry run would have banned.
    DryRun,
    /// A rule reached its limit but spared an exempt subject or a shared source.
    Spared,
}

impl Topic {
    /// All topics, in the order of lists.
    pub const ALL: [Topic; 14] = [
        Topic::Guards,
        Topic::Networks,
        Topic::Bans,
        Topic::Orders,
        Topic::Unbans,
        Topic::Ends,
        Topic::Adopted,
        Topic::Records,
        Topic::Rights,
        Topic::Work,
        Topic::Link,
        Topic::Rooms,
        Topic::Spared,
        Topic::DryRun,
    ];

    /// The default topics of an admin: not single bans by rules, of which there can be hundreds a day, and not bans
    /// that end as intended.
    pub const IMPORTANT: [Topic; 10] = [
        Topic::Guards,
        Topic::Networks,
        Topic::Unbans,
        Topic::Adopted,
        Topic::Records,
        Topic::Rights,
        Topic::Work,
        Topic::Link,
        Topic::Rooms,
        Topic::Spared,
    ];

    /// The name of the topic.
    pub fn as_str(self) -> &'static str {
        match self {
            Topic::Bans => "bans",
            Topic::Networks => "networks",
            Topic::Guards => "guards",
            Topic::Orders => "orders",
            Topic::Unbans => "unbans",
            Topic::Ends => "ends",
            Topic::Adopted => "adopted",
            Topic::Records => "records",
            Topic::Rights => "rights",
            Topic::Work => "work",
            Topic::Link => "link",
            Topic::Rooms => "rooms",
            Topic::DryRun => "dryrun",
            Topic::Spared => "spared",
        }
    }

    /// Parses the name of a topic, also in the singular and in any case; `None` for anything else.
    pub fn parse(word: &str) -> Option<Topic> {
        let word = word.to_lowercase().replace('-', "");
        Topic::ALL
            .into_iter()
            .find(|topic| topic.as_str() == word || topic.as_str().trim_end_matches('s') == word)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Quiet hours, in UTC. Notifications are held back until they are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Quiet {
    /// The first minute of quiet, counted from midnight.
    pub from: u16,
    /// The first minute after quiet, counted from midnight. If it is less than `from`, quiet lasts past midnight.
    pub until: u16,
}

impl Quiet {
    /// Parses `22:00-07:00` or `22-7`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Quiet> {
        let (from, until) = text.split_once(['-', '–'])?;
        Quiet::between(minute(from)?, minute(until)?)
    }

    /// The quiet hours between two minutes of the day, counted from midnight; `None` if one is no minute of a day, or
    /// nothing lies between them.
    fn between(from: u16, until: u16) -> Option<Quiet> {
        let is_quiet = from < DAY && until < DAY && from != until;
        is_quiet.then_some(Quiet { from, until })
    }

    /// How many quiet minutes are left at this minute of the day, counted from midnight; `None` if it is not quiet.
    pub fn left(self, minute: u16) -> Option<u16> {
        // Both are minutes of a day, whatever the caller made of the fields.
        let behind = |from: u16, to: u16| (to % DAY + DAY - from % DAY) % DAY;
        let length = behind(self.from, self.until);
        let gone = behind(self.from, minute);
        (gone < length).then(|| length - gone)
    }
}

/// For example `22:00-07:00`.
impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quiet { from, until } = self;
        let (h, m) = (from / 60, from % 60);
        write!(f, "{h:02}:{m:02}-{:02}:{:02}", until / 60, until % 60)
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let is_time = minute < 60 && (hour < 24 || (hour == 24 && minute == 0));
    is_time.then_some((hour * 60 + minute) % DAY)
}

/// A subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenWatch")]
pub struct Watch {
    /// The topics, each once, in the order of [`Topic`]; empty: no notifications at all.
    topics: Vec<Topic>,
    /// The quiet hours, if any.
    pub quiet: Option<Quiet>,
}

/// A subscription as it is stored and exported. It may hold what no order can make.
#[derive(Deserialize)]
struct WrittenWatch {
    topics: Vec<Topic>,
    quiet: Option<WrittenQuiet>,
}

#[derive(Deserialize)]
struct WrittenQuiet {
    from: u16,
    until: u16,
}

/// Quiet hours that are none are left out: a log with them must stay readable.
impl From<WrittenWatch> for Watch {
    fn from(written: WrittenWatch) -> Watch {
        let quiet = written.quiet;
        Watch {
            quiet: quiet.and_then(|WrittenQuiet { from, until }| Quiet::between(from, until)),
            ..Watch::of(written.topics)
        }
    }
}

impl Watch {
    /// A subscription to these topics, without quiet hours.
    pub fn of(topics: impl IntoIterator<Item = Topic>) -> Self {
        let mut topics: Vec<Topic> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Watch {
            topics,
            quiet: None,
        }
    }

    /// The default subscription of an admin: all important topics.
    pub fn usual() -> Self {
        Watch::of(Topic::IMPORTANT)
    }

    /// The default subscription for a role: the important topics for admins, nothing for others.
    pub fn usual_for(role: Role) -> Self {
        match role {
            Role::Admin => Watch::usual(),
            _ => Watch::default(),
        }
    }

    /// Whether it includes this topic.
    pub fn wants(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// The topics, in the order of [`Topic::ALL`].
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        let all = Topic::ALL.into_iter();
        all.filter(|topic| self.wants(*topic))
    }

    /// Whether it has no topics.
    pub fn is_off(&self) -> bool {
        self.topics.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_topic_is_listed_once_and_reads_back() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(topic.as_str()), Some(topic));
            assert_eq!(Topic::ALL.iter().filter(|one| **one == topic).count(), 1);
        }
        assert_eq!(Topic::parse("Guard"), Some(Topic::Guards));
        assert_eq!(Topic::parse("dry-run"), Some(Topic::DryRun));
        assert_eq!(Topic::parse(""), None);
        assert_eq!(Topic::parse("everything"), None);
    }

    /// Pins the stored numbers of topics. If this fails, a topic was inserted in the middle; it must be at the end.
    #[test]
    fn the_stored_numbers_stay_as_they_are() {
        let mut all = Watch::of(Topic::ALL);
        assert_eq!(
            postcard::to_stdvec(&all).unwrap(),
            [14, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 0]
        );
        all = Watch::of([Topic::Spared, Topic::Bans, Topic::Bans]);
        all.quiet = Quiet::parse("22-7");
        assert_eq!(
            postcard::to_stdvec(&all).unwrap(),
            [2, 0, 13, 1, 0xa8, 0x0a, 0xa4, 0x03]
        );
    }

    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let quiet = Quiet::parse("22:30 - 7").unwrap();
        assert_eq!(quiet.to_string(), "22:30-07:00");
        let left = |hour: u16, minute: u16| quiet.left(hour * 60 + minute);
        assert_eq!(left(22, 29), None);
        assert_eq!(left(22, 30), Some(8 * 60 + 30));
        assert_eq!(left(0, 0), Some(7 * 60));
        assert_eq!(left(6, 59), Some(1));
        assert_eq!(left(7, 0), None);
        let day = Quiet::parse("9-17:00").unwrap();
        assert_eq!((day.left(8 * 60), day.left(12 * 60)), (None, Some(300)));
        assert_eq!(Quiet::parse("20-24").unwrap().to_string(), "20:00-00:00");
        for wrong in ["", "22", "25-7", "7-7", "22:60-7", "24:01-7", "a-b", "-"] {
            assert_eq!(Quiet::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn quiet_hours_outside_of_a_day_are_read_as_none() {
        for (from, until) in [(65_535, 0), (0, 1_440), (1_440, 1), (7, 7)] {
            let mut written = Watch::of([Topic::Bans]);
            written.quiet = Some(Quiet { from, until });
            let bytes = postcard::to_stdvec(&written).unwrap();
            let read: Watch = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(read, Watch::of([Topic::Bans]), "{from} {until}");
            for now in [0, 1, DAY - 1] {
                let _ = Quiet { from, until }.left(now);
            }
        }
        let text = r#"{"topics":["Bans","Bans"],"quiet":{"from":60,"until":120}}"#;
        let read: Watch = serde_json::from_str(text).unwrap();
        assert_eq!((read.topics.len(), read.quiet.unwrap().from), (1, 60));
    }

    #[test]
    fn important_is_a_part_and_silence_is_possible() {
        let usual = Watch::usual();
        assert!(usual.wants(Topic::Guards) && !usual.wants(Topic::Bans));
        assert_eq!(usual.topics().count(), Topic::IMPORTANT.len());
        assert!(Watch::of([]).is_off());
    }
}
