//! From what people write to whom they mean: subjects and numbers.

use super::call::Context;
use super::outcome::Problem;
use super::words;
use crate::ban::{BanId, Subject};

/// The field that names whom.
pub const FIELD: &str = "subject";
/// How many subjects one call may name.
pub const MOST: usize = 200;

/// Reads subjects (`spam@host`, `203.0.113.7`, `#17`), each once, in the order written.
///
/// # Errors
/// Every word that names nobody, all at once.
pub fn read(words: &[&str], context: &Context) -> Result<Vec<Subject>, Vec<Problem>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    if words.len() > MOST {
        return Err(vec![problem(words::too_many_subjects(words.len(), MOST))]);
    }
    if words.is_empty() {
        return Err(vec![problem(words::no_subject())]);
    }
    for word in words {
        match one(word, context) {
            Ok(subject) if found.contains(&subject) => {}
            Ok(subject) => found.push(subject),
            Err(text) => problems.push(problem(text)),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn one(word: &str, context: &Context) -> Result<Subject, String> {
    if word.starts_with('#') {
        return BanId::parse(word)
            .and_then(|id| context.gate.read(|ledger| ledger.by_number(id).cloned()))
            .ok_or_else(|| words::no_such_number(word));
    }
    Subject::parse(word).map_err(|why| words::sentence(&why.to_string()))
}

fn problem(text: String) -> Problem {
    Problem { field: FIELD, text }
}
