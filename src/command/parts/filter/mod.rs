//! Filters for lists and mass un-bans: words that must all match.
//!
//! There is one grammar for bans, failed logins and exemptions. Each list says which words it knows; an unknown word
//! is an error that names the known ones, never a list of everything. Forms have a field for each of the usual words;
//! their values become the same words.

mod condition;
mod fields;

use crate::command::outcome::Problem;
use crate::command::phrases;
use crate::command::values::Values;
use crate::core::{Rights, Role, Timestamp};
use condition::{Test, read};

pub(in crate::command) use condition::Sifted;
pub use fields::{ANY, BY, EXPIRING, KIND, ORIGIN, STATE, words_field};

/// The filter words. Each command lists those it knows; plain words are always known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `account`, `address`, `network`, `pair`, `guard`.
    Kind,
    /// An account, address or network, for rows about it; for a network also rows that contain it or lie within it.
    Whom,
    /// `by:NAME`
    By,
    /// `origin:hand`, `origin:rule`, `origin:import`, `origin:server`.
    Origin,
    /// `rule:NAME`
    Rule,
    /// `state:in-force`, `state:pending`, `state:ended`, `state:any`.
    State,
    /// `expiring:2h`
    Expiring,
    /// `#10..20`
    Numbers,
    /// `unknown`
    Unknown,
    /// `by-hand`
    ByHand,
}

/// The states of bans that a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BanState {
    /// Active bans.
    InForce,
    /// Active bans that the server has not carried out yet.
    Pending,
    /// Ended bans.
    Ended,
    /// Active and ended bans.
    Any,
}

/// Conditions that must all match.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::command) struct Filter {
    /// The filter as written in a chat line.
    words: String,
    tests: Vec<Test>,
    /// The rights of the caller; rows that they may not see never match.
    rights: Rights,
}

impl Filter {
    /// A filter without conditions: everything that somebody with these rights may see.
    pub(in crate::command) fn all(rights: &Rights) -> Filter {
        Filter {
            rights: rights.clone(),
            ..Filter::default()
        }
    }

    /// Reads the field `filter` and the fields beside it, for somebody with these rights.
    ///
    /// # Errors
    /// All unknown words, each with the known ones.
    pub(in crate::command) fn parse(
        values: &Values,
        rights: &Rights,
        known: &[Word],
        now: Timestamp,
    ) -> Result<Filter, Vec<Problem>> {
        let mut filter = Filter::all(rights);
        let mut problems = Vec::new();
        let typed = values.line("filter").unwrap_or_default();
        filter.take(&phrases::clean(&typed), "filter", known, now, &mut problems);
        for (field, prefix) in [
            ("kind", ""),
            ("state", "state:"),
            ("origin", "origin:"),
            ("by", "by:"),
            ("expiring", "expiring:"),
            ("rule", "rule:"),
        ] {
            let Some(value) = values.line(field) else {
                continue;
            };
            // "Any" omits a field from the filter; for states the default is "in-force".
            let skipped = if field == "state" { "in-force" } else { ANY };
            if value != skipped {
                // Durations may contain spaces; a name has none.
                let value = match field {
                    "expiring" => value.replace(' ', ""),
                    _ => value,
                };
                let word = format!("{prefix}{}", phrases::clean(&value));
                filter.take(&word, field, known, now, &mut problems);
            }
        }
        match problems.is_empty() {
            true => Ok(filter),
            false => Err(problems),
        }
    }

    fn take(
        &mut self,
        text: &str,
        field: &'static str,
        known: &[Word],
        now: Timestamp,
        problems: &mut Vec<Problem>,
    ) {
        let all: Vec<&str> = text.split_whitespace().collect();
        let mut rest = &all[..];
        while !rest.is_empty() {
            let used = match read(rest, known, now) {
                Ok((tests, used)) => {
                    self.tests.extend(tests);
                    used
                }
                Err(text) => {
                    problems.push(Problem::new(field, text));
                    1
                }
            };
            for word in &rest[..used] {
                if !self.words.is_empty() {
                    self.words.push(' ');
                }
                self.words.push_str(word);
            }
            rest = &rest[used..];
        }
    }

    /// The filter as written in a chat line.
    pub(in crate::command) fn words(&self) -> &str {
        &self.words
    }

    /// Whether everything matches.
    pub(in crate::command) fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// The state to show; `None` if several are asked for, so that nothing matches.
    pub(in crate::command) fn state(&self) -> Option<BanState> {
        let mut states = self.tests.iter().filter_map(|test| match test {
            Test::State(state) => Some(*state),
            _ => None,
        });
        let first = states.next().unwrap_or(BanState::InForce);
        states.all(|other| other == first).then_some(first)
    }

