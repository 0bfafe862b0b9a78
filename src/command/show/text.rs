//! Sentences of `show`.

use super::facts::ShowFacts;
use crate::command::outcome::{Answer, Grade, Row};
use crate::command::parts::on_server::OnServer;
use crate::command::parts::server_side::ServerReply;
use crate::command::phrases::{self, clean, clean_lines, count};
use crate::core::time::in_words;
use crate::core::{Ban, Timestamp};
use crate::journal::Entry;

/// The answer with these facts.
pub(super) fn answer(facts: &ShowFacts) -> Answer {
    let (subject, now) = (&facts.subject, facts.at);
    let mut rows = Vec::new();
    let (title, mut lines) = match &facts.ban {
        Some(ban) => {
            rows.extend(terms(ban, now));
            (
                format!("{subject} is banned ({})", ban.id),
                vec![phrases::is_banned(ban, now)],
            )
        }
        None => (
            format!("{subject} is not banned"),
            vec![phrases::not_banned(subject, facts.last.as_ref())],
        ),
    };
    lines.extend(phrases::still_kept_out(&facts.kept_out_by, now));
    let beside = facts.beside.as_ref();
    lines.extend(beside.into_iter().flat_map(ServerReply::lines_with_module));
    rows.extend(phrases::also_in_force(
        &facts.others,
        &facts.kept_out_by,
        now,
    ));
    let exempt = facts.exempt_by.as_deref();
    rows.extend(exempt.map(|by| Row::new("exempt", "Exempt", clean(by))));
    if let Some(server) = &facts.server {
        let said = server.sentence(subject);
        if matches!(
            server,
            OnServer::Pending { .. } | OnServer::NothingEnforced { .. }
        ) {
            lines.push(said.clone());
        }
        rows.push(Row::new("server", "On the server", said));
    }
    let record = facts.record.as_ref().zip(subject.account());
    lines.extend(record.map(|(record, account)| phrases::in_a_record_only(account, record)));
    if facts.ban.is_some() {
        lines.extend(phrases::failed_since(facts.failed_since, subject));
        lines.extend(phrases::meaning(subject));
        lines.push(phrases::how_to_end(subject));
    }
    if !facts.counters.is_empty() {
        rows.extend(phrases::counters(&facts.counters));
    }
    rows.extend(facts.grace_until.map(phrases::grace));
    let times = facts.times_banned.to_string();
    rows.push(Row::new("times", "Times banned", times));
    rows.extend(facts.notes.iter().map(|note| {
        let (text, by) = (clean_lines(&note.text), clean(&note.by));
        let value = format!("{text} ({by}, {})", note.at);
        Row::new(format!("note{}", note.seq), "Private note", value)
    }));
    rows.extend(facts.events.iter().flat_map(event));
    if facts.older > 0 {
        let more = format!("{} more", count(facts.older, "event"));
        rows.push(Row::new("older", "Before that", more));
    }
    let is_refused = |side: &ServerReply| !side.refusals.found.is_empty();
    let grade = match facts.server {
        Some(OnServer::Pending { .. }) => Grade::Warning,
        _ if facts.record.is_some() => Grade::Warning,
        _ if beside.is_some_and(is_refused) => Grade::Warning,
        _ => Grade::Good,
    };
    Answer::new(grade, title, lines).with_rows(rows)
}

fn terms(ban: &Ban, now: Timestamp) -> [Row; 5] {
    let until = match ban.until {
        None => String::from("forever"),
        Some(end) => format!("{end} ({} left)", in_words(end.since(now))),
    };
    [
        Row::new("number", "Number", ban.id.to_string()),
        Row::new("until", "Until", until),
        Row::new("since", "Since", ban.since.to_string()),
        Row::new("by", "By", phrases::giver(&ban.by)),
        Row::new("origin", "Origin", ban.origin.to_string()),
    ]
}

/// One event of the history, and its evidence.
fn event(entry: &Entry) -> impl Iterator<Item = Row> {
    let (event, seq) = (&entry.event, entry.seq.0);
    let what = phrases::happened(event);
    let happened = Row::new(format!("event{seq}"), event.at.to_string(), what);
    let evidence = event.personal.evidence.as_deref();
    let evidence = evidence.map(|text| phrases::evidence(seq, text));
    std::iter::once(happened).chain(evidence)
}
