//! Over whom a command may be run: the one place that compares what somebody names with the hosts
//! their role holds on. The rules see the same role again ([`Caller::actor`](crate::command::Caller::actor)),
//! so that a command that asked for nothing here would still change nothing.

use super::text;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::Problem;
use crate::command::parts::subjects;
use crate::command::spec::{Place, Spec};
use crate::core::{Explanation, Rights, Role, Subject, Verdict};

/// Whom the caller names without having the role over them; one sentence each. What cannot be
/// read is left to the command to tell.
pub(in crate::command) fn beyond(call: &Call, spec: &Spec, context: &Context) -> Vec<Problem> {
    let rights = &call.caller.rights;
    let at = |place| spec.fields.iter().find(move |field| field.place == place);
    let whom = [Place::Subjects, Place::Subject, Place::Login];
    let Some(field) = whom.into_iter().find_map(at) else {
        return Vec::new();
    };
    let words = call.values.words(field.name);
    let named: Vec<(&str, Subject)> = match field.place {
        Place::Login => subjects::read_login(&words, context)
            .map(|login| {
                (
                    words.first().copied().unwrap_or_default(),
                    concerns(&login, spec),
                )
            })
            .into_iter()
            .collect(),
        _ => subjects::each(&words, context)
            .filter_map(|(written, named)| Some((*written.first()?, named.ok()?)))
            .collect(),
    };
    named
        .into_iter()
        .filter(|(_, subject)| rights.over(subject) < spec.needs)
        .map(|(written, subject)| Problem {
            field: field.name,
            // Who may not see it learns from a number no more than that.
            text: match written.starts_with('#') && !rights.see(&subject) {
                true => text::number_beyond(written, spec.needs, rights),
                false => text::beyond(&subject, spec.needs, rights),
            },
        })
        .collect()
}

/// Whom a command about a login concerns. To look, the account's host is enough; what is counted
/// counts toward the address too, which belongs to no host.
fn concerns(login: &Subject, spec: &Spec) -> Subject {
    match login.place() {
        Some(net) if spec.needs > Role::Viewer => Subject::network(net),
        _ => login.clone(),
    }
}

/// What of an explanation somebody may see: what is about their hosts, and the ban that refuses the
/// login they ask about, which its owner is told as well.
pub(in crate::command) fn visible(mut explanation: Explanation, rights: &Rights) -> Explanation {
    if rights.see_all() {
        return explanation;
    }
    let refusing = match &explanation.verdict {
        Verdict::Refuse { ban, .. } => Some(*ban),
        Verdict::LetIn => None,
    };
    explanation
        .bans
        .retain(|ban| rights.see(&ban.subject) || Some(ban.id) == refusing);
    explanation
        .counting
        .retain(|counting| rights.see(&counting.subject));
    explanation
}
