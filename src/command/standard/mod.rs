//! The nodes of XEP-0133 (Service Administration): the same commands under the names and with the
//! fields of the standard, for clients and scripts that know those.
//!
//! They are forms only, and no second road: what is filled in becomes a call of `ban`, `unban`,
//! `kick` or `list`, which is allowed or refused as one of those. Ours differ from those that servers have
//! on their own domain: bans have ends, reasons and a history.

mod text;

use futures::FutureExt;
use xmpp_parsers::jid::Jid;

use super::call::Call;
use super::catalogue::Command;
use super::context::Context;
use super::outcome::{Answer, Grade, Outcome, Problem, Row};
use super::parts::filter::Filter;
use super::parts::{bans, subjects};
use super::spec::{Field, Kind, Place, Spec};
use super::values::Values;
use super::{ban, broken, dispatch, kick, list, phrases, unban};
use crate::core::{Role, Subject};
use crate::journal::LogFault;

/// The `FORM_TYPE` of the standard's forms, and what its nodes begin with.
pub const NS_ADMIN: &str = "http://jabber.org/protocol/admin";

/// The nodes, in the order of the standard.
pub(super) const NODES: &[Command] = &[
    Command {
        spec: &DISABLE_USER,
        run: |call, context| through("ban", call, context).boxed(),
    },
    Command {
        spec: &REENABLE_USER,
        run: |call, context| through("unban", call, context).boxed(),
    },
    Command {
        spec: &END_USER_SESSION,
        run: |call, context| through("kick", call, context).boxed(),
    },
    Command {
        spec: &DISABLED_NUM,
        run: |call, context| number(call, context).boxed(),
    },
    Command {
        spec: &DISABLED_LIST,
        run: |call, context| disabled(call, context).boxed(),
    },
];

/// The accounts of a form: XEP-0133, 9.2.
pub(super) const ACCOUNTS: &str = "accountjids";
/// How many are listed when no limit is asked for: what fits into a stanza.
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
    &[Field {
        desc: "Accounts, one a line, or single sessions of theirs: name@domain/resource.",
        ..accounts("Whose sessions to end")
    }],
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
    &[Field {
        name: "max_items",
        label: "Maximum number to show",
        kind: Kind::Choice(&[
            ("25", "25"),
            ("50", "50"),
            ("75", "75"),
            ("100", "100"),
            ("150", "150"),
            ("200", "200"),
            ("none", "None"),
        ]),
        required: false,
        desc: "None shows the first 2000.",
        place: Place::Nowhere,
    }],
);

/// The descriptions of the nodes, in the order of the standard.
pub fn specs() -> impl Iterator<Item = &'static Spec> {
    NODES.iter().map(|node| node.spec)
}

/// The node of this name.
pub fn find(name: &str) -> Option<&'static Spec> {
    specs().find(|spec| spec.name == name)
}

/// The `FORM_TYPE` of its forms, if it is one of the standard's nodes.
pub fn form_type(spec: &Spec) -> Option<&'static str> {
    spec.name.starts_with(NS_ADMIN).then_some(NS_ADMIN)
}

/// Runs one of our commands for these accounts, with all its checks.
async fn through(command: &str, call: &Call, context: &Context) -> Outcome {
    let mut problems = Vec::new();
    let mut resources = Vec::new();
    let mut named = Vec::new();
    for typed in call
        .values
        .raw(ACCOUNTS)
        .iter()
        .flat_map(|text| text.lines())
    {
        let typed = typed.trim();
        match Subject::parse(typed) {
            _ if typed.is_empty() => {}
            Ok(Subject::Account(account)) => {
                let has_resource = Jid::new(typed).is_ok_and(|jid| jid.resource().is_some());
                if has_resource && command == kick::SPEC.name {
                    named.push(typed.to_owned());
                    continue;
                }
                if has_resource {
                    resources.push(phrases::clean(typed));
                }
                named.push(account.to_string());
            }
            Ok(_) => problems.push(problem(text::accounts_only(typed))),
            Err(why) => problems.push(problem(phrases::sentence(&why.to_string()))),
        }
    }
    if !problems.is_empty() {
        return Outcome::Invalid(problems);
    }
    let mut values = Values::new();
    values.set(subjects::FIELD, named);
    let inner = Call {
        name: command.to_owned(),
        values,
        ..call.clone()
    };
    let mut outcome = dispatch(&inner, context).await;
    match &mut outcome {
        Outcome::Invalid(problems) | Outcome::Refused(problems) => {
            for problem in problems {
                problem.field = ACCOUNTS;
            }
        }
        Outcome::Done(answer) if !resources.is_empty() => {
            answer.lines.push(text::resources_left_out(&resources));
        }
        Outcome::Ask(ask) if !resources.is_empty() => {
            ask.lines.push(text::resources_left_out(&resources));
        }
        _ => {}
    }
    outcome
}

fn problem(text: String) -> Problem {
    Problem {
        field: ACCOUNTS,
        text,
    }
}

/// The banned accounts the caller may see: how many, and the first of them.
async fn banned(
    call: &Call,
    context: &Context,
    most: usize,
) -> Result<(usize, Vec<String>), LogFault> {
    let accounts = Values::new().with("filter", "account");
    let (rights, now) = (&call.caller.rights, context.engine.now());
    // The word is one that lists know.
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

async fn number(call: &Call, context: &Context) -> Outcome {
    match banned(call, context, 0).await {
        Ok((total, _)) => done(
            text::disabled_number(total),
            Row::new(
                "disabledusersnum",
                text::DISABLED_NUMBER_LABEL,
                total.to_string(),
            ),
        ),
        Err(fault) => Outcome::Broken(broken("count bans", &fault)),
    }
}

async fn disabled(call: &Call, context: &Context) -> Outcome {
    let typed = call.values.line("max_items");
    let most = match typed.as_deref() {
        None => 25,
        Some("none") => MOST,
        Some(text) => match text.parse() {
            Ok(most @ 1..=MOST) => most,
            _ => {
                return Outcome::Invalid(vec![Problem {
                    field: "max_items",
                    text: text::no_max_items(text, MOST),
                }]);
            }
        },
    };
    match banned(call, context, most).await {
        Ok((total, first)) => done(
            text::disabled_list(first.len(), total),
            Row::new(
                "disableduserjids",
                text::DISABLED_LIST_LABEL,
                first.join("\n"),
            ),
        ),
        Err(fault) => Outcome::Broken(broken("list bans", &fault)),
    }
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
