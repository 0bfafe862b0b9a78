//! From a report to the events to append, or to an answer when there is nothing to append.

use super::attempt::Attempt;
use super::event::{Actor, Change, Event, EventId, Origin, Personal, Role, Seq};
use super::ledger::{Ledger, Ruling};
use super::policy::{NOTE_MAX, Policy, REASON_MAX, Refusal, Whose};
use super::record::Ban;
use super::subject::{Account, Subject};
use super::term::Term;
use super::time::Timestamp;
use super::undo::{Deed, Did};
use super::watch::{MOST_WATCHES, Watch};

/// Something that happened, from any door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Somebody wants something done.
    Order(Order),
    /// A login the server reports.
    Login(Attempt),
    /// Failed logins by hand: counted as reported ones are, with all that follows.
    Attempt {
        /// Who.
        actor: Actor,
        /// Of whom.
        subject: Subject,
        /// How many, at most [`ATTEMPTS_AT_ONCE`](super::weigh::ATTEMPTS_AT_ONCE) at once.
        times: u32,
    },
    /// A decision made elsewhere, to stand in the history here as it was: with its own id, time,
    /// author and terms; what it was based on there means nothing here. History only goes on: one
    /// that is older than the last change of its subject here is [`Ruling::Stale`].
    Recall(Box<Event>),
    /// Time went on.
    Tick,
    /// The configuration changed: bans by rules that it exempts now end.
    Review,
}

/// What somebody wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Who.
    pub actor: Actor,
    /// The actor's own account, which may not be banned by them.
    pub own_account: Option<Account>,
    /// The addresses the actor is connected from, as far as the server tells.
    pub own_addresses: Vec<std::net::IpAddr>,
    /// Whom it is about.
    pub subject: Subject,
    /// What.
    pub what: What,
}

/// The kinds of order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Ban, or change the terms of the ban in force.
    Ban {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Take over a ban made elsewhere. One that stands here is never shortened by it.
    Adopt {
        /// Public reason.
        reason: String,
        /// Private note.
        note: Option<String>,
        /// How long. A length counts from when it is taken over first: taken over again, it changes
        /// nothing.
        term: Term,
        /// Where it comes from.
        origin: Origin,
    },
    /// Un-ban.
    Lift {
        /// Why, for the history.
        reason: String,
    },
    /// Exempt from bans, or change comment and end of the exemption.
    Allow {
        /// For how long; `None`: until somebody takes it back.
        term: Option<Term>,
        /// Why.
        comment: String,
    },
    /// Take an exemption back.
    Unallow,
    /// Forget the history: growth starts anew and counters are cleared; of an account also those
    /// of its guard and pairs, of a network those of all in it.
    Forget,
    /// Ban somebody who is exempt, because an admin insists. Otherwise as [`What::Ban`].
    BanExempt {
        /// For how long; `None`: the default, or as it is.
        term: Option<Term>,
        /// Public reason; `None`: none, or as it is.
        reason: Option<String>,
        /// Private note.
        note: Option<String>,
    },
    /// Make the ban in force longer: by a length, or to a later end. Never shorter.
    Extend {
        /// A length is added to the end it has.
        by: Term,
    },
    /// Add a private note, or let none or only this one be left.
    Annotate {
        /// The note.
        note: Option<String>,
        /// The notes there are count no more.
        replaces: bool,
    },
    /// Take back the last change of the subject.
    Undo {
        /// Which one that was when it was asked for. Is it another by now, nothing is done.
        deed: Seq,
    },
    /// End the sessions that are open, without a ban. What does it is the server.
    Kick {
        /// Public reason.
        reason: String,
    },
    /// Let a person or a room hear these news; `None`: what everybody hears who expressed no wish.
    Watch(Option<Watch>),
}

/// What a report leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
// One at a time, made and matched: a box would only cost an allocation for each order.
#[expect(clippy::large_enum_variant)]
pub enum Proposal {
    /// Append these; the fold will rule.
    Events(Vec<Event>),
    /// Nothing to append: this is the answer.
    Answer(Ruling),
}

/// How many ended bans one tick writes down at most; the next tick takes the rest.
pub const ENDED_AT_ONCE: usize = 1_000;

/// With how many others, at most, a subject is forgotten at once.
pub const FORGOTTEN_AT_ONCE: usize = 1_000;

