//! `attempt`: a failed login raised by hand. It takes the road of a reported one, with all that
//! follows.

mod text;

use futures::future::join_all;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem};
use super::parts::login::counters;
use super::parts::login::evidence;
use super::parts::settle::WAIT;
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{broken, phrases};
use crate::core::judge::ATTEMPTS_AT_ONCE;
use crate::core::{BanRuling, Notice, Role, Ruling, Signal, Subject, Verdict};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "attempt",
    title: "Count a failed login",
    summary: "Counts a failed login by hand, exactly as a reported one, with all that follows.",
    needs: Role::Admin,
    form: true,
    fields: &[
        Field {
            name: subjects::FIELD,
            label: "Account, address or both",
            kind: Kind::Line,
            required: true,
            desc: "Whose login failed, from where, or an account and an address with a space between them.",
            place: Place::Login,
        },
        Field {
            name: TIMES,
            label: "How often",
            kind: Kind::Line,
            required: false,
            desc: "A number from 1 to 1000; 1 if it is left out.",
            place: Place::Last,
        },
    ],
    usage: "attempt SUBJECT [TIMES]",
    examples: &[
        (
            "attempt alice@example.org 203.0.113.7",
            "one failed login of this account from this address",
        ),
        ("attempt 203.0.113.7 5", "five, of nobody in particular"),
    ],
    changes: true,
};

const TIMES: &str = "times";

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let (subject, times) = match parse(&call.values, context) {
        Ok(parsed) => parsed,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let place = subject.place();
    let before = context.admission.explain(subject.whose(), place);
    let signal = Signal::ByHand {
        actor: call.caller.actor(call.door, &subject),
        subject: subject.clone(),
        times,
    };
    let (rulings, notices) = match context.admission.by_hand(&signal).await {
        Ok(counted) => counted,
        Err(fault) => return Outcome::Broken(broken("store what came of an attempt", &fault)),
    };
    let now = context.engine.now();
    match &rulings[..] {
        [Ruling::Refused(why)] => Outcome::Refused(vec![Problem {
            field: subjects::FIELD,
            text: phrases::refusal(why, call.caller.role()),
        }]),
        [Ruling::Ban(BanRuling::Already(ban))] => Outcome::Done(Answer::new(
            Grade::Good,
            String::from("Not counted"),
            vec![
                text::not_counted(&subject),
                phrases::already(ban, now),
                phrases::how_to_end(&ban.subject),
            ],
        )),
        [Ruling::Noted] if let Verdict::Refuse { ban, .. } = &before.verdict => {
            let mut lines = vec![text::not_counted(&subject)];
            if let Some(ban) = before.bans.iter().find(|one| one.id == *ban) {
                lines.extend([
                    phrases::is_banned(ban, now),
                    phrases::how_to_end(&ban.subject),
                ]);
            }
            Outcome::Done(Answer::new(Grade::Good, String::from("Not counted"), lines))
        }
        _ => Outcome::Done(told(&subject, times, &rulings, &notices, context).await),
    }
}

fn parse(values: &Values, context: &Context) -> Result<(Subject, u32), Vec<Problem>> {
    let mut problems = Vec::new();
    let subject = subjects::read_login(&values.words(subjects::FIELD), context)
        .map_err(|mut wrong| problems.append(&mut wrong))
        .ok();
    if let Some(Subject::Pair(_, net)) = &subject
        && !is_one_source(*net, context)
    {
        problems.push(Problem {
            field: subjects::FIELD,
            text: String::from(text::FROM_ONE_ADDRESS),
        });
    }
    let times = match values.line(TIMES) {
        None => Some(1),
        Some(text) => text
            .parse()
            .ok()
            .filter(|times| (1..=ATTEMPTS_AT_ONCE).contains(times)),
    };
    if times.is_none() {
        problems.push(Problem {
            field: TIMES,
            text: text::no_times(ATTEMPTS_AT_ONCE),
        });
    }
    match (subject, times) {
        (Some(subject), Some(times)) if problems.is_empty() => Ok((subject, times)),
        _ => Err(problems),
    }
}

/// Whether all there count as one, so that an account can fail from there.
fn is_one_source(net: ipnet::IpNet, context: &Context) -> bool {
    net.prefix_len() == net.max_prefix_len()
        || context.engine.policy().rules.reach.source(net.addr()) == net
}

async fn told(
    subject: &Subject,
    times: u32,
    rulings: &[Ruling],
    notices: &[Notice],
    context: &Context,
) -> Answer {
    let now = context.engine.now();
    let level = context.delivery.server().standing().borrow().level;
    let settled = join_all(rulings.iter().map(async |ruling| match ruling {
        Ruling::Ban(BanRuling::Banned(ban)) => {
            Some(context.delivery.settled(&ban.subject, WAIT).await)
        }
        _ => None,
    }))
    .await;
    let mut answer = Answer::new(Grade::Good, text::counted_title(rulings), Vec::new());
    let mut undo = Vec::new();
    for (ruling, settled) in rulings.iter().zip(settled) {
        let (Ruling::Ban(BanRuling::Banned(ban)), Some(settled)) = (ruling, settled) else {
            if *ruling != Ruling::Noted {
                answer.lines.push(phrases::not_done(subject, ruling));
            }
            continue;
        };
        let (grade, server) = phrases::held(&ban.subject, &settled, level, true);
        answer.grade = answer.grade.max(grade);
        answer.lines.push(phrases::banned_by_rule(ban, now));
        answer.lines.extend(phrases::meaning(&ban.subject));
        answer.lines.push(server);
        undo.push(ban.id.to_string());
        answer.rows.extend(evidence(ban, context).await);
    }
    let after = context.admission.explain(subject.whose(), subject.place());
    if undo.is_empty() {
        answer
            .lines
            .insert(0, text::counted(subject, times, after.counting.is_empty()));
        answer.lines.extend(phrases::nearest_limit(&after));
        answer.rows.extend(counters(&after));
    }
    answer.lines.extend(
        notices
            .iter()
            .map(|notice| phrases::sentence(&notice.to_string())),
    );
    if !undo.is_empty() {
        let undo: Vec<&str> = undo.iter().map(String::as_str).collect();
        answer.undo = Some(phrases::undo(&undo));
    }
    answer
}
