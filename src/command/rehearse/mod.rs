//! `rehearse`: replays the last recorded logins through the current rules, or with a change.
//!
//! It replays the recording of `[record_attempts]` through the real rules, as `portcullis rehearse` does with a file:
//! nothing is counted or banned, and nobody is notified. Lines and bytes are limited, and one replay runs at a time,
//! on a thread for blocking work.

mod text;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::context::Context;
use super::outcome::{EarlyOutcome, ListEntry, Outcome, Page, Problem, Row};
use super::parts::pages::{Asked, PAGE, TABLE};
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{broken, phrases};
use crate::core::rules::LIMIT_MAX;
use crate::core::{Ban, Policy, Rights, Role, Rule, Rules, Term, Timestamp};
use crate::rehearse::recorded::RecordingFiles;
use crate::rehearse::{Note, SimulatedChange, Stopped, simulate};

pub use text::rehearsal_note;

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "rehearse",
    title: "Rehearse the rules",
    summary: "Shows what the rules would have made of the last recorded logins, as they are or with a change; nothing is done.",
    needs: Role::Admin,
    form: true,
    fields: &[
        Field::new("change", "With this change", Kind::Line).at(Place::Rest)
            .desc("The name of a rule, and the values to change: limit=10, window=5m, ban=1h, dry_run=no. Left out: the rules as they are. last=5000 replays only the last 5000 lines of the recording."),
        PAGE,
        TABLE,
    ],
    usage: "rehearse [RULE KEY=VALUE…] [last=N] [PAGE]",
    examples: &[
        ("rehearse", "the rules as they are"),
        (
            "rehearse address-failures limit=10",
            "one of them with another limit, beside the rules as they are",
        ),
        ("rehearse last=500", "of the last 500 lines only"),
    ],
    changes: false,
};

/// Default number of lines.
const LAST: usize = 10_000;
/// Maximum number of lines.
const LAST_MOST: usize = 100_000;
/// Maximum number of bytes read from the recording.
const BYTES: u64 = 32 << 20;
/// One replay at a time, because each has its own counters.
static STAGE: Semaphore = Semaphore::const_new(1);

/// The request for a replay.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RehearseCall {
    last: usize,
    /// The changed rules, with their changes.
    changes: Vec<(String, RuleChange)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RuleChange {
    Limit(u32),
    Window(Duration),
    Ban(Duration),
    DryRun(bool),
}

impl RehearseCall {
    fn parse(values: &Values, rules: &Rules) -> Result<RehearseCall, Vec<Problem>> {
        let mut wish = RehearseCall {
            last: LAST,
            changes: Vec::new(),
        };
        let mut problems = Vec::new();
        let mut rule: Option<String> = None;
        let line = values.line("change").unwrap_or_default();
        for word in line.split_whitespace() {
            match wish.take(word, &mut rule, rules) {
                Ok(()) => {}
                Err(text) => problems.push(problem(text)),
            }
        }
        if let (Some(rule), true) = (&rule, wish.changes.is_empty() && problems.is_empty()) {
            problems.push(problem(text::change_of_what(rule)));
        }
        match problems.is_empty() {
            true => Ok(wish),
            false => Err(problems),
        }
    }