/// From a report to events. Pure: `now` and `fresh` (a source of new event ids) are arguments.
///
/// For what needs no counting. Logins and attempts are for [`weigh`](super::weigh::weigh), which
/// passes on all others; without counters there is nothing to say about them.
pub fn propose(
    ledger: &Ledger,
    policy: &Policy,
    report: &Report,
    now: Timestamp,
    fresh: &mut dyn FnMut() -> EventId,
) -> Proposal {
    match report {
        Report::Login(_) | Report::Attempt { .. } => Proposal::Answer(Ruling::Noted),
        Report::Review => Proposal::Events(
            ledger
                .newest_first()
                .filter(|ban| ban.origin.rule().is_some())
                .filter(|ban| policy.exempts(&ban.subject).is_some())
                .take(ENDED_AT_ONCE)
                .map(|ban| Event {
                    change: Change::Lifted {
                        reason: String::from("exempt by the configuration now"),
                    },
                    ..expire(ledger, ban, now, fresh())
                })
                .collect(),
        ),
        Report::Tick => Proposal::Events(
            ledger
                .ended(now, ENDED_AT_ONCE)
                .map(|ban| expire(ledger, ban, now, fresh()))
                .collect(),
        ),
        Report::Recall(event) => recall(ledger, policy, event, now),
        Report::Order(order) => match decide(ledger, policy, order, now) {
            Err(ruling) => Proposal::Answer(*ruling),
            Ok((change, personal)) => {
                let origin = match &order.what {
                    What::Adopt { origin, .. } => origin.clone(),
                    _ => Origin::Manual,
                };
                let mut event = |subject: &Subject, change, personal| Event {
                    id: fresh(),
                    at: now,
                    actor: order.actor.clone(),
                    origin: origin.clone(),
                    subject: subject.clone(),
                    based_on: ledger.version(subject),
                    change,
                    personal,
                };
                let mut events: Vec<Event> = Vec::new();
                if change == Change::Forgotten {
                    let with = ledger.forgotten_with(&order.subject);
                    events.extend(with.take(FORGOTTEN_AT_ONCE).map(|(subject, _)| {
                        event(subject, Change::Forgotten, Personal::default())
                    }));
                }
                if change == Change::Undone {
                    let with = undone_with(ledger, &order.subject);
                    events.extend(
                        with.map(|subject| event(subject, Change::Undone, Personal::default())),
                    );
                }
                // Last: what is told of the order is what came of its own subject.
                events.push(event(&order.subject, change, personal));
                Proposal::Events(events)
            }
        },
    }
}

/// The change an order leads to, or the answer when it leads to none.
fn decide(
    ledger: &Ledger,
    policy: &Policy,
    order: &Order,
    now: Timestamp,
) -> Result<(Change, Personal), Box<Ruling>> {
    let standing = ledger
        .current(&order.subject)
        .filter(|ban| ban.is_in_force(now));
    match &order.what {
        What::Allow { term, comment } => {
            permits_allow(order, now).map_err(Ruling::Refused)?;
            let until = term.and_then(|term| term.ends(now));
            let comment = comment.clone();
            Ok((Change::Allowed { comment, until }, Personal::default()))
        }
        What::Unallow => {
            needs_admin(order, "Taking an exemption back").map_err(Ruling::Refused)?;
            match ledger.exemptions().any(|one| one.subject == order.subject) {
                true => Ok((Change::Unallowed, Personal::default())),
                false => Err(Box::new(Ruling::NotAllowed(order.subject.clone()))),
            }
        }
        What::Forget => {
            needs_admin(order, "Forgetting a history").map_err(Ruling::Refused)?;
            Ok((Change::Forgotten, Personal::default()))
        }
        What::Watch(watch) => {
            permits_watch(ledger, order).map_err(Ruling::Refused)?;
            let watch = watch.clone();
            match ledger.watch_of(&order.subject) == watch.as_ref() {
                true => Err(Box::new(Ruling::Noted)),
                false => Ok((Change::Watched { watch }, Personal::default())),
            }
        }
        What::Lift { reason } => {
            permits_lift(policy, order, standing, now).map_err(refused)?;
            match standing {
                None => Err(Box::new(Ruling::NotBanned(
                    order.subject.clone(),
                    ledger.last(&order.subject).cloned(),
                ))),
                Some(_) => Ok((
                    Change::Lifted {
                        reason: reason.clone(),
                    },
                    Personal::default(),
                )),
            }
        }
        What::Adopt {
            reason, note, term, ..
        } => {
            permits_ban(policy, order, *term, now).map_err(Ruling::Refused)?;
            nobody_allowed(ledger, &order.subject, now)?;
            let personal = Personal {
                note: note.clone(),
                ..Personal::default()
            };
            let until = term.ends(now);
            match standing {
                None => Ok((
                    Change::Imposed {
                        reason: reason.clone(),
                        until,
                    },
                    personal,
                )),
                Some(ban) if lasts_longer(*term, ban, now) => {
                    let reason = match ban.reason.is_empty() {
                        true => reason.clone(),
                        false => ban.reason.clone(),
                    };
                    Ok((Change::Amended { reason, until }, personal))
                }
                Some(ban) => Err(Box::new(Ruling::Already(ban.clone()))),
            }
        }
        What::Extend { by } => extend(policy, order, standing, *by, now),
        What::Annotate { note, replaces } => {
            needs_moderator(order, "Writing notes").map_err(refused)?;
            within("note", note.as_deref(), NOTE_MAX).map_err(refused)?;
            if let Some(ban) = standing.filter(|_| policy.moderators_change == Whose::Own) {
                permits_change(policy, order, ban, now).map_err(refused)?;
            }
            let personal = Personal {
                note: note.clone(),
                ..Personal::default()
            };
            let replaces = *replaces;
            Ok((Change::Annotated { replaces }, personal))
        }
        What::Undo { deed } => undo(ledger, policy, order, *deed, now),
        What::Kick { reason } => {
            needs_moderator(order, "Ending sessions").map_err(refused)?;
            within("reason", Some(reason), REASON_MAX).map_err(refused)?;
            match &order.subject {
                Subject::Network(_) => needs_admin(order, "Ending the sessions of a network"),
                Subject::Pair(..) | Subject::Guard(_) => {
                    Err(Refusal::NoSessions(order.subject.clone()))
                }
                Subject::Account(_) | Subject::Address(_) => Ok(()),
            }
            .map_err(refused)?;
            permits_own(order).map_err(refused)?;
            let reason = reason.clone();
            Ok((Change::Kicked { reason }, Personal::default()))
        }
        What::Ban { term, reason, note } | What::BanExempt { term, reason, note } => {
            let insists = matches!(order.what, What::BanExempt { .. });
            let role = order.actor.role;
            let wanted = match (term, standing) {
                (Some(term), _) => *term,
                (None, Some(ban)) => ban.until.map_or(Term::Forever, Term::Until),
                (None, None) => policy.default_term_for(role, now),
            };
            permits_ban(policy, order, wanted, now).map_err(Ruling::Refused)?;
            // An exempt address or network is let in whatever ban there is: `unallow` comes first.
            if !insists || order.subject.whose().is_none() {
                nobody_allowed(ledger, &order.subject, now)?;
            }
            let personal = Personal {
                note: note.clone(),
                ..Personal::default()
            };
            let until = wanted.ends(now);
            let Some(ban) = standing else {
                let reason = reason.clone().unwrap_or_default();
                let change = match insists {
                    true => Change::ImposedOnExempt { reason, until },
                    false => Change::Imposed { reason, until },
                };
                return Ok((change, personal));
            };
            let reason = reason.clone().unwrap_or_else(|| ban.reason.clone());
            if until == ban.until && reason == ban.reason && note.is_none() {
                return Err(Box::new(Ruling::Already(ban.clone())));
            }
            permits_change(policy, order, ban, now).map_err(refused)?;
            Ok((Change::Amended { reason, until }, personal))
        }
    }
}