    /// Whether a row may be seen and matches all conditions, apart from the state.
    pub(in crate::command) fn holds(&self, row: &impl Sifted) -> bool {
        self.rights.over_account(row.whose()) >= Role::Viewer
            && self.tests.iter().all(|test| test.holds(row))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Subject;

    const ALL: &[Word] = &[
        Word::Kind,
        Word::Whom,
        Word::By,
        Word::Origin,
        Word::Rule,
        Word::State,
        Word::Expiring,
        Word::Numbers,
        Word::Unknown,
        Word::ByHand,
    ];

    fn all_rights() -> Rights {
        Rights::everywhere(Role::Viewer)
    }

    fn now() -> Timestamp {
        Timestamp::from_millis(1_795_320_000_000)
    }

    /// The conditions of a filter, or the first error sentence.
    fn check(text: &str) -> Result<Vec<Test>, String> {
        let values = Values::new().with("filter", text);
        match Filter::parse(&values, &all_rights(), ALL, now()) {
            Ok(filter) => Ok(filter.tests),
            Err(problems) => Err(problems[0].text.clone()),
        }
    }

    #[test]
    fn filters_are_read_or_refused_never_ignored() {
        let account = |text: &str| Subject::parse(text).unwrap().whose().cloned().unwrap();
        for (text, expected) in [
            ("Accounts", vec![Test::Kind("account")]),
            ("guard", vec![Test::Kind("guard")]),
            ("by:Alice", vec![Test::By("alice".into())]),
            ("rule:Pair", vec![Test::Rule("pair".into())]),
            ("origin:Import", vec![Test::Origin("import")]),
            ("state:ended", vec![Test::State(BanState::Ended)]),
            ("#10..", vec![Test::Numbers(10, u64::MAX)]),
            ("#10..20", vec![Test::Numbers(10, 20)]),
            ("#7", vec![Test::Numbers(7, 7)]),
            ("spam", vec![Test::Text("spam".into())]),
            ("2001:db8:", vec![Test::Text("2001:db8:".into())]),
            ("by-hand", vec![Test::ByHand]),
            ("unknown", vec![Test::Unknown]),
            ("A@B", vec![Test::Whose(account("a@b"))]),
            (
                "192.0.2.1",
                vec![Test::Place("192.0.2.1/32".parse().unwrap())],
            ),
            (
                "a@b from 192.0.2.0/24 spam",
                vec![
                    Test::Whose(account("a@b")),
                    Test::Place("192.0.2.0/24".parse().unwrap()),
                    Test::Text("spam".into()),
                ],
            ),
            (
                "guard of a@b",
                vec![Test::Kind("guard"), Test::Whose(account("a@b"))],
            ),
        ] {
            assert_eq!(check(text), Ok(expected), "{text}");
        }
        let hour = std::time::Duration::from_secs(3_600);
        let ends = Test::EndsBy(now().saturating_add(hour * 2));
        assert_eq!(check("expiring:2h"), Ok(vec![ends]));
        for (text, said) in [
            ("origin:auto", "origin:hand"),
            ("state:over", "state:ended"),
            ("since:now", "by:NAME"),
            ("by:", "by:NAME"),
            ("#x..", "no range"),
            ("expiring:2", "needs a unit"),
            ("expiring:forever", "never end"),
        ] {
            assert!(check(text).is_err_and(|got| got.contains(said)), "{text}");
        }
    }

    #[test]
    fn what_a_list_does_not_know_is_an_error_there() {
        let parse = |text| {
            let values = Values::new().with("filter", text);
            Filter::parse(&values, &all_rights(), &[Word::Rule], now())
        };
        let problems = parse("by:alice origin:hand").unwrap_err();
        assert_eq!(problems.len(), 2, "all at once");
        assert!(problems[0].text.contains("rule:NAME"));
        assert!(!problems[0].text.contains("state:"));
        assert_eq!(
            parse("account").unwrap().tests,
            [Test::Text("account".into())]
        );
    }

    #[test]
    fn fields_become_the_same_words() {
        let values = Values::new()
            .with("filter", "spam")
            .with("kind", "account")
            .with("state", "ended")
            .with("origin", "any")
            .with("by", "alice")
            .with("expiring", "1d 12h");
        let filter = Filter::parse(&values, &all_rights(), ALL, now()).unwrap();
        assert_eq!(
            filter.words(),
            "spam account state:ended by:alice expiring:1d12h"
        );
        let again = Filter::parse(
            &Values::new().with("filter", filter.words()),
            &all_rights(),
            ALL,
            now(),
        );
        assert_eq!(again.unwrap(), filter);
        let values = Values::new().with("state", "in-force").with("kind", "any");
        let filter = Filter::parse(&values, &all_rights(), ALL, now()).unwrap();
        assert!(filter.is_empty());
        let wrong = Filter::parse(
            &Values::new().with("origin", "mars"),
            &all_rights(),
            ALL,
            now(),
        );
        assert_eq!(wrong.unwrap_err()[0].field, "origin");
    }

    #[test]
    fn two_states_at_once_are_none() {
        let state = |text: &str| {
            let values = Values::new().with("filter", text);
            Filter::parse(&values, &all_rights(), ALL, now())
                .unwrap()
                .state()
        };
        assert_eq!(state("spam"), Some(BanState::InForce));
        assert_eq!(state("state:any"), Some(BanState::Any));
        assert_eq!(state("state:ended state:in-force"), None);
    }
}
