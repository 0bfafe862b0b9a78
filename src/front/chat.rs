//! Chat lines, one to one with the bot or its domain.
//!
//! Complete, not a side show: some clients refuse forms on principle. Nothing is guessed and run:
//! a typo is answered with the nearest command. Lines of one person run in the order they came.
//! What is no line of a person (errors, copies, delayed ones, receipts) is ignored, and nobody
//! can make the bot talk for ever: see [`Chats::admit`].

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use minidom::Element;
use tokio::sync::oneshot;
use xmpp_parsers::jid::{BareJid, Jid};
use xmpp_parsers::message::{Lang, Message, MessageType, Thread};
use xmpp_parsers::ns;

use super::line;
use crate::ban::{Door, Subject, Timestamp};
use crate::command::outcome::{Outcome, Page, Problem, Row};
use crate::command::{self, Call, Caller, Context, Spec, words};
use crate::xmpp::stanza::{NS_COMPONENT, Received};

/// How long a question waits for its yes.
pub const YES_WITHIN: Duration = Duration::from_secs(120);
/// This many lines within [`RATE_SPAN`] are answered.
pub const RATE: usize = 20;
/// The span of [`RATE`], and how long it must be quiet before a silenced person is heard again.
pub const RATE_SPAN: Duration = Duration::from_secs(10);
/// A stranger gets one sentence in so long.
pub const STRANGER_SPAN: Duration = Duration::from_secs(3_600);
/// How many strangers are remembered; while there are more, new ones get no answer.
pub const STRANGERS: usize = 1_024;
/// How many people with a role are remembered.
const PEOPLE: usize = 1_024;

/// A message that may be a line of a person.
#[derive(Debug, Clone)]
pub(super) struct Line {
    from: Jid,
    to: Jid,
    type_: MessageType,
    id: Option<String>,
    thread: Option<Thread>,
    text: String,
    /// The message it corrects.
    corrects: Option<String>,
    encrypted: bool,
    wants_receipt: bool,
}

impl Line {
    /// `None` for everything that is no line of a person or must not be answered.
    pub(super) fn read(received: &Received) -> Option<Line> {
        let type_ = match received.type_() {
            "chat" => MessageType::Chat,
            "" | "normal" => MessageType::Normal,
            _ => return None,
        };
        // Servers and components announce things; only people have accounts.
        let header = &received.header;
        if header.from.node().is_none() || header.from.domain() == header.to.domain() {
            return None;
        }
        let message = &received.element;
        let has = |name: &str, ns: &str| message.has_child(name, ns);
        let is_copy = has("delay", ns::DELAY)
            || has("x", "jabber:x:delay")
            || has("sent", ns::CARBONS)
            || has("received", ns::CARBONS)
            || has("forwarded", ns::FORWARD)
            || has("received", ns::RECEIPTS);
        if is_copy {
            return None;
        }
        let encrypted = has("encryption", ns::EME)
            || message.children().any(|child| child.name() == "encrypted");
        let text = body(message);
        if text.is_empty() && !encrypted {
            return None;
        }
        let thread = message
            .get_child("thread", NS_COMPONENT)
            .map(|thread| Thread {
                parent: thread.attr("parent").map(str::to_owned),
                id: thread.text(),
            });
        Some(Line {
            from: header.from.clone(),
            to: header.to.clone(),
            type_,
            id: header.id.clone(),
            thread,
            text,
            corrects: message
                .get_child("replace", ns::MESSAGE_CORRECT)
                .and_then(|replace| replace.attr("id"))
                .map(str::to_owned),
            encrypted,
            wants_receipt: has("request", ns::RECEIPTS),
        })
    }

    /// An answer to it.
    pub(super) fn reply(&self, text: String) -> Message {
        let mut message = self.blank();
        message.thread.clone_from(&self.thread);
        message.bodies.insert(Lang::new(), text);
        message
    }

    /// The receipt it asks for (XEP-0184).
    fn receipt(&self) -> Option<Message> {
        let id = self.id.clone().filter(|_| self.wants_receipt)?;
        let mut message = self.blank();
        message.payloads = vec![xmpp_parsers::receipts::Received { id }.into()];
        Some(message)
    }

