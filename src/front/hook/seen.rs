//! Recognises repeated reports: a module that got no answer sends a report again, and nothing is counted twice.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::core::Attempt;
use crate::xmpp::payload::hook::{Report, ReportedLogin};

/// Number of reports, or logins of reports without a batch name, that are remembered.
const REMEMBERED: usize = 32_768;

#[derive(Debug, Default)]
pub(super) struct SeenReports {
    keys: HashSet<u64>,
    order: VecDeque<u64>,
    hasher: RandomState,
}

impl SeenReports {
    /// The logins of a report that did not come before.
    pub(super) fn new_ones(&mut self, vhost: &str, report: Report) -> Vec<Attempt> {
        if let Some(batch) = &report.batch {
            let key = self.hasher.hash_one((vhost, &report.node, batch));
            if self.keys.contains(&key) {
                tracing::debug!(vhost, batch, "a repeated report was ignored");
                return Vec::new();
            }
            let mut logins = report.logins;
            logins.retain(|login| {
                let earlier = login.earlier.as_ref();
                let key = earlier.map(|batch| self.hasher.hash_one((vhost, &report.node, batch)));
                key.is_none_or(|key| !self.keys.contains(&key))
            });
            self.remember(key);
            return logins.into_iter().map(|login| login.attempt).collect();
        }
        // Guesses of the same moment in one report are separate guesses.
        let mut keys = Vec::with_capacity(report.logins.len());
        let mut new = Vec::with_capacity(report.logins.len());
        for ReportedLogin { attempt, text, .. } in report.logins {
            // A login without its own time cannot be distinguished from another.
            if !text.is_empty() {
                let key = self.hasher.hash_one((vhost, &report.node, &text));
                if self.keys.contains(&key) {
                    continue;
                }
                keys.push(key);
            }
            new.push(attempt);
        }
        for key in keys {
            self.remember(key);
        }
        new
    }

    fn remember(&mut self, key: u64) {
        if !self.keys.insert(key) {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::core::Timestamp;
    use crate::xmpp::payload::hook::{HookRequest, NS_HOOK};

    fn report(batch: &str, logins: &str) -> Report {
        let text = format!("<report xmlns='{NS_HOOK}' node='n' {batch}>{logins}</report>");
        match HookRequest::read(&text.parse().unwrap(), false, Timestamp::from_millis(0)) {
            Ok(HookRequest::Report(report)) => report,
            other => panic!("{other:?}"),
        }
    }

    const ONE: &str = "<login address='192.0.2.1' outcome='failure' at='2026-11-22T04:00:00.1Z'/>";
    const TWO: &str = "<login address='192.0.2.1' outcome='failure' at='2026-11-22T04:00:00.2Z'/>";
    const TIMELESS: &str = "<login address='192.0.2.1' outcome='failure'/>";

    #[test]
    fn a_report_that_comes_again_is_not_counted_again() {
        let mut seen = SeenReports::default();
        let mut count = |batch: &str, logins: &str| seen.new_ones("v", report(batch, logins)).len();
        assert_eq!(count("batch='1'", &ONE.repeat(2)), 2);
        assert_eq!(count("batch='1'", &ONE.repeat(2)), 0);
        assert_eq!(count("batch='2'", &ONE.repeat(2)), 2);
        assert_eq!(count("", &ONE.repeat(3)), 3, "three guesses of one moment");
        assert_eq!(
            count("", &format!("{ONE}{TWO}")),
            1,
            "one of them came before"
        );
        assert_eq!(count("", TIMELESS), 1);
        assert_eq!(count("", TIMELESS), 1);
        let told_again = |batch: &str| ONE.replace("<login", &format!("<login batch='{batch}'"));
        let logins = format!("{}{}{TWO}", told_again("1"), told_again("never arrived"));
        assert_eq!(
            count("batch='3'", &logins),
            2,
            "after a restart of the module"
        );
    }

    #[test]
    fn what_is_remembered_has_a_bound() {
        let mut seen = SeenReports::default();
        for batch in 0..REMEMBERED + 10 {
            seen.new_ones("v", report(&format!("batch='{batch}'"), ONE));
        }
        assert_eq!(
            (seen.keys.len(), seen.order.len()),
            (REMEMBERED, REMEMBERED)
        );
    }
}
