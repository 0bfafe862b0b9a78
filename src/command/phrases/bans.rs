//! Sentences about bans that several commands share.

use std::net::IpAddr;

use crate::command::outcome::{Grade, Reference};
use crate::command::phrases::{
    NAMED, because, by_then, by_then_counted, capital, clean, heard, overtaken, typed, typed_about,
    unlinked, why_refused,
};
use crate::core::words::for_shell;
use crate::core::{
    Account, Actor, Ban, BanChange, BanId, Change, CommandId, EntryPoint, Event, ExemptionChange,
    HistoryChange, Past, Ruling, Subject, Timestamp,
};
use crate::delivery::Settled;
use crate::delivery::ports::{Enforcement, Held, Recorded};
use crate::journal::LogFault;
use ipnet::IpNet;

/// A ban began.
pub(crate) fn banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "Banned {} {} {}{}",
        ban.id,
        ban.subject,
        by_then_counted(ban.until, now),
        because(&ban.reason)
    )
}

/// A ban got other terms.
pub(crate) fn amended(ban: &Ban, before: Option<Timestamp>, now: Timestamp) -> String {
    let now_until = by_then_counted(ban.until, now);
    if before == ban.until {
        return format!(
            "Changed {} {}: still {now_until}, reason now{}",
            ban.id,
            ban.subject,
            because(match &ban.reason[..] {
                "" => "none",
                reason => reason,
            })
        );
    }
    format!(
        "Changed {} {}: was {}, now {now_until}{}",
        ban.id,
        ban.subject,
        by_then(before),
        because(&ban.reason)
    )
}

