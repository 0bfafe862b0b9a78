//! `watch`: shows or changes a subscription to notices.

mod text;

use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem, Row};
use super::parts::results::carry_out;
use super::phrases;
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use crate::core::refusal::Permission;
use crate::core::{Action, Quiet, Refusal, Role, Ruling, Subject, Topic, Watch};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "watch",
    title: "Choose your notices",
    summary: "Shows or changes which notices you get without asking.",
    needs: Role::Moderator,
    form: true,
    fields: &[
        Field::new("topics", "What you hear of", Kind::Line).at(Place::Rest)
            .desc("guards networks bans orders unbans ends adopted records rights work link rooms spared dryrun; or all, usual, off. With + or - in front it comes or goes. Left out: as it is."),
        Field::new("quiet", "Quiet hours, in UTC", Kind::Line)
            .desc("22:00-07:00: what happens then is told at their end; off: none. Left out: as they are. In chat: watch quiet 22-7."),
        Field::new("whose", "Whose, if not yours", Kind::Line)
            .desc("A person or a room; admins only. In chat: watch room@conference.example.org all."),
    ],
    usage: "watch [WHAT…] [quiet HOURS]",
    examples: &[
        ("watch", "shows what you hear of"),
        ("watch all", "everything, also each ban by a rule"),
        ("watch guards rights work", "only these"),
        ("watch +bans", "these, too"),
        ("watch quiet 22-7", "nothing at night; a summary at seven"),
        ("watch off", "nothing at all"),
        (
            "watch room@conference.example.org all",
            "for a room that portcullis is in",
        ),
    ],
    changes: false,
};

/// The requested change.
#[derive(Debug, Default, PartialEq, Eq)]
struct WatchCall {
    topics: Topics,
    /// `Some(None)`: quiet hours are removed.
    quiet: Option<Option<Quiet>>,
    whose: Option<Subject>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Topics {
    #[default]
    AsTheyAre,
    Usual,
    These(Vec<Topic>),
    Changed {
        more: Vec<Topic>,
        fewer: Vec<Topic>,
    },
}

impl WatchCall {
    fn parse(values: &Values) -> Result<WatchCall, Vec<Problem>> {
        let (mut wish, mut problems) = (WatchCall::default(), Vec::new());
        let (mut plain, mut more, mut fewer) = (Vec::new(), Vec::new(), Vec::new());
        let mut whole: Option<&str> = None;
        let written = values.words("topics");
        let mut rest = written.iter().copied();
        while let Some(word) = rest.next() {
            let lower = word.to_lowercase();
            match lower.as_str() {
                "all" | "usual" | "important" | "default" | "off" | "none" => whole = Some(word),
                "quiet" => wish.quiet = read_quiet(rest.next().unwrap_or(""), &mut problems),
                _ if word.contains('@') => wish.whose = read_whose(word, &mut problems),
                _ => {
                    let (list, name) = match lower.split_at_checked(1) {
                        Some(("+", name)) => (&mut more, name),
                        Some(("-" | "–" | "—", name)) => (&mut fewer, name),
                        _ => (&mut plain, lower.as_str()),
                    };
                    match Topic::parse(name) {
                        Some(topic) => list.push(topic),
                        None => problems.push(Problem::new("topics", text::no_topic(word))),
                    }
                }
            }
        }
        if let Some(text) = values.line("quiet") {
            wish.quiet = read_quiet(&text, &mut problems);
        }
        if let Some(text) = values.line("whose") {
            wish.whose = read_whose(&text, &mut problems);
        }
        let signed = !more.is_empty() || !fewer.is_empty();
        match whole {
            Some(word) if signed || !plain.is_empty() => {
                problems.push(Problem::new("topics", text::alone(word)));
            }
            _ if signed && !plain.is_empty() => {
                problems.push(Problem::new("topics", text::NO_MIXTURE));
            }
            Some("all" | "All" | "ALL") => wish.topics = Topics::These(Topic::ALL.to_vec()),
            Some(word) if matches!(word.to_lowercase().as_str(), "off" | "none") => {
                wish.topics = Topics::These(Vec::new());
            }
            Some(_) => wish.topics = Topics::Usual,
            None if signed => wish.topics = Topics::Changed { more, fewer },
            None if !plain.is_empty() => wish.topics = Topics::These(plain),
            None => {}
        }
        match problems.is_empty() {
            true => Ok(wish),
            false => Err(problems),
        }
    }

    fn is_question(&self) -> bool {
        self.topics == Topics::AsTheyAre && self.quiet.is_none()
    }

