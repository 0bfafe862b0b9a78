//! Notifications as text: the event, everything that helps to decide, and commands to act on it.

use std::time::Duration;

use super::digest::{Count, Digest, Group, NETWORKS};
use super::text;
use crate::command::{self, phrases};
use crate::core::words;
use crate::core::{
    BanChange, BanRuling, Change, ExemptionRuling, Origin, Role, Ruling, Subject, Timestamp, Topic,
};
use crate::engine::Engine;
use crate::front::sent::About;
use crate::news::{News, Notification};

/// A notification older than this carries its time.
const LATE: Duration = Duration::from_secs(60);

/// The content of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NoticeText {
    /// Sentences, one per line.
    pub(super) lines: Vec<String>,
    /// Commands to send back unchanged.
    pub(super) actions: Vec<String>,
    /// The subject of a reply to it.
    pub(super) about: About,
}

impl NoticeText {
    /// The whole text, with its commands marked ([`phrases::typed`]).
    pub(super) fn text(&self) -> String {
        let mut lines = self.lines.clone();
        lines.extend(self.actions.iter().map(phrases::typed));
        lines.join("\n")
    }

    /// Removes the commands that a role may not give.
    pub(super) fn for_role(mut self, role: Role) -> Self {
        self.actions.retain(|line| {
            let name = line.split(' ').next().unwrap_or_default();
            command::find(name).is_some_and(|spec| command::permits(role, spec))
        });
        self
    }
}

/// The text of one notification.
pub(super) fn one(told: &Notification, engine: &Engine) -> NoticeText {
    let mut notice = at_its_time(told, engine);
    if engine.now().since(told.at) >= LATE {
        notice.lines.insert(0, format!("From {}:", told.at));
    }
    notice
}

fn at_its_time(told: &Notification, engine: &Engine) -> NoticeText {
    let now = told.at;
    let (lines, actions, about) = match &told.news {
        News::Ruled { event, ruling } => return ruled(event, ruling, engine, now),
        News::Spared(notice) => {
            let whom = notice.subject.written();
            let actions = vec![format!("show {whom}"), format!("ban {whom} 1d")];
            (
                vec![phrases::sentence(&notice.to_string())],
                actions,
                About::One(whom),
            )
        }
        News::Stuck(task) => {
            let standing = engine.read(|ledger| ledger.bans().of(&task.subject).cloned());
            let whom = task.subject.written();
            let lines = vec![text::notice_stuck(task, standing.as_ref())];
            let actions = vec![format!("show {whom}"), String::from("status")];
            (lines, actions, About::One(whom))
        }
        News::Unstuck(task) => {
            let whom = task.subject.written();
            let lines = vec![text::notice_unstuck(task)];
            (lines, vec![format!("show {whom}")], About::One(whom))
        }
        News::Found(finding) => {
            let whom = match finding.ban {
                Some(id) => id.to_string(),
                None => words::name(finding.account.as_str()),
            };
            let lines = vec![text::notice_found(finding)];
            (lines, vec![format!("show {whom}")], About::One(whom))
        }
        News::Rights {
            before,
            now,
            lost,
            back,
        } => (
            text::notice_rights(*before, *now, lost, back),
            status(),
            About::Nobody,
        ),
        News::Outage { since } => (
            vec![text::notice_outage(*since, now)],
            status(),
            About::Nobody,
        ),
        News::NameConflict(conflict) => (
            vec![text::notice_conflict(conflict.as_ref())],
            status(),
            About::Nobody,
        ),
        News::Unwritten(fault) => (
            vec![text::notice_unwritten(fault.as_ref())],
            status(),
            About::Nobody,
        ),
        News::Clock(jump) => (
            vec![text::notice_clock(jump.as_ref())],
            status(),
            About::Nobody,
        ),
        News::Room { room, why } => (
            vec![text::notice_room(room, why.as_deref())],
            status(),
            About::Nobody,
        ),
    };
    NoticeText {
        lines,
        actions,
        about,
    }
}

fn status() -> Vec<String> {
    vec![String::from("status")]
}