    fn take(&mut self, word: &str, rule: &mut Option<String>, rules: &Rules) -> Result<(), String> {
        let lower = word.to_lowercase();
        let (key, value) = lower.split_once(['=', ':']).unwrap_or(("rule", &lower));
        let span = || match Term::parse(value) {
            Ok(Term::For(span)) => Ok(span),
            Ok(_) => Err(text::no_span(value)),
            Err(why) => Err(phrases::sentence(&why.to_string())),
        };
        let change = match key {
            "last" => {
                let number = value.parse().ok();
                let number = number.filter(|number| (1..=LAST_MOST).contains(number));
                self.last = number.ok_or_else(|| text::no_last(value, LAST_MOST))?;
                return Ok(());
            }
            "rule" => {
                let mut table = rules.table.iter();
                let found = table.find(|rule| rule.name.to_lowercase() == value);
                let names = rules.table.iter().map(|rule| rule.name.as_str());
                let found = found.ok_or_else(|| text::no_such_rule(value, names))?;
                *rule = Some(found.name.clone());
                return Ok(());
            }
            "limit" => {
                let limit = value.parse().ok();
                let limit = limit.filter(|limit| (1..=LIMIT_MAX).contains(limit));
                RuleChange::Limit(limit.ok_or_else(|| text::no_limit(value, LIMIT_MAX))?)
            }
            "window" => RuleChange::Window(span()?),
            "ban" => RuleChange::Ban(span()?),
            "dry_run" => match value {
                "yes" | "true" | "on" => RuleChange::DryRun(true),
                "no" | "false" | "off" => RuleChange::DryRun(false),
                _ => return Err(phrases::no_flag("dry_run")),
            },
            _ => return Err(text::no_such_change(word)),
        };
        let rule = rule.clone().ok_or_else(|| text::which_rule(word))?;
        self.changes.push((rule, change));
        Ok(())
    }

    /// The policy with the changes.
    fn apply(&self, policy: &Policy) -> Policy {
        let mut policy = policy.clone();
        self.change(Arc::make_mut(&mut policy.rules));
        policy
    }

    fn change(&self, rules: &mut Rules) {
        for (name, change) in &self.changes {
            let rule = rules.table.iter_mut().find(|rule| rule.name == *name);
            if let Some(rule) = rule {
                change.apply(rule);
            }
        }
    }
}

impl RuleChange {
    fn apply(self, rule: &mut Rule) {
        match self {
            RuleChange::Limit(limit) => rule.limit = limit,
            RuleChange::Window(window) => rule.window = window,
            RuleChange::Ban(ban) => rule.ban = ban,
            RuleChange::DryRun(dry_run) => rule.dry_run = dry_run,
        }
    }
}

fn problem(text: impl Into<String>) -> Problem {
    Problem::new("change", text)
}

/// The result of a replay.
#[derive(Debug, Default)]
struct Shown {
    /// Number of replayed lines, and the times of the first and the last.
    lines: usize,
    span: Option<(Timestamp, Timestamp)>,
    /// The bans by rules.
    bans: Vec<(Ban, String)>,
    /// Number of notices: rules in dry run, and warnings about shared sources.
    notices: usize,
    /// Number of bans under the unchanged rules; `None` if nothing was changed.
    unchanged: Option<usize>,
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let policy = context.engine.policy();
    let mut problems = Vec::new();
    let asked = Problem::keep(&mut problems, Asked::parse(call, &[], context.engine.now()));
    let wish = RehearseCall::parse(&call.values, &policy.rules);
    let (Some(asked), Some(wish)) = (asked, Problem::keep(&mut problems, wish)) else {
        return Err(problems.into());
    };
    let refused = |text: String| Ok(Outcome::refused(problem(text)));
    let Some(recording) = context.recording.clone() else {
        return refused(String::from(text::NOT_RECORDED));
    };
    let Ok(_place) = STAGE.try_acquire() else {
        return refused(String::from(text::ANOTHER_RUNS));
    };
    let (wanted, policy) = (wish.clone(), Policy::clone(&policy));
    let rights = call.caller.rights.clone();
    let play = move || play(&recording, &wanted, &policy, &rights);
    let played = tokio::task::spawn_blocking(play).await;
    match played.map_err(|why| broken("rehearse", &why))? {
        Ok(shown) => Ok(Outcome::Rows(page(call, asked, &wish, shown)?)),
        Err(Stopped::Line(_, why)) => refused(text::no_event(&why)),
        Err(Stopped::Io(why)) => Err(broken("read the recording", &why).into()),
    }
}

fn play(
    recording: &RecordingFiles,
    wish: &RehearseCall,
    policy: &Policy,
    rights: &Rights,
) -> Result<Shown, Stopped> {
    let events = recording.last_lines(wish.last, BYTES)?;
    let mut shown = rehearsed(&events, wish.apply(policy), rights)?;
    if !wish.changes.is_empty() {
        shown.unchanged = Some(rehearsed(&events, policy.clone(), rights)?.bans.len());
    }
    Ok(shown)
}

