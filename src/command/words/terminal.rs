//! Sentences of the local socket and of the program's own command line.

use std::path::Path;

use super::{clean, sentence};
use crate::command::spec::Spec;

/// To a user of the machine who is neither root nor our own.
pub fn not_your_socket() -> String {
    String::from("Only root and the user portcullis runs as may speak with it here.")
}

/// More in one line than is read.
pub fn line_too_long(most: usize) -> String {
    format!("A question may have {most} bytes; ask in several.")
}

/// A line of another version.
pub fn other_version(theirs: u32, ours: u32) -> String {
    format!(
        "This portcullis speaks version {ours} here, not {theirs}: restart it after an upgrade, or use the program that belongs to it."
    )
}

/// A line that is no question.
pub fn no_question(why: &serde_json::Error) -> String {
    format!("This is no question: {}", sentence(&why.to_string()))
}

/// A field the command does not have.
pub fn no_such_field(spec: &Spec, name: &str) -> String {
    let names: Vec<&str> = spec.fields.iter().map(|field| field.name).collect();
    let name: String = clean(name).chars().take(40).collect();
    match names[..] {
        [] => format!("{} takes nothing, and so no “{name}”.", spec.name),
        _ => format!(
            "{} has no field “{name}”; it has {}.",
            spec.name,
            names.join(", ")
        ),
    }
}

/// The examples of a command, as they are typed in a shell.
pub fn shell_examples(spec: &Spec) -> String {
    let mut text = String::from("Examples:");
    for (line, what) in spec.examples {
        text.push_str(&format!(
            "\n  portcullis {}\n      {what}",
            for_a_shell(line)
        ));
    }
    text
}

/// A chat line as a shell needs it: words with characters that a shell takes for itself are quoted.
pub fn for_a_shell(line: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "@%+=:,./-_".contains(c);
    let quoted = line.split(' ').map(|word| {
        if !word.is_empty() && word.chars().all(is_plain) {
            word.to_owned()
        } else {
            format!("'{}'", word.replace('\'', r"'\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// What stands behind the name of a command.
pub fn shell_words(spec: &Spec) -> String {
    use super::super::spec::Place;
    let places = |place| spec.fields.iter().filter(move |field| field.place == place);
    let all = [
        Place::Subjects,
        Place::Login,
        Place::Term,
        Place::Rest,
        Place::Last,
    ];
    let labels: Vec<&str> = all
        .into_iter()
        .flat_map(|place| places(place).map(|field| field.label))
        .collect();
    let text = format!("{}, as in a chat line", labels.join("; "));
    match places(Place::Subjects).next() {
        Some(_) => format!(
            "{text}. A - reads them from standard input, one a line; a shell needs '#17' in quotes"
        ),
        None => text,
    }
}

/// What a command does with a file, without the portcullis that runs.
pub fn with_a_file(about: &str, more: &str) -> String {
    format!("With a file of events (or - for standard input), by itself: {about}.\n{more}")
}

/// Below a complaint that nobody was named.
pub fn quote_numbers() -> String {
    String::from("A number needs quotes in a shell, which takes # for a comment: '#17'.")
}

/// `--all`
pub fn option_all() -> &'static str {
    "Every page"
}

/// `--json`
pub fn option_json() -> &'static str {
    "Answer in JSON, for other programs"
}

/// `--yes`
pub fn option_yes() -> &'static str {
    "Do it without asking back"
}

/// Nobody listens.
pub fn not_running(store: &Path) -> String {
    format!(
        "no portcullis runs on the store {}. Start it (systemctl start portcullis, or portcullis run), or name its configuration with -c FILE.",
        store.display()
    )
}

/// The socket cannot be opened.
pub fn no_way_in(store: &Path, why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "you may not speak with the portcullis of the store {}: only root and the user it runs as may (sudo portcullis …).",
            store.display()
        ),
        _ => format!("cannot open the socket in {}: {why}", store.display()),
    }
}

/// The portcullis that runs went away, or is stuck.
pub fn no_answer(why: &std::io::Error) -> String {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, TimedOut, UnexpectedEof};
    match why.kind() {
        TimedOut => String::from(
            "the portcullis that runs does not answer; its log may say why. Whether it was done: portcullis list, later.",
        ),
        UnexpectedEof | ConnectionReset | BrokenPipe => String::from(
            "the portcullis that runs hung up, or was stopped. Whether it was done: portcullis list, once it runs again.",
        ),
        _ => format!("the portcullis that runs gives no answer that can be read: {why}"),
    }
}

/// What runs is not what was typed.
pub fn another_version() -> String {
    String::from("the portcullis that runs is another version: restart it after an upgrade.")
}

/// No threads, no memory.
pub fn cannot_start(why: &std::io::Error) -> String {
    format!("cannot start: {why}")
}

/// Standard input fails.
pub fn cannot_read_input(why: &std::io::Error) -> String {
    format!("cannot read standard input: {why}")
}

/// Standard output fails.
pub fn cannot_write(why: &std::io::Error) -> String {
    format!("cannot write the answer: {why}")
}

/// Nobody on standard input.
pub fn empty_input() -> String {
    String::from("standard input names nobody; one subject a line is expected.")
}

/// More than anybody means.
pub fn too_much_input(most: usize) -> String {
    format!("standard input names more than {most} subjects; nothing was done.")
}

/// Before a great many are dealt with.
pub fn ask_portions(number: usize) -> String {
    format!("These are {number} subjects.")
}

/// A question on a terminal.
pub fn do_it() -> &'static str {
    "Do it? [y/N]"
}

/// Nobody there to ask.
pub fn say_yes() -> String {
    String::from("Nothing was done. Add --yes to do it without being asked.")
}

/// Below what cannot be read.
pub fn see_help(spec: &Spec) -> String {
    format!(
        "Nothing was done. Write: portcullis {}   (more: portcullis {} --help)",
        spec.usage, spec.name
    )
}

/// Below a page.
pub fn next_page(page: usize) -> String {
    format!("More: --page {page}, or --all")
}

/// Above all pages of a list.
pub fn all_of_a_list(number: usize) -> String {
    format!("All {number}")
}

/// How far long work is.
pub fn progress(done: u64, of: Option<u64>) -> String {
    match (done, of) {
        (0, None) => String::from("working…"),
        (done, None) => format!("{done} done…"),
        (done, Some(of)) => format!("{done} of {of} done…"),
    }
}

/// What stands behind the commands in the manual page: title and paragraphs.
pub fn manual_sections() -> [(&'static str, &'static [&'static str]); 4] {
    [
        (
            "TALKING TO THE DAEMON",
            &[
                "The commands from ban on are carried out by the portcullis that runs, as those of an admin; root and the user it runs as may use them. The history names them unix:USER.",
                "Words are taken as in a chat line. What a shell has kept together stays together: a reason in quotes is not searched for a duration.",
                "What would hit many is asked back; without a terminal nothing is done unless --yes is given.",
            ],
        ),
        (
            "EXIT STATUS",
            &["0 done; 1 refused or failed; 2 wrong usage or configuration."],
        ),
        (
            "ENVIRONMENT",
            &[
                "PORTCULLIS_CONFIG names the configuration file, as -c does. NO_COLOR, set to anything, turns colours off.",
            ],
        ),
        (
            "FILES",
            &[
                "/etc/portcullis/portcullis.toml, the configuration; control.sock in the folder of the store, the socket.",
            ],
        ),
    ]
}
