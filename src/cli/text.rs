//! What the command line says by itself: to whoever types, and in its help.

use crate::command::phrases::{clean, count, for_a_shell, is_trick};
use crate::command::spec::Spec;
use std::path::Path;

/// The same for lines that somebody copies: the spaces in them stay.
pub(super) fn clean_verbatim(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line: String = line.chars().filter(|c| !is_trick(*c)).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// What a file holds, and what came of it, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Imported<'a> {
    /// The format.
    pub(super) format: &'a str,
    /// Subjects in it.
    pub(super) subjects: usize,
    /// Decisions in it.
    pub(super) decisions: usize,
    /// Bans that began.
    pub(super) banned: usize,
    /// Bans that became longer.
    pub(super) prolonged: usize,
    /// Exemptions that began.
    pub(super) exempted: usize,
    /// Decisions that were taken over.
    pub(super) recalled: usize,
    /// What was there already.
    pub(super) there: usize,
    /// Decisions left out for newer ones.
    pub(super) older: usize,
    /// What was not taken.
    pub(super) refused: usize,
    /// Lines left out on purpose.
    pub(super) left_out: usize,
    /// Lines that cannot be read.
    pub(super) bad: usize,
}

/// What came of a file, or would come of it.
pub(super) fn import_summary(file: &Imported<'_>, dry_run: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut head = format!(
        "{} in the file ({})",
        count(file.subjects, "subject"),
        file.format
    );
    if file.decisions > 0 {
        head.push_str(&format!(", and {}", count(file.decisions, "decision")));
    }
    lines.push(format!("{head}."));
    let would = |done: &str, would: &str| String::from(if dry_run { would } else { done });
    let mut tell = |number: usize, text: String| {
        if number > 0 {
            lines.push(format!("{text}."));
        }
    };
    let n = file.banned;
    tell(
        n,
        format!("{} {}", count(n, "ban"), would("began", "would begin")),
    );
    let n = file.prolonged;
    tell(
        n,
        format!(
            "{} {}",
            count(n, "ban"),
            would("became longer", "would become longer")
        ),
    );
    let n = file.exempted;
    tell(
        n,
        format!(
            "{} {}",
            count(n, "exemption"),
            would("began", "would begin")
        ),
    );
    let n = file.recalled;
    let text = would(
        "stand in the history now",
        "would stand in the history, with the bans they end in",
    );
    tell(n, format!("{} made elsewhere {text}", count(n, "decision")));
    let n = file.there;
    tell(n, format!("{n} are here already"));
    let n = file.older;
    tell(
        n,
        format!(
            "{} made elsewhere left out: something newer was decided here",
            count(n, "decision")
        ),
    );
    let n = file.refused;
    tell(
        n,
        format!("{n} {}", would("were not taken", "would not be taken")),
    );
    let n = file.left_out;
    tell(n, format!("{n} left out"));
    let n = file.bad;
    tell(n, format!("{} cannot be read", count(n, "line")));
    if file.banned + file.prolonged + file.exempted + file.recalled == 0 {
        lines.push(would("Nothing was changed.", "Nothing would be changed."));
    }
    lines
}

/// What was not taken.
pub(super) fn refused(subject: &str, why: &str) -> String {
    match why.contains(subject) {
        true => String::from(why),
        false => format!("{}: {why}", clean(subject)),
    }
}

/// `list.txt:7: …`
pub(super) fn line_and_why(file: &Path, line: usize, why: &str) -> String {
    match line {
        0 => format!("{}: {why}", file.display()),
        line => format!("{}:{line}: {why}", file.display()),
    }
}

/// The rest of a long list.
pub(super) fn and_more(number: usize) -> String {
    format!("… and {number} more")
}

/// A file that cannot be opened.
pub(super) fn cannot_open(file: &Path, why: &std::io::Error) -> String {
    format!("cannot open {}: {why}", file.display())
}