/// What somebody with these rights may see of a replay: the recording holds the logins of all hosts.
fn rehearsed(events: &[u8], policy: Policy, rights: &Rights) -> Result<Shown, Stopped> {
    let mut shown = Shown::default();
    simulate(policy, events, |step| {
        shown.lines += 1;
        let may_see = |note: &&Note| match note {
            Note::Spared(notice) => rights.see(&notice.subject),
            Note::Refused(_) => rights.see_all(),
        };
        shown.notices += step.notes.iter().filter(may_see).count();
        shown.span = Some((shown.span.map_or(step.at, |(first, _)| first), step.at));
        for change in step.changes {
            if let SimulatedChange::Ban(ban) = change
                && rights.see(&ban.subject)
                && let Some(rule) = ban.origin.rule().map(phrases::clean)
            {
                shown.bans.push((ban, rule));
            }
        }
        Ok(())
    })?;
    Ok(shown)
}

fn page(
    call: &Request<'_>,
    asked: Asked,
    wish: &RehearseCall,
    shown: Shown,
) -> Result<Page, EarlyOutcome> {
    let span = shown
        .span
        .map(|(first, last)| (first.to_exact(), last.to_exact()));
    let mut lines = vec![text::played(shown.lines, wish.last, span.as_ref())];
    let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
    let mut subjects = HashSet::new();
    for (ban, rule) in &shown.bans {
        *rules.entry(rule).or_default() += 1;
        subjects.insert(&ban.subject);
    }
    let rules: Vec<(&str, usize)> = rules.into_iter().collect();
    lines.push(text::would_have(
        shown.bans.len(),
        subjects.len(),
        &rules,
        shown.unchanged,
    ));
    lines.extend(text::would_have_told(shown.notices));
    let mut cut = asked.cut();
    for (place, (ban, rule)) in shown.bans.iter().enumerate() {
        cut.take(|| entry(place + 1, ban, rule));
    }
    let mut page = asked.page(
        SPEC.name,
        text::REHEARSED,
        cut.total,
        cut.page,
        text::COLUMNS,
    )?;
    page.lines = lines;
    if page.next.is_some() {
        let change = call.values.line("change").unwrap_or_default();
        let words = [
            SPEC.name,
            &phrases::clean(&change),
            &(page.page + 1).to_string(),
        ]
        .join(" ");
        page.next = Some(words.replace("  ", " "));
    }
    Ok(page)
}

fn entry(number: usize, ban: &Ban, rule: &str) -> ListEntry {
    let subject = ban.subject.to_string();
    let from = ban.since.to_exact();
    let until = ban.until.map(Timestamp::to_exact).unwrap_or_default();
    let row = text::played_ban(&from, &until, rule, ban.ordinal);
    ListEntry {
        row: Row::new(format!("ban{number}"), subject.clone(), row),
        cells: vec![
            subject,
            from,
            until,
            rule.to_owned(),
            ban.ordinal.to_string(),
        ],
        fact: None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_change_names_its_rule_first() {
        let parse = |text: &str| {
            RehearseCall::parse(&Values::new().with("change", text), &Rules::default())
        };
        let wish = parse("address-failures limit=10 window=5m last=77").unwrap();
        assert_eq!(wish.last, 77);
        let mut changed = Rules::default();
        wish.change(&mut changed);
        let rule = changed
            .table
            .iter()
            .find(|rule| rule.name == "address-failures");
        assert_eq!(
            (rule.unwrap().limit, rule.unwrap().window.as_secs()),
            (10, 300)
        );
        assert!(parse("").unwrap().changes.is_empty());
        for (wrong, said) in [
            ("limit=10", "which rule"),
            ("address-failures", "what should be other"),
            ("nobody limit=3", "pair-failures"),
            ("rule=address-failures limit=0", "from 1 to 500"),
            ("address-failures window=5", "needs a unit"),
            ("address-failures color=red", "limit="),
            ("last=0", "from 1 to 100000"),
        ] {
            let problems = parse(wrong).unwrap_err();
            assert!(problems[0].text.contains(said), "{wrong}: {problems:?}");
        }
    }
}
