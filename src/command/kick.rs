//! `kick`: ends sessions now, without a ban.

use futures::FutureExt;
use futures::future::join_all;

use super::ban::{MANY, own_addresses};
use super::call::{Call, Context};
use super::outcome::{Answer, Ask, Grade, Outcome, Problem, Row};
use super::spec::{Field, Kind, Place, Spec};
use super::{broken, subjects, words};
use crate::ban::{Order, Report, Role, Ruling, Subject, What};

/// The description.
pub const SPEC: Spec = Spec {
    name: "kick",
    title: "End sessions",
    summary: "Ends the sessions that are open now, without a ban.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            name: subjects::FIELD,
            label: "Whom, one a line",
            kind: Kind::Lines,
            required: true,
            desc: "Accounts; with the hook module on the server addresses and networks, too.",
            place: Place::Subjects,
        },
        Field {
            name: "reason",
            label: "Public reason",
            kind: Kind::Line,
            required: false,
            desc: "Whose session it was sees it, where the hook module ends it.",
            place: Place::Rest,
        },
    ],
    usage: "kick SUBJECT… [REASON…]",
    examples: &[
        ("kick alice@example.org", "all her sessions"),
        ("kick 203.0.113.7 please log in again", "all from there"),
    ],
    run: |call, context| run(call, context).boxed(),
};

async fn run(call: &Call, context: &Context) -> Outcome {
    let subjects = match subjects::read(&call.values.words(subjects::FIELD), context) {
        Ok(subjects) => subjects,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let reason = call.values.line("reason").unwrap_or_default();
    let reason = words::clean(&reason);
    let is_wide = |subject: &Subject| context.gate.policy().is_risky(subject);
    if !call.confirmed && (subjects.len() > MANY || subjects.iter().any(is_wide)) {
        return Outcome::Ask(question(&subjects));
    }
    let own = own_addresses(&subjects, call, context).await;
    let mut results = Vec::with_capacity(subjects.len());
    for subject in &subjects {
        let order = Order {
            actor: call.caller.actor(call.door, subject),
            own_account: call.caller.account(),
            own_addresses: own.clone(),
            subject: subject.clone(),
            what: What::Kick {
                reason: reason.clone(),
            },
        };
        results.push(context.gate.submit(Report::Order(order)).await);
    }
    if let [Ok(Ruling::Refused(why))] = &results[..] {
        return Outcome::Refused(vec![Problem {
            field: subjects::FIELD,
            text: why.to_string(),
        }]);
    }
    // Written down first, then done: what the server did not do is told at once and not tried again.
    let server = context.gate.server();
    let told = join_all(
        subjects
            .iter()
            .zip(results)
            .map(async |(subject, ruled)| match ruled {
                Ok(Ruling::Kicked(_)) => {
                    words::kicked(subject, &server.kick(subject, &reason).await)
                }
                Ok(ruling) => (Grade::Bad, words::not_done(subject, &ruling)),
                Err(fault) => {
                    let reference = broken("store that sessions were ended", &fault);
                    (Grade::Bad, words::failed(subject, &fault, &reference))
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
        lines.push(words::may_come_back());
    }
    Outcome::Done(Answer {
        grade,
        title: words::summary_title(done, all),
        lines,
        rows: Vec::new(),
    })
}

fn question(subjects: &[Subject]) -> Ask {
    let row = |(place, subject): (usize, &Subject)| {
        Row::new(
            format!("subject{}", place + 1),
            words::kind(subject),
            words::reach(subject),
        )
    };
    Ask {
        title: words::ask_kick_title(subjects.len()),
        lines: vec![words::ask_kick(subjects)],
        rows: subjects.iter().enumerate().map(row).collect(),
        values: None,
    }
}
