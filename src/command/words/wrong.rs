//! Sentences about wrong input: each says what to write instead.

use super::{clean, sentence, typed};
use crate::core::term::BadTerm;
use crate::core::{Account, Rights, Role, Subject};

/// No subject at all.
pub fn no_subject() -> String {
    String::from(
        "Say whom: an account (spam@example.org), an address (203.0.113.7), a network (203.0.113.0/24) or a number (#17).",
    )
}

/// Subjects and a filter at once.
pub fn either_or() -> String {
    String::from("Name subjects or give a filter, not both.")
}

/// A filter that lets everything through.
pub fn all_of_what() -> String {
    format!(
        "All of what? Write for example: {}. What a filter matches: {}. Every ban there is: {}",
        typed("unban all origin:import by:alice"),
        typed("list origin:import by:alice"),
        typed("unban all #1..")
    )
}

/// A filter of bans that are over.
pub fn only_in_force() -> String {
    String::from("Only bans in force can be ended: leave out state:, or write state:pending.")
}

/// More bans than one call ends.
pub fn too_many_match(total: usize, most: usize) -> String {
    format!(
        "{total} bans match; at most {most} at once. Narrow it, for example with numbers: #1..{most}"
    )
}

/// More subjects than one call takes.
pub fn too_many_subjects(number: usize, most: usize) -> String {
    format!("These are {number} subjects; at most {most} at once.")
}

/// A number that no ban has.
pub fn no_such_number(word: &str) -> String {
    format!(
        "There is no ban {}; {} shows the numbers.",
        clean(word),
        typed("list")
    )
}

/// An account the server does not know.
pub fn no_such_account(account: &Account) -> String {
    format!(
        "There is no account {account} on this server. To ban the name before anybody takes it, add --force (in the form: “Even if unknown or exempt”)."
    )
}

/// A command that takes one.
pub fn one_at_a_time() -> String {
    String::from("One at a time: name one subject or one number.")
}

/// Neither yes nor no.
pub fn no_flag(field: &str) -> String {
    format!("{field} takes true or false.")
}

/// A duration in chat that cannot be read.
pub fn bad_term_in_chat(why: &BadTerm) -> String {
    format!(
        "{} If it belongs to the reason, put the reason in quotes.",
        sentence(&why.to_string())
    )
}

/// Words nobody asked for.
pub fn left_over(text: &str) -> String {
    let text: String = clean(text).chars().take(80).collect();
    format!("I do not know what “{text}” means here.")
}

/// No number of a page.
pub fn no_page(text: &str) -> String {
    format!("“{}” is no page; pages are numbers from 1.", clean(text))
}

/// A page behind the last.
pub fn too_few_pages(pages: usize) -> String {
    match pages {
        1 => String::from("There is only one page."),
        _ => format!("There are only {pages} pages."),
    }
}

/// A range we cannot read.
pub fn no_range(word: &str) -> String {
    format!(
        "“{}” is no range of numbers; write #10.. or #10..20.",
        clean(word)
    )
}

/// A command we do not have.
pub fn no_such_command(name: &str, nearest: Option<&str>) -> String {
    let name: String = clean(name).chars().take(40).collect();
    match nearest {
        Some(right) => format!("There is no command “{name}”. Did you mean {right}?"),
        None => format!(
            "There is no command “{name}”. {} lists them.",
            typed("help")
        ),
    }
}

/// A subject without a command.
pub fn command_first(subject: &str) -> String {
    let subject = clean(subject);
    let [show, ban, unban] =
        ["show", "ban", "unban"].map(|name| typed(format_args!("{name} {subject}")));
    format!("What about {subject}? Write {show}, {ban} or {unban}. Nothing was done.")
}

/// A role that does not hold over a subject.
pub fn beyond(subject: &Subject, needs: Role, rights: &Rights) -> String {
    match subject.whose() {
        Some(account) => format!(
            "{subject}: that needs the role {needs} on {}. You are {rights}.",
            account.domain()
        ),
        None => format!(
            "{subject}: addresses and networks concern every host, so that needs the role {needs} everywhere. You are {rights}."
        ),
    }
}

/// The same for a number of which no more may be said.
pub fn number_beyond(number: &str, needs: Role, rights: &Rights) -> String {
    format!(
        "{} is not about an account of your hosts; that needs the role {needs} there. You are {rights}.",
        clean(number)
    )
}
