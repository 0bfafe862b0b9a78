//! One condition of a filter: how it is written, and whether a row matches it.

use ipnet::IpNet;

use super::{BanState, Word};
use crate::command::phrases;
use crate::core::subject::overlaps;
use crate::core::{Account, Origin, Subject, Term, Timestamp};

/// The states and their words.
const STATES: [(&str, BanState); 4] = [
    ("in-force", BanState::InForce),
    ("pending", BanState::Pending),
    ("ended", BanState::Ended),
    ("any", BanState::Any),
];

/// One row as filters see it. A property that a row lacks matches nothing.
pub(in crate::command) trait Sifted {
    /// Kind of the subject, in one word.
    fn kind(&self) -> &str {
        ""
    }
    /// The account it concerns.
    fn whose(&self) -> Option<&Account> {
        None
    }
    /// The network it concerns.
    fn place(&self) -> Option<IpNet> {
        None
    }
    /// The author.
    fn by(&self) -> &str {
        ""
    }
    /// How the ban was made.
    fn origin(&self) -> Option<&Origin> {
        None
    }
    /// Whether it concerns a rule whose name contains this (in lower case).
    fn is_of_rule(&self, _name: &str) -> bool {
        false
    }
    /// Number of the ban.
    fn number(&self) -> u64 {
        0
    }
    /// End of the ban.
    fn until(&self) -> Option<Timestamp> {
        None
    }
    /// Whether its account does not exist.
    fn is_unknown(&self) -> bool {
        false
    }
    /// Whether it was counted by hand.
    fn is_by_hand(&self) -> bool {
        false
    }
    /// Whether its texts contain this (in lower case).
    fn says(&self, text: &str) -> bool;
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Test {
    Kind(&'static str),
    Whose(Account),
    /// It contains this network, or lies within it.
    Place(IpNet),
    By(String),
    Origin(&'static str),
    Rule(String),
    State(BanState),
    EndsBy(Timestamp),
    Numbers(u64, u64),
    Unknown,
    ByHand,
    Text(String),
}

impl Test {
    pub(super) fn holds(&self, row: &impl Sifted) -> bool {
        match self {
            Test::Kind(kind) => row.kind() == *kind,
            Test::Whose(account) => row.whose() == Some(account),
            Test::Place(net) => row.place().is_some_and(|place| overlaps(&place, net)),
            Test::By(name) => row.by().to_lowercase().contains(name),
            Test::Origin(name) => row.origin().is_some_and(|origin| origin.word() == *name),
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

/// Parses the condition at the beginning of the words; returns also the number of words.
pub(super) fn read(
    all: &[&str],
    known: &[Word],
    now: Timestamp,
) -> Result<(Vec<Test>, usize), String> {
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
        let (from, to) = numbers(range).ok_or_else(|| {
            format!(
                "“{}” is no range of numbers; write #10.. or #10..20.",
                phrases::clean(word)
            )
        })?;
        return one(Test::Numbers(from, to));
    }
    let unknown = || no_such_filter(word, known);
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
            Ok(Term::Forever) => Err(String::from(
                "Permanent bans never end; write for example expiring:2h.",
            )),
            Err(why) => Err(phrases::sentence(&why.to_string())),
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

/// Parses `10..20`, `10..`, `..20` or `7`.
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

/// The message for a word that no list knows, or not this one.
fn no_such_filter(word: &str, known: &[Word]) -> String {
    let known: Vec<&str> = known.iter().map(|word| spelled(*word)).collect();
    format!(
        "There is no filter “{}”. Filters are {}, or words.",
        phrases::clean(word),
        known.join(", ")
    )
}

/// How a filter word is written.
fn spelled(word: Word) -> &'static str {
    match word {
        Word::Kind => "account, address, network, pair, guard",
        Word::Whom => "an account, an address or a network",
        Word::By => "by:NAME",
        Word::Origin => "origin:hand, origin:rule, origin:import, origin:server",
        Word::Rule => "rule:NAME",
        Word::State => "state:in-force, state:pending, state:ended, state:any",
        Word::Expiring => "expiring:2h",
        Word::Numbers => "#10.. or #10..20",
        Word::Unknown => "unknown",
        Word::ByHand => "by-hand",
    }
}
