//! Orders about the subjects of a call: submits them, and turns each result into facts and sentences.

use futures::future::join_all;

use super::facts;
use super::login::keep_out;
use super::server_side::{self, ServerReply};
use super::settle::WAIT;
use crate::command::call::Call;
use crate::command::context::Context;
use crate::command::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem, Row};
use crate::command::phrases;
use crate::command::superiors::Superiors;
use crate::core::{
    BanRuling, ExemptionRuling, HistoryRuling, Intent, Order, Refusal, Ruling, Subject, UndoKind,
    UndoRuling,
};
use crate::delivery::Settled;
use crate::journal::LogFault;

/// Maximum number of subjects of one call about which the server itself is asked.
pub(in crate::command) const ASKED: usize = 20;

/// The result of one order.
pub(in crate::command) struct TargetResult {
    /// The subject.
    pub(in crate::command) subject: Subject,
    /// The ruling; or why the order was not stored.
    pub(in crate::command) ruling: Result<Ruling, LogFault>,
    /// The state of the server, if it has something to do.
    server: Option<Settled>,
    /// What was asked of the server itself after an order that lets the subject in.
    beside: Option<Beside>,
}

/// What of the server itself concerns a subject that is let in.
pub(in crate::command) struct Beside {
    /// Number of addresses that the server held and has let go.
    unblocked: u64,
    /// What else refuses it; `None`: a network, about which there is nothing to ask.
    side: Option<ServerReply>,
    /// Whether nothing else of portcullis refuses it.
    is_free: bool,
}

/// Submits orders, and waits a moment for the server.
///
/// # Errors
/// [`Outcome::Refused`] with the field to correct, if there was only one order and the rules refuse it.
pub(in crate::command) async fn carry_out(
    call: &Call,
    orders: Vec<Order>,
    field: impl Fn(&Refusal) -> &'static str,
    context: &Context,
) -> Result<Vec<TargetResult>, EarlyOutcome> {
    let subjects: Vec<Subject> = orders.iter().map(|order| order.subject.clone()).collect();
    let superiors = Superiors::of(&call.caller, context);
    let orders = orders.into_iter();
    let orders = orders.map(|order| superiors.inform(order).into());
    let orders: Vec<Intent> = orders.collect();
    let answers = context.engine.submit(orders).await;
    if let ([subject], [Ok(Ruling::Refused(why))]) = (&subjects[..], &answers[..]) {
        let text = phrases::refusal(why, call.caller.rights.over(subject));
        return Err(Box::new(Outcome::refused(Problem::new(field(why), text))));
    }
    let results = subjects.into_iter().zip(answers);
    Ok(settled(results, context).await)
}

/// Waits a moment for the server to carry out each.
pub(in crate::command) async fn settled(
    results: impl Iterator<Item = (Subject, Result<Ruling, LogFault>)>,
    context: &Context,
) -> Vec<TargetResult> {
    let asked_about = |place: usize| place < ASKED;
    join_all(results.enumerate().map(async |(place, (subject, ruling))| {
        let server = match ruling.as_ref().ok().and_then(ServerWork::of) {
            Some(_) => Some(context.delivery.settled(&subject, WAIT).await),
            None => None,
        };
        let beside = match &ruling {
            Ok(ruling) if asked_about(place) && lets_in(&subject, ruling) => {
                Some(Beside::of(&subject, context).await)
            }
            _ => None,
        };
        TargetResult {
            subject,
            ruling,
            server,
            beside,
        }
    }))
    .await
}

/// Whether an order with this ruling was to let somebody in. The record of an account that is not banned here may yet
/// have to be lifted; then [`TargetResult::ask_server`] asks.
fn lets_in(subject: &Subject, ruling: &Ruling) -> bool {
    match ruling {
        Ruling::Ban(BanRuling::NotBanned(..)) => subject.account().is_none(),
        Ruling::Exemption(ExemptionRuling::Granted { .. }) => true,
        other => matches!(ServerWork::of(other), Some(ServerWork::Release)),
    }
}

