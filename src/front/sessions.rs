//! Open sessions of forms (XEP-0050, 3.3): each belongs to one full JID and one command, their number is limited, and
//! each ends by itself. A person's oldest session gives way to a new one, so a forgotten form never blocks anybody.
//!
//! ```text
//!                 ┌────────────── wrong input ───────────────┐
//!                 ▼                                          │
//! execute ─► Fill ─ complete ─► the command runs ─► answer: over
//!              ▲                 ▲   │      │
//!         prev │        complete │   │      └─ takes long ─► Working ─ next ─► looked at again
//!              └───── Confirm ───┘ ◄─┘ is risky
//! ```
//!
//! `cancel` ends it at every stage, and so does [`LIFETIME`] without a request. A session is taken out before
//! anything runs ([`Sessions::take`]) and kept again only if another stage follows, so nothing is done twice.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use xmpp_parsers::jid::Jid;

use crate::command::{Command, Values};
use crate::core::Timestamp;
use crate::xmpp::fault::Fault;

/// How long a form stays open after the last answer.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Maximum number of open forms per person.
pub const PER_PERSON: usize = 8;
/// Maximum number of open forms in all.
pub const IN_ALL: usize = 1_024;
/// Number of ended sessions that are remembered, to distinguish "expired" from "unknown".
const REMEMBERED: usize = 1_024;

/// An open session.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: String,
    pub(super) owner: Jid,
    pub(super) command: &'static Command,
    pub(super) values: Values,
    /// The values that a confirmation is for, if they differ from those filled in.
    pub(super) agreed: Option<Values>,
    pub(super) stage: FormStage,
    /// When it expires.
    until: Timestamp,
}

/// What the requester currently sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FormStage {
    /// The form.
    Fill,
    /// The question for confirmation.
    Confirm,
    /// The progress.
    Working,
}

/// All open sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    open: HashMap<String, Session>,
    ended: VecDeque<(String, Jid)>,
}

impl Sessions {
    /// Creates a session that is not yet open; [`Sessions::keep`] opens it.
    pub(super) fn begin(
        owner: Jid,
        command: &'static Command,
        now: Timestamp,
    ) -> Result<Session, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Session {
            id: hex::encode(bytes),
            owner,
            command,
            values: Values::new(),
            agreed: None,
            stage: FormStage::Fill,
            until: now.saturating_add(LIFETIME),
        })
    }

    /// Takes a session out. Until it is kept again it counts as ended, so a repeated request does nothing.
    pub(super) fn take(
        &mut self,
        id: &str,
        owner: &Jid,
        node: &str,
        now: Timestamp,
    ) -> Result<Session, Fault> {
        self.expire(now);
        let is_theirs = |session: &Session| session.owner == *owner && session.command.name == node;
        if self.open.get(id).is_some_and(is_theirs)
            && let Some(session) = self.open.remove(id)
        {
            self.remember(session.id.clone(), session.owner.clone());
            return Ok(session);
        }
        let is_over = self
            .ended
            .iter()
            .any(|(known, by)| known == id && by == owner);
        Err(if is_over {
            Fault::SessionExpired
        } else {
            Fault::BadSessionId
        })
    }

    /// Keeps a session open for another [`LIFETIME`].
    pub(super) fn keep(&mut self, mut session: Session, now: Timestamp) {
        self.expire(now);
        let person = session.owner.to_bare();
        if self.of(&person).count() >= PER_PERSON {
            let oldest = self.of(&person).min_by_key(|open| open.until);
            let oldest = oldest.map(|open| open.id.clone());
            self.end(oldest);
        }
        if self.open.len() >= IN_ALL {
            let oldest = self.open.values().min_by_key(|open| open.until);
            let oldest = oldest.map(|open| open.id.clone());
            self.end(oldest);
        }
        session.until = now.saturating_add(LIFETIME);
        self.ended.retain(|(id, _)| *id != session.id);
        self.open.insert(session.id.clone(), session);
    }

    fn of<'a>(
        &'a self,
        person: &'a xmpp_parsers::jid::BareJid,
    ) -> impl Iterator<Item = &'a Session> {
        self.open
            .values()
            .filter(move |open| open.owner.to_bare() == *person)
    }

    fn expire(&mut self, now: Timestamp) {
        let over: Vec<String> = self
            .open
            .values()
            .filter(|session| session.until <= now)
            .map(|session| session.id.clone())
            .collect();
        for id in over {
            self.end(Some(id));
        }
    }

    fn end(&mut self, id: Option<String>) {
        if let Some(session) = id.and_then(|id| self.open.remove(&id)) {
            self.remember(session.id, session.owner);
        }
    }

    fn remember(&mut self, id: String, owner: Jid) {
        if self.ended.len() >= REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((id, owner));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::command::find;

    fn jid(text: &str) -> Jid {
        Jid::new(text).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_795_320_000_000 + seconds * 1000)
    }

    fn opened(sessions: &mut Sessions, owner: &str, seconds: i64) -> String {
        let session = Sessions::begin(jid(owner), find("ban").unwrap(), at(seconds)).unwrap();
        let id = session.id.clone();
        sessions.keep(session, at(seconds));
        id
    }

    #[test]
    fn a_session_belongs_to_one_full_jid_and_one_command() {
        let mut sessions = Sessions::default();
        let id = opened(&mut sessions, "a@b/1", 0);
        let mut wrong = |owner: &str, node| sessions.take(&id, &jid(owner), node, at(1)).err();
        assert_eq!(wrong("a@b/2", "ban"), Some(Fault::BadSessionId));
        assert_eq!(wrong("a@b", "ban"), Some(Fault::BadSessionId));
        assert_eq!(wrong("a@b/1", "unban"), Some(Fault::BadSessionId));
        assert_eq!(wrong("a@b/1", "ban"), None);
        assert_eq!(wrong("a@b/1", "ban"), Some(Fault::SessionExpired));
        assert_eq!(wrong("x@b/1", "ban"), Some(Fault::BadSessionId));
    }

    #[test]
    fn a_session_ends_by_itself_and_each_answer_gives_it_more_time() {
        let mut sessions = Sessions::default();
        let id = opened(&mut sessions, "a@b/1", 0);
        let session = sessions.take(&id, &jid("a@b/1"), "ban", at(899)).unwrap();
        sessions.keep(session, at(899));
        let session = sessions.take(&id, &jid("a@b/1"), "ban", at(1_700)).unwrap();
        sessions.keep(session, at(1_700));
        let late = sessions.take(&id, &jid("a@b/1"), "ban", at(2_600)).err();
        assert_eq!(late, Some(Fault::SessionExpired));
        assert!(sessions.open.is_empty());
    }

    #[test]
    fn forgotten_forms_give_way_and_nothing_grows_without_bound() {
        let mut sessions = Sessions::default();
        let first = opened(&mut sessions, "a@b/0", 0);
        for n in 1..20 {
            opened(&mut sessions, &format!("a@b/{n}"), n);
        }
        assert_eq!(sessions.open.len(), PER_PERSON);
        let gone = sessions.take(&first, &jid("a@b/0"), "ban", at(30)).err();
        assert_eq!(gone, Some(Fault::SessionExpired));
        for n in 0..3_000 {
            opened(&mut sessions, &format!("p{n}@b/1"), 40);
        }
        assert!(sessions.open.len() <= IN_ALL && sessions.ended.len() <= REMEMBERED);
    }
}
