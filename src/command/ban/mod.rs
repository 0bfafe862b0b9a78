//! `ban`: bans subjects, or changes the terms of their active bans.

mod text;

use std::net::IpAddr;

use futures::future::join_all;

use super::context::Context;
use super::outcome::{Ask, EarlyOutcome, Outcome, Problem, Row};
use super::parts::fields::{NOTE, REASON, WHOM};
use super::parts::results::{Said, TargetResult, answer, carry_out};
use super::parts::settle::{ASK_WAIT, MANY, asks_about, own_addresses, own_homes};
use super::parts::subjects;
use super::phrases::{self, may_exempt};
use super::request::Request;
use super::spec::{DEFAULT_TERM, Field, Kind, Place, Spec};
use super::superiors::Superiors;
use crate::core::{
    Account, Action, BanOrder, BanRuling, Order, Policy, Refusal, Role, Ruling, Subject, Term,
    Timestamp,
};
use crate::delivery::ports::Existence;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "ban",
    title: "Ban",
    summary: "Keeps accounts, addresses or networks out and ends their sessions.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field {
            label: "Whom, one a line",
            kind: Kind::Lines,
            desc: "Accounts (spam@example.org), addresses (203.0.113.7), networks (203.0.113.0/24), an account from one place (spam@example.org from 203.0.113.7) or numbers of bans (#17).",
            ..WHOM
        },
        Field::new("duration", "For how long", Kind::Term { other: "other_duration" }).at(Place::Term)
            .desc("One of the usual durations. If this is left at the default, a ban that exists already keeps its end."),
        Field::new("other_duration", "Other duration", Kind::Line)
            .desc("Counts before the choice above: 30m, 12h, 3d, 1d12h, 2 weeks, until 2030-01-01, forever."),
        REASON,
        NOTE.at(Place::Nowhere),
        Field::new("force", "Even if unknown or exempt", Kind::Flag).at(Place::Option)
            .desc("Bans an account that the server does not know, such as a name that nobody has registered yet. An admin can also ban somebody who is exempt, or an account on a virtual host that does not exist yet; both are asked about first."),
    ],
    usage: "ban SUBJECT… [DURATION] [REASON…]",
    examples: &[
        ("ban spam@example.org 3d spam in rooms", "for three days"),
        ("ban 203.0.113.7 203.0.113.9 12h", "two addresses at once"),
        (
            "ban #17 forever",
            "changes the end of ban #17, keeps its reason",
        ),
    ],
    changes: true,
};

/// A ban as requested.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BanCall {
    subjects: Vec<Subject>,
    term: Option<Term>,
    reason: Option<String>,
    note: Option<String>,
    force: bool,
    /// The exempt subjects that are banned by force, and why they are exempt.
    forced: Vec<(Subject, String)>,
    /// The subjects that cover a place where the caller logged in before, each with an address there.
    homes: Vec<(Subject, IpAddr)>,
}

impl BanCall {
    fn parse(call: &Request<'_>) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let subjects = Problem::keep(&mut problems, call.subjects()).unwrap_or_default();
        let term = Problem::keep(&mut problems, read_term(call)).flatten();
        let force = Problem::keep(&mut problems, call.flag("force")).unwrap_or_default();
        match problems.is_empty() {
            false => Err(problems),
            true => Ok(BanCall {
                subjects,
                term,
                reason: call.clean_line("reason"),
                note: call.clean_text("note"),
                force,
                forced: Vec::new(),
                homes: Vec::new(),
            }),
        }
    }

    fn order(&self, call: &Request<'_>, subject: &Subject, own_addresses: &[IpAddr]) -> Order {
        let (term, reason, note) = (self.term, self.reason.clone(), self.note.clone());
        let what = match self.forced.iter().any(|(exempt, _)| exempt == subject) {
            true => BanOrder::Force { term, reason, note },
            false => BanOrder::Impose { term, reason, note },
        };
        call.order(subject, Action::Ban(what))
            .own_addresses(own_addresses.to_vec())
    }

    /// The reasons for which the rules would refuse the ban now; nothing is done.
    ///
    /// After this call, exempt subjects are banned by force if an admin asked for it.
    fn refusals(&mut self, call: &Request<'_>, context: &Context, own: &[IpAddr]) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        let superiors = Superiors::of(&call.caller, context);
        for subject in self.subjects.clone() {
            let role = call.caller.rights.over(&subject);
            let mut refusal = context.would_refuse(self.order(call, &subject, own), &superiors);
            if let Some(Refusal::Exempt(Subject::Account(account), by)) = &mut refusal
                && may_exempt(role)
            {
                *by = String::from(text::exempt_by(is_admin(account, context)));
            }
            let may_force = self.force && role == Role::Admin;
            let by_force = refusal.as_ref().filter(|_| may_force);
            if let Some(question) = by_force.and_then(text::ask_by_force) {
                self.forced.push((subject.clone(), question));
                refusal = context.would_refuse(self.order(call, &subject, own), &superiors);
            }
            if let Some(why) = refusal {
                let problem = Problem::new(blame(&why), text::refusal_to_ban(&why, role));
                if !problems.contains(&problem) {
                    problems.push(problem);
                }
            }
        }
        problems
    }

