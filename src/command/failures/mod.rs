//! `failures`: the failed logins of late, newest first, page by page.

mod text;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::call::Call;
use super::context::Context;
use super::outcome::{ListEntry, Outcome, Row};
use super::parts::filter::{ANY, Sifted, Word, words_field};
use super::parts::pages::{Asked, PAGE, TABLE};
use super::phrases;
use super::spec::{Field, Kind, Place, Spec};
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
        Field {
            name: "kind",
            label: "What",
            kind: Kind::Choice(&[
                (ANY, "All failed logins"),
                ("unknown", "Of accounts that are not there"),
                ("by-hand", "Counted by hand"),
            ]),
            required: false,
            desc: "What happened.",
            place: Place::Nowhere,
        },
        Field {
            name: "rule",
            label: "Kept out by the rule",
            kind: Kind::Line,
            required: false,
            desc: "A part of the name of the rule that keeps them out now.",
            place: Place::Nowhere,
        },
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

const COLUMNS: &[(&str, &str)] = &[
    ("at", "When"),
    ("account", "Account"),
    ("place", "From"),
    ("times", "How often"),
    ("kind", "Kind"),
    ("rule", text::KEPT_OUT_BY),
];

/// What a filter of failures knows.
const KNOWN: &[Word] = &[Word::Whom, Word::Rule, Word::Unknown, Word::ByHand];

/// A failure, and the bans in force that keep out whoever failed there.
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

pub(super) async fn run(call: &Call, context: &Context) -> Outcome {
    let (now, policy) = (context.engine.now(), context.engine.policy());
    let asked = match Asked::parse(&call.values, &call.caller.rights, KNOWN, now) {
        Ok(asked) => asked,
        Err(problems) => return Outcome::Invalid(problems),
    };
    let failures = context.admission.failures();
    context.engine.read(|ledger| {
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
        let rows = cut
            .page
            .iter()
            .enumerate()
            .map(|(place, failed)| entry(place + 1, failed.failure, &failed.kept_out))
            .collect();
        asked.page(SPEC.name, text::FAILURES, cut.total, rows, COLUMNS)
    })
}

/// The bans in force that keep out whoever failed there: of the account, and what rules ban.
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

fn fact(failure: &FailedLogin, bans: &[&Ban]) -> Value {
    json!({
        "at": failure.at.to_xmpp(),
        "account": failure.account.as_ref().map(ToString::to_string),
        "place": failure.place.map(|net| Subject::network(net).to_string()),
        "times": failure.times,
        "unknown": failure.unknown,
        "by_hand": failure.by_hand,
        "bans": bans.iter().map(|ban| ban.id.0).collect::<Vec<_>>(),
    })
}

fn entry(number: usize, failure: &FailedLogin, bans: &[&Ban]) -> ListEntry {
    let text = |text: Option<String>| text.map(|text| phrases::clean(&text)).unwrap_or_default();
    ListEntry {
        row: Row::new(
            format!("failure{number}"),
            failure.at.to_string(),
            text::failure(failure, bans),
        )
        .with(fact(failure, bans)),
        cells: vec![
            failure.at.to_string(),
            text(failure.account.as_ref().map(ToString::to_string)),
            failure
                .place
                .map(|net| Subject::network(net).to_string())
                .unwrap_or_default(),
            failure.times.to_string(),
            text::kind_of_failure(failure),
            text::kept_out_by(bans),
        ],
    }
}
