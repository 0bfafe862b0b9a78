//! Which news a person or a room wants to hear.
//!
//! A wish is a decision like any other: an event in the log, folded into the ledger, so it outlives the program and
//! is the same on every instance. Who has expressed none hears what [`Watch::usual`] says.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::actor::Role;

/// The wishes that are kept; one more for somebody new is refused.
pub const MOST_WATCHES: usize = 1_000;
/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// A kind of news. Stored by its position: new ones come at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Topic {
    /// A rule banned an address, or an account from one place.
    Bans,
    /// A rule banned a whole network.
    Networks,
    /// An account is under attack: its guard is up.
    Guards,
    /// Somebody else banned, changed a ban, or forgot a history.
    Orders,
    /// Somebody else un-banned, exempted, or took an exemption back.
    Unbans,
    /// A ban ended because its time was over.
    Ends,
    /// The server had banned somebody by itself; portcullis took it over.
    Adopted,
    /// A record on the server is not what portcullis wrote.
    Records,
    /// The server took rights away, or gave them back.
    Rights,
    /// Work on the server that does not get done.
    Work,
    /// The link to the server was down.
    Link,
    /// A room that cannot be joined.
    Rooms,
    /// What a rule in dry run would have done.
    DryRun,
    /// A rule reached its limit and spared whom it must not ban.
    Spared,
}

impl Topic {
    /// All of them, in the order in which they are listed.
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

    /// What an admin hears who expressed no wish. Not the ban of a single guesser, of which there are hundreds a day,
    /// nor what ends as it was meant to.
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

    /// The word for it.
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

    /// Reads the word, in the singular too and however it is written.
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

/// Hours of the day, in UTC, in which nothing is told; it is told when they are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// From this minute of the day on.
    pub from: u16,
    /// Up to this one, on the next day if it is the smaller one.
    pub until: u16,
}

impl Quiet {
    /// Reads `22:00-07:00` or `22-7`.
    pub fn parse(text: &str) -> Option<Quiet> {
        let (from, until) = text.split_once(['-', '–'])?;
        let quiet = Quiet {
            from: minute(from)?,
            until: minute(until)?,
        };
        (quiet.from != quiet.until).then_some(quiet)
    }

    /// How many minutes of quiet are left at this minute of the day; `None`: it is not quiet.
    pub fn left(self, minute: u16) -> Option<u16> {
        let behind = |from: u16, to: u16| (to + DAY - from) % DAY;
        let length = behind(self.from, self.until);
        let gone = behind(self.from, minute % DAY);
        (gone < length).then(|| length - gone)
    }
}

/// `22:00-07:00`.
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

/// What somebody wants to hear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// These kinds, each once and in their order; none: nothing at all.
    topics: Vec<Topic>,
    /// Not in these hours.
    pub quiet: Option<Quiet>,
}

impl Watch {
    /// Of these kinds.
    pub fn of(topics: impl IntoIterator<Item = Topic>) -> Self {
        let mut topics: Vec<Topic> = topics.into_iter().collect();
        topics.sort_unstable();
        topics.dedup();
        Watch {
            topics,
            quiet: None,
        }
    }

    /// What is heard where no wish was expressed: everything important.
    pub fn usual() -> Self {
        Watch::of(Topic::IMPORTANT)
    }

    /// What somebody with this role hears who expressed no wish: admins what is important, others nothing.
    pub fn usual_for(role: Role) -> Self {
        match role {
            Role::Admin => Watch::usual(),
            _ => Watch::default(),
        }
    }

    /// Whether this kind is wanted.
    pub fn wants(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// The kinds that are wanted, in the order of [`Topic::ALL`].
    pub fn topics(&self) -> impl Iterator<Item = Topic> + '_ {
        let all = Topic::ALL.into_iter();
        all.filter(|topic| self.wants(*topic))
    }

    /// Whether nothing is wanted.
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

    /// The numbers on disk. If this fails, a kind was put in between: it belongs at the end.
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
    fn important_is_a_part_and_silence_is_possible() {
        let usual = Watch::usual();
        assert!(usual.wants(Topic::Guards) && !usual.wants(Topic::Bans));
        assert_eq!(usual.topics().count(), Topic::IMPORTANT.len());
        assert!(Watch::of([]).is_off());
    }
}
