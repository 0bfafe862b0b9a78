//! Reads ejabberd's own bans.
//!
//! Since 25.10 `ejabberdctl list_banned HOST` prints one account per line, and `ejabberdctl get_ban_details USER
//! HOST` prints the details of one (seen with 26.07):
//!
//! ```text
//! spam1@localhost
//! reason <tab>Spam in rooms: lots of it
//! bandate <tab>2026-11-27T09:21:35.346256Z
//! ```
//!
//! A file may contain both, the details after their account. Names alone are enough if the server lets us read its
//! records, because they contain the same details.
//!
//! Before 24.06 a ban was a password, `BANNED_ACCOUNT--20120229T12:34:56--random--reason`. A line with an account and
//! such a password is read, whatever separates them. The original password is lost; the private note says how to set
//! a new one.

use super::{ImportedBan, Pile, Reading, account, said};
use crate::command::phrases::clean;
use crate::core::words::for_shell;
use crate::core::{Account, Origin, Subject, Term};

/// Prefix of the password that was a ban before 24.06.
const LEGACY: &str = "BANNED_ACCOUNT--";
/// The keys that `get_ban_details` prints.
const DETAILS: [&str; 4] = ["reason", "bandate", "lastdate", "lastreason"];

/// Whether only ejabberd prints a line like this.
pub(super) fn is_one(line: &str) -> bool {
    line.contains(LEGACY) || detail(line).is_some()
}

fn detail(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('\t')?;
    DETAILS.contains(&name).then_some((name, value.trim()))
}

pub(super) fn read(text: &str, reading: &Reading, pile: &mut Pile) {
    let host = reading.host.as_deref();
    let mut open: Option<(usize, Account, ImportedBan)> = None;
    for (number, line) in said(text) {
        if let Some((name, value)) = detail(line) {
            match (&mut open, name) {
                (Some((_, _, ban)), "reason") => ban.reason = value.to_owned(),
                (Some((_, _, ban)), "bandate") => {
                    ban.note = Some(format!("Banned by the server itself: {}", clean(value)));
                }
                (Some(_), _) => {}
                (None, _) => pile.bad(number, "These details belong to no account: put the line of list_banned with its name in front of them."),
            }
            continue;
        }
        close(&mut open, pile);
        let found = match line.find(LEGACY) {
            Some(at) => legacy(line, at, host),
            None => account(line.trim(), host).map(|account| (account, recorded())),
        };
        match found {
            Ok((account, ban)) => open = Some((number, account, ban)),
            Err(why) => pile.bad(number, why),
        }
    }
    close(&mut open, pile);
}

fn close(open: &mut Option<(usize, Account, ImportedBan)>, pile: &mut Pile) {
    if let Some((number, account, ban)) = open.take() {
        pile.ban(number, Subject::Account(account), ban);
    }
}

fn recorded() -> ImportedBan {
    ImportedBan {
        origin: Origin::Server,
        recorded: true,
        ..ImportedBan::new(String::new(), Term::Forever)
    }
}

/// Parses an account and the password that was its ban. Anything may separate them, and the host may stand between.
fn legacy(line: &str, at: usize, host: Option<&str>) -> Result<(Account, ImportedBan), String> {
    let (before, password) = line.split_at(at);
    let names: Vec<&str> = before
        .split(|c: char| c.is_whitespace() || matches!(c, '|' | ',' | ';' | '"' | '\'' | '{' | '}'))
        .filter(|word| !word.is_empty())
        .collect();
    let account = match names[..] {
        [name] => account(name, host)?,
        [name, host] => account(&format!("{name}@{host}"), None)?,
        _ => {
            return Err(String::from(
                "A line of an old ban names an account and its password BANNED_ACCOUNT--….",
            ));
        }
    };
    let password = password.trim_end_matches(['"', '\'', '|', ',', ';', '}', ' ', '\t']);
    let mut parts = password.splitn(4, "--").skip(1);
    let (date, _, reason) = (parts.next(), parts.next(), parts.next());
    let note = format!(
        "The server replaced the password ({}). After an un-ban give a new one: ejabberdctl change_password {} {} NEW",
        clean(date.unwrap_or_default()),
        for_shell(account.localpart()),
        for_shell(account.domain())
    );
    Ok((
        account,
        ImportedBan {
            reason: reason.unwrap_or_default().replace('_', " "),
            note: Some(note),
            ..recorded()
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::told;

    /// Output of ejabberdctl 26.07: `list_banned`, and `get_ban_details` after the first account.
    const PRINTED: &str = include_str!("../../tests/it/lists/ejabberd.txt");

    #[test]
    fn names_and_details_are_the_servers_own_bans() {
        assert_eq!(
            told(Format::Ejabberd, PRINTED),
            [
                "1 spam1@localhost | forever, made by the server, recorded: Spam in rooms: lots of it",
                "6 spam2@localhost | forever, made by the server, recorded: ",
            ]
        );
    }

    #[test]
    fn passwords_that_are_bans_are_read_whatever_stands_between() {
        let text = "\
alice@example.com BANNED_ACCOUNT--20120229T12:34:56--a1b2--spam_in_rooms
bob | BANNED_ACCOUNT--20130101T00:00:00--c3--
\"carol\",\"example.net\",\"BANNED_ACCOUNT--20140101T00:00:00--d4--x -- y\"
BANNED_ACCOUNT--20140101T00:00:00--d4--nobody
reason\tspam
no such line
";
        assert_eq!(
            told(Format::Ejabberd, text),
            [
                "1 alice@example.com | forever, made by the server, recorded: spam in rooms",
                "2 bob@example.org | forever, made by the server, recorded: ",
                "3 carol@example.net | forever, made by the server, recorded: x -- y",
                "bad 4: A line of an old ban names an account and its password BANNED_ACCOUNT--….",
                "bad 5: These details belong to no account: put the line of list_banned with its name in front of them.",
                "bad 6: \"no such line@example.org\" is not a valid JID: the name before the @ holds a character that no name may have.",
            ]
        );
    }
}