    /// The new subscription, given the earlier one; `None`: the default.
    fn applied(&self, before: &Watch) -> Option<Watch> {
        let mut watch = match &self.topics {
            Topics::AsTheyAre => before.clone(),
            Topics::Usual if matches!(self.quiet, None | Some(None)) => return None,
            Topics::Usual => Watch::usual(),
            Topics::These(topics) => Watch::of(topics.iter().copied()),
            Topics::Changed { more, fewer } => {
                let kept = before.topics().chain(more.iter().copied());
                Watch::of(kept.filter(|topic| !fewer.contains(topic)))
            }
        };
        watch.quiet = self.quiet.unwrap_or(before.quiet);
        Some(watch)
    }
}

fn read_quiet(text: &str, problems: &mut Vec<Problem>) -> Option<Option<Quiet>> {
    if matches!(text.to_lowercase().as_str(), "off" | "none") {
        return Some(None);
    }
    let quiet = Quiet::parse(text);
    if quiet.is_none() {
        problems.push(Problem::new("quiet", text::no_hours(text)));
    }
    quiet.map(Some)
}

fn read_whose(text: &str, problems: &mut Vec<Problem>) -> Option<Subject> {
    match Subject::parse(text) {
        Ok(subject @ Subject::Account(_)) => Some(subject),
        _ => {
            problems.push(Problem::new("whose", text::NO_HEARER));
            None
        }
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let wish = WatchCall::parse(&call.values)?;
    let own = call.caller.account().map(Subject::Account);
    let Some(subject) = wish.whose.clone().or_else(|| own.clone()) else {
        return Err(Problem::new("whose", text::NO_HEARER).into());
    };
    let is_own = own.as_ref() == Some(&subject);
    let role = call.caller.role();
    if !call.caller.may_know_notices_of(&subject) {
        let why = Refusal::NeedsRole(Role::Admin, Permission::SubscribeOthers);
        return Err(Answer::failed(phrases::refusal(&why, role)).into());
    }
    let kept = context
        .engine
        .read(|ledger| ledger.subscriptions().of(&subject).cloned());
    if wish.is_question() {
        return Ok(Outcome::Done(told(&subject, is_own, kept, role, false)));
    }
    let usual = match is_own {
        true => Watch::usual_for(role),
        false => Watch::usual(),
    };
    let watch = wish.applied(&kept.unwrap_or(usual));
    let mut order = call.order(&subject, Action::Subscribe(watch.clone()));
    if is_own {
        order.actor = call.caller.actor_for_self(call.door);
    }
    let results = carry_out(call, vec![order], |_| "whose", context).await?;
    let failed = results
        .iter()
        .find(|one| !matches!(one.ruling, Ok(Ruling::Subscribed { .. } | Ruling::Noted)));
    Ok(Outcome::Done(match failed {
        Some(failed) => Answer::failed(failed.not_done()),
        None => told(&subject, is_own, watch, role, true),
    }))
}

fn told(
    subject: &Subject,
    is_own: bool,
    kept: Option<Watch>,
    role: Role,
    has_changed: bool,
) -> Answer {
    let usual = if is_own {
        Watch::usual_for(role)
    } else {
        Watch::usual()
    };
    let is_wish = kept.is_some();
    let watch = kept.unwrap_or(usual);
    let mut lines = vec![match (is_own, is_wish) {
        (true, _) => text::hears(None, &watch, is_wish),
        (false, true) => text::hears(Some(subject), &watch, is_wish),
        (false, false) => text::hears_by_role(subject),
    }];
    lines.extend(watch.quiet.map(text::quiet_hours));
    let mut rows = Vec::new();
    if !has_changed {
        lines.push(text::how_to_watch());
        rows.extend(Topic::ALL.map(|topic| {
            Row::new(
                format!("topic_{topic}"),
                topic.as_str(),
                text::topic_row(watch.wants(topic), topic),
            )
        }));
    }
    let title = if has_changed { "Changed" } else { "Notices" };
    Answer::new(Grade::Good, title, lines).with_rows(rows)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wish(text: &str) -> Result<WatchCall, Vec<Problem>> {
        WatchCall::parse(&Values::new().with("topics", text))
    }

    fn heard(text: &str, before: &Watch) -> Option<String> {
        let watch = wish(text).unwrap().applied(before);
        watch.map(|watch| phrases::heard(Some(&watch)))
    }

    #[test]
    fn wishes_are_read_as_people_write_them() {
        let usual = Watch::usual();
        assert_eq!(heard("Guards, bans", &usual).unwrap(), "guards, bans");
        assert_eq!(heard("ALL", &usual).unwrap(), "everything");
        assert_eq!(heard("off", &usual).unwrap(), "nothing");
        assert_eq!(heard("usual", &usual), None);
        let few = Watch::of([Topic::Guards, Topic::Work]);
        assert_eq!(heard("+bans -guard", &few).unwrap(), "bans, work");
        let night = heard("quiet 22-7", &few).unwrap();
        assert_eq!(night, "guards, work, not 22:00-07:00 UTC");
        assert!(heard("usual quiet 22-7", &few).unwrap().contains("spared"));
        let mut quiet = few;
        quiet.quiet = Quiet::parse("1-2");
        assert_eq!(
            heard("bans", &quiet).unwrap(),
            "bans, not 01:00-02:00 UTC",
            "hours stay as they are"
        );
        assert_eq!(heard("quiet off", &quiet).unwrap(), "guards, work");
        assert!(wish("").unwrap().is_question());
        assert!(wish("room@conf.example.org").unwrap().is_question());
    }

    #[test]
    fn what_cannot_be_read_says_what_can() {
        for (text, said) in [
            ("bands", "There are guards, networks"),
            ("all bans", "“all” stands alone"),
            ("bans +guards", "Name either"),
            ("quiet", "are no hours"),
            ("quiet 7", "“7” are no hours"),
            ("203.0.113.7@ all", "Name one person or room"),
        ] {
            let problems = wish(text).unwrap_err();
            assert!(problems[0].text.contains(said), "{text}: {problems:?}");
        }
    }
}