/// Nothing to do: the same ban is active.
pub(crate) fn already(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is already banned: {} {}, by {}{}",
        ban.subject,
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// The author: a person, the server, or `the rule pair-failures`, with the person whose command led to it
/// (`attempt`) or changed its terms (`extend`).
pub(crate) fn author(ban: &Ban) -> String {
    let name = clean(ban.by.bare_name());
    match (ban.origin.rule(), ban.by.door) {
        (None, EntryPoint::Server) => String::from("the server"),
        (None, _) => name,
        (Some(rule), EntryPoint::Hook) => format!("the rule {}", clean(rule)),
        (Some(rule), _) => format!("the rule {} (on a command of {name})", clean(rule)),
    }
}

/// A ban ended.
pub(crate) fn lifted(ban: &Ban) -> String {
    format!("Un-banned {} {}.", ban.id, ban.subject)
}

/// There was no ban.
pub(crate) fn not_banned(subject: &Subject, last: Option<&Past>) -> String {
    match last {
        None => format!("{subject} is not banned and never was."),
        Some(past) => format!(
            "{subject} is not banned. Its last ban, {}, ended {}.",
            past.id, past.ended
        ),
    }
}

/// The server enforces a ban that is not of an account; for several, [`shared`](super::shared) says it.
pub(crate) const ENFORCED: &str = "The server enforces it.";

/// The server knows that a ban of ours is over; nothing more is promised.
pub(crate) const RELEASED: &str = "The server knows that this ban is over.";

/// Nothing on the server enforced a ban that is over.
pub(crate) const NEVER_ENFORCED: &str =
    "No hook module enforced it, so nothing changes on the server.";

/// The subject, which is not an account, is let in again.
pub(crate) const LET_IN: &str = "It is let in again.";

/// What the server did about a ban that began, was changed, or existed already.
pub(crate) fn held(
    subject: &Subject,
    settled: &Settled,
    standing: &Enforcement,
    began: bool,
) -> (Grade, String) {
    let text = match (settled, subject) {
        _ if standing.level == 0 => return (Grade::Warning, nothing_enforced(standing.linked)),
        (Settled::Pending(why), _) => return (Grade::Warning, not_yet(why.as_deref())),
        (Settled::Done(Held::NeedsModule), _) => return (Grade::Warning, needs_module(subject)),
        (Settled::Done(Held::Enforced), Subject::Account(_)) if began => {
            "The server refuses them, and no session is open."
        }
        (Settled::Done(Held::Enforced), Subject::Account(_)) => "The server refuses them.",
        (Settled::Done(Held::Enforced), _) => ENFORCED,
    };
    (Grade::Good, String::from(text))
}

/// What the server did about the end of a ban. `is_free`: nothing else of portcullis or of the server itself refuses
/// the subject, as far as both know; only then it is promised.
pub(crate) fn released(
    subject: &Subject,
    settled: &Settled,
    standing: &Enforcement,
    is_free: bool,
) -> (Grade, String) {
    let is_account = matches!(subject, Subject::Account(_));
    let text = match (settled, subject) {
        (Settled::Pending(why), _) => return (Grade::Warning, not_yet(why.as_deref())),
        (Settled::Done(_), _) if standing.level < 2 && !is_account => NEVER_ENFORCED,
        (Settled::Done(_), _) if !is_free => RELEASED,
        (Settled::Done(_), Subject::Account(_)) => "They can log in again.",
        (Settled::Done(_), _) => LET_IN,
    };
    (Grade::Good, String::from(text))
}

fn not_yet(why: Option<&str>) -> String {
    let why = why
        .map(|why| format!(": {}", clean(why).trim_end_matches('.')))
        .unwrap_or_default();
    format!("The server has not carried it out yet{why}; I keep trying.")
}

/// Nothing is enforced, at level 0, or nobody knows at which level; conspicuous.
pub(crate) fn nothing_enforced(linked: bool) -> String {
    if !linked {
        return format!("NOT CARRIED OUT YET. It is stored. {}", unlinked());
    }
    format!(
        "NOT ENFORCED: the server does not let portcullis act yet (level 0). It is stored and will be carried out; {} shows the missing lines.",
        typed("status")
    )
}

/// Only a hook module could enforce the ban, and there is none.
pub(crate) fn needs_module(subject: &Subject) -> String {
    let what = match subject {
        Subject::Pair(..) => "bans of an account from one place",
        Subject::Guard(_) => "a guard",
        _ => "address bans",
    };
    format!(
        "Stored and checked, but on this server only the hook module can enforce {what}; it is not installed."
    )
}

/// The other bans that keep somebody out, each with the line that ends it; the first few.
pub(crate) fn still_kept_out(bans: &[Ban], now: Timestamp) -> Vec<String> {
    let line = |ban: &Ban| {
        format!(
            "Still in force: {} {}",
            is_banned(ban, now),
            how_to_end(&ban.subject)
        )
    };
    let mut lines: Vec<String> = bans.iter().take(NAMED).map(line).collect();
    if let Some(more @ 1..) = bans.len().checked_sub(NAMED) {
        lines.push(format!(
            "{more} more are in force; {} has them.",
            typed("list")
        ));
    }
    lines
}

/// A ruling that changed nothing, or not what was asked for.
pub(crate) fn not_done(subject: &Subject, ruling: &Ruling) -> String {
    match ruling {
        Ruling::Refused(why) => format!("{subject}: {}", why_refused(why)),
        Ruling::Overtaken(entry) => overtaken(entry),
        Ruling::Stale => format!("{subject}: somebody else is changing it; try again."),
        _ => format!("{subject}: nothing was changed."),
    }
}

/// Why an order was not stored. An internal failure gets a reference in the log.
pub(crate) fn not_stored(subject: &Subject, fault: &LogFault) -> String {
    match fault {
        LogFault::Busy => format!("{subject}: too much is being written; try again in a moment."),
        LogFault::Unknown(_) => format!(
            "{subject}: not known yet. The log of decisions does not answer; it may still happen. Look with `show {}`.",
            subject.written()
        ),
        LogFault::Full(_) => format!(
            "{subject}: NOT stored. The disk of the store is full; make room and say it again."
        ),
        _ => {
            let reference = crate::command::broken("store an order", fault);
            format!("{subject}: NOT stored. {}", broken(&reference))
        }
    }
}

/// An internal failure.
pub(crate) fn broken(reference: &Reference) -> String {
    format!(
        "Something failed here; the log says more under the reference {}.",
        reference.0
    )
}

/// The title of a question: `Really ban 10.0.0.0/8?`, `Really ban 6 subjects?`. Some clients show nothing else.
pub(crate) fn ask_title(subjects: &[Subject]) -> String {
    match subjects {
        [one] => format!("Really ban {one}?"),
        more => format!("Really ban {} subjects?", more.len()),
    }
}

/// `Account spam@host`
pub(crate) fn kind(subject: &Subject) -> String {
    format!("{} {subject}", capital(subject.kind()))
}

/// The question before a ban of a place where the caller logged in before.
pub(crate) fn covers_home((subject, address): &(Subject, IpAddr)) -> String {
    let covers = match subject {
        Subject::Address(_) => format!("You logged in from {subject} before"),
        _ => format!("{subject} covers {address}, where you logged in before"),
    };
    format!(
        "{covers}: if you are there now, you lock yourself out until another admin or the shell ends it."
    )
}

/// How many a wide network covers, in a question.
pub(crate) fn is_wide(subject: &Subject) -> String {
    format!("{subject} is wide: {}.", reach(subject))
}

/// How many addresses or accounts a subject contains.
pub(crate) fn reach(subject: &Subject) -> String {
    match subject {
        Subject::Account(_) => String::from("one account"),
        Subject::Address(_) => String::from("one address"),
        Subject::Network(IpNet::V4(net)) => {
            format!("{} addresses", 1_u64 << (32 - u32::from(net.prefix_len())))
        }
        Subject::Network(IpNet::V6(net)) => {
            let bits = 128 - u32::from(net.prefix_len());
            match bits.checked_sub(64) {
                None => format!("part of one site (/{})", net.prefix_len()),
                Some(bits) => format!("{} sites (/64)", 1_u128 << bits),
            }
        }
        Subject::Pair(..) => String::from("one account from one place"),
        Subject::Guard(_) => String::from("one account, for sources it never came from"),
    }
}

/// A ban in a list, after its number and subject.
pub(crate) fn in_a_list(ban: &Ban, pending: bool, now: Timestamp) -> String {
    let pending = if pending {
        " (not carried out yet)"
    } else {
        ""
    };
    format!(
        "{}{pending}, by {}{}",
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to undo everything that one command did.
pub(crate) fn undo_command(command: CommandId) -> String {
    format!("Undo: {}", typed(format_args!("undo {command}")))
}

/// The active ban of a subject.
pub(crate) fn is_banned(ban: &Ban, now: Timestamp) -> String {
    format!(
        "{} is {}: {} {}, by {}{}",
        ban.subject,
        match ban.subject {
            Subject::Guard(_) => "up",
            _ => "banned",
        },
        ban.id,
        by_then_counted(ban.until, now),
        author(ban),
        because(&ban.reason)
    )
}

/// How to end the ban that is shown.
pub(crate) fn how_to_end(subject: &Subject) -> String {
    format!("To end it: {}", typed_about("unban", subject))
}

/// One event of a history.
pub(crate) fn happened(event: &Event) -> String {
    let who = by(&event.actor);
    match &event.change {
        Change::Ban(BanChange::Imposed { reason, until }) => {
            format!("banned {} {who}{}", by_then(*until), because(reason))
        }
        Change::Ban(BanChange::Forced { reason, until }) => format!(
            "banned by force, {} {who}{}",
            by_then(*until),
            because(reason)
        ),
        Change::History(HistoryChange::Annotated { replaces: false }) => {
            format!("noted something {who}.")
        }
        Change::History(HistoryChange::Annotated { replaces: true }) => {
            format!("took the notes away or replaced them {who}.")
        }
        Change::History(HistoryChange::Kicked { reason }) => {
            format!("sessions ended {who}{}", because(reason))
        }
        Change::Undone => format!("what is told below was undone {who}."),
        Change::PutBack { next } => put_back(*next, event.personal.note.is_some()),
        Change::Ban(BanChange::Amended { reason, until }) => {
            format!("changed: {} {who}{}", by_then(*until), because(reason))
        }
        Change::Ban(BanChange::Lifted { reason }) => format!("un-banned {who}{}", because(reason)),
        Change::Ban(BanChange::Expired) => String::from("ended: its time was over."),
        Change::Ban(BanChange::ImposedByRule {
            reason,
            until,
            ordinal,
        }) => {
            let rule = match event.origin.rule() {
                Some(rule) => format!("by the rule {}", clean(rule)),
                None => String::from("by a rule"),
            };
            format!(
                "banned {} {rule}{}, ban no. {ordinal} of it{}",
                by_then(Some(*until)),
                match event.actor.door {
                    EntryPoint::Hook => String::new(),
                    _ => format!(", on a command given {}", by(&event.actor)),
                },
                because(reason)
            )
        }
        Change::Exemption(ExemptionChange::Granted { comment, until }) => {
            format!(
                "exempt from bans {} {who}{}",
                by_then(*until),
                because(comment)
            )
        }
        Change::Exemption(ExemptionChange::Revoked) => format!("no longer exempt {who}."),
        Change::History(HistoryChange::Forgotten) => format!("its history counts no more {who}."),
        Change::Subscribed { watch } => format!("hears {} {who}.", heard(watch.as_ref())),
    }
}

/// The store was found to be older than the server; `next` is the number of the next ban.
pub(crate) fn put_back(next: BanId, lost_end: bool) -> String {
    if lost_end {
        return format!(
            "The file head of the store, which says where the log of decisions ended, was damaged when portcullis started: decisions at the end of the log MAY BE LOST, and nothing else tells. Look whether the last ones that you know of are here. Ban numbers go on at {next}."
        );
    }
    format!(
        "The store was PUT BACK to an older copy, or is a new one in place of another: bans, un-bans and exemptions that were decided since that copy, or in the other store, are not known here. If a newer copy or export is left, use it. Ban numbers go on at {next}."
    )
}

/// The server holds a record of a ban that is not in the store; and how to lift it.
pub(crate) fn in_a_record_only(account: &Account, recorded: &Recorded) -> String {
    let lift = match recorded.needs_server {
        true => lift_on_ejabberd(account),
        false => format!("To lift it: {}", typed(format_args!("unban {account}"))),
    };
    format!("{} {lift}", only_in_a_record(account, recorded))
}

/// Only the server can lift a ban of its own.
pub(crate) fn only_the_server_lifts(account: &Account, recorded: &Recorded) -> String {
    let only = only_in_a_record(account, recorded);
    let lift = lift_on_ejabberd(account);
    format!(
        "{only} Only the server can lift it, since it keeps the password of the account. {lift}"
    )
}

/// The line that lifts a ban by ejabberd itself.
pub(crate) fn lift_on_ejabberd(account: &Account) -> String {
    let (local, host) = (for_shell(account.localpart()), for_shell(account.domain()));
    format!("To end it, on the server: `ejabberdctl unban_account {local} {host}`.")
}

/// The server holds a record of a ban that is not in the store.
pub(crate) fn only_in_a_record(account: &Account, recorded: &Recorded) -> String {
    format!(
        "{account} is not banned here, but the server holds {}",
        in_a_record(recorded)
    )
}

/// `a record of ours, #239 until …: spam`, or `a ban of its own: spam`
fn in_a_record(recorded: &Recorded) -> String {
    let reason = because(&recorded.reason);
    match recorded.ban {
        Some(ban) => format!(
            "a record of ours, {ban} {}{reason}",
            by_then(recorded.until)
        ),
        None => format!("a ban of its own{reason}"),
    }
}

/// A ban that was in the server's record only was lifted, or is about to be.
pub(crate) fn lifted_from_record(
    account: &Account,
    recorded: &Recorded,
    settled: &Settled,
    standing: &Enforcement,
    is_free: bool,
) -> (Grade, String) {
    let subject = Subject::Account(account.clone());
    let (grade, server) = released(&subject, settled, standing, is_free);
    let what = in_a_record(recorded);
    let text = match settled {
        Settled::Done(_) => format!(
            "{account} was not banned here, but the server held {what} It was lifted. {server}"
        ),
        Settled::Pending(_) => format!("{} {server}", only_in_a_record(account, recorded)),
    };
    (grade, text)
}

/// The author of a ban, in full.
pub(crate) fn giver(actor: &Actor) -> String {
    let name = clean(&actor.name);
    match actor.door {
        EntryPoint::Server => format!("the server ({name})"),
        _ => name,
    }
}

/// Author and entry point: `by admin@example.org/desk (chat)`, `(room ops@rooms.example.org/Al)`.
pub(crate) fn by(actor: &Actor) -> String {
    let place = match &actor.occupant {
        Some(occupant) => format!("{} {}", actor.door, clean(occupant)),
        None => actor.door.to_string(),
    };
    match actor.door {
        EntryPoint::Server => format!("by {}", giver(actor)),
        _ => format!("by {} ({place})", giver(actor)),
    }
}

#[cfg(test)]
mod tests {
    use crate::core::Subject;

    #[test]
    fn networks_tell_how_many_they_hit() {
        let reach = |text| Subject::parse(text).map(|subject| super::reach(&subject));
        assert_eq!(reach("10.0.0.0/8"), Ok("16777216 addresses".into()));
        assert_eq!(reach("0.0.0.0/0"), Ok("4294967296 addresses".into()));
        assert_eq!(reach("2001:db8::/48"), Ok("65536 sites (/64)".into()));
        assert_eq!(reach("2001:db8::/80"), Ok("part of one site (/80)".into()));
        assert!(reach("::/0").is_ok());
    }
}
