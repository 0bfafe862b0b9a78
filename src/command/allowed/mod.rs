//! `allowed`: lists exemptions with their reason, author and end.

mod text;

use ipnet::IpNet;
use serde_json::{Value, json};

use super::context::Context;
use super::outcome::{EarlyOutcome, Outcome};
use super::parts::facts::Fact;
use super::parts::filter::{ANY, BY, EXPIRING, KIND, Sifted, Word, words_field};
use super::parts::pages::{Asked, PAGE, TABLE};
use super::request::Request;
use super::spec::{Field, Kind, Spec};
use crate::core::{Account, Role, Subject, Timestamp};

/// The description.
pub(super) const SPEC: Spec = Spec {
    name: "allowed",
    title: "List exemptions",
    summary: "Shows who is exempt from bans, newest first, ten on a page; behind them those of the configuration.",
    needs: Role::Viewer,
    form: true,
    fields: &[
        words_field(
            "Any of: account, address, network, by:NAME, expiring:30d (ends within), an address to find what covers it, or words from subject and comment.",
        ),
        Field {
            kind: Kind::Choice(&[
                (ANY, "Any"),
                ("account", "Accounts"),
                ("address", "Addresses"),
                ("network", "Networks"),
            ]),
            ..KIND
        },
        BY,
        EXPIRING,
        PAGE,
        TABLE,
    ],
    usage: "allowed [FILTER] [PAGE]",
    examples: &[
        ("allowed", "the newest ten"),
        ("allowed 198.51.100.7", "what covers this address"),
    ],
    changes: false,
};

/// An exemption made by a person or by the configuration.
struct ShownExemption {
    subject: Subject,
    until: Option<Timestamp>,
    /// The author; `None`: the configuration.
    by: Option<String>,
    comment: String,
}

/// The filter words for exemptions.
const KNOWN: &[Word] = &[Word::Kind, Word::Whom, Word::By, Word::Expiring];

impl Sifted for ShownExemption {
    fn kind(&self) -> &str {
        self.subject.kind()
    }

    fn whose(&self) -> Option<&Account> {
        self.subject.whose()
    }

    fn place(&self) -> Option<IpNet> {
        self.subject.place()
    }

    fn by(&self) -> &str {
        self.by.as_deref().unwrap_or(text::CONFIGURATION)
    }

    fn until(&self) -> Option<Timestamp> {
        self.until
    }

    fn says(&self, text: &str) -> bool {
        self.subject.to_string().contains(text) || self.comment.to_lowercase().contains(text)
    }
}

impl Fact for ShownExemption {
    fn json(&self) -> Value {
        json!({
            "subject": self.subject.json(),
            "type": self.subject.kind(),
            "until": self.until.json(),
            "by": self.by,
            "comment": self.comment,
        })
    }
}

pub(super) async fn run(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let now = context.engine.now();
    let asked = Asked::parse(call, KNOWN, now)?;
    let mut cut = asked.cut();
    for exempt in all(context) {
        if asked.filter.holds(&exempt) {
            cut.take(|| exempt);
        }
    }
    let entries = cut
        .page
        .iter()
        .map(|exempt| text::entry(exempt, now))
        .collect();
    let page = asked.page(
        SPEC.name,
        text::EXEMPTIONS,
        cut.total,
        entries,
        text::COLUMNS,
    )?;
    Ok(Outcome::Rows(page))
}

fn all(context: &Context) -> Vec<ShownExemption> {
    let (now, policy) = (context.engine.now(), context.engine.policy());
    let mut given: Vec<_> = context.engine.read(|ledger| {
        let all = ledger.exemptions().all();
        all.filter(|one| one.is_in_force(now)).cloned().collect()
    });
    given.sort_by_key(|one| std::cmp::Reverse(one.since));
    let given = given.into_iter().map(|one| ShownExemption {
        by: Some(one.by.bare_name().to_owned()),
        subject: one.subject,
        until: one.until,
        comment: one.comment,
    });
    let configured = |subject, comment: &str| ShownExemption {
        subject,
        until: None,
        by: None,
        comment: comment.to_owned(),
    };
    let accounts = policy.exempt_accounts.iter().cloned();
    let networks = policy.exempt_networks.iter().copied();
    let proxies = policy.rules.proxies.iter().copied();
    given
        .chain(accounts.map(|account| configured(Subject::Account(account), "")))
        .chain(networks.map(|net| configured(Subject::network(net), "")))
        .chain(proxies.map(|net| configured(Subject::network(net), "a proxy")))
        .collect()
}
