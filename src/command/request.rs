//! A call with its subjects read once, for the role check, the command and its answer.

use std::ops::Deref;

use super::call::Call;
use super::context::Context;
use super::outcome::{Ask, EarlyOutcome, Problem};
use super::parts::{reach, subjects};
use super::phrases;
use super::spec::Place;
use crate::core::term::BadTerm;
use crate::core::{Subject, Term};

/// A call as commands use it.
pub(super) struct Request<'a> {
    call: &'a Call,
    /// The content of the subject field.
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

    /// All subjects without duplicates, in their order.
    ///
    /// # Errors
    /// All words that name no subject; or that there are none, or too many.
    pub(super) fn subjects(&self) -> Result<Vec<Subject>, Vec<Problem>> {
        self.named.all()
    }

    /// The only subject.
    ///
    /// # Errors
    /// As [`Request::subjects`], and if there are several.
    pub(super) fn subject(&self) -> Result<Subject, Vec<Problem>> {
        self.named.one()
    }

    /// The subject of a login: an account, an address, or both, which make a pair.
    ///
    /// # Errors
    /// As [`Request::subjects`], and if it is no login.
    pub(super) fn login(&self) -> Result<Subject, Vec<Problem>> {
        self.named.login()
    }

    /// A problem for each subject over which the caller lacks the required role. Words that cannot be read are
    /// reported by the command.
    pub(super) fn beyond(&self) -> Vec<Problem> {
        reach::beyond(self.call, &self.named)
    }

    /// The text of a one-line field, cleaned; `None` if it is empty.
    pub(super) fn clean_line(&self, field: &str) -> Option<String> {
        let line = self.values.line(field)?;
        Some(phrases::clean(&line)).filter(|line| !line.is_empty())
    }

    /// The text of a field of several lines, cleaned; `None` if it is empty.
    pub(super) fn clean_text(&self, field: &str) -> Option<String> {
        let text = self.values.text(field)?;
        Some(phrases::clean_lines(&text)).filter(|text| !text.is_empty())
    }

    /// The value of a yes-or-no field.
    ///
    /// # Errors
    /// If it is neither.
    pub(super) fn flag(&self, field: &'static str) -> Result<bool, [Problem; 1]> {
        let flag = self.values.flag(field);
        flag.ok_or_else(|| [Problem::new(field, phrases::no_flag(field))])
    }

    /// The term in a field; `None` if it is empty.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(super) fn term(&self, field: &'static str) -> Result<Option<Term>, [Problem; 1]> {
        let term = self.values.line(field).map(|text| Term::parse(&text));
        let text = |why: BadTerm| phrases::sentence(&why.to_string());
        term.transpose()
            .map_err(|why| [Problem::new(field, text(why))])
    }

    /// Asks for confirmation, unless the caller has confirmed.
    ///
    /// # Errors
    /// The question, as an outcome.
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
