//! `unallow`: takes an exemption back.

mod text;

use super::call::Call;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem};
use super::parts::subjects;
use super::spec::{Field, Kind, Place, Spec};
use super::{broken, phrases};
use crate::core::{Action, ExemptionOrder, ExemptionRuling, Role, Ruling, Subject};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "unallow",
    title: "End an exemption",
    summary: "Takes an exemption back; bans it had lifted do not come back.",
    needs: Role::Admin,
    form: true,
    fields: &[Field {
        name: subjects::FIELD,
        label: "Whom",
        kind: Kind::Line,
        required: true,
        desc: "The account, address or network as allowed shows it.",
        place: Place::Subjects,
    }],
    usage: "unallow SUBJECT",
    examples: &[(
        "unallow 198.51.100.0/24",
        "this network can be banned again",
    )],
    changes: true,
};

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let named = subjects::read_one(&call.values.words(subjects::FIELD), context);
    let subject = match named {
        Ok(subject) => subject,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let order = call.order(&subject, Action::Exemption(ExemptionOrder::Revoke));
    let (grade, mut lines) = match context.engine.submit_one(order).await {
        Ok(Ruling::Exemption(ExemptionRuling::Revoked(exemption))) => (
            Grade::Good,
            vec![
                phrases::unallowed(&exemption),
                phrases::undo(&[&exemption.subject.to_string()]),
            ],
        ),
        Ok(Ruling::Exemption(ExemptionRuling::NotExempt(subject))) => {
            (Grade::Good, vec![text::not_allowed(&subject)])
        }
        Ok(Ruling::Refused(why)) => {
            return Outcome::Refused(vec![Problem {
                field: subjects::FIELD,
                text: phrases::refusal(&why, call.caller.role()),
            }]);
        }
        Ok(ruling) => (Grade::Bad, vec![phrases::not_done(&subject, &ruling)]),
        Err(fault) => (
            Grade::Bad,
            vec![phrases::failed(
                &subject,
                &fault,
                &broken("store the end of an exemption", &fault),
            )],
        ),
    };
    if let Some(still) = still_exempt(&subject, context) {
        lines.insert(1, text::still_exempt(&still));
    }
    Outcome::Done(Answer::new(
        grade,
        phrases::summary_title(usize::from(grade == Grade::Good), 1),
        lines,
    ))
}

/// What else exempts it.
fn still_exempt(subject: &Subject, context: &Context) -> Option<String> {
    let now = context.engine.now();
    let by_policy = context.engine.policy().exempts(subject);
    by_policy.map(text::by_configuration).or_else(|| {
        context.engine.read(|ledger| {
            ledger
                .exemptions()
                .covering(subject, now)
                .map(ToString::to_string)
        })
    })
}
