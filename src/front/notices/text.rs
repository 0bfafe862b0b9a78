//! Sentences of notices, and the commands offered below them.

use crate::admission::Unwritten;
use crate::command::phrases::{
    allowed, amended, author, banned_by_rule, because, by_then_counted, clean, clock_jump, count,
    gap, lifted, sentence, typed, unallowed,
};
use crate::core::time::in_words;
use crate::core::words::quoted;
use crate::core::{
    Ban, BanRuling, Event, ExemptionRuling, HistoryRuling, Past, Ruling, Subject, Timestamp, Topic,
};
use crate::delivery::ports::{Finding, Gap, RecordState, Task};
use crate::engine::ClockJump;
use crate::xmpp::wire::NameConflict;

/// A rule imposed a ban.
pub(super) fn notice_banned(ban: &Ban, now: Timestamp) -> String {
    match &ban.subject {
        Subject::Guard(account) => format!(
            "{account} is UNDER ATTACK: its guard {} is up {} by the rule {}, time no. {}. Only sources that logged in to it before are let in.",
            ban.id,
            by_then_counted(ban.until, now),
            clean(ban.origin.rule().unwrap_or("?")),
            ban.ordinal,
        ),
        _ => banned_by_rule(ban, now),
    }
}

/// How often the subject was banned before.
pub(super) fn notice_past(times: u32, last: Option<&Past>) -> String {
    match (times, last) {
        (0 | 1, None) => String::from("It was never banned before."),
        (times, Some(past)) => format!(
            "Banned {} in all; the ban before, {}, ended {}.",
            many_times(times),
            past.id,
            past.ended
        ),
        (times, None) => format!("Banned {} in all.", many_times(times)),
    }
}

fn many_times(times: u32) -> String {
    match times {
        1 => String::from("once"),
        times => format!("{times} times"),
    }
}

/// A ban by the server itself was adopted.
pub(super) fn notice_adopted(ban: &Ban, now: Timestamp) -> String {
    format!(
        // Without the reason, because a user may have written it.
        "The server itself had banned {}; portcullis took that over as {} {}. The reason it gave is in `show {}`.",
        ban.subject,
        ban.id,
        by_then_counted(ban.until, now),
        ban.id,
    )
}

/// The author of the decision that follows.
pub(super) fn notice_by(event: &Event) -> String {
    let who = clean(event.actor.bare_name());
    match event.origin.rule() {
        Some(rule) => format!(
            "By {who} ({}), who ended what the rule {} began.",
            event.actor.door,
            clean(rule)
        ),
        None => format!("By {who} ({}).", event.actor.door),
    }
}

/// A ban expired.
pub(super) fn notice_ended(ban: &Ban) -> String {
    let reason = match ban.reason.is_empty() {
        true => String::from("."),
        false => because(&ban.reason),
    };
    format!(
        "{} {} is over, since {}; it was by {}{reason}",
        ban.id,
        ban.subject,
        ban.since,
        author(ban),
    )
}

/// A task is stuck.
pub(super) fn notice_stuck(task: &Task, standing: Option<&Ban>) -> String {
    let what = match standing {
        Some(ban) => format!("The ban {} of {}", ban.id, task.subject),
        None => format!("The end of the ban of {}", task.subject),
    };
    let why = task.fault.as_deref().map(sentence).unwrap_or_default();
    format!(
        "{what} is NOT carried out on the server after {}, since {}; I keep trying. {why}",
        match task.tries {
            1 => String::from("1 try"),
            tries => format!("{tries} tries"),
        },
        task.asked
    )
}

/// A stuck task is done.
pub(super) fn notice_unstuck(task: &Task) -> String {
    format!(
        "Carried out at last: the server is in line with what was decided about {} at {}.",
        task.subject, task.asked
    )
}

/// A ban record was changed by somebody else.
pub(super) fn notice_found(finding: &Finding) -> String {
    let Finding {
        account,
        ban,
        found,
    } = finding;
    let what = match found {
        RecordState::Nothing => "was missing: it was never written, or its owner emptied it",
        RecordState::Older => "had been put back to an older one, by its owner or with a backup",
        RecordState::Changed => "had been changed, most likely by its owner",
        RecordState::Forged => {
            "had been forged, most likely by its owner; or a seal key was removed too early"
        }
        RecordState::Refused => {
            "had a hash that the server does not accept, so the server did not refuse the account; it seems to have a new cookie"
        }
        RecordState::Other => "had been replaced by something else, most likely by its owner",
    };
    let whose = match ban {
        Some(id) => format!("The ban record of {account} ({id})"),
        None => format!("The ban record of {account}"),
    };
    format!("{whose} on the server {what}. What was decided holds; the record is written anew.")
}

