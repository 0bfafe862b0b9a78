//! `kick`: ends sessions without a ban.

mod text;

use std::fmt;

use futures::future::join_all;
use xmpp_parsers::jid::Jid;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem};
use super::parts::fields::{REASON, WHOM};
use super::parts::results::{TargetResult, carry_out};
use super::parts::settle::{MANY, own_addresses};
use super::parts::subjects::Named;
use super::parts::{facts, subjects};
use super::phrases::{self, clean};
use super::request::Request;
use super::spec::{Field, Kind, Spec};
use super::values::separate;
use crate::core::words;
use crate::core::{
    Account, Action, HistoryOrder, HistoryRuling, Role, Ruling, Subject, as_written,
};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "kick",
    title: "End sessions",
    summary: "Ends the sessions that are open now, without a ban.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            label: "Whom, one a line",
            kind: Kind::Lines,
            desc: "Accounts, or single sessions of theirs (alice@example.org/phone); with the hook module on the server addresses and networks, too.",
            ..WHOM
        },
        REASON.desc("Whose session it was sees it, where the hook module ends it."),
    ],
    usage: "kick SUBJECT… [REASON…]",
    examples: &[
        ("kick alice@example.org", "all her sessions"),
        ("kick alice@example.org/phone", "that one alone"),
        ("kick 203.0.113.7 please log in again", "all from there"),
    ],
    changes: true,
};

/// A target of the command.
struct Whom {
    subject: Subject,
    /// The resource of the only session to end; `None`: all sessions.
    resource: Option<String>,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(resource) => write!(f, "{}/{}", self.subject, clean(resource)),
            None => self.subject.fmt(f),
        }
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let whom = read(call, context)?;
    let reason = call.clean_line("reason").unwrap_or_default();
    let is_wide = |one: &Whom| context.engine.policy().is_risky(&one.subject);
    let is_risky = whom.len() > MANY || whom.iter().any(is_wide);
    call.confirm(is_risky, || text::question(&whom))?;
    let subjects: Vec<Subject> = whom.iter().map(|one| one.subject.clone()).collect();
    let own = own_addresses(&subjects, call, context).await;
    let orders = whom.iter().map(|one| {
        let reason = one.reason_in_history(&reason);
        let kick = Action::History(HistoryOrder::Kick { reason });
        call.order(&one.subject, kick).own_addresses(own.clone())
    });
    let results = carry_out(call, orders.collect(), |_| subjects::FIELD, context).await?;
    // The log comes first, then the server: a failure of the server is reported at once and not retried.
    let ended = whom.iter().zip(&results);
    let ended = ended.map(|(one, result)| end(one, result, &reason, context));
    let ended: Vec<(bool, String)> = join_all(ended).await;
    let (done, all) = (ended.iter().filter(|(done, _)| *done).count(), ended.len());
    let grade = match done {
        0 => Grade::Bad,
        some if some < all => Grade::Warning,
        _ => Grade::Good,
    };
    let states = results.iter().zip(&ended).map(|(result, (done, _))| {
        let status = match (done, result.status()) {
            (false, "kicked") => "failed",
            (_, status) => status,
        };
        facts::state(&result.subject, Some(status), context)
    });
    let states = states.collect();
    let mut lines: Vec<String> = ended.into_iter().map(|(_, line)| line).collect();
    if done > 0 {
        lines.push(String::from(text::NOT_BANNED));
    }
    Ok(Outcome::Done(Answer {
        subjects: states,
        ..Answer::new(grade, phrases::summary_title(done, all), lines)
    }))
}

/// Ends the sessions, if the ruling says so. Returns whether it was done, and a sentence.
async fn end(one: &Whom, result: &TargetResult, reason: &str, context: &Context) -> (bool, String) {
    let Ok(Ruling::History(HistoryRuling::Kicked(_))) = result.ruling else {
        return (false, result.not_done());
    };
    let server = context.delivery.server();
    let ended = match (&one.subject, &one.resource) {
        (Subject::Account(account), Some(resource)) => server.end_session(account, resource).await,
        (subject, _) => server.kick(subject, reason).await,
    };
    (ended.is_ok(), text::ended(one, &ended))
}