/// A ban made longer. A length is added to the end it has; an end is set.
fn extend(
    policy: &Policy,
    order: &Order,
    standing: Option<&Ban>,
    by: Term,
    now: Timestamp,
) -> Result<(Change, Personal), Box<Ruling>> {
    needs_moderator(order, "Extending a ban").map_err(refused)?;
    let Some(ban) = standing else {
        return Err(Box::new(Ruling::NotBanned(order.subject.clone(), None)));
    };
    let Some(end) = ban.until else {
        return Err(refused(Refusal::NotLonger(ban.id, None)));
    };
    let until = match by {
        Term::For(length) => Some(end.saturating_add(length)),
        other => other.ends(now),
    };
    if until.is_some_and(|until| until <= end) {
        return Err(refused(Refusal::NotLonger(ban.id, Some(end))));
    }
    permits_change(policy, order, ban, now).map_err(refused)?;
    let term = until.map_or(Term::Forever, Term::Until);
    policy
        .allows_term(order.actor.role, term, now)
        .map_err(refused)?;
    let reason = ban.reason.clone();
    Ok((Change::Amended { reason, until }, Personal::default()))
}

/// What was done last to a subject, taken back: by who did it, or by an admin.
fn undo(
    ledger: &Ledger,
    policy: &Policy,
    order: &Order,
    deed: Seq,
    now: Timestamp,
) -> Result<(Change, Personal), Box<Ruling>> {
    needs_moderator(order, "Undoing").map_err(refused)?;
    let subject = &order.subject;
    let Some(deed) = ledger.undoable(subject).filter(|last| last.seq == deed) else {
        return Err(Box::new(Ruling::ChangedSince(subject.clone())));
    };
    let is_own = deed.by.bare_name() == order.actor.bare_name();
    let is_admins = matches!(deed.did, Did::Allowed | Did::Unallowed | Did::Forgot);
    if order.actor.role < Role::Admin {
        if !is_own {
            let by = deed.by.bare_name().to_owned();
            return Err(refused(Refusal::NotYourDeed(subject.clone(), by)));
        }
        if is_admins || matches!(subject, Subject::Network(_)) {
            return Err(refused(Refusal::NeedsRole(Role::Admin, "Undoing this")));
        }
    }
    if now.since(deed.at) > policy.undo_for {
        return Err(refused(Refusal::TooLate(deed.at, policy.undo_for)));
    }
    if let Some(ban) = deed.ban_before() {
        permits_own(order).map_err(refused)?;
        let stands = ledger.current(subject).is_some();
        if let Some(by) = policy.exempts(subject).filter(|_| !stands) {
            return Err(refused(Refusal::Exempt(subject.clone(), by)));
        }
        let term = ban.until.map_or(Term::Forever, Term::Until);
        if let Some(end) = ban.until.filter(|end| *end <= now) {
            return Err(refused(Refusal::OverByNow(ban.id, end)));
        }
        // A role may have become less since.
        policy
            .allows_term(order.actor.role.max(ban.by.role), term, now)
            .map_err(refused)?;
    }
    Ok((Change::Undone, Personal::default()))
}