/// The level of enforcement fell or rose.
pub(super) fn notice_rights(before: u8, now: u8, lost: &[Gap], back: &[String]) -> Vec<String> {
    let mut lines = vec![match (before, now) {
        (_, 0) if before > 0 => String::from(
            "The server took ALL RIGHTS away: nothing is enforced (level 0) until they are back.",
        ),
        (before, now) if now < before => {
            format!(
                "The server lets portcullis do LESS than before: level {now} instead of {before}."
            )
        }
        (before, now) if now > before => {
            format!("The server lets portcullis do more again: level {now} instead of {before}.")
        }
        _ if !lost.is_empty() => String::from("Something is MISSING on the server that was there."),
        _ => String::from("What was missing on the server is there again."),
    }];
    lines.extend(lost.iter().map(gap));
    lines.extend(
        back.iter()
            .map(|what| format!("No longer so: {}", sentence(what))),
    );
    lines
}

/// The link was down and is back.
pub(super) fn notice_outage(since: Timestamp, until: Timestamp) -> String {
    format!(
        "The link to the server was down for {}, from {since} to {until}. What was decided meanwhile is being carried out.",
        in_words(until.since(since))
    )
}

/// Another program is connected under our name, or no longer is.
pub(super) fn notice_conflict(conflict: Option<&NameConflict>) -> String {
    match conflict {
        Some(conflict) => crate::command::phrases::conflict(conflict),
        None => String::from("No other program is connected under my name any more."),
    }
}

/// The log stores no decisions, or stores them again.
pub(super) fn notice_unwritten(fault: Option<&Unwritten>) -> String {
    match fault {
        Some(fault) => format!(
            "The store takes NO decisions. Bans by rules hold in memory only and are lost if portcullis stops; orders of people fail. {}",
            sentence(&fault.why)
        ),
        None => String::from(
            "The store takes decisions again. Bans by rules that held in memory are written, or over.",
        ),
    }
}

/// The clock of this machine was set, or that is over.
pub(super) fn notice_clock(jump: Option<&ClockJump>) -> String {
    match jump {
        Some(jump) => clock_jump(jump),
        None => String::from(
            "The clock was put right, or has shown the new time for an hour: the ends of bans are written down again.",
        ),
    }
}

/// A room could not be joined, or was joined.
pub(super) fn notice_room(room: &str, why: Option<&str>) -> String {
    let room = clean(room);
    match why {
        Some(why) => format!("The room {room} cannot be joined: {}", sentence(why)),
        None => format!("The room {room} is joined again."),
    }
}

/// The content of a summary line.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountedNews<'a> {
    /// The topic.
    pub(super) topic: Topic,
    /// The rule that decided all of them; `None`: not a rule.
    pub(super) rule: Option<&'a str>,
    /// The person who decided all of them; `None`: not a person.
    pub(super) by: Option<&'a str>,
    /// Number of events.
    pub(super) number: u64,
    /// Number of networks, and whether there may be more.
    pub(super) networks: Option<(usize, bool)>,
    /// Time of the first event.
    pub(super) since: Timestamp,
    /// Time of the last event.
    pub(super) until: Timestamp,
}

