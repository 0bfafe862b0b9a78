//! Work on accounts, one at a time for each: what reads a record and then acts on it must not meet what writes the record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use xmpp_parsers::jid::BareJid;

/// The accounts that are worked on.
#[derive(Debug, Default)]
pub(super) struct AccountTurns(Mutex<HashMap<BareJid, Weak<tokio::sync::Mutex<()>>>>);

/// Nobody else works on the account until this is dropped.
pub(super) struct AccountTurn(Option<OwnedMutexGuard<()>>);

/// A command to the server is under way. If nobody waits for its answer any more, the turn goes on for as long as the
/// server may take.
pub(super) struct UnderWay<'a>(&'a mut AccountTurn, Duration);

impl AccountTurns {
    /// Waits until nobody else works on the account.
    pub(super) async fn of(&self, jid: &BareJid) -> AccountTurn {
        let turn = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let known = all.get(jid).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                all.retain(|_, turn| turn.strong_count() > 0);
                let turn = Arc::default();
                all.insert(jid.clone(), Arc::downgrade(&turn));
                turn
            })
        };
        AccountTurn(Some(turn.lock_owned().await))
    }
}

impl AccountTurn {
    /// A command begins that the server answers within this time, if at all.
    pub(super) fn command(&mut self, within: Duration) -> UnderWay<'_> {
        UnderWay(self, within)
    }
}

impl UnderWay<'_> {
    /// The server has answered.
    pub(super) fn answered(mut self) {
        self.1 = Duration::ZERO;
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if self.1.is_zero() {
            return;
        }
        let (guard, within) = (self.0.0.take(), self.1);
        tokio::spawn(async move {
            tokio::time::sleep(within).await;
            drop(guard);
        });
    }
}
