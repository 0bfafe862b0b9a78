//! `attempt`: counts failed logins by hand. They are judged like reported ones.

mod text;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem};
use super::parts::login::evidence;
use super::parts::results::settled;
use super::parts::subjects;
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::superiors::Superiors;
use crate::core::judge::ATTEMPTS_AT_ONCE;
use crate::core::{Ban, BanId, BanRuling, Notice, Refusal, Role, Ruling, Signal, Subject, Verdict};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "attempt",
    title: "Count a failed login",
    summary: "Counts a failed login by hand, exactly as a reported one, with all that follows.",
    needs: Role::Admin,
    form: true,
    fields: &[
        Field::new(subjects::FIELD, "Account, address or both", Kind::Line).required().at(Place::Login)
            .desc("Whose login failed, from where, or an account and an address with a space between them."),
        Field::new(TIMES, "How often", Kind::Line).at(Place::Last)
            .desc("A number from 1 to 1000; 1 if it is left out."),
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

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let (subject, times) = parse(call, context)?;
    // The rules would lock the account down as for anybody else.
    if Superiors::of(&call.caller, context)
        .reached(&subject)
        .is_some()
    {
        let why = Refusal::Above(subject.clone());
        return Ok(Outcome::refused(refused(&why, &subject, call)));
    }
    let before = context.admission.explain(subject.whose(), subject.place());
    let signal = Signal::ByHand {
        actor: call.caller.actor(call.door, &subject),
        subject: subject.clone(),
        times,
    };
    let (rulings, notices) = match context.admission.by_hand(&signal).await {
        Ok(counted) => counted,
        Err(fault) => {
            let after = context.admission.explain(subject.whose(), subject.place());
            let is_held = after.bans.iter().any(|ban| ban.id == BanId(0));
            return Ok(Outcome::Done(match is_held {
                true => Answer::new(
                    Grade::Warning,
                    "Counted",
                    vec![text::in_memory(&subject, times, &fault)],
                ),
                false => Answer::failed(phrases::not_stored(&subject, &fault)),
            }));
        }
    };
    let now = context.engine.now();
    let not_counted = |why: Option<String>, ban: Option<&Ban>| {
        let mut lines = vec![text::not_counted(&subject)];
        lines.extend(why);
        lines.extend(ban.map(|ban| phrases::how_to_end(&ban.subject)));
        Outcome::Done(Answer::new(Grade::Good, "Not counted", lines))
    };
    Ok(match &rulings[..] {
        [Ruling::Refused(why)] => Outcome::refused(refused(why, &subject, call)),
        [Ruling::Ban(BanRuling::Already(ban))] => {
            not_counted(Some(phrases::already(ban, now)), Some(ban))
        }
        [Ruling::Noted] if let Verdict::Refuse { ban, .. } = &before.verdict => {
            let ban = before.bans.iter().find(|one| one.id == *ban);
            not_counted(ban.map(|ban| phrases::is_banned(ban, now)), ban)
        }
        _ => Outcome::Done(told(&subject, times, rulings, &notices, context).await),
    })
}

fn refused(why: &Refusal, subject: &Subject, call: &Request<'_>) -> Problem {
    let text = phrases::refusal(why, call.caller.rights.over(subject));
    Problem::new(subjects::FIELD, text)
}

fn parse(call: &Request<'_>, context: &Context) -> Result<(Subject, u32), Vec<Problem>> {
    let mut problems = Vec::new();
    let subject = Problem::keep(&mut problems, call.login());
    if let Some(Subject::Pair(_, net)) = &subject
        && !is_one_source(*net, context)
    {
        problems.push(Problem::new(subjects::FIELD, text::ONE_ADDRESS));
    }
    let times = call.values.line(TIMES);
    let times = times.map_or(Ok(1), |text| text.parse());
    let times = times
        .ok()
        .filter(|times| (1..=ATTEMPTS_AT_ONCE).contains(times));
    let times = times.ok_or_else(|| [Problem::new(TIMES, text::no_number())]);
    match (subject, Problem::keep(&mut problems, times)) {
        (Some(subject), Some(times)) if problems.is_empty() => Ok((subject, times)),
        _ => Err(problems),
    }
}

/// Whether all addresses in the network count as one source, so that an account can fail from it.
fn is_one_source(net: ipnet::IpNet, context: &Context) -> bool {
    net.prefix_len() == net.max_prefix_len()
        || context.engine.policy().rules.reach.source(net.addr()) == net
}

async fn told(
    subject: &Subject,
    times: u32,
    rulings: Vec<Ruling>,
    notices: &[Notice],
    context: &Context,
) -> Answer {
    let now = context.engine.now();
    let results = rulings
        .into_iter()
        .filter(|ruling| *ruling != Ruling::Noted);
    let results = results.map(|ruling| {
        let whom = match &ruling {
            Ruling::Ban(BanRuling::Banned(ban)) => &ban.subject,
            _ => subject,
        };
        (whom.clone(), Ok(ruling))
    });
    let results = settled(results, context).await;
    let mut answer = Answer::new(Grade::Good, "Counted", Vec::new());
    let mut undo = Vec::new();
    for result in &results {
        let Ok(Ruling::Ban(BanRuling::Banned(ban))) = &result.ruling else {
            answer.lines.push(result.not_done());
            continue;
        };
        answer.lines.push(phrases::banned_by_rule(ban, now));
        answer.lines.extend(phrases::meaning(&ban.subject));
        if let Some((grade, server)) = result.on_server(context) {
            answer.grade = answer.grade.max(grade);
            answer.lines.push(server);
        }
        undo.push(ban.id);
        let evidence = evidence(ban, context).await;
        let evidence = evidence.map(|text| phrases::evidence(ban.id.0, &text));
        answer.rows.extend(evidence);
    }
    if undo.is_empty() {
        let after = context.admission.explain(subject.whose(), subject.place());
        let counts = !after.counting.is_empty();
        answer
            .lines
            .insert(0, text::counted(subject, times, counts));
        answer.lines.extend(phrases::nearest_limit(&after.counting));
        answer.rows.extend(phrases::counters(&after.counting));
        answer.rows.extend(after.grace_until.map(phrases::grace));
    } else {
        answer.title = text::title(undo.len());
        answer.undo = Some(phrases::undo(&undo));
    }
    let notices = notices.iter().map(ToString::to_string);
    answer
        .lines
        .extend(notices.map(|notice| phrases::sentence(&notice)));
    answer
}
