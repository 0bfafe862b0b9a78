//! What every section is read with: one value or a list, where it stands, and what to say when it is wrong.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use toml::Spanned;

use super::{
    Env,
    keys::{Key, key},
    problem::Found,
    raw,
    shape::Shaped,
    values::{account, term},
};
use crate::core::{Account, Term};

/// Where a value stands in the file, in bytes.
pub(super) type Place = std::ops::Range<usize>;

pub(super) struct Reader<'r, 't> {
    pub(super) folder: &'r Path,
    pub(super) env: Env<'r>,
    pub(super) found: &'r mut Found<'t>,
}

impl Reader<'_, '_> {
    /// One value: parsed, or reported with its key and an example.
    pub(super) fn value<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Text,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<(T, Place)> {
        let typed = typed?;
        match parse(typed.get_ref()) {
            Ok(value) => Some((value, typed.span())),
            Err(said) => {
                self.wrong(section, name, typed.span(), &said);
                None
            }
        }
    }

    /// A list: what is right of it; the rest is reported one by one.
    pub(super) fn values<T>(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Texts,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<(T, Place)> {
        let one_by_one = typed.unwrap_or_default().into_iter();
        one_by_one
            .filter_map(|typed| self.value(section, name, Some(typed), &parse))
            .collect()
    }

    pub(super) fn wrong(
        &mut self,
        section: &'static str,
        name: &'static str,
        place: Place,
        said: &str,
    ) {
        let message = match key(section, name) {
            Some(known) => format!(
                "{}: {said}; for example `{} = {}`",
                known.spoken(),
                known.name,
                known.example
            ),
            None => said.to_owned(),
        };
        self.found.wrong(Some(place), message);
    }

    pub(super) fn missing(&mut self, shaped: &Shaped, section: &'static str, name: &'static str) {
        let Some(Key { takes, example, .. }) = key(section, name) else {
            return;
        };
        if !shaped.was_taken_out(section, name) {
            let said = format!(
                "`{name}` in [{section}] is missing: {takes}; for example `{name} = {example}`"
            );
            self.found.wrong(None, said);
        }
    }

    /// Says what is missing in one of a list of tables.
    pub(super) fn left_out(
        &mut self,
        section: &'static str,
        what: &str,
        name: &'static str,
        place: &Place,
    ) {
        if let Some(known) = key(section, name) {
            let said = format!(
                "`{name}` of this {what} is missing: {}; for example `{name} = {}`",
                known.takes, known.example
            );
            self.found.wrong(Some(place.clone()), said);
        }
    }

    /// A length of time: not for ever, not until a date.
    pub(super) fn span(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Text,
    ) -> Option<Duration> {
        let finite = |text: &str| match term(text)? {
            Term::For(span) => Ok(span),
            _ => Err(format!("{text:?} has no end; here a length is needed")),
        };
        self.value(section, name, typed, finite).map(first)
    }

    /// A number without a fraction, both bounds included.
    pub(super) fn whole(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Number,
        least: u32,
        most: u32,
    ) -> Option<u32> {
        let typed = typed?;
        let number = *typed.get_ref();
        if number.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&number) {
            // The range makes the cast exact.
            return Some(number as u32);
        }
        let takes = key(section, name).map_or("another number", |key| key.takes);
        let said = format!("{number} cannot be; it is {takes}");
        self.wrong(section, name, typed.span(), &said);
        None
    }

    /// A path, from the folder of the configuration file.
    pub(super) fn path(&self, typed: raw::Text, default: &str) -> PathBuf {
        self.folder
            .join(typed.map_or_else(|| default.to_owned(), Spanned::into_inner))
    }

    /// A variable of the environment; an empty one counts as not set, as compose files leave it.
    pub(super) fn variable(&mut self, name: &'static str) -> Option<String> {
        let value = (self.env)(name).filter(|value| !value.is_empty())?;
        match value.into_string() {
            Ok(text) => Some(text),
            Err(_) => {
                self.found.wrong(
                    None,
                    format!("the environment variable {name} is not text in UTF-8"),
                );
                None
            }
        }
    }

    pub(super) fn accounts(
        &mut self,
        section: &'static str,
        name: &'static str,
        typed: raw::Texts,
    ) -> Vec<Account> {
        let mut seen = BTreeSet::new();
        let accounts = self
            .values(section, name, typed, account)
            .into_iter()
            .map(first);
        accounts
            .filter(|account| seen.insert(account.clone()))
            .collect()
    }
}

pub(super) fn first<T>((value, _): (T, Place)) -> T {
    value
}