impl Whom {
    /// The reason, with the session in front if only that one is ended.
    fn reason_in_history(&self, reason: &str) -> String {
        let Some(resource) = &self.resource else {
            return reason.to_owned();
        };
        let resource: String = clean(resource).chars().take(60).collect();
        text::only(&resource, reason)
    }
}

/// Reads the targets: single sessions, and subjects as in other commands. A subject that is named both ways is kicked
/// as a whole.
fn read(call: &Request<'_>, context: &Context) -> Result<Vec<Whom>, Vec<Problem>> {
    let (mut single, mut rest) = (Vec::new(), Vec::new());
    let values = call.values.raw(subjects::FIELD).iter();
    for line in values.flat_map(|value| value.lines()) {
        let quoted = words::unquoted(line.trim()).and_then(|one| session(&one));
        match quoted.or_else(|| session(line).filter(|_| !is_several(line))) {
            Some(session) => single.push(session),
            None => {
                for word in line.split_whitespace().flat_map(separate) {
                    match session(word).filter(|_| !word.contains([',', ';'])) {
                        Some(session) => single.push(session),
                        None => rest.push(word),
                    }
                }
            }
        }
    }
    let all = single.len() + rest.len();
    if all > subjects::MOST {
        let text = phrases::too_many_subjects(all, subjects::MOST);
        return Err(vec![Problem::new(subjects::FIELD, text)]);
    }
    let mut whom: Vec<Whom> = match rest.is_empty() && !single.is_empty() {
        true => Vec::new(),
        false => {
            let whole = Named::read(&rest, context).all()?.into_iter();
            let all = |subject| Whom {
                subject,
                resource: None,
            };
            whole.map(all).collect()
        }
    };
    for (subject, resource) in single {
        let is_in = |one: &Whom| {
            one.subject == subject && one.resource.as_ref().is_none_or(|has| *has == resource)
        };
        if !whom.iter().any(is_in) {
            whom.push(Whom {
                subject,
                resource: Some(resource),
            });
        }
    }
    Ok(whom)
}

/// Parses `alice@example.org/phone`.
fn session(text: &str) -> Option<(Subject, String)> {
    let text = text.trim();
    let jid = Jid::new(text)
        .ok()
        .filter(|jid| !as_written::is_renamed(text, jid))?;
    let resource = jid.resource()?.to_string();
    let account = Account::from_jid(&jid)?;
    Some((Subject::Account(account), resource))
}

/// A resource may contain spaces, but further names do not belong to it.
fn is_several(line: &str) -> bool {
    let resource = line
        .trim()
        .split_once('/')
        .map_or("", |(_, resource)| resource);
    resource.contains([',', ';'])
        || (resource.contains(char::is_whitespace) && resource.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_an_account_with_a_resource_and_nothing_else_is() {
        let read = |text| session(text).map(|(subject, resource)| format!("{subject}|{resource}"));
        for (text, read_as) in [
            (
                "Alice@Example.org/My Phone",
                Some("alice@example.org|My Phone"),
            ),
            (" alice@example.org/a/b ", Some("alice@example.org|a/b")),
            ("alice@example.org", None),
            ("alice@example.org/", None),
            ("example.org/phone", None),
            ("10.0.0.0/8", None),
            ("2001:db8::/32", None),
            ("alice@example.org from 10.0.0.0/8", None),
            ("#17", None),
        ] {
            assert_eq!(read(text).as_deref(), read_as, "{text}");
        }
        assert!(!is_several("a@b.org/my phone"));
        assert!(is_several("a@b.org/phone c@d.org") && is_several("a@b.org/x, y"));
    }
}
