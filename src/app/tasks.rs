//! Tasks that belong to no single room: reconnecting after lost rights, other programs of our name, and reporting readiness.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::Unwritten;
use crate::delivery::ports::Enforcement;
use crate::enforce::XmppServer;
use crate::http::{GrantState, Readiness};
use crate::xmpp::wire::Wire;

/// By how much the start-up timeout of systemd is extended at a time, while the server is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reconnects when the server has withdrawn our rights without notice.
pub(super) async fn renew(host: Arc<XmppServer>, wire: Wire, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = host.reconnect_wanted() => wire.renew(),
        }
    }
}

/// Tells the server side of another connection under our name.
pub(super) async fn watch_the_name(host: Arc<XmppServer>, wire: Wire, stop: CancellationToken) {
    let mut conflict = wire.conflict();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            changed = conflict.changed() => if changed.is_err() { return },
        }
        let now = conflict.borrow_and_update().clone();
        host.set_conflict(now);
    }
}

/// Reports readiness: once to systemd and the log, and at every change to `/readyz`.
pub(super) async fn announce(
    mut standing: watch::Receiver<Arc<Enforcement>>,
    mut unwritten: watch::Receiver<Option<Unwritten>>,
    ready: watch::Sender<Readiness>,
    stop: CancellationToken,
) {
    let mut told = false;
    loop {
        let now = Arc::clone(&standing.borrow_and_update());
        let fault = unwritten.borrow_and_update().clone();
        let readiness = readiness(&now, fault);
        if readiness.is_ready() && !told {
            told = true;
            tracing::info!(server = %now.server, level = now.level, "portcullis is ready");
            notify(&[sd_notify::NotifyState::Ready]);
        }
        ready.send_replace(readiness);
        tokio::select! {
            () = stop.cancelled() => break,
            changed = standing.changed() => if changed.is_err() { break },
            changed = unwritten.changed() => if changed.is_err() { break },
            () = tokio::time::sleep(PATIENCE / 2), if !told => {
                // systemd would stop us if the XMPP server starts later than the timeout allows.
                let more = u32::try_from(PATIENCE.as_micros()).unwrap_or(u32::MAX);
                notify(&[
                    sd_notify::NotifyState::ExtendTimeoutUsec(more),
                    sd_notify::NotifyState::Status("waiting for the XMPP server"),
                ]);
            }
        }
    }
    notify(&[sd_notify::NotifyState::Stopping]);
}

fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(why) = sd_notify::notify(states) {
        tracing::debug!(%why, "cannot tell systemd");
    }
}

fn readiness(standing: &Enforcement, unwritten: Option<Unwritten>) -> Readiness {
    Readiness {
        link: standing.linked,
        grants: match (standing.probed, standing.level) {
            (false, _) => GrantState::Unknown,
            (true, 0) => GrantState::Missing,
            (true, _) => GrantState::Seen,
        },
        // HTTP only starts listening once the ledger is loaded.
        ledger: true,
        conflict: standing.conflict.is_some(),
        store_fails: unwritten.is_some(),
        detail: standing.gaps.iter().map(|gap| gap.what.clone()).collect(),
    }
}
