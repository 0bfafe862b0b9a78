//! What was written into the fields of a command.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A field of no form: what a question was about. A command writes it into the values of an
/// [`Ask`](super::outcome::Ask), so that the yes comes back with it.
pub const AS_OF: &str = "as_of";

/// What was written into the fields of a command, not yet read.
///
/// Empty has three spellings (no value, an empty one, white space); all mean "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Values(BTreeMap<String, Vec<String>>);

impl Values {
    /// Nothing written.
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes a field; what it held before is gone.
    pub fn set(&mut self, name: &str, values: Vec<String>) {
        self.0.insert(name.to_owned(), values);
    }

    /// The same with one value, for a chain.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, vec![value.to_owned()]);
        self
    }

    /// Whether no field was written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names of the fields that were written.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// The values of a field as they were written.
    pub fn raw(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// What was written into a field that takes one line: several values are read as one.
    pub fn line(&self, name: &str) -> Option<String> {
        let words: Vec<&str> = self
            .raw(name)
            .iter()
            .flat_map(|value| value.split_whitespace())
            .collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// What was written into a field of several lines, as one text.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = self.raw(name).join("\n");
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The single words of a field, split at spaces, commas and line ends.
    pub fn words(&self, name: &str) -> Vec<&str> {
        self.raw(name)
            .iter()
            .flat_map(|value| value.split(|c: char| c.is_whitespace() || matches!(c, ',' | ';')))
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// A yes or no; `None` when it is neither.
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
