//! On whom a command may be run: compares the subjects of a call with the virtual hosts of the caller's role. The
//! rules check the role again ([`Caller::actor`](crate::command::Caller::actor)); without this check a forbidden
//! command would be refused there, with a less helpful answer.

use super::text;
use crate::command::call::Call;
use crate::command::outcome::Problem;
use crate::command::parts::subjects::Named;
use crate::command::spec::Place;
use crate::core::{Explanation, Rights, Role, Subject, Verdict};

/// A problem for each subject over which the caller does not have the role. Words that cannot be read are reported by
/// the command.
pub(in crate::command) fn beyond(call: &Call, named: &Named) -> Vec<Problem> {
    let (rights, needs) = (&call.caller.rights, call.command.needs);
    let mut fields = call.command.fields.iter();
    let concerned: Vec<(&str, Subject)> = match fields.any(|field| field.place == Place::Login) {
        true => {
            let first = named.readable().next();
            let written = first.map_or("", |(written, _)| written);
            let login = named.login().into_iter();
            login
                .map(|login| (written, concerns(login, needs)))
                .collect()
        }
        false => named
            .readable()
            .map(|(written, subject)| (written, subject.clone()))
            .collect(),
    };
    let beyond = concerned
        .into_iter()
        .filter(|(_, subject)| rights.over(subject) < needs);
    // A caller who may not see a ban must not learn more from its number.
    let text = |(written, subject): (&str, Subject)| match written.starts_with('#')
        && !rights.see(&subject)
    {
        true => text::number_beyond(written, needs, rights),
        false => text::beyond(&subject, needs, rights),
    };
    beyond
        .map(|one| Problem::new(super::subjects::FIELD, text(one)))
        .collect()
}

/// The subject whose host matters for a command about a login. To look, the account's host is enough; counting also
/// affects the address, which belongs to no host.
fn concerns(login: Subject, needs: Role) -> Subject {
    match login.place() {
        Some(net) if needs > Role::Viewer => Subject::network(net),
        _ => login,
    }
}
/// The part of an explanation that somebody may see: what concerns their hosts, and the ban that refuses the login in
/// question, which its owner is told as well.
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
