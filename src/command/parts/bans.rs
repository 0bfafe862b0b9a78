//! Searching active and ended bans, for lists and mass un-bans.
//!
//! There may be a million. They are read in pieces ([`Engine::each_ban`](crate::engine::Engine::each_ban)), on a
//! thread for blocking work.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use ipnet::IpNet;

use crate::command::context::Context;
use crate::command::parts::filter::{BanState, Filter, Sifted, Word};
use crate::core::{Account, Ban, EndedBan, Origin, Subject, Timestamp};
use crate::delivery::Delivery;
use crate::journal::LogFault;

/// The filter words for bans.
pub(in crate::command) const KNOWN: &[Word] = &[
    Word::Kind,
    Word::Whom,
    Word::By,
    Word::Origin,
    Word::Rule,
    Word::State,
    Word::Expiring,
    Word::Numbers,
];

/// A ban as a row for filters.
struct FilterRow<'a>(&'a Ban);

impl Sifted for FilterRow<'_> {
    fn kind(&self) -> &str {
        self.0.subject.kind()
    }

    fn whose(&self) -> Option<&Account> {
        self.0.subject.whose()
    }

    fn place(&self) -> Option<IpNet> {
        self.0.subject.place()
    }

    fn by(&self) -> &str {
        &self.0.by.name
    }

    fn origin(&self) -> Option<&Origin> {
        Some(&self.0.origin)
    }

    fn is_of_rule(&self, name: &str) -> bool {
        let rule = self.0.origin.rule();
        rule.is_some_and(|rule| rule.to_lowercase().contains(name))
    }

    fn number(&self) -> u64 {
        self.0.id.0
    }

    fn until(&self) -> Option<Timestamp> {
        self.0.until
    }

    fn says(&self, text: &str) -> bool {
        self.0.subject.to_string().contains(text) || self.0.reason.to_lowercase().contains(text)
    }
}

/// Passes the active bans that match a filter to `take`, newest first.
///
/// # Errors
/// [`LogFault::Broken`] if the search panicked.
pub(in crate::command) async fn in_force<S: Send + 'static>(
    context: &Context,
    filter: &Filter,
    mut gathered: S,
    take: impl Fn(&mut S, &Ban) + Send + 'static,
) -> Result<S, LogFault> {
    let only_pending = match filter.state() {
        Some(BanState::InForce | BanState::Any) => None,
        Some(BanState::Pending) => Some(pending(&context.delivery)),
        Some(BanState::Ended) | None => return Ok(gathered),
    };
    let (engine, filter) = (Arc::clone(&context.engine), filter.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let now = engine.now();
        engine.each_ban(|ban| {
            let is_wanted = |wanted: &HashSet<Subject>| wanted.contains(&ban.subject);
            if ban.is_in_force(now)
                && only_pending.as_ref().is_none_or(is_wanted)
                && filter.holds(&FilterRow(ban))
            {
                take(&mut gathered, ban);
            }
            ControlFlow::Continue(())
        });
        gathered
    });
    let looked = looked.await;
    looked.map_err(|why| LogFault::Broken(why.to_string()))
}

/// The last ended bans that match a filter, newest end first; and whether there were more than were searched.
pub(in crate::command) fn ended(context: &Context, filter: &Filter) -> (Vec<EndedBan>, bool) {
    if !matches!(filter.state(), Some(BanState::Ended | BanState::Any)) {
        return (Vec::new(), false);
    }
    let (mut past, more) = context.engine.read(crate::engine::last_ended);
    past.retain(|past| filter.holds(&FilterRow(&past.ban)));
    (past, more)
}

fn pending(delivery: &Delivery) -> HashSet<Subject> {
    let tasks = delivery.tasks();
    tasks.into_iter().map(|task| task.subject).collect()
}
