//! `unallow`: revokes an exemption.

mod text;

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::parts::results::{Said, answer, carry_out};
use super::parts::subjects;
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use crate::core::{Action, ExemptionOrder, ExemptionRuling, Ledger, Role, Ruling, Subject};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "unallow",
    title: "End an exemption",
    summary: "Takes an exemption back; bans it had lifted do not come back.",
    needs: Role::Admin,
    form: true,
    fields: &[Field::new(subjects::FIELD, "Whom", Kind::Line)
        .required()
        .at(Place::Subjects)
        .desc("The account, address or network as allowed shows it.")],
    usage: "unallow SUBJECT",
    examples: &[(
        "unallow 198.51.100.0/24",
        "this network can be banned again",
    )],
    changes: true,
};

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let subject = call.subject()?;
    let orders = vec![call.order(&subject, Action::Exemption(ExemptionOrder::Revoke))];
    let results = carry_out(call, orders, |_| subjects::FIELD, context).await?;
    Ok(Outcome::Done(answer(&results, context, |result| {
        let said = match &result.ruling {
            Ok(Ruling::Exemption(ExemptionRuling::Revoked(exemption))) => {
                Said::done(phrases::unallowed(exemption))
            }
            Ok(Ruling::Exemption(ExemptionRuling::NotExempt(subject))) => {
                Said::done(text::not_exempt(subject))
            }
            _ => Said::failed(result.not_done()),
        };
        Some(said.with(still_exempt(&subject, context)))
    })))
}

/// Another exemption that still covers the subject.
fn still_exempt(subject: &Subject, context: &Context) -> Option<String> {
    let now = context.engine.now();
    let by_policy = context.engine.policy().exempts(subject);
    let by_policy = by_policy.map(|by| text::by_configuration(&by));
    let by = by_policy.or_else(|| {
        let by = |ledger: &Ledger| {
            ledger
                .exemptions()
                .covering(subject, now)
                .map(ToString::to_string)
        };
        context.engine.read(by)
    });
    Some(text::still_exempt(&by?))
}
