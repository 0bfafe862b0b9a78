//! Messages of the entry points themselves, before a command runs or beside its answer.

use crate::command::phrases::{clean, forbidden, typed, typed_about};
use crate::command::spec::Spec;
use crate::core::{Role, Subject};

/// Title of a form with an error.
pub(crate) fn error_title(text: &str) -> String {
    format!("Error: {text}")
}

/// Instructions of an empty form.
pub(crate) fn instructions(spec: &Spec, minutes: u64) -> String {
    format!(
        "{} This form stays open for {minutes} minutes.",
        spec.summary
    )
}

/// How to answer a question in a form.
pub(crate) const CONFIRM_FORM: &str = "Complete does it; previous changes it; cancel drops it.";

/// How to answer a question in chat.
pub(crate) const CONFIRM_CHAT: &str =
    "Answer yes within 2 minutes to do it; anything else drops it.";

/// The answers to a question.
pub(crate) const YES_OR_NO: [&str; 2] = ["yes", "no"];

/// A reply to a message that has several subjects or none.
pub(crate) fn reply_to_nobody(spec: &Spec) -> String {
    format!(
        "That message is about several, or about nobody in particular: name whom you mean. Nothing was done. Write: {}",
        typed(spec.usage)
    )
}

/// A reply to an unknown message.
pub(crate) fn reply_to_unknown(spec: &Spec) -> String {
    format!(
        "I no longer know what that message was about: name whom you mean. Nothing was done. Write: {}",
        typed(spec.usage)
    )
}

/// A yes without a question.
pub(crate) fn nothing_to_confirm() -> String {
    String::from(
        "There is nothing to say yes to; a question waits for 2 minutes only. Nothing was done.",
    )
}

/// A form was cancelled.
pub(crate) const CANCELED: &str = "Cancelled; nothing was done.";

/// A form was cancelled whose work continues.
pub(crate) fn canceled_at_work() -> String {
    String::from(
        "The form is closed; what it began goes on, and a message tells you what came of it.",
    )
}

/// Title of long work.
pub(crate) fn at_work_title(progress: Option<(usize, usize)>) -> String {
    match progress {
        Some((done, of)) => format!("At work: {done} of {of} done"),
        None => String::from("At work"),
    }
}

/// Progress of long work, and how to follow it.
pub(crate) fn at_work(progress: Option<(usize, usize)>) -> Vec<String> {
    vec![
        format!("{}.", at_work_title(progress)),
        String::from(
            "It goes on by itself. Next looks again; if you do not look, a message tells you what came of it.",
        ),
    ]
}

/// The result of a form that nobody refreshed.
pub(crate) fn form_is_done(title: &str) -> String {
    format!("Your form “{title}”:")
}

/// For people without a role.
pub(crate) fn stranger() -> String {
    String::from(
        "This is portcullis, which keeps abusers off this server. It takes orders from the server's admins only.",
    )
}

/// For an encrypted message.
pub(crate) fn encrypted() -> String {
    String::from(
        "I cannot read encrypted messages; please switch encryption off for this chat. Nothing was done.",
    )
}

/// A correction of a line that had an effect, or was not addressed to us.
pub(crate) fn corrected() -> String {
    String::from(
        "A corrected line does not run again: the first one did run, or was not said to me. Send it as a new message if you mean it.",
    )
}

/// Several commands in one message.
pub(crate) const ONE_COMMAND: &str = "One command a message, please. Nothing was done.";

/// More lines than the rate limit allows.
pub(crate) const TOO_FAST: &str =
    "That is too fast for me; I am silent until it is quiet for 10 seconds.";

/// Status text in contact lists.
pub(crate) fn presence() -> String {
    format!("Write {}", typed("help"))
}

/// Hint after a page.
pub(crate) fn more(next: &str) -> String {
    format!("More: {}, or {}", typed("next"), typed(next))
}

/// Hint after a page in a form.
pub(crate) fn more_in_form(page: usize) -> String {
    format!("More on page {page}.")
}

/// Hint beside a table, for clients that show none.
pub(crate) const NO_TABLE: &str =
    "If you see no rows, your client draws no tables here: ask again without.";

/// There is no list to page through.
pub(crate) fn no_list() -> String {
    format!(
        "There is no list to turn a page of. Write {}, {} or {} first.",
        typed("list"),
        typed("failures"),
        typed("allowed")
    )
}

/// There is no page after the last one.
pub(crate) const NO_NEXT_PAGE: &str = "That was the last page.";

/// There is no page before the first one.
pub(crate) const NO_PAGE_BEFORE: &str = "That was the first page.";

/// A public line to one occupant.
pub(crate) fn to_nick(nick: &str, text: &str) -> String {
    format!("{}: {text}", clean(nick))
}

/// Replaces an answer that is too long for a room.
pub(crate) fn rest_in_private(first: &str, lines: usize) -> String {
    format!("{first}\nThe whole answer has {lines} lines; I sent it to you in private.")
}

/// In a room that hides real JIDs from us.
pub(crate) fn faceless() -> String {
    String::from(
        "I cannot see who you are, so I take no orders here. Let the room show real JIDs to everybody, or make me a moderator of it. Nothing was done.",
    )
}

/// For an occupant without a role. `needs` is the role for the command they gave, if it was one.
pub(crate) fn stranger_in_room(needs: Option<Role>) -> String {
    let whose = "I take orders from the server's admins and from those to whom this room grants a role; you are neither.";
    match needs {
        Some(needs) => format!("{} {whose}", forbidden(needs)),
        None => String::from(whose),
    }
}

/// Words that no field takes.
pub(crate) fn left_over(text: &str) -> String {
    let text: String = clean(text).chars().take(80).collect();
    format!("I do not know what “{text}” means here.")
}

/// A subject without a command.
pub(crate) fn command_first(subject: &Subject) -> String {
    let [show, ban, unban] = ["show", "ban", "unban"].map(|name| typed_about(name, subject));
    format!("What about {subject}? Write {show}, {ban} or {unban}. Nothing was done.")
}
