//! Reading the values of keys: one method per type, and what to do with the result.

use std::{ops::RangeInclusive, time::Duration};

use toml::de::DeValue;

use super::{
    key::{ConfigKey, ROLES, ROOMS, RULES, within},
    problem::ByteSpan,
    section::{Section, TomlType},
    values::{duration, one_of, term},
};
use crate::core::Term;

impl<'r, 'f> Section<'r, 'f> {
    /// A text, parsed by `parse`.
    pub(super) fn text<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> KeyRead<'_, 'r, 'f, T> {
        let example = format!("\"{example}\"");
        self.take(TomlType::Text, name, takes.to_owned(), example)
            .map(|_, value| parse(value.as_str().unwrap_or_default()))
    }

    /// One word from a list.
    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&'static str, T)],
        example: &str,
    ) -> KeyRead<'_, 'r, 'f, T> {
        self.text(name, &listed(words), example, |text| one_of(text, words))
    }

    /// A finite duration.
    pub(super) fn duration(
        &mut self,
        name: &'static str,
        example: &str,
    ) -> KeyRead<'_, 'r, 'f, Duration> {
        self.text(name, "a duration", example, duration)
    }

    /// A duration, or forever.
    pub(super) fn term(&mut self, name: &'static str, example: &str) -> KeyRead<'_, 'r, 'f, Term> {
        self.text(name, "a duration", example, term)
    }

    pub(super) fn flag(&mut self, name: &'static str, example: bool) -> KeyRead<'_, 'r, 'f, bool> {
        self.take(
            TomlType::Flag,
            name,
            "true or false".to_owned(),
            example.to_string(),
        )
        .map(|_, value| Ok(value.as_bool().unwrap_or_default()))
    }

    /// An integer within `within`, both bounds included.
    pub(super) fn whole(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<u32>,
        example: u32,
    ) -> KeyRead<'_, 'r, 'f, u32> {
        let takes = match bounds.end() {
            &u32::MAX => format!("a whole number from {} on", bounds.start()),
            most => format!("a whole number from {} to {most}", bounds.start()),
        };
        let example = example.to_string();
        let read = self.take(TomlType::Number, name, takes, example);
        read.ranged(|number| {
            let within = f64::from(*bounds.start())..=f64::from(*bounds.end());
            // The range makes the cast exact.
            (number.fract() == 0.0 && within.contains(&number)).then_some(number as u32)
        })
    }

    /// A number, parsed by `parse`.
    pub(super) fn number<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl FnOnce(f64) -> Option<T>,
    ) -> KeyRead<'_, 'r, 'f, T> {
        self.take(TomlType::Number, name, takes.to_owned(), example.to_owned())
            .ranged(parse)
    }

    /// A list of numbers; `parse` also gets the earlier ones.
    pub(super) fn numbers<T>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl Fn(f64, &[(T, ByteSpan)]) -> Result<T, String>,
    ) -> KeyRead<'_, 'r, 'f, Vec<(T, ByteSpan)>> {
        self.take(
            TomlType::Numbers,
            name,
            "a list of numbers".to_owned(),
            example.to_owned(),
        )
        .each(|value, before| parse(number(value), before))
    }

    /// A list of texts with their positions; each wrong one is reported.
    pub(super) fn texts<T>(
        &mut self,
        name: &'static str,
        takes: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> KeyRead<'_, 'r, 'f, Vec<(T, ByteSpan)>> {
        self.take(TomlType::Texts, name, takes.to_owned(), example.to_owned())
            .each(|value, _| parse(value.as_str().unwrap_or_default()))
    }
}

/// The value read for a key.
pub(super) struct KeyRead<'t, 'r, 'f, T> {
    pub(super) table: &'t mut Section<'r, 'f>,
    pub(super) key: ConfigKey,
    pub(super) takes: String,
    pub(super) example: String,
    /// Whether the key is in the file, even with an unusable value.
    pub(super) was_there: bool,
    pub(super) value: Option<(T, ByteSpan)>,
}