impl Beside {
    /// Lets the server let the subject go that it holds for failed logins, and asks what else refuses it.
    pub(in crate::command) async fn of(subject: &Subject, context: &Context) -> Beside {
        let unblocked = server_side::unblock(subject, context).await;
        let explanation = context.admission.explain(subject.whose(), subject.place());
        Beside {
            unblocked,
            side: server_side::look(subject, &explanation.homes, context).await,
            is_free: keep_out(subject, &explanation, context).is_empty(),
        }
    }

    /// Whether nothing else refuses the subject, and the server was asked about it.
    pub(in crate::command) fn is_clear(&self) -> bool {
        let is_clear = |side: &ServerReply| side.refusals.is_clear();
        self.is_free && self.side.as_ref().is_some_and(is_clear)
    }

    /// The sentences about it.
    pub(in crate::command) fn lines(&self, subject: &Subject) -> Vec<String> {
        let mut lines = Vec::new();
        if self.unblocked > 0 {
            lines.push(phrases::unblocked(subject, self.unblocked));
        }
        lines.extend(self.side.iter().flat_map(ServerReply::lines_with_module));
        lines
    }

    fn grade(&self) -> Grade {
        match &self.side {
            Some(side) if !side.refusals.found.is_empty() => Grade::Warning,
            _ => Grade::Good,
        }
    }
}

/// The work on the server after a ruling.
enum ServerWork {
    /// Refuse a subject, and end its sessions.
    Begin,
    /// Go on refusing a subject.
    Hold,
    /// Let a subject in again.
    Release,
}

impl ServerWork {
    fn of(ruling: &Ruling) -> Option<ServerWork> {
        match ruling {
            Ruling::Ban(BanRuling::Banned(_)) => Some(ServerWork::Begin),
            Ruling::Ban(BanRuling::Amended { .. } | BanRuling::Already(_)) => {
                Some(ServerWork::Hold)
            }
            Ruling::Ban(BanRuling::Lifted(_)) => Some(ServerWork::Release),
            // A note is nothing that the server knows of.
            Ruling::Undo(UndoRuling::Undone { entry, .. }) if entry.kind == UndoKind::Annotated => {
                None
            }
            Ruling::Undo(UndoRuling::Undone { stood, ban, .. }) => match (stood, ban) {
                (None, Some(_)) => Some(ServerWork::Begin),
                (Some(_), Some(_)) => Some(ServerWork::Hold),
                (Some(_), None) => Some(ServerWork::Release),
                (None, None) => None,
            },
            _ => None,
        }
    }
}

impl TargetResult {
    /// What the server did, and how good that is; `None` if there was nothing to do.
    pub(in crate::command) fn on_server(&self, context: &Context) -> Option<(Grade, String)> {
        let standing = context.delivery.server().standing().borrow().clone();
        let (subject, settled) = (&self.subject, self.server.as_ref()?);
        Some(match ServerWork::of(self.ruling.as_ref().ok()?)? {
            ServerWork::Begin => phrases::held(subject, settled, &standing, true),
            ServerWork::Hold => phrases::held(subject, settled, &standing, false),
            ServerWork::Release => {
                let is_clear = self.beside.as_ref().is_some_and(Beside::is_clear);
                phrases::released(subject, settled, &standing, is_clear)
            }
        })
    }

