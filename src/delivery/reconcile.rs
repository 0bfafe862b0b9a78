//! Compares the server with the ledger at regular intervals.
//!
//! A user may overwrite the record of her ban during an open session, an operator may ban or un-ban with the server's
//! own commands, and a restored backup may be old. Missing or changed records are written again as unfinished work. A
//! ban that the server made itself is adopted by an order with the server as its author.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::ports::{Enforcement, Finding, RecordState, Recorded};
use crate::core::{
    Account, Action, Actor, Ban, BanId, BanOrder, BanRuling, EntryPoint, Order, Origin, Role,
    Ruling, Subject, Term,
};

/// Number of bans read from the ledger at once.
const PICKED: usize = 256;
/// Number of records read at the same time.
const AT_ONCE: usize = 4;
/// Minimum time between two records, because the server has other work.
const PACE: Duration = Duration::from_millis(10);

/// Runs a round at the start of each connection and every `every` while the server answers, until told to stop; one more
/// at once when a record turns out to have a hash that the server does not accept, because then no other record bans
/// anybody either.
pub(super) async fn run(delivery: Arc<Delivery>, every: Duration, stop: CancellationToken) {
    let mut standing = delivery.server.standing();
    let mut is_extra = false;
    loop {
        let mut findings = delivery.server.findings();
        let is_there = {
            let standing = standing.borrow_and_update();
            standing.linked && standing.probed
        };
        if is_there {
            let gone_round = tokio::select! {
                () = stop.cancelled() => return,
                gone_round = round(&delivery) => gone_round,
            };
            if gone_round > 0 {
                tracing::info!(
                    written = gone_round,
                    "records of bans that were missing, changed or to be tried are written again"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => is_extra = false,
                // Not after an extra round: a record that cannot be put right would begin them for ever.
                () = refused_hash(&mut findings), if !is_extra => is_extra = true,
                // The server may have been restarted with another cookie.
                () = disconnected(&mut standing) => {}
            }
        } else {
            is_extra = false;
            tokio::select! {
                () = stop.cancelled() => return,
                changed = standing.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Waits until a record is found whose hash the server does not accept; possibly for ever.
async fn refused_hash(findings: &mut broadcast::Receiver<Finding>) {
    loop {
        match findings.recv().await {
            Ok(found) if found.found == RecordState::Refused => return,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Waits until there is no connection; possibly for ever.
async fn disconnected(standing: &mut watch::Receiver<Arc<Enforcement>>) {
    if standing.wait_for(|now| !now.linked).await.is_err() {
        std::future::pending().await
    }
}

/// One round; returns how many records were repaired.
async fn round(delivery: &Delivery) -> usize {
    let mut put_right = 0;
    for account in delivery.server.banned_there().await {
        put_right += usize::from(adopt(delivery, account).await);
    }
    let mut behind = BanId(0);
    loop {
        let (bans, last) = pick(delivery, behind);
        let Some(last) = last else {
            return put_right;
        };
        behind = last;
        let mut next = Instant::now();
        let checked = stream::iter(bans.into_iter().map(|ban| {
            next += PACE;
            let at = next;
            async move {
                tokio::time::sleep_until(at).await;
                let holds = delivery.server.holds(&ban).await;
                // The ban may have been lifted or changed meanwhile; then there is a task for that.
                let is_wrong = holds == Some(false) && still_stands(delivery, &ban);
                if is_wrong {
                    delivery
                        .queue
                        .again(&ban.subject, ban.version, delivery.engine.now());
                }
                is_wrong
            }
        }));
        let wrong = checked.buffer_unordered(AT_ONCE);
        put_right += wrong
            .filter(|wrong| std::future::ready(*wrong))
            .count()
            .await;
    }
}

/// The bans of accounts above a number that the server should know of, and the last number that was read.
fn pick(delivery: &Delivery, behind: BanId) -> (Vec<Ban>, Option<BanId>) {
    let now = delivery.engine.now();
    let (bans, last) = delivery.engine.read(|ledger| {
        let mut last = None;
        let bans: Vec<Ban> = ledger
            .bans()
            .newer_than(behind)
            .take(PICKED)
            .inspect(|ban| last = Some(ban.id))
            .filter(|ban| ban.subject.account().is_some() && ban.is_in_force(now))
            .cloned()
            .collect();
        (bans, last)
    });
    let settled = |ban: &Ban| delivery.queue.task(&ban.subject).is_none();
    (bans.into_iter().filter(settled).collect(), last)
}

fn still_stands(delivery: &Delivery, ban: &Ban) -> bool {
    let version = delivery
        .engine
        .read(|ledger| ledger.bans().of(&ban.subject).map(|ban| ban.version));
    version == Some(ban.version) && delivery.queue.task(&ban.subject).is_none()
}

/// Adopts a ban by the server, or removes the rest of one of ours. Returns whether there was anything to do.
async fn adopt(delivery: &Delivery, account: Account) -> bool {
    let subject = Subject::Account(account.clone());
    let is_known = || {
        let current = delivery
            .engine
            .read(|ledger| ledger.bans().of(&subject).is_some());
        current || delivery.queue.task(&subject).is_some()
    };
    if is_known() {
        return false;
    }
    let Some(Recorded {
        reason,
        until,
        is_ours,
        ban,
        needs_server: _,
    }) = delivery.server.recorded(&account).await
    else {
        return false;
    };
    if is_known() {
        return false;
    }
    let (version, has_ended) = delivery.engine.read(|ledger| {
        let of = ban.and_then(|ban| ledger.subjects().by_number(ban));
        (ledger.version(&subject), of == Some(&subject))
    });
    delivery.notice_number(&subject, ban).await;
    if is_ours && has_ended {
        // A record of a ban of ours that has ended; its removal was lost.
        delivery
            .queue
            .again(&subject, version, delivery.engine.now());
        return true;
    }
    let order = Order::new(
        Actor::person(account.domain(), Role::Admin, EntryPoint::Server),
        subject.clone(),
        Action::Ban(BanOrder::Import {
            reason: reason
                .chars()
                .take(crate::core::policy::REASON_MAX)
                .collect(),
            note: None,
            // Only our records have an end, so this one is from after the copy that the store was put back to.
            term: Term::up_to(until),
            origin: Origin::Server,
        }),
    );
    match delivery.engine.submit_one(order).await {
        Ok(Ruling::Ban(BanRuling::Banned(ban))) => {
            tracing::info!(ban = %ban.id, %subject, "adopted a ban that the server made itself");
            true
        }
        Ok(ruling) => {
            tracing::debug!(%subject, ?ruling, "a ban that the server made itself was not adopted");
            false
        }
        Err(why) => {
            tracing::warn!(%subject, %why, "cannot adopt a ban that the server made itself");
            false
        }
    }
}