/// A file beyond what is read.
pub(super) fn file_too_large(most: u64) -> String {
    format!(
        "the file is too large: at most {} MiB are read; split it.",
        most >> 20
    )
}

/// A file that is no text.
pub(super) fn not_utf8(file: &Path) -> String {
    format!("{} is no text in UTF-8.", file.display())
}

/// The examples of a command, as they are typed in a shell.
pub(super) fn shell_examples(spec: &Spec) -> String {
    let mut text = String::from("Examples:");
    for (line, what) in spec.examples {
        text.push_str(&format!(
            "\n  portcullis {}\n      {what}",
            for_a_shell(line)
        ));
    }
    text
}

/// What stands behind the name of a command.
pub(super) fn shell_words(spec: &Spec) -> String {
    use crate::command::Place;
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
pub(super) fn with_a_file(about: &str, more: &str) -> String {
    format!("With a file of events (or - for standard input), by itself: {about}.\n{more}")
}

/// Below a complaint that nobody was named.
pub(super) const QUOTE_NUMBERS: &str =
    "A number needs quotes in a shell, which takes # for a comment: '#17'.";

/// `--json`
pub(super) const OPTION_JSON: &str = "Answer in JSON, for other programs";

/// `--yes`
pub(super) const OPTION_YES: &str = "Do it without asking back";

/// Nobody listens.
pub(super) fn not_running(store: &Path) -> String {
    format!(
        "no portcullis runs on the store {}. Start it (systemctl start portcullis, or portcullis run), or name its configuration with -c FILE.",
        store.display()
    )
}

/// The socket cannot be opened.
pub(super) fn no_way_in(store: &Path, why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::PermissionDenied => format!(
            "you may not speak with the portcullis of the store {}: only root and the user it runs as may (sudo portcullis …).",
            store.display()
        ),
        _ => format!("cannot open the socket in {}: {why}", store.display()),
    }
}

/// The portcullis that runs went away, or is stuck.
pub(super) fn no_answer(why: &std::io::Error) -> String {
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
pub(super) const ANOTHER_VERSION: &str =
    "the portcullis that runs is another version: restart it after an upgrade.";

/// No threads, no memory.
pub(super) fn cannot_start(why: &std::io::Error) -> String {
    format!("cannot start: {why}")
}

/// Standard input fails.
pub(super) fn cannot_read_input(why: &std::io::Error) -> String {
    format!("cannot read standard input: {why}")
}

/// Standard output fails.
pub(super) fn cannot_write(why: &std::io::Error) -> String {
    format!("cannot write the answer: {why}")
}

/// Nobody on standard input.
pub(super) const EMPTY_INPUT: &str = "standard input names nobody; one subject a line is expected.";

/// More than anybody means.
pub(super) fn too_much_input(most: usize) -> String {
    format!("standard input names more than {most} subjects; nothing was done.")
}

/// Before a great many are dealt with.
pub(super) fn ask_portions(number: usize) -> String {
    format!("These are {number} subjects.")
}

/// Nobody there to ask.
pub(super) const SAY_YES: &str = "Nothing was done. Add --yes to do it without being asked.";

/// Below what cannot be read.
pub(super) fn see_help(spec: &Spec) -> String {
    format!(
        "Nothing was done. Write: portcullis {}   (more: portcullis {} --help)",
        spec.usage, spec.name
    )
}

/// Below a page.
pub(super) fn next_page(page: usize) -> String {
    format!("More: --page {page}, or --all")
}

/// Above all pages of a list.
pub(super) fn all_of_a_list(number: usize) -> String {
    format!("All {number}")
}

/// How far long work is.
pub(super) fn progress(done: u64, of: Option<u64>) -> String {
    match (done, of) {
        (0, None) => String::from("working…"),
        (done, None) => format!("{done} done…"),
        (done, Some(of)) => format!("{done} of {of} done…"),
    }
}

/// What stands behind the commands in the manual page: title and paragraphs.
pub(super) fn manual_sections() -> [(&'static str, &'static [&'static str]); 4] {
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
