//! Looks, now and then, whether the server still says what the ledger says.
//!
//! A user may overwrite the record of her ban while a session of hers is open, an operator may ban or
//! un-ban on the server's own command line, a restored backup may be old. What is missing or changed is
//! written again by the same unfinished work as everything else; a ban the server made itself is taken
//! over as an order like any other, with the server for its author.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Delivery;
use super::ports::Recorded;
use crate::core::{
    Account, Action, Actor, Ban, BanId, BanOrder, BanRuling, EntryPoint, Order, Origin, Role,
    Ruling, Subject, Term,
};

/// How many bans are picked out of the ledger at once.
const PICKED: usize = 256;
/// How many records are asked for at the same time.
const AT_ONCE: usize = 4;
/// The shortest time between two records: a server has more to do.
const PACE: Duration = Duration::from_millis(10);

/// Goes round every so often while the server answers, until told to stop.
pub(super) async fn run(delivery: Arc<Delivery>, every: Duration, stop: CancellationToken) {
    let mut standing = delivery.server.standing();
    loop {
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
                    put_right = gone_round,
                    "the server said other things than the ledger"
                );
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
        } else {
            tokio::select! {
                () = stop.cancelled() => return,
                changed = standing.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// One round; how much was put right.
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
                // It may have been lifted or changed in between: then there is a task for that.
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

/// Bans of accounts behind a number that the server should know of, and the last number looked at.
fn pick(delivery: &Delivery, behind: BanId) -> (Vec<Ban>, Option<BanId>) {
    let now = delivery.engine.now();
    let (bans, last) = delivery.engine.read(|ledger| {
        let mut last = None;
        let bans: Vec<Ban> = ledger
            .behind(behind)
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
        .read(|ledger| ledger.current(&ban.subject).map(|ban| ban.version));
    version == Some(ban.version) && delivery.queue.task(&ban.subject).is_none()
}

/// Takes over a ban of the server's own, or clears away what is left of one of ours; whether there was
/// anything to do.
async fn adopt(delivery: &Delivery, account: Account) -> bool {
    let subject = Subject::Account(account.clone());
    let is_known = || {
        let current = delivery
            .engine
            .read(|ledger| ledger.current(&subject).is_some());
        current || delivery.queue.task(&subject).is_some()
    };
    if is_known() {
        return false;
    }
    let Some(Recorded {
        reason,
        until,
        is_ours,
    }) = delivery.server.recorded(&account).await
    else {
        return false;
    };
    if is_known() {
        return false;
    }
    let version = delivery.engine.read(|ledger| ledger.version(&subject));
    if is_ours && version.0 > 0 {
        // Ours, of a ban that ended: its end was lost on the way.
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
            // Only one of ours tells an end: the store it was in is lost.
            term: Term::up_to(until),
            origin: Origin::Server,
        }),
    );
    match delivery.engine.submit_one(order).await {
        Ok(Ruling::Ban(BanRuling::Banned(ban))) => {
            tracing::info!(ban = %ban.id, %subject, "took over a ban the server made itself");
            true
        }
        Ok(ruling) => {
            tracing::debug!(%subject, ?ruling, "a ban the server made itself was not taken over");
            false
        }
        Err(why) => {
            tracing::warn!(%subject, %why, "cannot take over a ban the server made itself");
            false
        }
    }
}
