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

/// Not an account, an address or one from the other.
pub(in crate::command) const NO_LOGIN: &str = "Name one login: an account (alice@example.org), an address (203.0.113.7), or both with a space between them.";

/// Words that name somebody, read one after the other.
#[derive(Debug)]
pub(in crate::command) struct Named {
    /// How many words there are; more than [`MOST`] are not read.
    words: usize,
    /// The first word of each, with whom it means or what is wrong with it.
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

    /// Everybody, each once, in the order written.
    ///
    /// # Errors
    /// Every word that names nobody, all at once; or that there are none or too many.
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

    /// The only one.
    ///
    /// # Errors
    /// As [`Named::all`]; that there are several.
    pub(in crate::command) fn one(&self) -> Result<Subject, Vec<Problem>> {
        let all = <[Subject; 1]>::try_from(self.all()?);
        all.map(|[subject]| subject)
            .map_err(|_| problem("One at a time: name one subject or one number."))
    }

    /// Whose login is meant, from where, or both: an account and an address behind one another are a pair.
    ///
    /// # Errors
    /// As [`Named::all`]; that it is no login.
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

    /// Those that can be read, each with the first word that names it.
    pub(in crate::command) fn readable(&self) -> impl Iterator<Item = (&str, &Subject)> {
        let read = self.read.iter();
        read.filter_map(|(written, named)| Some((written.as_str(), named.as_ref().ok()?)))
    }
}

/// The only subject that some words name; `None`: they name nobody, or several.
pub fn only(words: &[&str], context: &Context) -> Option<Subject> {
    Named::read(words, context).one().ok()
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
                Ok(_) => String::from(NO_LOGIN),
            };
            (Err(why), used)
        }
    }
}

fn problem(text: impl Into<String>) -> Vec<Problem> {
    vec![Problem::new(FIELD, text)]
}
