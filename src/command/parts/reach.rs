//! Over whom a command may be run: compares whom a call names with the virtual hosts where the caller's role holds. The
//! rules check the same role again ([`Caller::actor`](crate::command::Caller::actor)): without this check a command would
//! change nothing either, but say so later.

use super::text;
use crate::command::call::Call;
use crate::command::outcome::Problem;
use crate::command::parts::subjects::Named;
use crate::command::spec::Place;
use crate::core::{Explanation, Rights, Role, Subject, Verdict};

/// Whom the caller names without having the role over them; one sentence each. What cannot be
/// read is left to the command to tell.
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
    // Whoever may not see a ban learns no more from its number.
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

/// Whom a command about a login concerns. To look, the account's host is enough; what is counted
/// counts toward the address too, which belongs to no host.
fn concerns(login: Subject, needs: Role) -> Subject {
    match login.place() {
        Some(net) if needs > Role::Viewer => Subject::network(net),
        _ => login,
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
