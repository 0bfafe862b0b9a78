//! `kick`: ends sessions now, without a ban.

mod text;

use std::fmt;

use futures::future::join_all;
use xmpp_parsers::jid::Jid;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Ask, Grade, Outcome, Problem, Row};
use super::parts::fields::{REASON, WHOM};
use super::parts::settle::{MANY, own_addresses};
use super::parts::subjects;
use super::spec::{Field, Kind, Spec};
use super::{broken, phrases};
use crate::core::{Account, Action, HistoryOrder, HistoryRuling, Intent, Role, Ruling, Subject};

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
        Field {
            desc: "Whose session it was sees it, where the hook module ends it.",
            ..REASON
        },
    ],
    usage: "kick SUBJECT… [REASON…]",
    examples: &[
        ("kick alice@example.org", "all her sessions"),
        ("kick alice@example.org/phone", "that one alone"),
        ("kick 203.0.113.7 please log in again", "all from there"),
    ],
    changes: true,
};

/// Whose sessions to end.
struct Whom {
    subject: Subject,
    /// The only one to end; `None`: all.
    resource: Option<String>,
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.resource {
            Some(resource) => write!(f, "{}/{}", self.subject, phrases::clean(resource)),
            None => self.subject.fmt(f),
        }
    }
}

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let whom = match read(call, context) {
        Ok(whom) => whom,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let reason = call.values.line("reason").unwrap_or_default();
    let reason = phrases::clean(&reason);
    let is_wide = |one: &Whom| context.engine.policy().is_risky(&one.subject);
    if !call.confirmed && (whom.len() > MANY || whom.iter().any(is_wide)) {
        return Outcome::Ask(question(&whom));
    }
    let subjects: Vec<Subject> = whom.iter().map(|one| one.subject.clone()).collect();
    let own = own_addresses(&subjects, call, context).await;
    let order = |one: &Whom| {
        let reason = match &one.resource {
            Some(resource) => text::only_the_session(resource, &reason),
            None => reason.clone(),
        };
        let order = call.order(&one.subject, Action::History(HistoryOrder::Kick { reason }));
        Intent::Order(order.own_addresses(own.clone()))
    };
    let results = context
        .engine
        .submit(whom.iter().map(order).collect())
        .await;
    if let [Ok(Ruling::Refused(why))] = &results[..] {
        return Outcome::Refused(vec![Problem {
            field: subjects::FIELD,
            text: phrases::refusal(why, call.caller.role()),
        }]);
    }
    // Written down first, then done: what the server did not do is told at once and not tried again.
    let server = context.delivery.server();
    let told = join_all(
        whom.iter()
            .zip(results)
            .map(async |(one, ruled)| match ruled {
                Ok(Ruling::History(HistoryRuling::Kicked(_))) => {
                    let ended = match (&one.subject, &one.resource) {
                        (Subject::Account(account), Some(resource)) => {
                            server.end_session(account, resource).await
                        }
                        (subject, _) => server.kick(subject, &reason).await,
                    };
                    text::kicked(&one.to_string(), &ended)
                }
                Ok(ruling) => (Grade::Bad, phrases::not_done(&one.subject, &ruling)),
                Err(fault) => {
                    let reference = broken("store that sessions were ended", &fault);
                    (
                        Grade::Bad,
                        phrases::failed(&one.subject, &fault, &reference),
                    )
                }
            }),
    );
    let told = told.await;
    let done = told
        .iter()
        .filter(|(grade, _)| *grade == Grade::Good)
        .count();
    let grade = match done {
        0 => Grade::Bad,
        some if some < told.len() => Grade::Warning,
        _ => Grade::Good,
    };
    let mut lines: Vec<String> = told.into_iter().map(|(_, line)| line).collect();
    let all = lines.len();
    if done > 0 {
        lines.push(String::from(text::MAY_COME_BACK));
    }
    Outcome::Done(Answer::new(grade, phrases::summary_title(done, all), lines))
}

/// Reads whom is meant: single sessions, and what commands take else. Who is named as a whole, too, is meant as a whole.
fn read(call: &Call, context: &Context) -> Result<Vec<Whom>, Vec<Problem>> {
    let (mut single, mut rest) = (Vec::new(), Vec::new());
    let values = call.values.raw(subjects::FIELD).iter();
    for line in values.flat_map(|value| value.lines()) {
        match session(line).filter(|_| !is_several(line)) {
            Some(session) => single.push(session),
            None => {
                for word in line.split(is_between).filter(|word| !word.is_empty()) {
                    match session(word) {
                        Some(session) => single.push(session),
                        None => rest.push(word),
                    }
                }
            }
        }
    }
    let all = single.len() + rest.len();
    if all > subjects::MOST {
        return Err(vec![Problem {
            field: subjects::FIELD,
            text: phrases::too_many_subjects(all, subjects::MOST),
        }]);
    }
    let mut whom: Vec<Whom> = match rest.is_empty() && !single.is_empty() {
        true => Vec::new(),
        false => {
            let whole = subjects::read(&rest, context)?.into_iter();
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

/// `alice@example.org/phone`
fn session(text: &str) -> Option<(Subject, String)> {
    let jid = Jid::new(text.trim()).ok()?;
    let resource = jid.resource()?.to_string();
    let account = Account::from_jid(&jid)?;
    Some((Subject::Account(account), resource))
}

/// A resource may have spaces in it, but names behind it are no part of it.
fn is_several(line: &str) -> bool {
    let resource = line
        .trim()
        .split_once('/')
        .map_or("", |(_, resource)| resource);
    resource.contains(is_between) && resource.contains(['@', ',', ';'])
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';')
}

fn question(whom: &[Whom]) -> Ask {
    let row = |(place, one): (usize, &Whom)| {
        let (label, reach) = match one.resource {
            Some(_) => (
                text::session(&one.to_string()),
                String::from(text::ONE_SESSION),
            ),
            None => (phrases::kind(&one.subject), phrases::reach(&one.subject)),
        };
        Row::new(format!("subject{}", place + 1), label, reach)
    };
    let names: Vec<String> = whom.iter().map(ToString::to_string).collect();
    Ask {
        title: text::ask_kick_title(whom.len()),
        lines: vec![text::ask_kick(&names)],
        rows: whom.iter().enumerate().map(row).collect(),
        values: None,
    }
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
