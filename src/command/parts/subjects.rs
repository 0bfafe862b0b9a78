//! Reads subjects and ban numbers from the words of a call.

use super::text;
use crate::command::context::Context;
use crate::command::outcome::Problem;
use crate::command::phrases;
use crate::core::subject::{BadSubject, is_from};
use crate::core::{BanId, Subject, words};

/// Name of the field with the subjects.
pub const FIELD: &str = "subject";
/// Maximum number of subjects in one call.
pub const MOST: usize = 200;

/// The problem with words that name no login.
pub(in crate::command) const NO_LOGIN: &str = "Name one login: an account (alice@example.org), an address (203.0.113.7), or both with a space between them.";

/// The subjects that some words name, in their order.
#[derive(Debug)]
pub(in crate::command) struct Named {
    /// Number of words; those beyond [`MOST`] are not read.
    words: usize,
    /// The first word of each subject, with the subject or the problem.
    read: Vec<(String, Result<Subject, String>)>,
}

impl Named {
    /// Reads words (`spam@host`, `203.0.113.7`, `#17`).
    pub(in crate::command) fn read(words: &[&str], context: &Context) -> Named {
        let mut rest = if words.len() > MOST { &[] } else { words };
        let mut read = Vec::new();
        while let Some(first) = rest.first() {
            let (named, used) = one(rest, context);
            read.push(((*first).to_owned(), named));
            rest = rest.get(used..).unwrap_or_default();
        }
        Named {
            words: words.len(),
            read,
        }
    }

    /// All subjects without duplicates, in their order.
    ///
    /// # Errors
    /// All words that name no subject; or that there are none, or too many.
    pub(in crate::command) fn all(&self) -> Result<Vec<Subject>, Vec<Problem>> {
        if self.words > MOST {
            return Err(problem(phrases::too_many_subjects(self.words, MOST)));
        }
        if self.words == 0 {
            return Err(problem(text::NO_SUBJECT));
        }
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (_, named) in &self.read {
            match named {
                Ok(subject) if found.contains(subject) => {}
                Ok(subject) => found.push(subject.clone()),
                Err(text) => problems.push(Problem::new(FIELD, text)),
            }
        }
        match problems.is_empty() {
            true => Ok(found),
            false => Err(problems),
        }
    }

    /// The only subject.
    ///
    /// # Errors
    /// As [`Named::all`], and if there are several.
    pub(in crate::command) fn one(&self) -> Result<Subject, Vec<Problem>> {
        let all = <[Subject; 1]>::try_from(self.all()?);
        all.map(|[subject]| subject)
            .map_err(|_| problem("One at a time: name one subject or one number."))
    }

    /// The subject of a login: an account, an address, or both, which make a pair.
    ///
    /// # Errors
    /// As [`Named::all`], and if it is no login.
    pub(in crate::command) fn login(&self) -> Result<Subject, Vec<Problem>> {
        match &self.all()?[..] {
            [Subject::Account(account), place] | [place, Subject::Account(account)] => {
                let net = place.net().ok_or_else(|| problem(NO_LOGIN))?;
                Ok(Subject::Pair(account.clone(), net))
            }
            [Subject::Guard(account)] => Ok(Subject::Account(account.clone())),
            [one] => Ok(one.clone()),
            _ => Err(problem(NO_LOGIN)),
        }
    }

    /// The valid subjects, each with its first word.
    pub(in crate::command) fn readable(&self) -> impl Iterator<Item = (&str, &Subject)> {
        let read = self.read.iter();
        read.filter_map(|(written, named)| Some((written.as_str(), named.as_ref().ok()?)))
    }
}

/// The only subject that some words name; `None` if there is none, or several.
pub fn only(words: &[&str], context: &Context) -> Option<Subject> {
    Named::read(words, context).one().ok()
}

/// The first subject, and the number of its words.
fn one(named: &[&str], context: &Context) -> (Result<Subject, String>, usize) {
    let word = named.first().copied().unwrap_or_default();
    if word.contains([',', ';']) && words::unquoted(word).is_none() {
        return (Err(text::one_or_several(word)), 1);
    }
    if word.starts_with('#') && !word.contains('@') {
        let named = BanId::parse(word)
            .and_then(|id| {
                context
                    .engine
                    .read(|ledger| ledger.subjects().by_number(id).cloned())
            })
            .ok_or_else(|| text::no_such_number(word));
        return (named, 1);
    }
    match Subject::take(named) {
        Ok((subject, used)) if used > 1 || !named.get(1).is_some_and(|word| is_from(word)) => {
            (Ok(subject), used)
        }
        Err(why @ BadSubject::Apart(_)) => {
            let used = if named[1].starts_with(['/', '\\', '2']) {
                2
            } else {
                3
            };
            (Err(phrases::sentence(&why.to_string())), used)
        }
        Err(why) => (Err(phrases::sentence(&why.to_string())), 1),
        // An unreadable pair must not become a ban of the whole account.
        Ok(_) => {
            let used = named.len().min(3);
            let why = match Subject::parse(&named[..used].join(" ")) {
                Err(why) => phrases::sentence(&why.to_string()),
                Ok(_) => String::from(NO_LOGIN),
            };
            (Err(why), used)
        }
    }
}

fn problem(text: impl Into<String>) -> Vec<Problem> {
    vec![Problem::new(FIELD, text)]
}