    fn is_risky(&self, policy: &Policy) -> bool {
        self.subjects.len() > MANY
            || !self.forced.is_empty()
            || !self.homes.is_empty()
            || self.subjects.iter().any(|subject| policy.is_risky(subject))
    }
}

/// Whether an account has the role admin by the configuration.
fn is_admin(account: &Account, context: &Context) -> bool {
    let roles = context.roles.load();
    let mut all = roles.all();
    all.any(|(one, rights)| one == account && rights.highest() >= Role::Admin)
}

/// `other_duration` takes precedence over `duration`; either accepts any term.
fn read_term(call: &Request<'_>) -> Result<Option<Term>, [Problem; 1]> {
    let is_given = |field: &&str| call.values.line(field).is_some();
    match ["other_duration", "duration"].into_iter().find(is_given) {
        Some(field) if call.values.line(field).as_deref() != Some(DEFAULT_TERM) => call.term(field),
        _ => Ok(None),
    }
}

/// The field to correct when the rules refuse.
fn blame(why: &Refusal) -> &'static str {
    match why {
        Refusal::TooLong(..) | Refusal::EndsInThePast(_) => "duration",
        Refusal::TextTooLong(what, _) => what,
        _ => subjects::FIELD,
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let mut ban = BanCall::parse(call)?;
    let own = own_addresses(&ban.subjects, call, context).await;
    let mut problems = ban.refusals(call, context, &own);
    problems.extend(strangers(&ban, context).await);
    if !problems.is_empty() {
        return Ok(Outcome::Refused { problems });
    }
    ban.homes = own_homes(&ban.subjects, call, context);
    let is_permanent = asks_about(ban.term, call, context);
    let is_risky = ban.is_risky(&context.engine.policy());
    call.confirm(is_risky || is_permanent, || {
        question(&ban, call, is_permanent, context)
    })?;
    let subjects = ban.subjects.iter();
    let orders = subjects.map(|subject| ban.order(call, subject, &own));
    let results = carry_out(call, orders.collect(), blame, context).await?;
    let now = context.engine.now();
    Ok(Outcome::Done(answer(&results, context, |one| {
        say(one, shortened(&ban, &one.subject, call, context), now)
    })))
}

/// A problem for each account that the server does not have, or of which it has no trace. Accounts that are banned
/// already may be changed.
async fn strangers(ban: &BanCall, context: &Context) -> Vec<Problem> {
    if ban.force {
        return Vec::new();
    }
    let asked = join_all(ban.subjects.iter().map(async |subject| {
        let account = subject.whose()?;
        if context
            .engine
            .read(|ledger| ledger.bans().of(subject).is_some())
        {
            return None;
        }
        let exists =
            tokio::time::timeout(ASK_WAIT, context.delivery.server().exists(account)).await;
        let why = match exists.unwrap_or_default() {
            Existence::Missing => text::no_account(account),
            Existence::NoTrace => text::no_trace(account),
            Existence::Exists | Existence::Unknown => return None,
        };
        Some(Problem::new(subjects::FIELD, why))
    }));
    asked.await.into_iter().flatten().collect()
}

fn question(ban: &BanCall, call: &Request<'_>, is_permanent: bool, context: &Context) -> Ask {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let roles = ban.subjects.iter().map(|one| call.caller.rights.over(one));
    let role = roles.min().unwrap_or_default();
    let term = ban
        .term
        .unwrap_or_else(|| policy.default_term_for(role, now));
    let is_wide = |subject: &Subject| policy.is_risky(subject);
    let mut lines = text::ask(&ban.subjects, &is_wide, term, now, ban.reason.as_deref());
    lines.extend(ban.forced.iter().map(|(_, question)| question.clone()));
    lines.extend(
        ban.homes
            .iter()
            .take(phrases::NAMED)
            .map(phrases::covers_home),
    );
    if is_permanent {
        lines.push(String::from(phrases::ASK_FOREVER));
    }
    let row = |subject| (phrases::kind(subject), phrases::reach(subject));
    Ask {
        title: phrases::ask_title(&ban.subjects),
        lines,
        rows: Row::numbered("subject", ban.subjects.iter().map(row)),
        values: None,
    }
}

/// That the caller's role makes a ban without a duration shorter than the usual one.
fn shortened(
    ban: &BanCall,
    subject: &Subject,
    call: &Request<'_>,
    context: &Context,
) -> Option<String> {
    let role = call.caller.rights.over(subject);
    let usual = context
        .engine
        .policy()
        .shortened_for(role, context.engine.now());
    usual
        .filter(|_| ban.term.is_none())
        .map(|most| text::shortened(role, most))
}

fn say(result: &TargetResult, shortened: Option<String>, now: Timestamp) -> Option<Said> {
    Some(match result.ruling.as_ref().ok()? {
        Ruling::Ban(BanRuling::Banned(ban)) => {
            Said::done(phrases::banned(ban, now)).with(shortened)
        }
        Ruling::Ban(BanRuling::Amended {
            ban,
            before,
            before_reason: was,
        }) => {
            let was = (*was != ban.reason).then(|| text::reason_was(was));
            Said::done(phrases::amended(ban, *before, now)).with(was)
        }
        Ruling::Ban(BanRuling::Already(ban)) => {
            Said::done(phrases::already(ban, now)).with([text::to_change(ban)])
        }
        _ => return None,
    })
}