    /// Ends the bans of rules that the log does not hold yet, after an order that lifts or exempts, as far as the caller
    /// may end them. Whether one was ended. If none was because the caller may not, the order is refused.
    pub(in crate::command) fn releases(&mut self, call: &Call, context: &Context) -> bool {
        if matches!(self.ruling, Ok(Ruling::Refused(_) | Ruling::Overtaken(_))) {
            return false;
        }
        let actor = call.caller.actor(call.door, &self.subject);
        let (policy, now) = (context.engine.policy(), context.engine.now());
        let mut refused = None;
        let released = context.admission.release(&self.subject, |ban| {
            let permitted = policy.permits_change(&actor, ban, now);
            let is_permitted = permitted.is_ok();
            refused = refused.take().or(permitted.err());
            is_permitted
        });
        if let (0, Some(why), Ok(Ruling::Ban(BanRuling::NotBanned(..)))) =
            (released, refused, &self.ruling)
        {
            self.ruling = Ok(Ruling::Refused(why));
        }
        released > 0
    }

    /// Asks what of the server itself refuses the subject, if that was not done yet.
    pub(in crate::command) async fn ask_server(&mut self, context: &Context) {
        if self.beside.is_none() {
            self.beside = Some(Beside::of(&self.subject, context).await);
        }
    }

    /// The result as one word, for programs (docs/terminal.md).
    pub(in crate::command) fn status(&self) -> &'static str {
        match &self.ruling {
            Ok(Ruling::Ban(BanRuling::Banned(_))) => "banned",
            Ok(Ruling::Ban(BanRuling::Amended { .. })) => "changed",
            Ok(Ruling::Ban(BanRuling::Already(_))) => "unchanged",
            Ok(Ruling::Ban(BanRuling::Lifted(_))) => "unbanned",
            Ok(Ruling::Ban(BanRuling::NotBanned(..))) => "not-banned",
            Ok(Ruling::Exemption(ExemptionRuling::Granted { .. })) => "exempted",
            Ok(Ruling::Exemption(ExemptionRuling::Revoked(_))) => "unexempted",
            Ok(Ruling::Exemption(ExemptionRuling::NotExempt(_))) => "not-exempt",
            Ok(Ruling::History(HistoryRuling::Annotated(_))) => "noted",
            Ok(Ruling::History(HistoryRuling::Kicked(_))) => "kicked",
            Ok(Ruling::History(HistoryRuling::Forgotten { .. })) => "forgotten",
            Ok(Ruling::Undo(UndoRuling::Undone { .. })) => "undone",
            Ok(Ruling::Undo(UndoRuling::ChangedSince(_)) | Ruling::Stale) => "changed-since",
            Ok(Ruling::Overtaken(_)) => "overtaken",
            Ok(Ruling::Refused(_)) => "refused",
            Ok(Ruling::Subscribed { .. } | Ruling::PutBack { .. } | Ruling::Noted) => "unchanged",
            Err(LogFault::Busy) => "busy",
            Err(LogFault::Unknown(_)) => "unknown",
            Err(_) => "failed",
        }
    }

    /// The argument of `undo` for this change: the number of a ban, or the subject; `None`: nothing was changed.
    pub(in crate::command) fn undo(&self) -> Option<String> {
        Some(match self.ruling.as_ref().ok()? {
            Ruling::Ban(BanRuling::Banned(ban) | BanRuling::Lifted(ban))
            | Ruling::Ban(BanRuling::Amended { ban, .. }) => ban.id.to_string(),
            Ruling::Undo(UndoRuling::Undone { entry, .. }) => match entry.number {
                Some(number) => number.to_string(),
                None => self.subject.written(),
            },
            Ruling::Exemption(ExemptionRuling::Granted { .. } | ExemptionRuling::Revoked(_))
            | Ruling::History(HistoryRuling::Annotated(_) | HistoryRuling::Forgotten { .. }) => {
                self.subject.written()
            }
            _ => return None,
        })
    }

    /// Why it was not done, as a sentence.
    pub(in crate::command) fn not_done(&self) -> String {
        match &self.ruling {
            Ok(ruling) => phrases::not_done(&self.subject, ruling),
            Err(fault) => phrases::not_stored(&self.subject, fault),
        }
    }
}

