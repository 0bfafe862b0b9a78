//! What lists, and un-bans of many, are asked for: words that must all hold.
//!
//! One grammar for bans, failed logins and exemptions. Each list says which words it knows; one it
//! does not know is an error that names those it does, never a list of everything. Forms have a
//! field for each of the usual ones, so that nobody has to learn the words: what is filled in there
//! becomes the same words.

use ipnet::IpNet;

use super::outcome::Problem;
use super::spec::{Field, Kind, Place, Values};
use super::words;
use crate::ban::{Account, Origin, Rights, Role, Subject, Term, Timestamp};

/// The words there are. A list of them is what one command knows; plain words are always known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `account`, `address`, `network`, `pair`, `guard`.
    Kind,
    /// An account, or an address or network, for what is about it, covers it or lies in it.
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

/// Which bans a list looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Those in force.
    InForce,
    /// Of those, what the server has not taken yet.
    Pending,
    /// Those that are over.
    Ended,
    /// All.
    Any,
}

/// The states with the word for each.
const STATES: [(&str, State); 4] = [
    ("in-force", State::InForce),
    ("pending", State::Pending),
    ("ended", State::Ended),
    ("any", State::Any),
];

/// What fields call "leave this out of it".
pub const ANY: &str = "any";

/// The field for the words.
pub const fn words_field(desc: &'static str) -> Field {
    Field {
        name: "filter",
        label: "Filter",
        kind: Kind::Line,
        required: false,
        desc,
        place: Place::Rest,
    }
}

/// The kinds of subject to choose from.
pub const KIND: Field = Field {
    name: "kind",
    label: "Kind",
    kind: Kind::Choice(&[
        (ANY, "Any"),
        ("account", "Accounts"),
        ("address", "Addresses"),
        ("network", "Networks"),
        ("pair", "An account from one place"),
        ("guard", "Guards"),
    ]),
    required: false,
    desc: "Whom they are about.",
    place: Place::Nowhere,
};

/// The states to choose from.
pub const STATE: Field = Field {
    name: "state",
    label: "State",
    kind: Kind::Choice(&[
        ("in-force", "In force"),
        ("pending", "In force, server not told"),
        ("ended", "Ended"),
        (ANY, "Any"),
    ]),
    required: false,
    desc: "Of ended ones, the last 2000 are looked through.",
    place: Place::Nowhere,
};

/// The origins to choose from.
pub const ORIGIN: Field = Field {
    name: "origin",
    label: "Came about",
    kind: Kind::Choice(&[
        (ANY, "Any way"),
        ("hand", "By hand"),
        ("rule", "By a rule"),
        ("import", "By an import"),
        ("server", "By the server itself"),
    ]),
    required: false,
    desc: "Who decided.",
    place: Place::Nowhere,
};

/// The author.
pub const BY: Field = Field {
    name: "by",
    label: "By whom",
    kind: Kind::Line,
    required: false,
    desc: "A part of the name of who gave it.",
    place: Place::Nowhere,
};

/// How soon they end.
pub const EXPIRING: Field = Field {
    name: "expiring",
    label: "Ends within",
    kind: Kind::Line,
    required: false,
    desc: "A duration, such as 2h or 3d.",
    place: Place::Nowhere,
};

