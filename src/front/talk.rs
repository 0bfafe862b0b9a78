//! What chat and rooms share: rate limits, the order of lines, and open questions.
//!
//! Lines can do everything forms can, because some clients support no forms. Nothing is guessed and run: a typo is
//! answered with the nearest command. Lines of one person run in the order they came, and the rate is limited: see
//! [`Talks::admit`].

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use xmpp_parsers::jid::{BareJid, Jid};

use super::message::{ChatLine, Response};
use super::sent::{About, ReplyContext};
use super::{line, render, text};
use crate::command::outcome::Outcome;
use crate::command::parts::subjects;
use crate::command::{self, Call, Caller, Context, phrases};
use crate::core::{EntryPoint, Timestamp};

/// How long a question waits for its confirmation.
pub const YES_WITHIN: Duration = Duration::from_secs(120);
/// Number of lines within [`RATE_SPAN`] that are answered.
pub const RATE: usize = 20;
/// The span of [`RATE`]; also how long a silenced person must pause before being answered again.
pub const RATE_SPAN: Duration = Duration::from_secs(10);
/// A stranger gets at most one answer within this time.
pub const STRANGER_SPAN: Duration = Duration::from_secs(3_600);
/// Number of strangers that are remembered; while there are more, new ones get no answer.
pub const STRANGERS: usize = 1_024;
/// Number of people with a role that are remembered.
const PEOPLE: usize = 1_024;

/// The state of everybody who writes to us.
#[derive(Debug, Default)]
pub(super) struct Talks(Mutex<TalkState>);

#[derive(Debug, Default)]
struct TalkState {
    people: HashMap<BareJid, Person>,
    strangers: HashMap<BareJid, Timestamp>,
}

#[derive(Debug, Default)]
struct Person {
    /// Times of the last lines, at most [`RATE`].
    recent: VecDeque<Timestamp>,
    silenced: bool,
    /// Resolves when the previous line has finished.
    turn: Option<oneshot::Receiver<()>>,
    asked: Option<OpenQuestion>,
    /// The last list that was shown: its call, and the page.
    shown: Option<(Call, usize)>,
    /// The last line without an effect, which may be corrected and run.
    failed: Option<FailedLine>,
}

/// A line without an effect.
#[derive(Debug, Clone)]
struct FailedLine {
    id: String,
    /// The message it replied to, which also applies to its correction.
    replied: Option<ReplyContext>,
}

/// A question waiting for confirmation by this person, in this place, of exactly this call.
#[derive(Debug)]
struct OpenQuestion {
    call: Call,
    until: Timestamp,
    /// The line that led to it, which may be corrected as long as nothing is done.
    line: Option<FailedLine>,
}

impl OpenQuestion {
    fn is_of(&self, caller: &Caller, now: Timestamp) -> bool {
        let asked = &self.call.caller;
        asked.jid == caller.jid && place(asked) == place(caller) && now < self.until
    }
}

/// What happens to a line.
#[derive(Debug)]
pub(super) enum Admitted {
    /// No answer.
    Ignored,
    /// This answer at once.
    Answer(String),
    /// It runs in its turn.
    InTurn(Turn),
}

/// The position of a line behind earlier lines of the same person.
#[derive(Debug)]
pub(super) struct Turn {
    /// The message that the corrected line replied to.
    replied: Option<ReplyContext>,
    before: Option<oneshot::Receiver<()>>,
    /// Dropped when the line has finished, which lets the next one run.
    _done: oneshot::Sender<()>,
}

impl Talks {
    /// Whether a stranger, or a room full of strangers, gets an answer now.
    pub(super) fn admit_stranger(&self, who: &BareJid, now: Timestamp) -> bool {
        let mut known = self.known();
        if known.strangers.len() >= STRANGERS {
            known
                .strangers
                .retain(|_, told| now.since(*told) < STRANGER_SPAN);
        }
        match known.strangers.get(who) {
            Some(told) if now.since(*told) < STRANGER_SPAN => false,
            None if known.strangers.len() >= STRANGERS => false,
            _ => {
                known.strangers.insert(who.clone(), now);
                true
            }
        }
    }

