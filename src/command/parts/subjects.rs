//! From what people write to whom they mean: subjects and numbers.

use super::text;
use crate::command::context::Context;
use crate::command::outcome::Problem;
use crate::command::phrases;
use crate::core::{BanId, Subject};

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
        return Err(vec![problem(phrases::too_many_subjects(words.len(), MOST))]);
    }
    if words.is_empty() {
        return Err(vec![problem(text::no_subject())]);
    }
    for (_, named) in each(words, context) {
        match named {
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

/// Reads exactly one.
///
/// # Errors
/// What names nobody, or that there are several.
pub fn read_one(words: &[&str], context: &Context) -> Result<Subject, Vec<Problem>> {
    match <[Subject; 1]>::try_from(read(words, context)?) {
        Ok([subject]) => Ok(subject),
        Err(_) => Err(vec![problem(String::from(text::ONE_AT_A_TIME))]),
    }
}

/// Reads whose login is meant, from where, or both: an account and an address behind one another
/// are a pair.
///
/// # Errors
/// What is neither.
pub fn read_login(words: &[&str], context: &Context) -> Result<Subject, Vec<Problem>> {
    match &read(words, context)?[..] {
        [Subject::Account(account), place] | [place, Subject::Account(account)] => {
            match place.net() {
                Some(net) => Ok(Subject::Pair(account.clone(), net)),
                None => Err(vec![problem(phrases::no_login())]),
            }
        }
        [Subject::Guard(account)] => Ok(Subject::Account(account.clone())),
        [one] => Ok(one.clone()),
        _ => Err(vec![problem(phrases::no_login())]),
    }
}

/// One after the other as written, with whom it means or what is wrong with it.
pub(in crate::command) fn each<'w>(
    words: &'w [&'w str],
    context: &Context,
) -> impl Iterator<Item = (&'w [&'w str], Result<Subject, String>)> {
    let mut rest = words;
    std::iter::from_fn(move || {
        rest.first()?;
        let (named, used) = one(rest, context);
        let (written, behind) = rest.split_at_checked(used)?;
        rest = behind;
        Some((written, named))
    })
}

/// The first of the words, and how many of them it took.
fn one(words: &[&str], context: &Context) -> (Result<Subject, String>, usize) {
    let word = words.first().copied().unwrap_or_default();
    if word.starts_with('#') {
        let named = BanId::parse(word)
            .and_then(|id| {
                context
                    .engine
                    .read(|ledger| ledger.subjects().by_number(id).cloned())
            })
            .ok_or_else(|| text::no_such_number(word));
        return (named, 1);
    }
    match Subject::take(words) {
        Ok((subject, used)) if used > 1 || words.get(1) != Some(&"from") => (Ok(subject), used),
        Err(why) => (Err(phrases::sentence(&why.to_string())), 1),
        // A pair that cannot be read must not become a ban of the whole account.
        Ok(_) => {
            let used = words.len().min(3);
            let why = match Subject::parse(&words[..used].join(" ")) {
                Err(why) => phrases::sentence(&why.to_string()),
                Ok(_) => phrases::no_login(),
            };
            (Err(why), used)
        }
    }
}

fn problem(text: String) -> Problem {
    Problem { field: FIELD, text }
}