/// One row as filters see it. What a row does not have, no filter finds in it.
pub(super) trait Sifted {
    /// What it is about, in one word.
    fn kind(&self) -> &str {
        ""
    }
    /// The account it has to do with.
    fn whose(&self) -> Option<&Account> {
        None
    }
    /// Where it has to do with.
    fn place(&self) -> Option<IpNet> {
        None
    }
    /// Who gave it.
    fn by(&self) -> &str {
        ""
    }
    /// Where it comes from.
    fn origin(&self) -> Option<&Origin> {
        None
    }
    /// Whether a rule whose name holds this (in small letters) has to do with it.
    fn is_of_rule(&self, _name: &str) -> bool {
        false
    }
    /// Its number.
    fn number(&self) -> u64 {
        0
    }
    /// Its end.
    fn until(&self) -> Option<Timestamp> {
        None
    }
    /// Whether it is about an account there is not.
    fn is_unknown(&self) -> bool {
        false
    }
    /// Whether somebody counted it by hand.
    fn is_by_hand(&self) -> bool {
        false
    }
    /// Whether its words hold this (in small letters).
    fn says(&self, text: &str) -> bool;
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Kind(&'static str),
    Whose(Account),
    /// It covers this or lies in it.
    Place(IpNet),
    By(String),
    Origin(&'static str),
    Rule(String),
    State(State),
    EndsBy(Timestamp),
    Numbers(u64, u64),
    Unknown,
    ByHand,
    Text(String),
}

/// Conditions that must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    /// As it is written in a chat line.
    words: String,
    tests: Vec<Test>,
    /// Of whoever asks: what they may not see is not there.
    rights: Rights,
}

impl Filter {
    /// Reads the field `filter` and those beside it, for somebody with these rights.
    ///
    /// # Errors
    /// All words that are not known, each with those that are.
    pub(super) fn parse(
        values: &Values,
        rights: &Rights,
        known: &[Word],
        now: Timestamp,
    ) -> Result<Filter, Vec<Problem>> {
        let mut filter = Filter {
            rights: rights.clone(),
            ..Filter::default()
        };
        let mut problems = Vec::new();
        let typed = values.line("filter").unwrap_or_default();
        filter.take(&words::clean(&typed), "filter", known, now, &mut problems);
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
            // "Any" leaves the field out of it, but of states the usual ones are those in force.
            let skipped = if field == "state" { "in-force" } else { ANY };
            if value != skipped {
                // Durations may be typed with spaces; a name has none.
                let value = match field {
                    "expiring" => value.replace(' ', ""),
                    _ => value,
                };
                let word = format!("{prefix}{}", words::clean(&value));
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
                    problems.push(Problem { field, text });
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

    /// As it is written in a chat line.
    pub(super) fn words(&self) -> &str {
        &self.words
    }

    /// Whether everything passes.
    pub(super) fn is_empty(&self) -> bool {
        self.tests.is_empty()
    }

    /// Which bans it is about. Of several states that are asked for, none is.
    pub(super) fn state(&self) -> Option<State> {
        let mut states = self.tests.iter().filter_map(|test| match test {
            Test::State(state) => Some(*state),
            _ => None,
        });
        let first = states.next().unwrap_or(State::InForce);
        states.all(|other| other == first).then_some(first)
    }

    /// Whether a row may be seen and meets all conditions; the state is not among them.
    pub(super) fn holds(&self, row: &impl Sifted) -> bool {
        self.rights.over_account(row.whose()) >= Role::Viewer
            && self.tests.iter().all(|test| test.holds(row))
    }
}

impl Test {
    fn holds(&self, row: &impl Sifted) -> bool {
        match self {
            Test::Kind(kind) => row.kind() == *kind,
            Test::Whose(account) => row.whose() == Some(account),
            Test::Place(net) => row
                .place()
                .is_some_and(|place| crate::ban::subject::overlaps(&place, net)),
            Test::By(name) => row.by().to_lowercase().contains(name),
            Test::Origin(name) => row
                .origin()
                .is_some_and(|origin| origin_word(origin) == *name),
            Test::Rule(name) => row.is_of_rule(name),
            Test::State(_) => true,
            Test::EndsBy(end) => row.until().is_some_and(|until| until <= *end),
            Test::Numbers(from, to) => (*from..=*to).contains(&row.number()),
            Test::Unknown => row.is_unknown(),
            Test::ByHand => row.is_by_hand(),
            Test::Text(text) => row.says(text),
        }
    }
}

/// The word filters have for an origin.
fn origin_word(origin: &Origin) -> &'static str {
    match origin {
        Origin::Manual => "hand",
        Origin::Automatic { .. } => "rule",
        Origin::Imported => "import",
        Origin::Server => "server",
    }
}

/// What the words begin with, and how many of them that takes.
fn read(all: &[&str], known: &[Word], now: Timestamp) -> Result<(Vec<Test>, usize), String> {
    let knows = |word| known.contains(&word);
    let word = all.first().copied().unwrap_or_default();
    let lower = word.to_lowercase();
    let one = |test| Ok((vec![test], 1));
    if knows(Word::Whom)
        && let Ok((subject, used)) = Subject::take(all)
    {
        let guard = matches!(subject, Subject::Guard(_)).then_some(Test::Kind("guard"));
        let whose = subject.whose().cloned().map(Test::Whose);
        let place = subject.place().map(Test::Place);
        return Ok((guard.into_iter().chain(whose).chain(place).collect(), used));
    }
    if knows(Word::Kind)
        && let Some(kind) = kind(&lower)
    {
        return one(Test::Kind(kind));
    }
    match lower.as_str() {
        "unknown" if knows(Word::Unknown) => return one(Test::Unknown),
        "by-hand" if knows(Word::ByHand) => return one(Test::ByHand),
        _ => {}
    }
    if knows(Word::Numbers)
        && let Some(range) = lower.strip_prefix('#')
    {
        let (from, to) = numbers(range).ok_or_else(|| words::no_range(word))?;
        return one(Test::Numbers(from, to));
    }
    let unknown = || words::no_such_filter(word, known);
    let Some((key, value)) = lower.split_once(':') else {
        return one(Test::Text(lower));
    };
    match (key, value) {
        ("by" | "origin" | "rule" | "state" | "expiring", "") => Err(unknown()),
        ("by", name) if knows(Word::By) => one(Test::By(name.to_owned())),
        ("rule", name) if knows(Word::Rule) => one(Test::Rule(name.to_owned())),
        ("origin", name) if knows(Word::Origin) => {
            let origins = ["hand", "rule", "import", "server"];
            let found = origins.into_iter().find(|known| *known == name);
            one(Test::Origin(found.ok_or_else(unknown)?))
        }
        ("state", name) if knows(Word::State) => {
            let found = STATES.iter().find(|(known, _)| *known == name);
            one(Test::State(found.ok_or_else(unknown)?.1))
        }
        ("expiring", span) if knows(Word::Expiring) => match Term::parse(span) {
            Ok(term @ (Term::For(_) | Term::Until(_))) => {
                one(Test::EndsBy(term.ends(now).unwrap_or(now)))
            }
            Ok(Term::Forever) => Err(words::no_end_of_forever()),
            Err(why) => Err(words::sentence(&why.to_string())),
        },
        (key, _) if !key.is_empty() && key.chars().all(char::is_alphabetic) => Err(unknown()),
        _ => one(Test::Text(lower)),
    }
}

fn kind(word: &str) -> Option<&'static str> {
    Some(match word {
        "account" | "accounts" => "account",
        "address" | "addresses" => "address",
        "network" | "networks" => "network",
        "pair" | "pairs" => "pair",
        "guard" | "guards" => "guard",
        _ => return None,
    })
}

/// `10..20`, `10..`, `..20`, `7`.
fn numbers(range: &str) -> Option<(u64, u64)> {
    let Some((from, to)) = range.split_once("..") else {
        let one = range.parse().ok()?;
        return Some((one, one));
    };
    let end = |text: &str, open| match text.trim_start_matches('#') {
        "" => Some(open),
        number => number.parse().ok(),
    };
    Some((end(from, 0)?, end(to, u64::MAX)?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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

    /// The tests a filter is read as, or the first sentence about what is wrong.
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
            ("state:ended", vec![Test::State(State::Ended)]),
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
        assert_eq!(state("spam"), Some(State::InForce));
        assert_eq!(state("state:any"), Some(State::Any));
        assert_eq!(state("state:ended state:in-force"), None);
    }
}
