//! A log that was put back to an older copy, for example from a backup: somebody outside knows a later position or a
//! later ban than it does.

use super::Engine;
use super::clock::fresh_id;
use crate::core::{Actor, BanId, Change, Event, Personal, Ruling, Subject};
use crate::journal::LogFault;

/// Ban numbers left out beyond the last one that somebody named, because there may have been later ones.
const SPARE: u64 = 1_000;

impl Engine {
    /// Records that the end of the log may be lost, because what tells where it ended is damaged; `why` says how. Ban numbers go on
    /// as after [`Engine::was_put_back`].
    ///
    /// # Errors
    /// [`LogFault`] if it could not be made durable.
    pub(crate) async fn may_have_lost_its_end(
        &self,
        about: &Subject,
        why: String,
    ) -> Result<bool, LogFault> {
        let seen = self.read(|ledger| ledger.subjects().next_ban());
        self.leave_out_numbers(about, seen, Some(why)).await
    }

    /// Records that the log was put back to an older copy, if `seen`, the number of a ban that somebody knows, was
    /// not given here yet. From then on ban numbers go on well above it, so that none is given twice, and hook
    /// modules fetch all bans again. `about` is where the event belongs in the history.
    ///
    /// Returns whether it was recorded.
    ///
    /// # Errors
    /// [`LogFault`] if it could not be made durable.
    pub async fn was_put_back(&self, about: &Subject, seen: BanId) -> Result<bool, LogFault> {
        self.leave_out_numbers(about, seen, None).await
    }

    async fn leave_out_numbers(
        &self,
        about: &Subject,
        seen: BanId,
        note: Option<String>,
    ) -> Result<bool, LogFault> {
        let _one_at_a_time = self.putting_back.lock().await;
        let (next, spare, version) = self.read(|ledger| {
            let subjects = ledger.subjects();
            (
                subjects.next_ban(),
                subjects.may_be_left_out(),
                ledger.version(about),
            )
        });
        if seen < next {
            return Ok(false);
        }
        if spare == 0 {
            tracing::warn!(%seen, %next, "a module or record names a later ban than the log holds; too many numbers were left out to believe it");
            return Ok(false);
        }
        let furthest = next.0.saturating_add(spare);
        let event = Event::decided(
            fresh_id().map_err(|why| LogFault::Broken(why.to_string()))?,
            self.now(),
            Actor::clock(),
            about.clone(),
            version,
            Change::PutBack {
                next: BanId(seen.0.saturating_add(SPARE + 1).min(furthest)),
            },
        )
        .with_personal(Personal {
            note,
            ..Personal::default()
        });
        let rulings = self
            .append(std::slice::from_ref(&event), vec![event.id])
            .await?;
        Ok(matches!(rulings[..], [Ruling::PutBack { .. }]))
    }
}