/// The sentences of a command about one result.
#[derive(Clone)]
pub(in crate::command) struct Said {
    grade: Grade,
    /// What happened.
    lines: Vec<String>,
    /// Further sentences about the subject, after those about the server.
    own: Vec<String>,
}

impl Said {
    /// The result is as requested.
    pub(in crate::command) fn done(line: String) -> Said {
        Said {
            grade: Grade::Good,
            lines: vec![line],
            own: Vec::new(),
        }
    }

    /// The result is not as requested, for this reason.
    pub(in crate::command) fn failed(why: String) -> Said {
        Said {
            grade: Grade::Bad,
            ..Said::done(why)
        }
    }

    /// The result is this good.
    pub(in crate::command) fn graded(grade: Grade, line: String) -> Said {
        Said {
            grade,
            ..Said::done(line)
        }
    }

    /// Adds another sentence about what happened.
    pub(in crate::command) fn and(mut self, line: String) -> Said {
        self.lines.push(line);
        self
    }

    /// Adds sentences at the end.
    pub(in crate::command) fn with(mut self, own: impl IntoIterator<Item = String>) -> Said {
        self.own.extend(own);
        self
    }

    /// Adds a warning at the end.
    pub(in crate::command) fn but(mut self, own: Option<String>) -> Said {
        self.grade = self
            .grade
            .max(own.as_ref().map_or(Grade::Good, |_| Grade::Warning));
        self.with(own)
    }
}

/// The answer about all results: in full for one, counted with a row each for several. `say` gives the command's own
/// sentences; `None`: the ruling does not belong to the command.
pub(in crate::command) fn answer(
    results: &[TargetResult],
    context: &Context,
    mut say: impl FnMut(&TargetResult) -> Option<Said>,
) -> Answer {
    let said: Vec<(Said, Option<String>)> = results
        .iter()
        .map(|result| {
            let mut said = say(result).unwrap_or_else(|| Said::failed(result.not_done()));
            let server = result.on_server(context);
            let grade = server.as_ref().map_or(Grade::Good, |(grade, _)| *grade);
            said.grade = said.grade.max(grade);
            if let Some(beside) = &result.beside {
                said.grade = said.grade.max(beside.grade());
                said.own.extend(beside.lines(&result.subject));
            }
            (said, server.map(|(_, line)| line))
        })
        .collect();
    let (all, is_done) = (results.len(), |said: &Said| said.grade < Grade::Bad);
    let done = said.iter().filter(|(said, _)| is_done(said)).count();
    let grade = match said.iter().map(|(said, _)| said.grade).max() {
        Some(Grade::Bad) if done > 0 => Grade::Part,
        worst => worst.unwrap_or(Grade::Good),
    };
    let mut answer = Answer::new(grade, phrases::summary_title(done, all), Vec::new());
    let undo: Vec<String> = results.iter().filter_map(TargetResult::undo).collect();
    answer.undo = (!undo.is_empty()).then(|| phrases::undo(&undo));
    let state = |one: &TargetResult| facts::state(&one.subject, Some(one.status()), context);
    answer.subjects = results.iter().map(state).collect();
    if let [(one, server)] = &said[..] {
        let lines = one.lines.iter().chain(server).chain(&one.own);
        answer.lines = lines.cloned().collect();
        return answer;
    }
    let both = || results.iter().zip(&said);
    let failed = both().filter(|(_, (said, _))| !is_done(said));
    let failed: Vec<&Subject> = failed.map(|(result, _)| &result.subject).collect();
    answer.lines.push(phrases::summary(done, all, &failed));
    let server = said.iter().filter_map(|(_, line)| line.as_deref());
    answer.lines.extend(phrases::shared(server, all));
    answer.rows = Row::numbered(
        "result",
        both().map(|(result, (said, _))| {
            let own = said.lines.iter().chain(&said.own);
            let value = own.map(String::as_str).collect::<Vec<_>>().join(" ");
            (result.subject.to_string(), value)
        }),
    );
    answer
}
