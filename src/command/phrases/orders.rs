//! Sentences about the results and problems of orders.

use crate::command::Spec;
use crate::command::phrases::{clean, sentence, typed, typed_about, why_refused};
use crate::core::term::BadTerm;
use crate::core::{Refusal, Role, Topic, UndoEntry, Watch};

/// The line that undoes something, by numbers or subjects as lines name them.
pub(crate) fn undo(whom: &[impl ToString]) -> String {
    let whom: Vec<String> = whom.iter().map(ToString::to_string).collect();
    format!("Undo: {}", typed(format_args!("undo {}", whom.join(" "))))
}

/// Another person decided first.
pub(crate) fn overtaken(entry: &UndoEntry) -> String {
    let number = entry.number.map(|id| format!(" {id}")).unwrap_or_default();
    format!(
        "{}: NOT done: {} was first, with the {}{number} {}. Look with {}, then say it again if you still mean it.",
        entry.subject,
        clean(entry.by.bare_name()),
        entry.kind,
        entry.at,
        typed_about("show", &entry.subject)
    )
}

/// The question before a ban without an end.
pub(crate) const ASK_FOREVER: &str = "It has no end: it stands until somebody lifts it.";

/// The role that is missing.
pub(crate) fn forbidden(needs: Role) -> String {
    format!("You need the role {needs} for that.")
}

/// Too much work is waiting.
pub(crate) const BUSY: &str =
    "Too much is waiting just now; nothing was done. Try again in a moment.";

/// Why the rules refuse something, for somebody with this role over the subject.
pub(crate) fn refusal(why: &Refusal, role: Role) -> String {
    let next = match why {
        Refusal::Exempt(..) | Refusal::Allowed(..) if !may_exempt(role) => ask_an_admin(),
        Refusal::Exempt(..) => String::from("Take it out of [exempt] first if you mean it."),
        Refusal::Allowed(..) => String::from("Give the command unallow first if you mean it."),
        Refusal::NotLonger(ban, _) => {
            let shorter = typed(format_args!("ban {ban} DURATION"));
            format!("To shorten it: {shorter}")
        }
        Refusal::OverByNow(ban, _) => {
            let end = typed(format_args!("unban {ban}"));
            format!("{end} ends what stands.")
        }
        Refusal::TooManyWatches(_) => {
            format!("Give {} to some of them first.", typed("watch usual"))
        }
        _ => return why_refused(why),
    };
    format!("{} {next}", why_refused(why))
}

pub(crate) fn may_exempt(role: Role) -> bool {
    role == Role::Admin
}

fn ask_an_admin() -> String {
    format!(
        "Only an admin can change that; {} names them.",
        typed("policy")
    )
}

/// A subscription in a sentence: `guards, networks, not 22:00-07:00 UTC`.
pub(crate) fn heard(watch: Option<&Watch>) -> String {
    let Some(watch) = watch else {
        return String::from("the usual");
    };
    let names: Vec<&str> = watch.topics().map(Topic::as_str).collect();
    let names = match names.len() {
        0 => return String::from("nothing"),
        all if all == Topic::ALL.len() => String::from("everything"),
        _ => names.join(", "),
    };
    match watch.quiet {
        Some(quiet) => format!("{names}, not {quiet} UTC"),
        None => names,
    }
}

/// More subjects than one call may have.
pub(crate) fn too_many_subjects(number: usize, most: usize) -> String {
    format!("These are {number} subjects; at most {most} at once.")
}

/// Neither yes nor no.
pub(crate) fn no_flag(field: &str) -> String {
    format!("{field} takes true or false.")
}

/// A duration in chat that cannot be read.
pub(crate) fn bad_term_in_chat(why: &BadTerm) -> String {
    format!(
        "{} If it belongs to the reason, put the reason in quotes.",
        sentence(&why.to_string())
    )
}

/// Words that may be the duration or the end of the reason.
pub(crate) fn term_at_the_end(term: &str) -> String {
    format!(
        "Does “{}” at the end say how long? Then write it right behind whom it is about. If it belongs to the reason, put the reason in quotes.",
        clean(term)
    )
}

/// An unknown command.
pub(crate) fn no_such_command(name: &str, nearest: Option<&str>) -> String {
    let name: String = clean(name).chars().take(40).collect();
    match nearest {
        Some(right) => format!("There is no command “{name}”. Did you mean {right}?"),
        None => format!(
            "There is no command “{name}”. {} lists them.",
            typed("help")
        ),
    }
}

/// A question was dropped.
pub(crate) const DROPPED: &str = "Dropped; nothing was done.";

/// The end of an answer about a chat line that was not understood.
pub(crate) fn nothing_was_done(spec: Option<&Spec>) -> String {
    match spec {
        Some(spec) => format!("Nothing was done. Write: {}", typed(spec.usage)),
        None => String::from("Nothing was done."),
    }
}
