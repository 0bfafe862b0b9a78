//! What a command is: one description that the form, the chat line, `help`, the disco item, the
//! permission and the manual all derive from.

use std::collections::BTreeMap;

use futures::future::BoxFuture;

use super::call::{Call, Context};
use super::outcome::Outcome;
use super::words;
use crate::core::{Role, Term};

/// One command.
pub struct Spec {
    /// The word in chat and the node of the form. Some clients show only this.
    pub name: &'static str,
    /// What lists of commands call it.
    pub title: &'static str,
    /// What it does, one sentence.
    pub summary: &'static str,
    /// The least role that sees it and may run it.
    pub needs: Role,
    /// Whether it is offered as a form (XEP-0050) too, or in chat only.
    pub form: bool,
    /// What it asks for, in the order of the form.
    pub fields: &'static [Field],
    /// How it is written in chat.
    pub usage: &'static str,
    /// Lines that work, with what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Does it.
    pub run: for<'a> fn(&'a Call, &'a Context) -> BoxFuture<'a, Outcome>,
}

impl std::fmt::Debug for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Spec({})", self.name)
    }
}

/// One thing a command asks for.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in code, forms and scripts.
    pub name: &'static str,
    /// What people see, under 30 characters: some clients show nothing else.
    pub label: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether the command cannot do without.
    pub required: bool,
    /// One sentence more, for clients that show it and for the manual.
    pub desc: &'static str,
    /// Where it stands in a chat line.
    pub place: Place,
}

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Several lines, one value each.
    Lines,
    /// One line.
    Line,
    /// One of a few terms; what is not among them goes into the named field.
    Term {
        /// The field that takes any other term.
        other: &'static str,
    },
    /// Yes or no, by default no.
    Flag,
    /// One of these, the first when nothing is chosen: value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number.
    Number {
        /// The least.
        from: u32,
        /// The most.
        to: u32,
    },
    /// Bare JIDs, one each: only in the forms of XEP-0133, which name them so.
    Jids,
}

/// Where a field stands in a chat line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The words at the front that name somebody.
    Subjects,
    /// The first word or words, which name one.
    Subject,
    /// All words behind `all`, in place of subjects; what is in quotes there is the rest.
    All,
    /// The words at the front that name a login: an account, an address, or both.
    Login,
    /// A duration behind them.
    Term,
    /// All that is left.
    Rest,
    /// A bare number at the very end.
    Last,
    /// `--name`, anywhere.
    Option,
    /// Not in a chat line.
    Nowhere,
}

/// What a preset is called that leaves the term to the configuration, or to the ban in force.
pub const DEFAULT_TERM: &str = "default";

/// The terms offered; any other can be typed.
pub const PRESETS: [&str; 9] = ["1h", "12h", "1d", "3d", "7d", "30d", "90d", "1y", "forever"];

/// The choices a [`Kind::Term`] field offers to a role: value and label, the default first.
/// What the role may not give is left out.
pub fn terms_for(role: Role, context: &Context) -> Vec<(String, String)> {
    let (policy, now) = (context.gate.policy(), context.gate.now());
    let default = words::default_term(policy.default_term_for(role, now));
    let mut choices = vec![(String::from(DEFAULT_TERM), default)];
    for preset in PRESETS {
        if let Ok(term) = Term::parse(preset)
            && policy.allows_term(role, term, now).is_ok()
        {
            choices.push((String::from(preset), words::term(term)));
        }
    }
    choices
}

/// What was written into the fields of a command, not yet read.
///
/// Empty has three spellings (no value, an empty one, white space); all mean "not given".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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

    /// All fields and what was written into them.
    pub fn into_fields(self) -> BTreeMap<String, Vec<String>> {
        self.0
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