/// Who else was changed by the same order and goes back with a subject: those whose histories were
/// forgotten with it, and the bans that its exemption lifted.
fn undone_with<'a>(ledger: &'a Ledger, subject: &Subject) -> impl Iterator<Item = &'a Subject> {
    let first = ledger.undoable(subject);
    let same = move |other: &&Deed| {
        first.is_some_and(|first| {
            other.subject != first.subject
                && other.by == first.by
                && match first.did {
                    Did::Allowed => other.seq == first.seq,
                    Did::Forgot => other.did == Did::Forgot && other.at == first.at,
                    // What was undone with others is undone again with them.
                    Did::Undid => other.did == Did::Undid && other.at == first.at,
                    _ => false,
                }
                && ledger.undoable(&other.subject).is_some()
        })
    };
    let with = ledger.deeds().filter(same).take(FORGOTTEN_AT_ONCE);
    with.map(|deed| &deed.subject)
}

fn needs_moderator(order: &Order, what: &'static str) -> Result<(), Refusal> {
    match order.actor.role >= Role::Moderator {
        true => Ok(()),
        false => Err(Refusal::NeedsRole(Role::Moderator, what)),
    }
}

/// May a moderator end this ban or give it other terms? None of a network, none an admin made
/// longer than a moderator could, and where so configured none but their own.
fn permits_change(
    policy: &Policy,
    order: &Order,
    ban: &Ban,
    now: Timestamp,
) -> Result<(), Refusal> {
    let role = order.actor.role;
    if role == Role::Admin {
        return Ok(());
    }
    if matches!(ban.subject, Subject::Network(_)) {
        return Err(Refusal::NeedsRole(
            Role::Admin,
            "Ending or changing the ban of a network",
        ));
    }
    let is_own = ban.origin == Origin::Manual && ban.by.bare_name() == order.actor.bare_name();
    if policy.moderators_change == Whose::Own && !is_own {
        let by = match ban.origin.rule() {
            Some(rule) => format!("the rule {rule}"),
            None => ban.by.bare_name().to_owned(),
        };
        return Err(Refusal::NotYours(ban.id, by));
    }
    let term = ban.until.map_or(Term::Forever, Term::Until);
    if ban.by.role > role && policy.allows_term(role, term, now).is_err() {
        return Err(Refusal::NeedsRole(
            Role::Admin,
            "Ending or changing what an admin banned for longer than a moderator may",
        ));
    }
    Ok(())
}

/// Whether a ban taken over lasts longer than the one that stands. A length is compared with the
/// length, or the same list would make its bans longer each time.
fn lasts_longer(term: Term, ban: &Ban, now: Timestamp) -> bool {
    match (ban.until, term) {
        (None, _) => false,
        (Some(_), Term::Forever) => true,
        (Some(end), Term::Until(other)) => end < other,
        (Some(end), Term::For(span)) => {
            end.since(ban.since) < span && end < now.saturating_add(span)
        }
    }
}

/// A decision made elsewhere. What it did there cannot be undone by a policy here; a ban that would
/// still stand must be one that may.
fn recall(ledger: &Ledger, policy: &Policy, event: &Event, now: Timestamp) -> Proposal {
    let subject = &event.subject;
    // The clock here may have written down the end of a ban before its own event came.
    if event.change == Change::Expired && ledger.current(subject).is_none() {
        let last = ledger.last(subject).cloned();
        return Proposal::Answer(Ruling::NotBanned(subject.clone(), last));
    }
    if ledger.changed(subject).is_some_and(|last| event.at < last) {
        return Proposal::Answer(Ruling::Stale);
    }
    let stands_until = match &event.change {
        Change::Imposed { until, .. } | Change::Amended { until, .. } => Some(*until),
        Change::ImposedByRule { until, .. } => Some(Some(*until)),
        _ => None,
    };
    if stands_until.is_some_and(|until| until.is_none_or(|end| now < end))
        && let Some(by) = policy.exempts(subject)
    {
        return Proposal::Answer(Ruling::Refused(Refusal::Exempt(subject.clone(), by)));
    }
    Proposal::Events(vec![Event {
        based_on: ledger.version(subject),
        ..event.clone()
    }])
}

/// No exemption given by `allow` stands against a ban.
fn nobody_allowed(ledger: &Ledger, subject: &Subject, now: Timestamp) -> Result<(), Box<Ruling>> {
    match ledger.exemption(subject, now) {
        None => Ok(()),
        Some(exemption) => {
            let by = exemption.to_string();
            Err(refused(Refusal::Allowed(subject.clone(), by)))
        }
    }
}

