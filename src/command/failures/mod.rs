//! `failures`: lists the last failed logins, newest first, in pages.

mod text;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::parts::facts::Fact;
use super::parts::filter::{ANY, Sifted, Word, words_field};
use super::parts::pages::{Asked, PAGE, TABLE};
use super::request::Request;
use super::spec::{Field, Kind, Spec};
use crate::admission::FailedLogin;
use crate::core::rules::RuleKey;
use crate::core::{Account, Ban, Ledger, Policy, Role, Subject, Timestamp};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "failures",
    title: "List failed logins",
    summary: "Shows the failed logins of late, newest first, ten on a page, with what came of them.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        words_field(
            "Any of: an account, an address, a network, rule:NAME (those whom this rule keeps out now), unknown (no such account), by-hand, or a part of the account's name.",
        ),
        Field::new(
            "kind",
            "What",
            Kind::Choice(&[
                (ANY, "All failed logins"),
                ("unknown", "Of accounts that are not there"),
                ("by-hand", "Counted by hand"),
            ]),
        )
        .desc("What happened."),
        Field::new("rule", "Kept out by the rule", Kind::Line)
            .desc("A part of the name of the rule that keeps them out now."),
        PAGE,
        TABLE,
    ],
    usage: "failures [FILTER] [PAGE]",
    examples: &[
        ("failures", "the newest ten"),
        ("failures 203.0.113.0/24", "from this network"),
        (
            "failures rule:address-spray",
            "of those whom this rule banned",
        ),
    ],
    changes: false,
};

/// The filter words for failures.
const KNOWN: &[Word] = &[Word::Whom, Word::Rule, Word::Unknown, Word::ByHand];

/// A failure, and the active bans that refuse its account or source now.
struct ShownFailure<'a> {
    failure: &'a FailedLogin,
    kept_out: Vec<&'a Ban>,
}

impl Sifted for ShownFailure<'_> {
    fn whose(&self) -> Option<&Account> {
        self.failure.account.as_ref()
    }

    fn place(&self) -> Option<IpNet> {
        self.failure.place
    }

    fn is_of_rule(&self, name: &str) -> bool {
        let mut rules = self.kept_out.iter().filter_map(|ban| ban.origin.rule());
        rules.any(|rule| rule.to_lowercase().contains(name))
    }

    fn is_unknown(&self) -> bool {
        self.failure.unknown
    }

    fn is_by_hand(&self) -> bool {
        self.failure.by_hand
    }

    fn says(&self, text: &str) -> bool {
        self.whose()
            .is_some_and(|account| account.as_str().contains(text))
    }
}

impl Fact for ShownFailure<'_> {
    fn json(&self) -> Value {
        let failure = self.failure;
        json!({
            "at": failure.at.to_xmpp(),
            "account": failure.account,
            "place": failure.place.map(Subject::network).json(),
            "times": failure.times,
            "unknown": failure.unknown,
            "by_hand": failure.by_hand,
            "bans": self.kept_out.iter().map(|ban| ban.id.0).collect::<Vec<_>>(),
        })
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let (now, policy) = (context.engine.now(), context.engine.policy());
    let asked = Asked::parse(call, KNOWN, now)?;
    let failures = context.admission.failures();
    let (total, entries) = context.engine.read(|ledger| {
        let mut cut = asked.cut();
        for failure in &failures {
            let failed = ShownFailure {
                failure,
                kept_out: kept_out(failure, ledger, &policy, now),
            };
            if asked.filter.holds(&failed) {
                cut.take(|| failed);
            }
        }
        let page = cut.page.iter().enumerate();
        let entry = |(place, failed)| text::entry(place + 1, failed);
        (cut.total, page.map(entry).collect())
    });
    let page = asked.page(SPEC.name, text::FAILURES, total, entries, text::COLUMNS)?;
    Ok(Outcome::Rows(page))
}

/// The active bans that refuse the account or source of a failure now: of the account, and by rules.
fn kept_out<'a>(
    failure: &FailedLogin,
    ledger: &'a Ledger,
    policy: &Policy,
    now: Timestamp,
) -> Vec<&'a Ban> {
    let account = failure.account.as_ref();
    let address = failure.place.map(|net| net.addr());
    let by_rules = [
        RuleKey::Pair,
        RuleKey::Address,
        RuleKey::Network,
        RuleKey::Account,
    ]
    .into_iter()
    .filter_map(|key| policy.rules.subject(key, account, address));
    let whole = account.cloned().map(Subject::Account);
    let place = failure.place.map(Subject::network);
    let mut bans: Vec<&Ban> = Vec::new();
    for subject in whole.into_iter().chain(place).chain(by_rules) {
        if let Some(ban) = ledger.bans().of(&subject)
            && ban.is_in_force(now)
            && !bans.iter().any(|one| one.id == ban.id)
        {
            bans.push(ban);
        }
    }
    bans
}
