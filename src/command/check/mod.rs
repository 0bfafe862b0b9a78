//! `check`: explains whether a login would be let in.

mod text;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem, Row};
use super::parts::login::{counters, evidence, others};
use super::parts::reach::visible;
use super::parts::subjects::{self, NO_LOGIN};
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{BanId, Explanation, Role, Subject, Verdict};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "check",
    title: "Check a login",
    summary: "Tells whether a login would be let in, and why: bans, exemptions, earlier logins, counters, guard.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        Field::new(subjects::FIELD, "Account, address or both", Kind::Line)
            .required()
            .at(Place::Login)
            .desc(
                "Whose login, from where, or an account and an address with a space between them.",
            ),
    ],
    usage: "check ACCOUNT [ADDRESS] | ADDRESS",
    examples: &[
        (
            "check alice@example.org 203.0.113.7",
            "may she log in from there, and why",
        ),
        ("check 203.0.113.7", "may anybody connect from there"),
    ],
    changes: false,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = call.login()?;
    if let Subject::Network(_) = subject {
        return Err(Problem::new(subjects::FIELD, NO_LOGIN).into());
    }
    let rights = &call.caller.rights;
    let explanation = context.admission.explain(subject.whose(), subject.place());
    let explanation = visible(explanation, rights);
    let now = context.engine.now();
    let (title, refusing) = match &explanation.verdict {
        Verdict::LetIn => (format!("Let in: {subject}"), None),
        Verdict::Refuse { ban, .. } => (
            format!("Refused: {subject}"),
            explanation.bans.iter().find(|one| one.id == *ban),
        ),
    };
    let mut lines = vec![text::verdict(&subject, &explanation)];
    let mut rows = Vec::new();
    if let Some(ban) = refusing {
        lines.push(phrases::is_banned(ban, now));
        if ban.id == BanId(0) {
            lines.push(String::from(text::IN_MEMORY));
        }
        lines.extend(phrases::meaning(&ban.subject));
        if rights.see(&ban.subject) {
            rows.extend(evidence(ban, context).await);
        }
    }
    lines.extend(text::why_let_in(&subject, &explanation));
    lines.extend(phrases::nearest_limit(&explanation));
    lines.extend(refusing.map(|ban| phrases::how_to_end(&ban.subject)));
    rows.extend(others(&explanation, refusing.map(|ban| ban.id), context));
    rows.extend(about(&subject, &explanation));
    rows.extend(counters(&explanation));
    Ok(Outcome::Done(
        Answer::new(Grade::Good, title, lines).with_rows(rows),
    ))
}

/// Rows about exemption, earlier logins and lockdown.
fn about(subject: &Subject, explanation: &Explanation) -> Vec<Row> {
    let mut rows = Vec::new();
    let exempt = explanation.exempt.as_deref();
    rows.extend(exempt.map(|by| Row::new("exempt", "Exempt", phrases::clean(by))));
    if subject.place().is_some() {
        let known = text::known(subject, explanation);
        rows.push(Row::new("known", "Earlier logins", known));
    }
    if let Some(account) = subject.whose() {
        let mut bans = explanation.bans.iter();
        let guard = bans.find(|ban| matches!(&ban.subject, Subject::Guard(of) if of == account));
        rows.push(Row::new("guard", "Guard", text::guard(guard)));
    }
    rows
}
