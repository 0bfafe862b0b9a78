//! The nodes of XEP-0133 (Service Administration): our commands under the names and with the fields of the standard,
//! for clients and scripts that know those.
//!
//! They are forms only, and run `ban`, `unban`, `kick` or `list` with all their checks. They differ from the nodes
//! that servers have on their own domain: bans have ends, reasons and a history.

mod text;

use futures::FutureExt;
use xmpp_parsers::jid::Jid;

use super::call::Call;
use super::catalogue::{Command, find, outcome_of};
use super::context::Context;
use super::outcome::{Answer, EarlyOutcome, Grade, Outcome, Problem, Row};
use super::parts::filter::Filter;
use super::parts::{bans, subjects};
use super::phrases::{self, clean};
use super::request::Request;
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{ban, broken, dispatch, kick, list, unban};
use crate::core::{Role, Subject, words};
use crate::journal::LogFault;

/// The `FORM_TYPE` of the standard's forms, and the prefix of its nodes.
pub const NS_ADMIN: &str = "http://jabber.org/protocol/admin";

/// The nodes, in the order of the standard.
pub(super) const NODES: &[Command] = &[
    Command {
        spec: &DISABLE_USER,
        run: |call, context| outcome_of(through("ban", call, context)).boxed(),
    },
    Command {
        spec: &REENABLE_USER,
        run: |call, context| outcome_of(through("unban", call, context)).boxed(),
    },
    Command {
        spec: &END_USER_SESSION,
        run: |call, context| outcome_of(through("kick", call, context)).boxed(),
    },
    Command {
        spec: &DISABLED_NUM,
        run: |call, context| outcome_of(number(call, context)).boxed(),
    },
    Command {
        spec: &DISABLED_LIST,
        run: |call, context| outcome_of(disabled(call, context)).boxed(),
    },
];

/// The field with the accounts of a form (XEP-0133, 9.2).
pub(super) const ACCOUNTS: &str = "accountjids";
/// Number of accounts listed by default; they fit into a stanza.
const MOST: usize = 2_000;

const fn accounts(label: &'static str) -> Field {
    Field {
        name: ACCOUNTS,
        label,
        kind: Kind::Jids,
        required: true,
        desc: "Accounts, one a line. A resource does not count.",
        place: Place::Nowhere,
    }
}

const fn node(
    name: &'static str,
    title: &'static str,
    summary: &'static str,
    needs: Role,
    fields: &'static [Field],
) -> Spec {
    Spec {
        name,
        title,
        summary,
        needs,
        form: true,
        fields,
        usage: name,
        examples: &[],
        changes: false,
    }
}

/// XEP-0133, 4.3.
const DISABLE_USER: Spec = node(
    "http://jabber.org/protocol/admin#disable-user",
    "Disable User",
    "Bans accounts for the usual time and ends their sessions, as the command ban does.",
    ban::SPEC.needs,
    &[accounts("The Jabber ID(s) to disable")],
);

/// XEP-0133, 4.4.
const REENABLE_USER: Spec = node(
    "http://jabber.org/protocol/admin#reenable-user",
    "Re-Enable User",
    "Ends the bans of accounts, as the command unban does.",
    unban::SPEC.needs,
    &[accounts("The Jabber ID(s) to re-enable")],
);

/// XEP-0133, 4.5: all sessions of an account, or the one whose full JID is given.
const END_USER_SESSION: Spec = node(
    "http://jabber.org/protocol/admin#end-user-session",
    "End User Session",
    "Ends the sessions of accounts without a ban, as the command kick does.",
    kick::SPEC.needs,
    &[accounts("Whose sessions to end")
        .desc("Accounts, one a line, or single sessions of theirs: name@domain/resource.")],
);

/// XEP-0133, 4.14.
const DISABLED_NUM: Spec = node(
    "http://jabber.org/protocol/admin#get-disabled-users-num",
    "Get Number of Disabled Users",
    "Tells how many accounts are banned.",
    list::SPEC.needs,
    &[],
);

/// XEP-0133, 4.19.
const DISABLED_LIST: Spec = node(
    "http://jabber.org/protocol/admin#get-disabled-users-list",
    "Get List of Disabled Users",
    "Lists the accounts that are banned, the newest ban first.",
    list::SPEC.needs,
    &[Field::new(
        "max_items",
        "Maximum number to show",
        Kind::Choice(&[
            ("25", "25"),
            ("50", "50"),
            ("75", "75"),
            ("100", "100"),
            ("150", "150"),
            ("200", "200"),
            ("none", "None"),
        ]),
    )
    .desc("None shows the first 2000.")],
);

/// The descriptions of the nodes, in the order of the standard.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    NODES.iter().map(|node| node.spec)
}