    /// Decides about a line of somebody with a role. More than [`RATE`] lines within [`RATE_SPAN`] silence the bot
    /// until that person has paused for as long.
    pub(super) fn admit(&self, line: &ChatLine, caller: &Caller, now: Timestamp) -> Admitted {
        let mut known = self.known();
        let who = caller.jid.to_bare();
        if known.people.len() >= PEOPLE {
            known.people.retain(|_, person| {
                let last = person.recent.back();
                last.is_some_and(|last| now.since(*last) < YES_WITHIN)
            });
        }
        if known.people.len() >= PEOPLE && !known.people.contains_key(&who) {
            return Admitted::Ignored;
        }
        let person = known.people.entry(who).or_default();
        let was_quiet = person
            .recent
            .back()
            .is_none_or(|last| now.since(*last) >= RATE_SPAN);
        if person.recent.len() >= RATE {
            person.recent.pop_front();
        }
        person.recent.push_back(now);
        if person.silenced && !was_quiet {
            return Admitted::Ignored;
        }
        person.silenced = person.recent.len() >= RATE
            && person
                .recent
                .front()
                .is_some_and(|first| now.since(*first) < RATE_SPAN);
        if person.silenced {
            return Admitted::Answer(String::from(text::TOO_FAST));
        }
        if line.encrypted {
            return Admitted::Answer(text::encrypted());
        }
        let mut replied = None;
        if let Some(corrected) = &line.corrects {
            match person.undone(corrected) {
                Some(failed) => replied = failed.replied,
                None => return Admitted::Answer(text::corrected()),
            }
        }
        let (done, next) = oneshot::channel();
        Admitted::InTurn(Turn {
            replied,
            before: person.turn.replace(next),
            _done: done,
        })
    }

    /// Runs a line in its turn.
    pub(super) async fn run(
        &self,
        line: &ChatLine,
        turn: Turn,
        caller: Caller,
        replied: Option<ReplyContext>,
        context: &Context,
    ) -> Response {
        if let Some(before) = turn.before {
            // An error means that the previous line has ended too.
            let _ = before.await;
        }
        let who = caller.jid.clone();
        let asked = self.person(&who, |person| person.asked.take());
        let now = context.engine.now();
        let asked = asked.filter(|asked| asked.is_of(&caller, now));
        let replied = replied.or(turn.replied);
        // A correction of a correction names the first message again.
        let id = line.corrects.clone().or_else(|| line.id.clone());
        let this = id.map(|id| FailedLine {
            id,
            replied: replied.clone(),
        });
        let (speech, failed) = match (FollowUp::of(&line.text), asked) {
            (Some(FollowUp::Yes), Some(asked)) => {
                let call = Call {
                    // The current role, not the one at the time of the question.
                    caller,
                    confirmed: true,
                    ..asked.call
                };
                self.carry_out(call, None, context).await
            }
            (Some(FollowUp::Yes), None) => (text::nothing_to_confirm().into(), false),
            (Some(FollowUp::No), Some(_)) => (String::from(phrases::DROPPED).into(), false),
            (Some(FollowUp::Next), _) => self.page(&caller, 1, context).await,
            (Some(FollowUp::Previous), _) => self.page(&caller, -1, context).await,
            _ => {
                let stands = |whom: &str| stands(whom, context);
                let door = door(&caller);
                match line::call(&line.text, &caller, door, replied.as_ref(), stands) {
                    Ok(call) => self.carry_out(call, this.clone(), context).await,
                    Err(text) => (text.into(), true),
                }
            }
        };
        if failed {
            self.person(&who, |person| person.failed = this);
        }
        speech
    }

    /// Whether a line follows up on something we said in this place: a yes or no to a question, which in a room need
    /// not be addressed to us, or `!next` after a list, which other bots may know too.
    pub(super) fn waits_for(&self, text: &str, caller: &Caller, now: Timestamp) -> bool {
        let known = self.known();
        let Some(person) = known.people.get(&caller.jid.to_bare()) else {
            return false;
        };
        match FollowUp::of(text) {
            Some(FollowUp::Yes | FollowUp::No) => {
                let asked = person.asked.as_ref();
                asked.is_some_and(|asked| asked.is_of(caller, now))
            }
            Some(FollowUp::Next | FollowUp::Previous) if text.starts_with('!') => {
                let shown = person.shown.as_ref();
                shown.is_some_and(|(call, _)| place(&call.caller) == place(caller))
            }
            _ => false,
        }
    }

