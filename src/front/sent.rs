//! The messages we sent and their subjects, so that a reply need not name one.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use xmpp_parsers::jid::BareJid;
use xmpp_parsers::message::Message;

/// Maximum number of messages per receiver.
const EACH: usize = 50;
/// Maximum number of receivers. All of them have a role, or are configured rooms.
const HEARERS: usize = 1_024;

/// The subject of one of our messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// One subject, as commands take it: `#17`, `alice@example.org`.
    One(String),
    /// None, or several: a reply must name its subject.
    Nobody,
}

/// What is known about the message that a line replies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReplyContext {
    /// It is ours, about this.
    To(About),
    /// It is not ours, or too old.
    Unknown,
}

/// The messages by receiver.
#[derive(Debug, Default)]
pub(super) struct SentMessages(Mutex<HashMap<BareJid, VecDeque<SentMessage>>>);

#[derive(Debug)]
struct SentMessage {
    id: String,
    first_line: String,
    about: About,
}

impl SentMessages {
    /// Remembers a message to somebody.
    pub(super) fn note(&self, to: &BareJid, id: &str, text: &str, about: About) {
        let mut all = self.all();
        if all.len() >= HEARERS && !all.contains_key(to) {
            all.clear();
        }
        let theirs = all.entry(to.clone()).or_default();
        if theirs.len() >= EACH {
            theirs.pop_front();
        }
        theirs.push_back(SentMessage {
            id: id.to_owned(),
            first_line: first_line(text).to_owned(),
            about,
        });
    }

    /// [`SentMessages::note`] for a message that is ready to send.
    pub(super) fn note_message(&self, to: &BareJid, message: &Message, about: &About) {
        let text = message.bodies.values().next();
        if let (Some(id), Some(text)) = (&message.id, text) {
            self.note(to, &id.0, text, about.clone());
        }
    }

    /// The message that a line replies to; `None` if the line is not a reply. A quote without an id counts only if it
    /// is unambiguous.
    pub(super) fn replied(
        &self,
        with: &BareJid,
        id: Option<&str>,
        quoted: Option<&str>,
    ) -> Option<ReplyContext> {
        let by_id = id.and_then(|id| self.by_id(with, id));
        let by_quote = || self.by_quote(with, quoted?);
        match by_id.or_else(by_quote) {
            Some(about) => Some(ReplyContext::To(about)),
            None => id.map(|_| ReplyContext::Unknown),
        }
    }

    /// Whether we sent a message of this id to this person.
    pub(super) fn knows(&self, to: &BareJid, id: &str) -> bool {
        self.by_id(to, id).is_some()
    }

    /// The subject of the message with this id; `None` if it is unknown.
    fn by_id(&self, to: &BareJid, id: &str) -> Option<About> {
        let all = self.all();
        let mut theirs = all.get(to)?.iter().rev();
        Some(theirs.find(|message| message.id == id)?.about.clone())
    }

    /// The subject of the quoted message: its first line must be quoted completely, and no message with another
    /// subject may begin with the same line.
    fn by_quote(&self, to: &BareJid, quoted: &str) -> Option<About> {
        let quoted = first_line(quoted);
        let all = self.all();
        let theirs = all.get(to)?.iter();
        let mut same = theirs.filter(|message| !quoted.is_empty() && message.first_line == quoted);
        let first = &same.next()?.about;
        let is_clear = same.all(|message| message.about == *first);
        is_clear.then(|| first.clone())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<BareJid, VecDeque<SentMessage>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default().trim()
}

/// A new random id for a message.
pub(super) fn fresh_id() -> String {
    let mut bytes = [0; 8];
    // Without randomness ids repeat, and a reply refers to the newest message with its id.
    let _ = getrandom::fill(&mut bytes);
    hex::encode(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn one(text: &str) -> About {
        About::One(text.to_owned())
    }

    #[test]
    fn a_message_is_found_by_its_id_by_whom_it_was_sent_to_and_not_for_ever() {
        let said = SentMessages::default();
        let [anna, bert] = ["anna@x.org", "bert@x.org"].map(|jid| BareJid::new(jid).unwrap());
        said.note(&anna, "1", "Banned #17 …\nmore", one("#17"));
        assert_eq!(said.by_id(&anna, "1"), Some(one("#17")));
        assert_eq!(said.by_id(&bert, "1"), None);
        for n in 2..=EACH + 1 {
            said.note(&anna, &n.to_string(), "x", About::Nobody);
        }
        assert_eq!(said.by_id(&anna, "1"), None);
        for n in 0..3 * HEARERS {
            let jid = BareJid::new(&format!("p{n}@x.org")).unwrap();
            said.note(&jid, "1", "x", About::Nobody);
        }
        assert!(said.all().len() <= HEARERS);
    }

    #[test]
    fn a_quote_counts_only_when_it_is_clear_what_it_quotes() {
        let said = SentMessages::default();
        let anna = BareJid::new("anna@x.org").unwrap();
        said.note(&anna, "1", "Banned #17 a@b\nunban #17", one("#17"));
        said.note(&anna, "2", "Banned #18 c@d", one("#18"));
        said.note(&anna, "3", "Done.", one("#17"));
        said.note(&anna, "4", "Done.", one("#18"));
        let quoted = |text| said.by_quote(&anna, text);
        assert_eq!(quoted("Banned #17 a@b\nunban #17"), Some(one("#17")));
        assert_eq!(quoted("Banned #17"), None, "not the whole line");
        assert_eq!(quoted("Done."), None, "two of them");
        assert_eq!(quoted(""), None);
    }
}