    fn blank(&self) -> Message {
        let mut message = Message::new_with_type(self.type_.clone(), self.from.clone());
        message.from = Some(self.to.to_bare().into());
        message
    }
}

/// The body without the lines it quotes (XEP-0428, 0461): a reply does not run what it answers.
fn body(message: &Element) -> String {
    let bodies = || {
        message
            .children()
            .filter(|child| child.is("body", NS_COMPONENT))
    };
    let plain = bodies().find(|body| body.attrs().is_empty());
    let Some(body) = plain.or_else(|| bodies().next()) else {
        return String::new();
    };
    let text = body.text();
    let lines = text.lines().skip_while(|line| line.starts_with('>'));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// What is known of the people who write.
#[derive(Debug, Default)]
pub(super) struct Chats(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    people: HashMap<BareJid, Person>,
    strangers: HashMap<BareJid, Timestamp>,
}

#[derive(Debug, Default)]
struct Person {
    /// When the last lines came, at most [`RATE`].
    recent: VecDeque<Timestamp>,
    silenced: bool,
    /// Resolves when the line before is done with.
    turn: Option<oneshot::Receiver<()>>,
    asked: Option<Asked>,
    /// The list that was shown last: the call for its page, and which page it is.
    shown: Option<(Call, usize)>,
    /// The last line that did nothing: it may be corrected and run then.
    failed: Option<String>,
}

/// A question that waits for its yes: to this resource, for exactly this.
#[derive(Debug)]
struct Asked {
    who: Jid,
    call: Call,
    until: Timestamp,
}

/// What becomes of a line.
#[derive(Debug)]
pub(super) enum Admitted {
    /// Nothing.
    Ignored,
    /// A sentence, at once.
    Answer(String),
    /// It is taken in, in its turn.
    InTurn(Turn),
}

/// One's place behind one's own earlier lines.
#[derive(Debug)]
pub(super) struct Turn {
    before: Option<oneshot::Receiver<()>>,
    /// Dropped when the line is done with, which lets the next one go.
    _done: oneshot::Sender<()>,
}

impl Chats {
    /// Whether a stranger gets a sentence now.
    pub(super) fn admit_stranger(&self, from: &Jid, now: Timestamp) -> bool {
        let mut known = self.known();
        if known.strangers.len() >= STRANGERS {
            known
                .strangers
                .retain(|_, told| now.since(*told) < STRANGER_SPAN);
        }
        let person = from.to_bare();
        match known.strangers.get(&person) {
            Some(told) if now.since(*told) < STRANGER_SPAN => false,
            None if known.strangers.len() >= STRANGERS => false,
            _ => {
                known.strangers.insert(person, now);
                true
            }
        }
    }

    /// Lets a line of somebody with a role in, or not: more than [`RATE`] lines within
    /// [`RATE_SPAN`] silence the bot until that person has been quiet for as long.
    pub(super) fn admit(&self, line: &Line, now: Timestamp) -> Admitted {
        let mut known = self.known();
        if known.people.len() >= PEOPLE {
            known.people.retain(|_, person| {
                let last = person.recent.back();
                last.is_some_and(|last| now.since(*last) < YES_WITHIN)
            });
        }
        let person = known.people.entry(line.from.to_bare()).or_default();
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
            return Admitted::Answer(words::too_fast());
        }
        if line.encrypted {
            return Admitted::Answer(words::encrypted());
        }
        if let Some(corrected) = &line.corrects
            && person
                .failed
                .take_if(|failed| failed == corrected)
                .is_none()
        {
            return Admitted::Answer(words::corrected());
        }
        let (done, next) = oneshot::channel();
        Admitted::InTurn(Turn {
            before: person.turn.replace(next),
            _done: done,
        })
    }

    /// Runs a line when its turn comes.
    pub(super) async fn run(
        &self,
        line: &Line,
        turn: Turn,
        caller: Caller,
        context: &Context,
    ) -> Message {
        if let Some(before) = turn.before {
            // An error means that the line before is over too.
            let _ = before.await;
        }
        let asked = self.person(&line.from, |person| person.asked.take());
        let now = context.gate.now();
        let asked = asked.filter(|asked| asked.who == line.from && now < asked.until);
        let word = line.text.to_lowercase();
        let (text, failed) = match (word.trim_end_matches(['.', '!']), asked) {
            ("yes" | "y", Some(asked)) => {
                let call = Call {
                    // The role of now, not of when it was asked.
                    caller,
                    confirmed: true,
                    ..asked.call
                };
                self.carry_out(line, call, context).await
            }
            ("yes" | "y", None) => (words::nothing_to_confirm(), false),
            ("no" | "n", Some(_)) => (words::dropped(), false),
            ("next" | "more", _) => self.turn(line, &caller, 1, context).await,
            ("previous" | "prev" | "back", _) => self.turn(line, &caller, -1, context).await,
            _ => match parse(&line.text, &caller) {
                Ok(call) => self.carry_out(line, call, context).await,
                Err(text) => (text, true),
            },
        };
        if failed {
            // A correction of a correction names the first message again.
            let id = line.corrects.clone().or_else(|| line.id.clone());
            self.person(&line.from, |person| person.failed = id);
        }
        line.reply(text)
    }

    /// Another page of the list that was shown last, with its filter.
    async fn turn(
        &self,
        line: &Line,
        caller: &Caller,
        step: isize,
        context: &Context,
    ) -> (String, bool) {
        let Some((call, page)) = self.person(&line.from, |person| person.shown.clone()) else {
            return (words::no_list(), false);
        };
        let Some(page) = page.checked_add_signed(step).filter(|page| *page > 0) else {
            return (words::no_page_before(), false);
        };
        let mut call = Call {
            // The role of now, not of when the list was asked for.
            caller: caller.clone(),
            ..call
        };
        call.values.set("page", vec![page.to_string()]);
        match self.carry_out(line, call, context).await {
            // The only thing that can be wrong with what was right before.
            (_, true) => (words::no_next_page(), false),
            answer => answer,
        }
    }

    /// The answer, and whether nothing was done because the line was wrong.
    async fn carry_out(&self, line: &Line, call: Call, context: &Context) -> (String, bool) {
        let outcome = command::handle(&call, context).await;
        let failed = matches!(outcome, Outcome::Invalid(_) | Outcome::Unknown { .. });
        let text = render(&outcome, command::find(&call.name));
        if let Outcome::Rows(page) = &outcome {
            let shown = Some((call.clone(), page.page));
            self.person(&line.from, |person| person.shown = shown);
        }
        if let Outcome::Ask(ask) = outcome {
            let values = ask.values.unwrap_or_else(|| call.values.clone());
            let asked = Asked {
                who: line.from.clone(),
                call: Call { values, ..call },
                until: context.gate.now().saturating_add(YES_WITHIN),
            };
            self.person(&line.from, |person| person.asked = Some(asked));
        }
        (text, failed)
    }

    fn person<R>(&self, jid: &Jid, look: impl FnOnce(&mut Person) -> R) -> R {
        look(self.known().people.entry(jid.to_bare()).or_default())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receipt of a line, for people with a role only.
pub(super) fn receipt(line: &Line) -> Option<Message> {
    line.receipt()
}

/// From a line to a call, or to what is wrong with it.
fn parse(text: &str, caller: &Caller) -> Result<Call, String> {
    let text = text.trim_start_matches(['/', '!']).trim();
    let mut lines = text.lines().skip(1);
    let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let name = match name.to_lowercase().as_str() {
        "?" => String::from("help"),
        name => name.to_owned(),
    };
    let permitted =
        |name: &str| command::find(name).filter(|spec| command::permits(caller.role, spec));
    let Some(spec) = permitted(&name) else {
        if Subject::parse(&name).is_ok() {
            return Err(words::command_first(&name));
        }
        let text = words::no_such_command(&name, command::nearest(caller.role, &name));
        return Err(format!("{text} {}", words::nothing_was_done(None)));
    };
    // A list of subjects may be pasted line by line; a second command may not hide in a reason.
    if lines.any(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        permitted(&first.trim_start_matches(['/', '!']).to_lowercase()).is_some()
    }) {
        return Err(words::one_command());
    }
    let values = line::read(spec, rest).map_err(|problems| wrong(&problems, Some(spec)))?;
    Ok(Call {
        caller: caller.clone(),
        door: Door::Chat,
        name,
        values,
        confirmed: false,
    })
}

/// An outcome as text.
fn render(outcome: &Outcome, spec: Option<&Spec>) -> String {
    match outcome {
        Outcome::Done(answer) => text(&answer.lines, &answer.rows),
        Outcome::Rows(page) => rows(page),
        Outcome::Ask(ask) => {
            let mut lines = ask.lines.clone();
            lines.push(words::confirm_chat());
            lines.join("\n")
        }
        Outcome::Invalid(problems) => wrong(problems, spec),
        Outcome::Refused(problems) => wrong(problems, None),
        Outcome::Forbidden { needs } => words::forbidden(*needs),
        Outcome::Unknown { .. } => words::nothing_was_done(None),
        Outcome::Broken(reference) => words::broken(reference),
    }
}

fn wrong(problems: &[Problem], spec: Option<&Spec>) -> String {
    let mut lines: Vec<String> = problems
        .iter()
        .map(|problem| problem.text.clone())
        .collect();
    lines.push(words::nothing_was_done(spec));
    lines.join("\n")
}

fn rows(page: &Page) -> String {
    let mut lines = vec![format!("{}.", page.title)];
    lines.extend(page.lines.iter().cloned());
    lines.extend(
        page.rows
            .iter()
            .map(|entry| format!("{}: {}", entry.row.label, entry.row.value)),
    );
    lines.extend(page.next.as_deref().map(words::more));
    lines.join("\n")
}

fn text(lines: &[String], rows: &[Row]) -> String {
    let mut all = lines.to_vec();
    all.extend(rows.iter().map(|row| {
        if row.value.contains('\n') {
            format!("{}:\n```\n{}\n```", row.label, row.value)
        } else if row.value.contains(&row.label) {
            // A sentence that names its subject needs no label in front.
            row.value.clone()
        } else {
            format!("{}: {}", row.label, row.value)
        }
    }));
    all.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ban::Role;
    use crate::xmpp::stanza::{Header, Kind};

    fn received(type_: &str, inside: &str) -> Received {
        let text = format!("<message xmlns='{NS_COMPONENT}'>{inside}</message>");
        Received {
            kind: Kind::Message,
            header: Header {
                from: Jid::new("admin@example.org/phone").unwrap(),
                to: Jid::new("bot@gate.example.org").unwrap(),
                id: Some("m1".into()),
                type_: Some(type_.into()),
                lang: None,
            },
            element: text.parse().unwrap(),
        }
    }

    fn line(text: &str) -> Line {
        Line::read(&received("chat", &format!("<body>{text}</body>"))).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_795_320_000_000 + millis)
    }

    #[test]
    fn what_is_no_line_of_a_person_is_ignored() {
        let body = "<body>list</body>";
        assert!(Line::read(&received("chat", body)).is_some());
        assert!(Line::read(&received("normal", body)).is_some());
        for type_ in ["error", "groupchat", "headline"] {
            assert!(Line::read(&received(type_, body)).is_none(), "{type_}");
        }
        for extra in [
            "<delay xmlns='urn:xmpp:delay' stamp='2026-11-22T04:00:00Z'/>",
            "<x xmlns='jabber:x:delay' stamp='20261122T04:00:00'/>",
            "<sent xmlns='urn:xmpp:carbons:2'/>",
            "<received xmlns='urn:xmpp:carbons:2'/>",
            "<forwarded xmlns='urn:xmpp:forward:0'/>",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
        ] {
            assert!(
                Line::read(&received("chat", &format!("{body}{extra}"))).is_none(),
                "{extra}"
            );
        }
        for empty in [
            "",
            "<body/>",
            "<body> </body>",
            "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        ] {
            assert!(Line::read(&received("chat", empty)).is_none(), "{empty}");
        }
        let mut from_a_server = received("chat", body);
        from_a_server.header.from = Jid::new("example.org").unwrap();
        assert!(Line::read(&from_a_server).is_none());
        let mut reflected = received("chat", body);
        reflected.header.from = Jid::new("bot@gate.example.org/x").unwrap();
        assert!(Line::read(&reflected).is_none());
    }

    #[test]
    fn quoted_lines_are_not_run() {
        let quoted = line("&gt; ban a@b\n&gt; now\nshow #1");
        assert_eq!(quoted.text, "show #1");
    }

    #[test]
    fn an_answer_goes_back_the_way_the_line_came() {
        let asked = received(
            "normal",
            "<body>list</body><thread>t1</thread><request xmlns='urn:xmpp:receipts'/>",
        );
        let line = Line::read(&asked).unwrap();
        let answer = line.reply("No bans.".into());
        assert_eq!(answer.type_, MessageType::Normal);
        assert_eq!(
            answer.to,
            Some(Jid::new("admin@example.org/phone").unwrap())
        );
        assert_eq!(answer.from, Some(Jid::new("bot@gate.example.org").unwrap()));
        assert_eq!(answer.thread.unwrap().id, "t1");
        let receipt = Element::from(line.receipt().unwrap());
        let received = receipt.get_child("received", ns::RECEIPTS).unwrap();
        assert_eq!(received.attr("id"), Some("m1"));
    }

    #[test]
    fn a_flood_is_answered_once_and_then_with_silence_until_it_is_quiet() {
        let chats = Chats::default();
        let heard = |millis| match chats.admit(&line("list"), at(millis)) {
            Admitted::InTurn(_) => "in",
            Admitted::Answer(_) => "told",
            Admitted::Ignored => "silent",
        };
        for n in 0..19 {
            assert_eq!(heard(n * 10), "in", "{n}");
        }
        assert_eq!(heard(300), "told");
        for n in 0..50 {
            assert_eq!(heard(1_000 + n * 9_000), "silent", "{n}");
        }
        assert_eq!(heard(1_000 + 49 * 9_000 + 10_000), "in");
        for n in 0..40 {
            assert_eq!(
                heard(1_000_000 + n * 1_000),
                "in",
                "a person types fast, {n}"
            );
        }
    }

    #[test]
    fn a_stranger_gets_one_sentence_an_hour_and_there_are_only_so_many() {
        let chats = Chats::default();
        let jid = |n: usize| Jid::new(&format!("s{n}@evil.example/x")).unwrap();
        assert!(chats.admit_stranger(&jid(0), at(0)));
        assert!(!chats.admit_stranger(&jid(0), at(3_599_000)));
        assert!(chats.admit_stranger(&jid(0), at(3_600_000)));
        for n in 1..5_000 {
            chats.admit_stranger(&jid(n), at(3_600_001));
        }
        assert_eq!(chats.known().strangers.len(), STRANGERS);
        assert!(!chats.admit_stranger(&jid(6_000), at(3_600_002)));
        assert!(chats.admit_stranger(&jid(6_000), at(9_000_000)));
    }

    #[test]
    fn only_a_line_that_did_nothing_can_be_corrected() {
        let chats = Chats::default();
        let mut corrected = line("ban a@b");
        corrected.corrects = Some("m1".into());
        let is_in = || matches!(chats.admit(&corrected, at(0)), Admitted::InTurn(_));
        assert!(!is_in());
        chats.person(&corrected.from, |person| person.failed = Some("m1".into()));
        assert!(is_in());
        assert!(!is_in(), "not a second time");
    }

    #[test]
    fn lines_become_calls_or_helpful_sentences() {
        let caller = Caller {
            jid: Jid::new("admin@example.org/phone").unwrap(),
            role: Role::Admin,
        };
        let parse = |text| parse(text, &caller);
        assert_eq!(parse("!BAN a@b 3d").unwrap().name, "ban");
        assert_eq!(parse("?").unwrap().name, "help");
        assert_eq!(
            parse("ban a@b\nc@d\n3d x")
                .unwrap()
                .values
                .words("subject")
                .len(),
            2
        );
        assert!(parse("bann a@b").unwrap_err().contains("Did you mean ban?"));
        assert!(parse("a@b").unwrap_err().contains("ban a@b"));
        assert!(
            parse("ban a@b\nban c@d")
                .unwrap_err()
                .contains("One command")
        );
        assert!(
            parse("ban a@b 3 strikes")
                .unwrap_err()
                .contains("Nothing was done")
        );
        let mut stranger = caller.clone();
        stranger.role = Role::Stranger;
        assert!(super::parse("bann a@b", &stranger).is_err_and(|text| !text.contains("mean")));
    }
}
