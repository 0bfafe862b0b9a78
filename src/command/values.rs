//! The values of a command's fields, before they are parsed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A field in no form: what a question was about. A command writes it into the values of an
/// [`Ask`](super::outcome::Ask), so that it comes back with the yes.
pub const AS_OF: &str = "as_of";

/// The values of a command's fields, not parsed yet.
///
/// No value, an empty one, and white space all mean "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    /// Values in which no field is set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a field, replacing earlier values.
    pub fn set(&mut self, name: &str, values: Vec<String>) {
        self.0.insert(name.to_owned(), values);
    }

    /// Sets a field to one value; for chaining.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, vec![value.to_owned()]);
        self
    }

    /// Whether no field is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the fields that are set.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of a field, unchanged; empty if it is not set.
    pub fn raw(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// The text of a one-line field: several values are joined; `None` if it is empty.
    pub fn line(&self, name: &str) -> Option<String> {
        let words: Vec<&str> = self
            .raw(name)
            .iter()
            .flat_map(|value| value.split_whitespace())
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// The text of a field of several lines; `None` if it is empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = self.raw(name).join("\n");
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The words of a field, split at spaces, commas and line ends.
    pub fn words(&self, name: &str) -> Vec<&str> {
        self.raw(name)
            .iter()
            .flat_map(|value| value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')))
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// Parses yes or no; `None` if it is neither.
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.line(name).as_deref() {
            None | Some("0" | "false" | "no") => Some(false),
            Some("1" | "true" | "yes") => Some(true),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_has_three_spellings() {
        for empty in [vec![], vec![String::new()], vec![String::from(" \n ")]] {
            let mut values = Values::new();
            values.set("reason", empty);
            assert_eq!(values.line("reason"), None);
            assert_eq!(values.text("reason"), None);
            assert_eq!(values.flag("reason"), Some(false));
            assert!(values.words("reason").is_empty());
        }
        assert_eq!(Values::new().line("reason"), None);
    }

    #[test]
    fn booleans_have_four_spellings_and_no_fifth() {
        let flag = |text| Values::new().with("force", text).flag("force");
        assert_eq!(
            [flag("1"), flag("true"), flag("0"), flag("false")],
            [Some(true), Some(true), Some(false), Some(false)]
        );
        assert_eq!(flag("maybe"), None);
    }
}
