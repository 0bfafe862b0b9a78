//! Notifications that are counted instead of sent one by one.

use std::collections::{BTreeMap, HashSet};

use ipnet::IpNet;

use crate::core::{Subject, Timestamp};
use crate::news::News;

/// Maximum number of rules or people that are counted separately per topic; the others share a line.
const GROUPS: usize = 8;
/// Maximum number of networks that are counted; more are "more than".
pub(crate) const NETWORKS: usize = 1_000;

/// What a notification is counted under.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Decided by this rule.
    Rule(String),
    /// Decided by this person.
    By(String),
    /// Anything else.
    Other,
}

/// The counts of one group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) number: u64,
    pub(super) networks: HashSet<IpNet>,
}

/// The counts of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) since: Option<Timestamp>,
    pub(super) groups: BTreeMap<Group, Count>,
}

impl Digest {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Counts a notification; `network` gives the network of an address.
    pub(super) fn add(
        &mut self,
        news: &News,
        now: Timestamp,
        network: impl Fn(IpNet) -> Option<IpNet>,
    ) {
        let (group, subject) = sort(news);
        let count = self.count(group, now);
        count.number += 1;
        if count.networks.len() < NETWORKS {
            let place = subject.and_then(Subject::place);
            count
                .networks
                .extend(place.map(|place| network(place).unwrap_or(place)));
        }
    }

    /// Counts notifications that did not fit into the queue.
    pub(super) fn add_unseen(&mut self, number: u64, now: Timestamp) {
        self.count(Group::Other, now).number += number;
    }

    fn count(&mut self, group: Group, now: Timestamp) -> &mut Count {
        self.since.get_or_insert(now);
        let is_one_more = !self.groups.contains_key(&group);
        let group = match is_one_more && self.groups.len() >= GROUPS {
            true => Group::Other,
            false => group,
        };
        self.groups.entry(group).or_default()
    }
}

fn sort(news: &News) -> (Group, Option<&Subject>) {
    match news {
        News::Ruled { event, .. } => {
            let group = match event.origin.rule() {
                // The clock also ends bans that rules began.
                _ if event.change == crate::core::Change::Ban(crate::core::BanChange::Expired) => {
                    Group::Other
                }
                Some(rule) => Group::Rule(rule.to_owned()),
                None => Group::By(event.actor.bare_name().to_owned()),
            };
            (group, Some(&event.subject))
        }
        News::Spared(notice) => (Group::Rule(notice.rule.clone()), Some(&notice.subject)),
        _ => (Group::Other, None),
    }
}