fn refused(refusal: Refusal) -> Box<Ruling> {
    Box::new(Ruling::Refused(refusal))
}

fn permits_ban(policy: &Policy, order: &Order, term: Term, now: Timestamp) -> Result<(), Refusal> {
    let role = order.actor.role;
    permits_own_account(order)?;
    match order.what {
        What::BanExempt { .. } => policy.allows_insisting(role, term, now)?,
        _ => policy.allows(role, &order.subject, term, now)?,
    }
    permits_own_address(order)?;
    let (reason, note) = match &order.what {
        What::Ban { reason, note, .. } | What::BanExempt { reason, note, .. } => {
            (reason.as_deref(), note.as_deref())
        }
        What::Adopt { reason, note, .. } => (Some(reason.as_str()), note.as_deref()),
        _ => (None, None),
    };
    within("reason", reason, REASON_MAX)?;
    within("note", note, NOTE_MAX)?;
    Ok(())
}

/// Nobody acts against themselves, by account or by the address they are connected from.
fn permits_own(order: &Order) -> Result<(), Refusal> {
    permits_own_account(order)?;
    permits_own_address(order)
}

fn permits_own_account(order: &Order) -> Result<(), Refusal> {
    if let Some(own) = &order.own_account
        && order.subject.whose() == Some(own)
    {
        return Err(Refusal::OwnAccount(own.clone()));
    }
    Ok(())
}

fn permits_own_address(order: &Order) -> Result<(), Refusal> {
    if let Some(net) = order.subject.net()
        && let Some(own) = order
            .own_addresses
            .iter()
            .map(|address| address.to_canonical())
            .find(|address| net.contains(address))
    {
        return Err(Refusal::OwnAddress(order.subject.clone(), own));
    }
    Ok(())
}

fn needs_admin(order: &Order, what: &'static str) -> Result<(), Refusal> {
    match order.actor.role {
        Role::Admin => Ok(()),
        _ => Err(Refusal::NeedsRole(Role::Admin, what)),
    }
}

/// Everybody with a role chooses for themselves; for others and for rooms an admin does.
fn permits_watch(ledger: &Ledger, order: &Order) -> Result<(), Refusal> {
    let own = order.own_account.clone().map(Subject::Account);
    if order.actor.role < Role::Moderator {
        return Err(Refusal::NeedsRole(Role::Moderator, "Choosing what to hear"));
    }
    if own.as_ref() != Some(&order.subject) {
        needs_admin(order, "Choosing what others hear")?;
    }
    let is_one_more = ledger.watch_of(&order.subject).is_none();
    if is_one_more && ledger.watches().len() >= MOST_WATCHES {
        return Err(Refusal::TooManyWatches(MOST_WATCHES));
    }
    Ok(())
}

fn permits_allow(order: &Order, now: Timestamp) -> Result<(), Refusal> {
    let What::Allow { term, comment } = &order.what else {
        return Ok(());
    };
    needs_admin(order, "Exempting somebody from bans")?;
    within("comment", Some(comment), REASON_MAX)?;
    if matches!(order.subject, Subject::Pair(..) | Subject::Guard(_)) {
        return Err(Refusal::NoExemption(order.subject.clone()));
    }
    match term.and_then(|term| term.ends(now)) {
        Some(end) if end <= now => Err(Refusal::EndsInThePast(end)),
        _ => Ok(()),
    }
}

fn permits_lift(
    policy: &Policy,
    order: &Order,
    standing: Option<&Ban>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let What::Lift { reason } = &order.what else {
        return Ok(());
    };
    within("reason", Some(reason), REASON_MAX)?;
    needs_moderator(order, "Un-banning")?;
    standing.map_or(Ok(()), |ban| permits_change(policy, order, ban, now))
}

fn within(what: &'static str, text: Option<&str>, most: usize) -> Result<(), Refusal> {
    match text {
        Some(text) if text.chars().count() > most => Err(Refusal::TextTooLong(what, most)),
        _ => Ok(()),
    }
}

