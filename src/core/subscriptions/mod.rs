//! Subscriptions: which notifications a person or a room receives.

mod decide;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ledger::{Folded, Ledger, Ruling};
use super::subject::Subject;

pub(in crate::core) use decide::decide;
pub use watch::{MOST_WATCHES, Quiet, Topic, Watch};

/// All subscriptions that somebody chose. Everybody else has the default one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscriptions(BTreeMap<Subject, Watch>);

impl Subscriptions {
    /// The subscription of a person or a room; `None` if they chose none.
    pub fn of(&self, subject: &Subject) -> Option<&Watch> {
        self.0.get(subject)
    }

    /// All subscriptions, ordered by subject.
    pub fn all(&self) -> impl ExactSizeIterator<Item = (&Subject, &Watch)> {
        self.0.iter()
    }
}

/// The person or the room chose this subscription; `None`: the default one.
pub(in crate::core) fn fold(
    ledger: &mut Ledger,
    subject: &Subject,
    watch: Option<&Watch>,
) -> Folded {
    let all = &mut ledger.subscriptions.0;
    match watch {
        Some(watch) => all.insert(subject.clone(), watch.clone()),
        None => all.remove(subject),
    };
    let ruling = Ruling::Subscribed {
        subject: subject.clone(),
        watch: watch.cloned(),
    };
    Ok((ruling, Vec::new()))
}
