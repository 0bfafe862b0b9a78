//! The values of a command's fields, before they are parsed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::{Subject, words};

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

    /// The words of a field, split at spaces, commas and line ends. A word in plain quotes keeps them. A word that is one
    /// account, commas and all, is left whole: who wrote it may have meant several.
    pub fn words(&self, name: &str) -> Vec<&str> {
        let written = self.raw(name).iter();
        let words = written.flat_map(|value| value.split_whitespace());
        words.flat_map(separate).collect()
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

/// Whether a comma or semicolon ends a word.
fn is_between(c: char) -> bool {
    matches!(c, ',' | ';')
}

/// The words of a text without spaces.
pub(super) fn separate(text: &str) -> Vec<&str> {
    let text = text.trim_end_matches(is_between);
    if words::unquoted(text).is_some() || (text.contains('@') && Subject::parse(text).is_ok()) {
        return vec![text];
    }
    let words = text.split(is_between);
    words.filter(|word| !word.is_empty()).collect()
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

    #[test]
    fn a_comma_that_may_belong_to_a_name_is_not_guessed_about() {
        let words = |text| {
            Values::new()
                .with("subject", text)
                .words("subject")
                .join("|")
        };
        assert_eq!(
            words("a@b,c@d; e@f , #1;\n1.2.3.4,"),
            "a@b|c@d|e@f|#1|1.2.3.4"
        );
        assert_eq!(words("#1,x@example.org y@z"), "#1,x@example.org|y@z");
        assert_eq!(
            words("\"#1,x@example.org\", y@z"),
            "\"#1,x@example.org\"|y@z"
        );
    }
}
