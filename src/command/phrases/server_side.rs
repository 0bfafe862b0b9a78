//! Sentences about what of the server itself refuses a login, besides portcullis.

use crate::command::phrases::{clean, how_to_end, lift_on_ejabberd, sentence};
use crate::core::words::for_shell;
use crate::core::{Account, Subject};
use crate::delivery::refusals::{ServerAsked, ServerRefusal, ServerRefusals};

/// What refuses it, one sentence each, and what was not asked.
pub(crate) fn by_the_server(refusals: &ServerRefusals, account: Option<&Account>) -> Vec<String> {
    let found = refusals.found.iter();
    let mut lines: Vec<String> = found.map(|one| refusal_by_server(one, account)).collect();
    lines.extend(not_asked(refusals));
    let more = refusals.more_addresses;
    if more > 0 && refusals.asked == ServerAsked::Yes {
        let what = match more {
            1 => String::from("1 more address of earlier logins was"),
            _ => format!("{more} more addresses of earlier logins were"),
        };
        lines.push(format!("{what} not asked about."));
    }
    lines
}

/// One thing that refuses it, and how to end that.
pub(crate) fn refusal_by_server(one: &ServerRefusal, account: Option<&Account>) -> String {
    let name = account.map_or_else(|| String::from("the account"), Account::to_string);
    let on_the_server = |line: String| format!(" To end it, on the server: `{}`.", line);
    match one {
        ServerRefusal::OwnBan { reason } => {
            let how = account.map_or_else(String::new, |account| {
                format!(" {}", lift_on_ejabberd(account))
            });
            let why = match clean(reason) {
                why if why.is_empty() => String::new(),
                why => format!(" Its reason: {}", sentence(&why)),
            };
            format!("ejabberd's own ban of {name} stands.{how}{why}")
        }
        ServerRefusal::OurRecord { ban } => {
            let how = account.map(|account| how_to_end(&Subject::Account(account.clone())));
            format!(
                "The server still refuses {name} by the record of {ban}, a ban by portcullis that is over here. {}",
                how.unwrap_or_default()
            )
        }
        ServerRefusal::Disabled => {
            let how = on_the_server(format!("prosodyctl shell user enable {}", for_shell(&name)));
            format!("Prosody itself has disabled {name}.{how}")
        }
        ServerRefusal::NoAccount => format!("There is no account {name} on the server."),
        ServerRefusal::AccessRule => format!(
            "An access rule of ejabberd keeps {name} out: the option `access` of its listeners for clients (ejabberd_c2s)."
        ),
        ServerRefusal::Fail2ban { address, until } => {
            let until = until.map_or_else(String::new, |until| format!(" until {until}"));
            format!(
                "mod_fail2ban of ejabberd holds {address}{until} and refuses everybody there. {}",
                how_to_end(&Subject::Address(*address))
            )
        }
    }
}

/// What was not asked; `None` if everything was.
pub(crate) fn not_asked(refusals: &ServerRefusals) -> Option<String> {
    let why = match refusals.asked {
        ServerAsked::NoModule => "that needs the hook module",
        ServerAsked::TooOld => "the hook module there is too old for the question",
        ServerAsked::Silent => "the hook module did not answer",
        ServerAsked::Yes if refusals.left_out.is_empty() => return None,
        ServerAsked::Yes => {
            let names: Vec<String> = refusals
                .left_out
                .iter()
                .map(|name| looked_at(name))
                .collect();
            return Some(format!(
                "Could not be checked on the server: {}.",
                names.join(", ")
            ));
        }
    };
    let what = match refusals.found.is_empty() {
        true => "it refuses this login itself",
        false => "anything else of it refuses this login",
    };
    Some(format!("The server was not asked whether {what}: {why}."))
}

fn looked_at(name: &str) -> String {
    match name {
        "account" => String::from("whether the account exists"),
        "ban" => String::from("whether ejabberd itself bans the account"),
        "disabled" => String::from("whether Prosody has disabled the account"),
        "access" => String::from("what its access rules say"),
        other => format!("what {} does", clean(other)),
    }
}

/// The server was asked to let addresses go, and did.
pub(crate) fn unblocked(subject: &Subject, number: u64) -> String {
    match (subject, number) {
        (Subject::Address(_), _) => {
            String::from("mod_fail2ban of ejabberd held it too, and has let it go.")
        }
        (_, 1) => String::from("mod_fail2ban of ejabberd held 1 address there, and has let it go."),
        (_, number) => {
            format!("mod_fail2ban of ejabberd held {number} addresses there, and has let them go.")
        }
    }
}