fn ruled(
    event: &crate::core::Event,
    ruling: &Ruling,
    engine: &Engine,
    now: Timestamp,
) -> NoticeText {
    let whom = event.subject.written();
    let mut lines: Vec<String> = text::notice_ruled(ruling, now).into_iter().collect();
    let (actions, about) = match ruling {
        Ruling::Ban(BanRuling::Banned(ban)) => {
            let (times, last) = engine.read(|ledger| {
                // For a late notification the ban itself may be the last one of its subject.
                let history = ledger.history(&ban.subject);
                let last = history.last.filter(|past| past.id < ban.id);
                (history.bans, last)
            });
            let by_rule = ban.origin.rule().is_some();
            lines.push(match ban.origin {
                Origin::Automatic { .. } => text::notice_banned(ban, now),
                Origin::Server => text::notice_adopted(ban, now),
                Origin::Manual | Origin::Imported => phrases::banned(ban, now),
            });
            let is_servers = ban.origin == Origin::Server;
            if !is_servers && (!by_rule || event.actor.door != crate::core::EntryPoint::Hook) {
                lines.push(text::notice_by(event));
            }
            let evidence = event.personal.evidence.as_deref();
            lines.extend(evidence.map(|text| format!("Evidence: {}", phrases::clean(text))));
            lines.push(text::notice_past(times, last.as_ref()));
            let id = ban.id.to_string();
            let mut actions = vec![format!("unban {}", ban.id), format!("show {id}")];
            let can_be_longer = ban.until.is_some() && !matches!(ban.subject, Subject::Guard(_));
            actions.extend(can_be_longer.then(|| format!("extend {} 1w", ban.id)));
            (actions, About::One(id))
        }
        Ruling::Ban(BanRuling::Amended { ban, .. }) => {
            lines.push(text::notice_by(event));
            let id = ban.id.to_string();
            let actions = vec![format!("unban {}", ban.id), format!("show {id}")];
            (actions, About::One(id))
        }
        Ruling::Ban(BanRuling::Lifted(ban)) => {
            let id = ban.id.to_string();
            let mut actions = vec![format!("show {id}")];
            if event.change == Change::Ban(BanChange::Expired) {
                lines = vec![text::notice_ended(ban)];
            } else {
                lines.push(text::notice_by(event));
                actions.push(text::do_ban_again(ban, now));
            }
            (actions, About::One(id))
        }
        Ruling::Exemption(ExemptionRuling::Granted { lifted, .. }) => {
            lines.push(text::notice_by(event));
            if !lifted.is_empty() {
                lines.push(phrases::lifted_by_it(lifted));
            }
            let actions = vec![format!("show {whom}"), format!("unallow {whom}")];
            (actions, About::One(whom))
        }
        Ruling::Exemption(ExemptionRuling::Revoked(_)) => {
            lines.push(text::notice_by(event));
            let actions = vec![format!("show {whom}"), format!("allow {whom}")];
            (actions, About::One(whom))
        }
        Ruling::PutBack { next } => {
            lines.push(phrases::put_back(*next, event.personal.note.is_some()));
            (status(), About::Nobody)
        }
        _ => {
            lines.push(text::notice_by(event));
            (vec![format!("show {whom}")], About::One(whom))
        }
    };
    NoticeText {
        lines,
        actions,
        about,
    }
}

/// The summary of one topic, one line per group.
pub(super) fn sum(topic: Topic, tally: &Digest, now: Timestamp) -> Vec<String> {
    let since = tally.since.unwrap_or(now);
    let line = |(group, count): (&Group, &Count)| {
        let (rule, by) = match group {
            Group::Rule(rule) => (Some(rule.as_str()), None),
            Group::By(by) => (None, Some(by.as_str())),
            Group::Other => (None, None),
        };
        let networks = count.networks.len();
        text::notice_sum(text::CountedNews {
            topic,
            rule,
            by,
            number: count.number,
            networks: (networks > 0).then_some((networks, networks >= NETWORKS)),
            since,
            until: now,
        })
    };
    tally.groups.iter().map(line).collect()
}