    /// Shows another page of the last list, with its filter.
    async fn page(&self, caller: &Caller, step: isize, context: &Context) -> (Response, bool) {
        let Some((call, page)) = self.person(&caller.jid, |person| person.shown.clone()) else {
            return (text::no_list().into(), false);
        };
        let Some(page) = page.checked_add_signed(step).filter(|page| *page > 0) else {
            return (String::from(text::NO_PAGE_BEFORE).into(), false);
        };
        let mut call = Call {
            // The current role and place, not those at the time of the list.
            caller: caller.clone(),
            door: door(caller),
            ..call
        };
        call.values.set("page", vec![page.to_string()]);
        match self.carry_out(call, None, context).await {
            // A call that was right before can only be wrong because there is no such page.
            (_, true) => (String::from(text::NO_NEXT_PAGE).into(), false),
            answer => answer,
        }
    }

    /// Runs a line. Returns the answer, and whether the line had and will have no effect, so that it may be
    /// corrected.
    async fn carry_out(
        &self,
        call: Call,
        line: Option<FailedLine>,
        context: &Context,
    ) -> (Response, bool) {
        let outcome = command::handle(&call, context).await;
        let failed = matches!(
            outcome,
            Outcome::Invalid { .. }
                | Outcome::Unknown { .. }
                | Outcome::Refused { .. }
                | Outcome::Forbidden { .. }
        );
        let speech = Response {
            text: render::render(&outcome, call.command),
            about: about(&call, context),
            quick: render::quick(&outcome),
        };
        if let Outcome::Rows(page) = &outcome {
            let shown = Some((call.clone(), page.page));
            self.person(&call.caller.jid, |person| person.shown = shown);
        }
        if let Outcome::Ask(ask) = outcome {
            let who = call.caller.jid.clone();
            let values = ask.values.unwrap_or_else(|| call.values.clone());
            let asked = OpenQuestion {
                call: Call { values, ..call },
                until: context.engine.now().saturating_add(YES_WITHIN),
                line,
            };
            self.person(&who, |person| person.asked = Some(asked));
        }
        (speech, failed)
    }

    fn person<R>(&self, jid: &Jid, look: impl FnOnce(&mut Person) -> R) -> R {
        look(self.known().people.entry(jid.to_bare()).or_default())
    }

    fn known(&self) -> MutexGuard<'_, TalkState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Person {
    /// The line with this id, if it had no effect yet; a question it led to is dropped.
    fn undone(&mut self, id: &str) -> Option<FailedLine> {
        if let Some(failed) = self.failed.take_if(|failed| failed.id == id) {
            return Some(failed);
        }
        let is_it =
            |asked: &mut OpenQuestion| asked.line.as_ref().is_some_and(|line| line.id == id);
        self.asked.take_if(is_it)?.line
    }
}

/// The subject of a call, if it has one.
fn about(call: &Call, context: &Context) -> About {
    match subjects::only(&call.values.words(subjects::FIELD), context) {
        Some(subject) => {
            let number = context.engine.read(|ledger| {
                let ban = ledger.bans().of(&subject);
                ban.map(|ban| ban.id.to_string())
            });
            About::One(number.unwrap_or_else(|| subject.written()))
        }
        None => About::Nobody,
    }
}

/// Whether the subject is banned now. `whom` is written as in our messages.
fn stands(whom: &str, context: &Context) -> bool {
    let named: Vec<&str> = whom.split(' ').collect();
    let subject = subjects::only(&named, context);
    subject.is_some_and(|subject| context.active_ban(&subject).is_some())
}

/// A line that refers to what we said before: an answer to our question, or another page of a list.
enum FollowUp {
    Yes,
    No,
    Next,
    Previous,
}

impl FollowUp {
    fn of(text: &str) -> Option<FollowUp> {
        let word = text.trim_start_matches(['/', '!']).to_lowercase();
        match word.trim_end_matches(['.', '!']) {
            "yes" | "y" => Some(FollowUp::Yes),
            "no" | "n" => Some(FollowUp::No),
            "next" | "more" => Some(FollowUp::Next),
            "previous" | "prev" | "back" => Some(FollowUp::Previous),
            _ => None,
        }
    }
}

/// The room or chat of a caller, and whether it is a room.
fn place(caller: &Caller) -> Option<(BareJid, bool)> {
    let occupant = caller.occupant.as_ref();
    occupant.map(|one| (one.room(), one.private))
}

/// The entry point of a caller's lines.
fn door(caller: &Caller) -> EntryPoint {
    match caller.occupant {
        Some(_) => EntryPoint::Room,
        None => EntryPoint::Chat,
    }
}
