//! Why an order is refused, as values. The words for people are in `command/phrases/refusals.rs`.

use std::net::IpAddr;
use std::time::Duration;

use super::actor::Role;
use super::bans::BanId;
use super::subject::{Account, Subject};
use super::time::Timestamp;

/// Why an order is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A ban of the actor's own account.
    OwnAccount(Account),
    /// A ban of an address that the actor is connected from, or of its network.
    OwnAddress(Subject, IpAddr),
    /// The configuration exempts the subject; with the exemption.
    Exempt(Subject, String),
    /// The subject is of an admin above the actor, an address that such an admin logs in from, or an exempt account
    /// while the actor is no admin of all hosts.
    Above(Subject),
    /// The account is not on this server; with the server's virtual hosts.
    NotHere(Subject, Vec<String>),
    /// An exemption granted by `allow` covers the subject; with the exemption.
    Allowed(Subject, String),
    /// Pairs and account lockdowns cannot be exempt.
    NoExemption(Subject),
    /// The term is longer than the role may give; with the longest term.
    TooLong(Duration, Role),
    /// The end is in the past.
    EndsInThePast(Timestamp),
    /// A text is too long; with its name and the longest length in characters.
    TextTooLong(&'static str, usize),
    /// The order needs this role; with what it would do.
    NeedsRole(Role, Permission),
    /// Moderators may only change their own bans; with the author of this one.
    NotYours(BanId, String),
    /// Another person made the last change of the subject; only they or an admin may undo it.
    NotYourChange(Subject, String),
    /// The change is too old to be undone; with its time and [`Policy::undo_for`](crate::core::Policy::undo_for).
    TooLate(Timestamp, Duration),
    /// The ban that the undo would restore has expired since.
    OverByNow(BanId, Timestamp),
    /// The term would not extend the ban; with its present end.
    NotLonger(BanId, Option<Timestamp>),
    /// A subject of this kind has no sessions.
    NoSessions(Subject),
    /// The limit of subscriptions is reached; with the limit.
    TooManyWatches(usize),
    /// A decision from elsewhere is dated later than now.
    FromTheFuture(Subject, Timestamp),
    /// The configuration exempts the address or network, and a ban of it cannot be forced.
    Protected(Subject, String),
}

/// What needs a role, in [`Refusal::NeedsRole`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Ban somebody.
    Ban,
    /// Ban a network.
    BanNetwork,
    /// Ban somebody exempt.
    BanExempt,
    /// End or change the ban of a network.
    ChangeNetworkBan,
    /// End or change a ban that an admin made longer than the role may.
    ChangeAdminsBan,
    /// Extend a ban.
    Extend,
    /// Lift a ban.
    Lift,
    /// Write or delete notes.
    Annotate,
    /// End sessions.
    Kick,
    /// End the sessions of a network.
    KickNetwork,
    /// Grant an exemption.
    Exempt,
    /// Revoke an exemption.
    Unexempt,
    /// Forget a history.
    Forget,
    /// Choose the own notifications.
    Subscribe,
    /// Choose the notifications of others.
    SubscribeOthers,
    /// Undo a change.
    Undo,
    /// Undo a change that only admins can make.
    UndoThis,
    /// Import a history.
    Recall,
    /// Count failed logins by hand.
    CountFailures,
}
