//! `check`: whether a login would be let in, and why.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem, Row};
use super::parts::login::evidence;
use super::parts::login::{counters, others};
use super::parts::reach::visible;
use super::parts::subjects;
use super::phrases;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{Explanation, Role, Subject, Verdict};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "check",
    title: "Check a login",
    summary: "Tells whether a login would be let in, and why: bans, exemptions, earlier logins, counters, guard.",
    needs: Role::Viewer,
    form: true,
    fields: &[Field {
        name: subjects::FIELD,
        label: "Account, address or both",
        kind: Kind::Line,
        required: true,
        desc: "Whose login, from where, or an account and an address with a space between them.",
        place: Place::Login,
    }],
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

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let named = subjects::read_login(&call.values.words(subjects::FIELD), context);
    let subject = match named {
        Ok(Subject::Network(_)) => {
            return Outcome::Invalid(vec![Problem {
                field: subjects::FIELD,
                text: phrases::no_login(),
            }]);
        }
        Ok(subject) => subject,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let rights = &call.caller.rights;
    let explanation = context.admission.explain(subject.whose(), subject.place());
    let explanation = visible(explanation, rights);
    let now = context.engine.now();
    let mut lines = Vec::new();
    let mut rows = Vec::new();
    let refusing = match &explanation.verdict {
        Verdict::LetIn => None,
        Verdict::Refuse { ban, .. } => explanation.bans.iter().find(|one| one.id == *ban),
    };
    let title = text::verdict_title(&subject, &explanation.verdict);
    lines.push(text::verdict(&subject, &explanation));
    if let Some(ban) = refusing {
        lines.push(phrases::is_banned(ban, now));
        lines.extend(phrases::meaning(&ban.subject));
        if rights.see(&ban.subject) {
            rows.extend(evidence(ban, context).await);
        }
    }
    lines.extend(text::why_let_in(&subject, &explanation));
    lines.extend(phrases::nearest_limit(&explanation));
    if let Some(ban) = refusing {
        lines.push(phrases::how_to_end(&ban.subject));
    }
    rows.extend(others(&explanation, refusing.map(|ban| ban.id), context));
    rows.extend(about(&subject, &explanation));
    rows.extend(counters(&explanation));
    Outcome::Done(Answer::new(Grade::Good, title, lines).with_rows(rows))
}

/// Exemption, earlier logins, guard.
fn about(subject: &Subject, explanation: &Explanation) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(by) = &explanation.exempt {
        rows.push(Row::new("exempt", "Exempt", phrases::exempt(by)));
    }
    if subject.place().is_some() {
        rows.push(Row::new(
            "known",
            "Earlier logins",
            text::known(subject, explanation),
        ));
    }
    if let Some(account) = subject.whose() {
        let guard = explanation
            .bans
            .iter()
            .find(|ban| matches!(&ban.subject, Subject::Guard(of) if of == account));
        rows.push(Row::new("guard", "Guard", text::guard(guard)));
    }
    rows
}
