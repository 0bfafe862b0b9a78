//! The terms that forms offer.

use crate::command::context::Context;
use crate::command::spec::{DEFAULT_TERM, PRESETS};
use crate::core::{Role, Term};

/// The choices that a [`Kind::Term`](crate::command::spec::Kind::Term) field offers to a role: value and label, the
/// default first. Terms that the role may not give are left out.
pub fn terms_for(role: Role, context: &Context) -> Vec<(String, String)> {
    let (policy, now) = (context.engine.policy(), context.engine.now());
    let default = policy.default_term_for(role, now);
    let default = format!("As configured ({default}), or as it is");
    let mut choices = vec![(String::from(DEFAULT_TERM), default)];
    for preset in PRESETS {
        if let Ok(term) = Term::parse(preset)
            && policy.allows_term(role, term, now).is_ok()
        {
            choices.push((String::from(preset), term.to_string()));
        }
    }
    choices
}