/// `41 more bans by the rule pair-failures from 3 networks in 10 minutes: list rule:pair-failures`
pub(super) fn notice_sum(counted: CountedNews<'_>) -> String {
    let CountedNews {
        topic,
        rule,
        by,
        number,
        networks,
        since,
        until,
    } = counted;
    let one_or = |one: &str, many: &str| match number {
        1 => format!("1 more {one}"),
        _ => format!("{number} more {many}"),
    };
    let what = match topic {
        Topic::Bans => one_or("ban", "bans"),
        Topic::Networks => one_or("ban of a whole network", "bans of whole networks"),
        Topic::Guards => one_or("account under attack", "accounts under attack"),
        Topic::Orders => one_or("order", "orders"),
        Topic::Unbans => one_or("un-ban or exemption", "un-bans and exemptions"),
        Topic::Ends => one_or("ban is over", "bans are over"),
        Topic::Adopted => one_or("ban of the server's own", "bans of the server's own"),
        Topic::Records => one_or("changed record", "changed records"),
        Topic::Rights => one_or("change of rights", "changes of rights"),
        Topic::Work => one_or("decision not carried out", "decisions not carried out"),
        Topic::Link => one_or("outage of the link", "outages of the link"),
        Topic::Rooms => one_or("change of a room", "changes of rooms"),
        Topic::DryRun => one_or("ban in dry run", "bans in dry run"),
        Topic::Spared => one_or("spared source", "spared sources"),
    };
    let who = match (rule, by) {
        (Some(rule), _) => format!(" by the rule {}", clean(rule)),
        (None, Some(by)) => format!(" by {}", clean(by)),
        (None, None) => String::new(),
    };
    let from = match networks {
        Some((number, true)) => format!(" from more than {number} networks"),
        Some((number @ 1.., false)) => format!(" from {}", count(number, "network")),
        _ => String::new(),
    };
    let look = match (topic, rule) {
        (Topic::Guards, _) => String::from("list guard"),
        (Topic::Networks, _) => String::from("list network"),
        (Topic::Bans, Some(rule)) => format!("list rule:{}", clean(rule)),
        (Topic::Bans | Topic::Orders | Topic::Adopted, _) => match by {
            Some(by) => format!("list by:{}", clean(by)),
            None => String::from("list"),
        },
        (Topic::Unbans, _) => String::from("allowed"),
        (Topic::Spared, _) => String::from("failures"),
        (Topic::Work | Topic::Rights | Topic::DryRun, _) => String::from("status"),
        (Topic::Ends | Topic::Records | Topic::Link | Topic::Rooms, _) => {
            return format!("{what}{who}{from} in {}.", span(since, until));
        }
    };
    format!(
        "{what}{who}{from} in {}: {}",
        span(since, until),
        typed(look)
    )
}

fn span(since: Timestamp, until: Timestamp) -> String {
    in_words(until.since(since).max(std::time::Duration::from_secs(1)))
}

/// The command that bans again with the same terms. In quotes nothing of the reason is interpreted.
pub(super) fn do_ban_again(ban: &Ban, now: Timestamp) -> String {
    let term = match ban.until {
        Some(end) if end > now => format!("until {}", end.to_xmpp()),
        Some(_) => String::from("1d"),
        None => String::from("forever"),
    };
    let line = format!("ban {} {term}", ban.id);
    match &clean(&ban.reason)[..] {
        "" => line,
        reason => format!("{line} {}", quoted(reason)),
    }
}

/// The sentence for rulings that need no more than that; `None` for other rulings.
pub(super) fn notice_ruled(ruling: &Ruling, now: Timestamp) -> Option<String> {
    Some(match ruling {
        Ruling::Ban(BanRuling::Amended { ban, before, .. }) => amended(ban, *before, now),
        Ruling::Ban(BanRuling::Lifted(ban)) => lifted(ban),
        Ruling::Exemption(ExemptionRuling::Granted { exemption, .. }) => {
            allowed(exemption, None, now)
        }
        Ruling::Exemption(ExemptionRuling::Revoked(exemption)) => unallowed(exemption),
        Ruling::History(HistoryRuling::Forgotten { subject, .. }) => {
            format!("The history of {subject} counts no more.")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_one_line_that_says_how_to_see_it_all() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let counted = CountedNews {
            topic: Topic::Bans,
            rule: Some("pair-failures"),
            by: None,
            number: 41,
            networks: Some((3, false)),
            since: at(0),
            until: at(600),
        };
        assert_eq!(
            crate::command::phrases::plain(&notice_sum(counted)),
            "41 more bans by the rule pair-failures from 3 networks in 10 minutes: list rule:pair-failures"
        );
        let one = CountedNews {
            topic: Topic::Ends,
            rule: None,
            number: 1,
            networks: None,
            until: at(0),
            ..counted
        };
        assert_eq!(notice_sum(one), "1 more ban is over in 1 second.");
    }
}