/// The `FORM_TYPE` of its forms; `None` if it is not one of the standard's nodes.
pub fn form_type(spec: &Spec) -> Option<&'static str> {
    spec.name.starts_with(NS_ADMIN).then_some(NS_ADMIN)
}

/// Runs one of our commands for these accounts, with all its checks.
async fn through(
    command: &str,
    call: &Request<'_>,
    context: &Context,
) -> Result<Outcome, EarlyOutcome> {
    let command = find(command).expect("the commands of the nodes are in the list");
    let mut problems = Vec::new();
    let mut resources = Vec::new();
    let mut named = Vec::new();
    let typed = call.values.raw(ACCOUNTS).iter();
    for typed in typed.flat_map(|text| text.lines()).map(str::trim) {
        match Subject::parse(typed) {
            _ if typed.is_empty() => {}
            Ok(Subject::Account(account)) => {
                let has_resource = Jid::new(typed).is_ok_and(|jid| jid.resource().is_some());
                if has_resource && command.name == kick::SPEC.name {
                    named.push(words::quoted(typed));
                    continue;
                }
                if has_resource {
                    resources.push(clean(typed));
                }
                named.push(words::name(account.as_str()));
            }
            Ok(_) => problems.push(Problem::new(ACCOUNTS, text::no_account(typed))),
            Err(why) => {
                let text = phrases::sentence(&why.to_string());
                problems.push(Problem::new(ACCOUNTS, text));
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems.into());
    }
    let mut values = Values::new();
    values.set(subjects::FIELD, named);
    let inner = Call {
        command,
        values,
        ..Call::clone(call)
    };
    let mut outcome = dispatch(&inner, context).await;
    // Audit rooms read the names of our commands, not those of the standard's nodes.
    context.audit.tell_of(&inner, &outcome);
    let left_out = (!resources.is_empty()).then(|| text::left_out(&resources));
    match &mut outcome {
        Outcome::Invalid { problems } | Outcome::Refused { problems } => {
            for problem in problems {
                problem.field = ACCOUNTS.into();
            }
        }
        Outcome::Done(answer) => answer.lines.extend(left_out),
        Outcome::Ask(ask) => ask.lines.extend(left_out),
        _ => {}
    }
    Ok(outcome)
}

/// The banned accounts that the caller may see: their number, and the first of them.
async fn banned(
    call: &Call,
    context: &Context,
    most: usize,
) -> Result<(usize, Vec<String>), LogFault> {
    let accounts = Values::new().with("filter", "account");
    let (rights, now) = (&call.caller.rights, context.engine.now());
    // The word is a known filter word.
    let filter = Filter::parse(&accounts, rights, bans::KNOWN, now).unwrap_or_default();
    let start = (0, Vec::new());
    bans::in_force(context, &filter, start, move |(total, first), ban| {
        *total += 1;
        if first.len() < most {
            first.push(ban.subject.to_string());
        }
    })
    .await
}

async fn number(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let counted = banned(call, context, 0).await;
    let (total, _) = counted.map_err(|fault| broken("count bans", &fault))?;
    let row = Row::new("disabledusersnum", text::NUMBER, total.to_string());
    Ok(done(text::are_banned(total), row))
}

async fn disabled(call: &Request<'_>, context: &Context) -> Result<Outcome, EarlyOutcome> {
    let typed = call.values.line("max_items");
    let most = match typed.as_deref() {
        None => Some(25),
        Some("none") => Some(MOST),
        Some(text) => text.parse().ok().filter(|most| (1..=MOST).contains(most)),
    };
    let most = most.ok_or_else(|| {
        let typed = clean(typed.as_deref().unwrap_or_default());
        Problem::new("max_items", text::no_maximum(&typed))
    })?;
    let listed = banned(call, context, most).await;
    let (total, first) = listed.map_err(|fault| broken("list bans", &fault))?;
    let row = Row::new("disableduserjids", text::LIST, first.join("\n"));
    Ok(done(text::newest(total, first.len()), row))
}

fn done(line: String, row: Row) -> Outcome {
    Outcome::Done(Answer::new(Grade::Good, line.clone(), vec![line]).with_rows(vec![row]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_named_and_described_as_the_standard_wants() {
        for spec in specs() {
            assert!(spec.name.starts_with("http://jabber.org/protocol/admin#"));
            assert_eq!(form_type(spec), Some(NS_ADMIN));
            assert!(spec.form && spec.summary.ends_with('.'));
            for field in spec.fields {
                assert!(field.label.chars().count() < 30, "{}", field.label);
                assert!(field.desc.ends_with('.'));
            }
        }
        assert_eq!(form_type(&ban::SPEC), None);
    }
}
