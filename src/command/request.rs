//! A call whose subjects are read, once for everybody: for the role check, for the command and for its answer.

use std::ops::Deref;

use super::call::Call;
use super::context::Context;
use super::outcome::{Ask, EarlyOutcome, Problem};
use super::parts::{reach, subjects};
use super::phrases;
use super::spec::Place;
use crate::core::term::BadTerm;
use crate::core::{Subject, Term};

/// A call as commands work with it.
pub(super) struct Request<'a> {
    call: &'a Call,
    /// What stands in the field that says whom the command is about.
    named: subjects::Named,
}

impl Deref for Request<'_> {
    type Target = Call;

    fn deref(&self) -> &Call {
        self.call
    }
}

impl<'a> Request<'a> {
    pub(super) fn read(call: &'a Call, context: &Context) -> Request<'a> {
        let whom = [Place::Subjects, Place::Subject, Place::Login];
        let mut fields = call.command.fields.iter();
        let words = match fields.find(|field| whom.contains(&field.place)) {
            Some(field) => call.values.words(field.name),
            None => Vec::new(),
        };
        Request {
            call,
            named: subjects::Named::read(&words, context),
        }
    }

    /// Everybody it names, each once, in the order written.
    ///
    /// # Errors
    /// Every word that names nobody; that nobody is named, or too many.
    pub(super) fn subjects(&self) -> Result<Vec<Subject>, Vec<Problem>> {
        self.named.all()
    }

    /// The only one it names.
    ///
    /// # Errors
    /// As [`Request::subjects`]; that there are several.
    pub(super) fn subject(&self) -> Result<Subject, Vec<Problem>> {
        self.named.one()
    }

    /// Whose login it names, from where, or both: an account and an address behind one another are a pair.
    ///
    /// # Errors
    /// As [`Request::subjects`]; that it is no login.
    pub(super) fn login(&self) -> Result<Subject, Vec<Problem>> {
        self.named.login()
    }

    /// Whom it names without the role over them that the command needs, a sentence each. What cannot be read is left to
    /// the command to tell.
    pub(super) fn beyond(&self) -> Vec<Problem> {
        reach::beyond(self.call, &self.named)
    }

    /// What was written into a field of one line, without characters that could fool somebody.
    pub(super) fn clean_line(&self, field: &str) -> Option<String> {
        let line = self.values.line(field)?;
        Some(phrases::clean(&line)).filter(|line| !line.is_empty())
    }

    /// The same for a field of several lines.
    pub(super) fn clean_text(&self, field: &str) -> Option<String> {
        let text = self.values.text(field)?;
        Some(phrases::clean_lines(&text)).filter(|text| !text.is_empty())
    }

    /// A yes or no.
    ///
    /// # Errors
    /// It is neither.
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, [Problem; 1]> {
        let flag = self.values.flag(field);
        flag.ok_or_else(|| [Problem::new(field, phrases::no_flag(field))])
    }

    /// A term; `None`: none was written.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn term(&self, field: &'static str) -> Result<Option<Term>, [Problem; 1]> {
        let term = self.values.line(field).map(|text| Term::parse(&text));
        let text = |why: BadTerm| phrases::sentence(&why.to_string());
        term.transpose()
            .map_err(|why| [Problem::new(field, text(why))])
    }

    /// Asks the caller back, unless they said yes to this already.
    ///
    /// # Errors
    /// The question.
    pub(super) fn confirm(
        &self,
        is_risky: bool,
        ask: impl FnOnce() -> Ask,
    ) -> Result<(), EarlyOutcome> {
        match is_risky && !self.confirmed {
            true => Err(ask().into()),
            false => Ok(()),
        }
    }
}