impl<'t, 'r, 'f, T> KeyRead<'t, 'r, 'f, T> {
    /// The value, or `default` if there is none.
    pub(super) fn or(self, default: T) -> T
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        self.or_with_place(default).0
    }

    /// The value or `default`, with the position of a value from the file.
    pub(super) fn or_with_place(self, default: T) -> (T, Option<ByteSpan>)
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        let (value, place) = self.value.unzip();
        let value = value.unwrap_or(default);
        self.table.keep(self.key.name, &value);
        (value, place)
    }

    /// The value; `None` if there is none.
    pub(super) fn optional(self) -> Option<T>
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        self.with_place().0
    }

    /// The value and its position; `None` without a value.
    pub(super) fn with_place(self) -> (Option<T>, Option<ByteSpan>)
    where
        T: Clone + PartialEq + Send + Sync + 'static,
    {
        let (value, place) = self.value.unzip();
        self.table.keep(self.key.name, &value);
        (value, place)
    }

    /// Whether there is an unusable value, which has been reported.
    pub(super) fn is_wrong(&self) -> bool {
        self.was_there && self.value.is_none()
    }

    /// The value with its position. Reloads do not compare it; the caller uses [`Section::keep`] for that.
    pub(super) fn placed(self) -> Option<(T, ByteSpan)> {
        self.value
    }

    /// Reports a problem if the key is missing.
    pub(super) fn required(self) -> Self {
        if !self.was_there && !self.table.unusable {
            let ConfigKey { section, name, .. } = self.key;
            let of = match section {
                ROLES => " of this role".to_owned(),
                ROOMS => " of this room".to_owned(),
                RULES => " of this rule".to_owned(),
                _ => within(section),
            };
            let said = format!(
                "`{name}`{of} is missing: {}; for example `{name} = {}`",
                self.takes, self.example
            );
            self.table.missing.push((name, said));
        }
        self
    }

    /// Converts the value; an error is reported with the key and the example.
    pub(super) fn map<U>(
        self,
        read: impl FnOnce(&mut Section<'r, 'f>, T) -> Result<U, String>,
    ) -> KeyRead<'t, 'r, 'f, U> {
        let KeyRead {
            table,
            key,
            takes,
            example,
            was_there,
            value,
        } = self;
        let value = value.and_then(|(value, place)| {
            let read =
                read(table, value).map_err(|said| table.say(key, &example, place.clone(), &said));
            Some((read.ok()?, place))
        });
        KeyRead {
            table,
            key,
            takes,
            example,
            was_there,
            value,
        }
    }
}

impl<'t, 'r, 'f> KeyRead<'t, 'r, 'f, DeValue<'f>> {
    fn ranged<T>(self, parse: impl FnOnce(f64) -> Option<T>) -> KeyRead<'t, 'r, 'f, T> {
        let takes = self.takes.clone();
        self.map(|_, value| {
            let number = number(&value);
            parse(number).ok_or_else(|| format!("{number} is not {takes}"))
        })
    }

    /// Converts each value of a list, with access to the earlier ones.
    fn each<T>(
        self,
        mut read: impl FnMut(&DeValue<'f>, &[(T, ByteSpan)]) -> Result<T, String>,
    ) -> KeyRead<'t, 'r, 'f, Vec<(T, ByteSpan)>> {
        let (key, example) = (self.key, self.example.clone());
        let mut is_right = true;
        let read = self.map(|table, value| {
            let mut all = Vec::new();
            let list = match value {
                DeValue::Array(list) => list,
                _ => return Ok(all),
            };
            for one in list {
                match read(one.get_ref(), &all) {
                    Ok(value) => all.push((value, one.span())),
                    Err(said) => {
                        is_right = false;
                        table.say(key, &example, one.span(), &said);
                    }
                }
            }
            Ok(all)
        });
        let value = read.value.filter(|_| is_right);
        KeyRead { value, ..read }
    }
}

impl<T: Clone + PartialEq + Send + Sync + 'static> KeyRead<'_, '_, '_, Vec<(T, ByteSpan)>> {
    /// The values without their positions; empty if the key is missing.
    pub(super) fn list(self) -> Vec<T> {
        let list: Vec<T> = self
            .value
            .into_iter()
            .flat_map(|(list, _)| list)
            .map(|(value, _)| value)
            .collect();
        self.table.keep(self.key.name, &list);
        list
    }
}

/// The number; NaN if the value is not a number.
fn number(value: &DeValue<'_>) -> f64 {
    match value {
        DeValue::Integer(typed) => {
            i64::from_str_radix(&typed.as_str().replace('_', ""), typed.radix())
                .map_or(f64::NAN, |number| number as f64)
        }
        DeValue::Float(typed) => typed.as_str().replace('_', "").parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    }
}

/// `"a", "b" or "c"`.
fn listed<T>(words: &[(&'static str, T)]) -> String {
    let words: Vec<_> = words
        .iter()
        .map(|(word, _)| format!("\"{word}\""))
        .collect();
    match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => words.concat(),
    }
}