/// The event that writes down that a ban's time is over.
fn expire(ledger: &Ledger, ban: &Ban, now: Timestamp, id: EventId) -> Event {
    Event {
        id,
        at: now,
        actor: Actor::clock(),
        origin: ban.origin.clone(),
        subject: ban.subject.clone(),
        // Not the ban's own: what left its terms as they are changed the subject, too.
        based_on: ledger.version(&ban.subject),
        change: Change::Expired,
        personal: Personal::default(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::ban::event::{Door, Seq};
    use crate::ban::ledger::{Effect, Verdict};

    /// A little world: one ledger, one policy, a clock that stands still until told.
    struct World {
        ledger: Ledger,
        policy: Policy,
        now: Timestamp,
        seq: u64,
    }

    impl World {
        fn new() -> Self {
            World {
                ledger: Ledger::default(),
                policy: Policy {
                    default_term: Term::Forever,
                    longest: None,
                    moderator_longest: Some(Duration::from_secs(30 * 86_400)),
                    moderators_change: Default::default(),
                    undo_for: Duration::from_secs(86_400),
                    exempt_networks: vec!["127.0.0.0/8".parse().unwrap()],
                    exempt_accounts: vec![],
                    rules: Default::default(),
                },
                now: Timestamp::parse("2026-11-22T12:00Z").unwrap(),
                seq: 0,
            }
        }

        fn order(&mut self, role: Role, subject: &str, what: What) -> Ruling {
            let order = Order {
                actor: Actor {
                    name: "admin@example.org/x".into(),
                    role,
                    door: Door::Chat,
                    occupant: None,
                },
                own_account: Subject::parse("admin@example.org")
                    .unwrap()
                    .account()
                    .cloned(),
                own_addresses: vec!["198.51.100.9".parse().unwrap()],
                subject: Subject::parse(subject).unwrap(),
                what,
            };
            self.submit(&Report::Order(order)).unwrap()
        }

        fn submit(&mut self, report: &Report) -> Option<Ruling> {
            let mut n = self.seq as u8;
            let mut fresh = || {
                n += 1;
                EventId([n; 16])
            };
            match propose(&self.ledger, &self.policy, report, self.now, &mut fresh) {
                Proposal::Answer(ruling) => Some(ruling),
                Proposal::Events(events) => events
                    .iter()
                    .map(|event| {
                        self.seq += 1;
                        self.ledger.fold(Seq(self.seq), event).0
                    })
                    .next_back(),
            }
        }

        fn ban(&mut self, subject: &str, term: Option<&str>, reason: Option<&str>) -> Ruling {
            let what = What::Ban {
                term: term.map(|term| Term::parse(term).unwrap()),
                reason: reason.map(str::to_owned),
                note: None,
            };
            self.order(Role::Admin, subject, what)
        }

        fn lift(&mut self, subject: &str) -> Ruling {
            let what = What::Lift {
                reason: String::new(),
            };
            self.order(Role::Admin, subject, what)
        }

        fn verdict(&self, account: &str, address: &str) -> Verdict {
            let account = Subject::parse(account).unwrap();
            self.ledger
                .check(account.account(), address.parse().ok(), || false, self.now)
        }
    }

    #[test]
    fn a_ban_of_somebody_forgotten_meanwhile_ends_at_its_time() {
        let mut world = World::new();
        world.ban("spam@example.org", Some("1h"), None);
        world.order(Role::Admin, "spam@example.org", What::Forget);
        world.now = world.now.saturating_add(Duration::from_secs(3_600));
        let ended = world.submit(&Report::Tick);
        assert!(matches!(ended, Some(Ruling::Lifted(_))), "{ended:?}");
        assert_eq!(world.ledger.next_end(), None);
    }

    #[test]
    fn a_ban_holds_until_it_is_lifted_and_history_counts_on() {
        let mut world = World::new();
        let Ruling::Banned(ban) = world.ban("spam@example.org", None, Some("spam")) else {
            panic!()
        };
        assert_eq!((ban.id.0, ban.ordinal, ban.until), (1, 1, None));
        assert!(matches!(
            world.verdict("spam@example.org", "192.0.2.1"),
            Verdict::Refuse { .. }
        ));
        assert!(matches!(world.lift("spam@example.org"), Ruling::Lifted(_)));
        assert_eq!(
            world.verdict("spam@example.org", "192.0.2.1"),
            Verdict::LetIn
        );
        let Ruling::NotBanned(_, Some(past)) = world.lift("spam@example.org") else {
            panic!()
        };
        assert_eq!(past.id.0, 1);
        let Ruling::Banned(again) = world.ban("spam@example.org", None, None) else {
            panic!()
        };
        assert_eq!((again.id.0, again.ordinal), (2, 2));
    }

    #[test]
    fn a_ban_ends_at_its_millisecond_even_before_the_tick() {
        let mut world = World::new();
        world.ban("spam@example.org", Some("10s"), None);
        world.now = world.now.saturating_add(Duration::from_millis(9_999));
        assert!(matches!(
            world.verdict("spam@example.org", "192.0.2.1"),
            Verdict::Refuse { .. }
        ));
        assert_eq!(world.submit(&Report::Tick), None);
        world.now = world.now.saturating_add(Duration::from_millis(1));
        assert_eq!(
            world.verdict("spam@example.org", "192.0.2.1"),
            Verdict::LetIn
        );
        // Banned anew before the clock wrote down the end: a second ban, not a change of the first.
        let Ruling::Banned(ban) = world.ban("spam@example.org", Some("1h"), None) else {
            panic!()
        };
        assert_eq!(ban.ordinal, 2);
        world.now = ban.until.unwrap();
        assert!(matches!(
            world.submit(&Report::Tick),
            Some(Ruling::Lifted(_))
        ));
        assert_eq!(world.ledger.next_end(), None);
    }

    #[test]
    fn other_terms_change_the_ban_and_the_same_terms_do_not() {
        let mut world = World::new();
        world.ban("spam@example.org", Some("until 2030-01-01"), Some("spam"));
        assert!(matches!(
            world.ban("spam@example.org", None, None),
            Ruling::Already(_)
        ));
        assert!(matches!(
            world.ban("spam@example.org", Some("until 2030-01-01"), Some("spam")),
            Ruling::Already(_)
        ));
        let Ruling::Amended { ban, before, .. } =
            world.ban("spam@example.org", Some("forever"), None)
        else {
            panic!()
        };
        assert_eq!((ban.id.0, ban.ordinal, ban.until), (1, 1, None));
        assert_eq!(
            (ban.reason.as_str(), before),
            ("spam", Timestamp::parse("2030-01-01"))
        );
        world.now = Timestamp::parse("2031-01-01").unwrap();
        assert!(matches!(
            world.verdict("spam@example.org", "192.0.2.1"),
            Verdict::Refuse { .. }
        ));
    }

    #[test]
    fn addresses_and_networks_cover_what_lies_in_them() {
        let mut world = World::new();
        world.ban("203.0.113.0/24", Some("1h"), None);
        world.ban("203.0.113.7", Some("2h"), None);
        world.ban("2001:db8::/64", None, None);
        let refused = |world: &World, address: &str| match world.verdict("a@example.org", address) {
            Verdict::Refuse { ban, .. } => Some(ban.0),
            Verdict::LetIn => None,
        };
        assert_eq!(
            refused(&world, "203.0.113.7"),
            Some(2),
            "the longest one is told"
        );
        assert_eq!(refused(&world, "::ffff:203.0.113.8"), Some(1));
        assert_eq!(refused(&world, "203.0.114.1"), None);
        assert_eq!(refused(&world, "2001:db8::ffff"), Some(3));
        assert_eq!(refused(&world, "2001:db8:0:1::1"), None);
        world.lift("203.0.113.0/24");
        assert_eq!(refused(&world, "203.0.113.8"), None);
        assert_eq!(refused(&world, "203.0.113.7"), Some(2));
    }

    #[test]
    fn nobody_bans_themselves_or_what_is_exempt() {
        let mut world = World::new();
        let refusal = |ruling| match ruling {
            Ruling::Refused(refusal) => refusal,
            other => panic!("{other:?}"),
        };
        assert!(matches!(
            refusal(world.ban("Admin@example.org/x", None, None)),
            Refusal::OwnAccount(_)
        ));
        assert!(matches!(
            refusal(world.ban("198.51.100.0/24", None, None)),
            Refusal::OwnAddress(..)
        ));
        assert!(matches!(
            refusal(world.ban("127.0.0.1", None, None)),
            Refusal::Exempt(..)
        ));
        assert!(matches!(
            refusal(world.ban("0.0.0.0/0", None, None)),
            Refusal::Exempt(..)
        ));
        assert!(matches!(
            refusal(world.ban("spam@example.org", Some("until 2020-01-01"), None)),
            Refusal::EndsInThePast(_)
        ));
    }

    #[test]
    fn a_moderator_has_a_longest_term_and_no_networks() {
        let mut world = World::new();
        let ban = |term: Option<&str>| What::Ban {
            term: term.map(|term| Term::parse(term).unwrap()),
            reason: None,
            note: None,
        };
        let lift = || What::Lift {
            reason: String::new(),
        };
        let refused = |ruling| matches!(ruling, Ruling::Refused(_));
        let role = Role::Moderator;
        assert!(refused(world.order(
            role,
            "spam@example.org",
            ban(Some("31d"))
        )));
        assert!(refused(world.order(
            role,
            "spam@example.org",
            ban(Some("forever"))
        )));
        assert!(refused(world.order(
            role,
            "203.0.113.0/24",
            ban(Some("1d"))
        )));
        let Ruling::Banned(ban_) = world.order(role, "spam@example.org", ban(None)) else {
            panic!()
        };
        assert_eq!(
            ban_.until.unwrap().since(world.now),
            Duration::from_secs(30 * 86_400)
        );
        assert!(matches!(
            world.order(role, "spam@example.org", lift()),
            Ruling::Lifted(_)
        ));
        world.ban("other@example.org", None, None);
        assert!(refused(world.order(role, "other@example.org", lift())));
        assert!(refused(world.order(
            Role::Stranger,
            "third@example.org",
            ban(Some("1m"))
        )));
    }

    #[test]
    fn an_event_decided_on_an_old_version_changes_nothing() {
        let mut world = World::new();
        let mut ids = 0;
        let mut fresh = || {
            ids += 1;
            EventId([ids; 16])
        };
        let order = |reason: &str| {
            Report::Order(Order {
                actor: Actor {
                    name: "a@example.org".into(),
                    role: Role::Admin,
                    door: Door::Chat,
                    occupant: None,
                },
                own_account: None,
                own_addresses: vec![],
                subject: Subject::parse("spam@example.org").unwrap(),
                what: What::Ban {
                    term: None,
                    reason: Some(reason.into()),
                    note: None,
                },
            })
        };
        let mut events = Vec::new();
        for reason in ["first", "second"] {
            match propose(
                &world.ledger,
                &world.policy,
                &order(reason),
                world.now,
                &mut fresh,
            ) {
                Proposal::Events(mut proposed) => events.append(&mut proposed),
                Proposal::Answer(answer) => panic!("{answer:?}"),
            }
        }
        let (ruling, effects) = world.ledger.fold(Seq(1), &events[0]);
        assert!(matches!(ruling, Ruling::Banned(_)));
        assert_eq!(effects, [Effect::Settle(events[0].subject.clone())]);
        assert_eq!(
            world.ledger.fold(Seq(2), &events[1]),
            (Ruling::Stale, vec![])
        );
        assert_eq!(
            world.ledger.current(&events[0].subject).unwrap().reason,
            "first"
        );
    }

    #[test]
    fn a_ban_taken_over_from_elsewhere_says_so_and_never_shortens_one_that_stands() {
        let mut world = World::new();
        let adopt = |world: &mut World, subject: &str, until: Option<&str>| {
            let what = What::Adopt {
                reason: "from the list".into(),
                note: None,
                term: until.map_or(Term::Forever, |until| Term::parse(until).unwrap()),
                origin: Origin::Imported,
            };
            world.order(Role::Admin, subject, what)
        };
        let Ruling::Banned(ban) = adopt(&mut world, "a@b.c", Some("2026-12-01")) else {
            panic!("not banned");
        };
        assert_eq!(ban.origin, Origin::Imported);
        let again = adopt(&mut world, "a@b.c", Some("2026-12-01"));
        assert!(matches!(again, Ruling::Already(_)));
        let shorter = adopt(&mut world, "a@b.c", Some("2026-11-30"));
        assert!(matches!(shorter, Ruling::Already(_)));
        let longer = adopt(&mut world, "a@b.c", None);
        assert!(matches!(longer, Ruling::Amended { ban, .. } if ban.until.is_none()));
        let span = adopt(&mut world, "e@b.c", Some("2d"));
        assert!(matches!(span, Ruling::Banned(_)));
        world.now = world.now.saturating_add(Duration::from_secs(3_600));
        let again = adopt(&mut world, "e@b.c", Some("2d"));
        assert!(
            matches!(again, Ruling::Already(_)),
            "each time it became longer"
        );
        let longer = adopt(&mut world, "e@b.c", Some("3d"));
        assert!(matches!(longer, Ruling::Amended { .. }));
        let over = adopt(&mut world, "d@b.c", Some("2026-11-01"));
        assert!(matches!(over, Ruling::Refused(Refusal::EndsInThePast(_))));
        let exempt = adopt(&mut world, "127.0.0.9", None);
        assert!(matches!(exempt, Ruling::Refused(Refusal::Exempt(..))));
    }

    #[test]
    fn a_decision_recalled_keeps_its_author_and_time_and_comes_in_its_place_or_not_at_all() {
        let mut world = World::new();
        let event = |byte, at: &str, change| Event {
            id: EventId([byte; 16]),
            at: Timestamp::parse(at).unwrap(),
            actor: Actor {
                name: "old@example.org/x".into(),
                role: Role::Moderator,
                door: Door::Chat,
                occupant: None,
            },
            origin: Origin::Manual,
            subject: Subject::parse("a@b.c").unwrap(),
            based_on: Seq(77),
            change,
            personal: Personal::default(),
        };
        let recall =
            |world: &mut World, event: Event| world.submit(&Report::Recall(Box::new(event)));
        let imposed = |until| Change::Imposed {
            reason: "then".into(),
            until,
        };
        let then = event(200, "2025-01-01", imposed(Timestamp::parse("2025-01-09")));
        let Some(Ruling::Banned(ban)) = recall(&mut world, then) else {
            panic!("not taken in");
        };
        let since = Timestamp::parse("2025-01-01").unwrap();
        assert_eq!(
            (ban.since, ban.by.name.as_str()),
            (since, "old@example.org/x")
        );
        let end = event(201, "2025-01-09", Change::Expired);
        assert!(matches!(recall(&mut world, end), Some(Ruling::Lifted(_))));
        assert_eq!(world.ledger.times_banned(&ban.subject), 1);
        let between = event(203, "2025-01-05", Change::Forgotten);
        assert_eq!(recall(&mut world, between), Some(Ruling::Stale));
        world.policy.exempt_accounts = vec![ban.subject.account().unwrap().clone()];
        let now = event(202, "2025-02-01", imposed(None));
        assert!(matches!(
            recall(&mut world, now),
            Some(Ruling::Refused(Refusal::Exempt(..)))
        ));
    }
}
