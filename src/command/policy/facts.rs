//! Facts of `policy`.

use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::holders::{Holders, NameList};
use crate::command::context::Context;
use crate::command::parts::facts::{Fact, fact};
use crate::command::parts::settle::MANY;
use crate::command::phrases::NAMED;
use crate::command::request::Request;
use crate::core::policy::Whose;
use crate::core::rules::RuleKey;
use crate::core::{Policy, Rights, Role, Rule, Term};

/// The limits, rules and exemptions in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct PolicyFacts {
    /// The caller's role, with the virtual hosts it holds on.
    pub(super) rights: String,
    /// Whether the caller sees every host.
    pub(super) sees_all: bool,
    /// The highest role of the caller.
    #[serde(serialize_with = "fact")]
    pub(super) role: Role,
    /// Who holds which role; empty for callers who are no admins.
    pub(super) holders: Holders,
    /// Terms, rules and how sources are counted.
    #[serde(serialize_with = "fact")]
    pub(super) policy: Arc<Policy>,
    /// Networks that are exempt by configuration.
    pub(super) exempt_networks: NameList,
    /// Accounts of the caller's hosts that are exempt by configuration, admins first.
    pub(super) exempt_accounts: NameList,
    /// Declared proxies.
    pub(super) proxies: NameList,
    /// Number of exemptions in force that people granted.
    pub(super) allowed: usize,
    /// More subjects than this need confirmation.
    pub(super) asked_above: usize,
}

impl PolicyFacts {
    /// The policy as far as the caller may see it.
    pub(super) fn gather(call: &Request<'_>, context: &Context) -> PolicyFacts {
        let policy = context.engine.policy();
        let now = context.engine.now();
        let allowed = context.engine.read(|ledger| {
            let all = ledger.exemptions().all();
            all.filter(|one| one.is_in_force(now)).count()
        });
        PolicyFacts {
            rights: call.caller.rights.to_string(),
            sees_all: call.caller.rights.see_all(),
            role: call.caller.role(),
            holders: Holders::gather(&call.caller, context),
            exempt_networks: NameList::first(&policy.exempt_networks, NAMED),
            exempt_accounts: exempt_accounts(&call.caller.rights, &policy),
            proxies: NameList::first(&policy.rules.proxies, NAMED),
            allowed,
            asked_above: MANY,
            policy,
        }
    }

    /// Number of rules in force, and of those that only report.
    pub(super) fn rules(&self) -> (usize, usize) {
        let rules = &self.policy.rules.table;
        let dry = rules.iter().filter(|rule| rule.dry_run).count();
        (rules.len() - dry, dry)
    }
}

/// The exempt accounts of the caller's hosts.
fn exempt_accounts(rights: &Rights, policy: &Policy) -> NameList {
    let all = &policy.exempt_accounts;
    let seen: Vec<_> = all
        .iter()
        .filter(|one| rights.reach(one.domain()))
        .collect();
    NameList::first(&seen, NAMED)
}

/// Without the exemptions, which may be many.
impl Fact for Arc<Policy> {
    fn json(&self) -> Value {
        let rules = &self.rules;
        let ranges = rules.reach.ranges.iter();
        let ranges = ranges.map(|(net, length)| json!({ "net": net, "prefix": length }));
        json!({
            "default_duration": match self.default_term {
                Term::For(length) => length.json(),
                Term::Until(_) | Term::Forever => Value::Null,
            },
            "longest": self.longest.json(),
            "moderator_longest": self.moderator_longest.json(),
            "grace": rules.grace.json(),
            "undo_for": self.undo_for.json(),
            "moderators_change": match self.moderators_change {
                Whose::Any => "any",
                Whose::Own => "own",
            },
            "rules": rules.table.json(),
            "quiet": rules.quiet.json(),
            "unknown_weight": rules.unknown_weight,
            "known_for": rules.known_for.json(),
            "shared_accounts": rules.shared_accounts,
            "ipv6_prefix": rules.reach.ipv6,
            "ranges": ranges.collect::<Value>(),
        })
    }
}

impl Fact for Rule {
    fn json(&self) -> Value {
        let mut keys = RuleKey::NAMES.iter();
        let key = keys.find(|(_, key)| *key == self.key);
        json!({
            "name": self.name,
            "key": key.map(|(word, _)| word),
            "counts": self.counts.to_string(),
            "limit": self.limit,
            "window": self.window.json(),
            "ban": self.ban.json(),
            "longest": self.growth.as_ref().map(|growth| growth.cap.as_secs()),
            "dry_run": self.dry_run,
        })
    }
}
