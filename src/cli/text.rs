//! Texts of the command line itself: messages and help.

use crate::command::phrases::{clean, count, for_a_shell, is_trick};
use crate::command::spec::Spec;
use std::path::Path;

/// Like `clean`, but keeps spaces, for lines that are copied.
pub(super) fn clean_verbatim(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let line: String = line.chars().filter(|c| !is_trick(*c)).collect();
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The content of a file and the result of its import, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Imported<'a> {
    /// Name of the format.
    pub(super) format: &'a str,
    /// Subjects in the file.
    pub(super) subjects: usize,
    /// Decisions in the file.
    pub(super) decisions: usize,
    /// New bans.
    pub(super) banned: usize,
    /// Bans that became longer.
    pub(super) prolonged: usize,
    /// New exemptions.
    pub(super) exempted: usize,
    /// Decisions added to the history.
    pub(super) recalled: usize,
    /// Entries that existed already.
    pub(super) there: usize,
    /// Decisions skipped because newer ones exist.
    pub(super) older: usize,
    /// Entries that were rejected.
    pub(super) refused: usize,
    /// Lines left out on purpose.
    pub(super) left_out: usize,
    /// Lines that cannot be read.
    pub(super) bad: usize,
}

/// The result of an import; with `dry_run` what it would do.
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

/// A rejected entry.
pub(super) fn refused(subject: &str, why: &str) -> String {
    match why.contains(subject) {
        true => String::from(why),
        false => format!("{}: {why}", clean(subject)),
    }
}

/// A problem with a line: `list.txt:7: …`
pub(super) fn line_and_why(file: &Path, line: usize, why: &str) -> String {
    match line {
        0 => format!("{}: {why}", file.display()),
        line => format!("{}:{line}: {why}", file.display()),
    }
}

/// The rest of a shortened list.
pub(super) fn and_more(number: usize) -> String {
    format!("… and {number} more")
}

/// A file that cannot be opened.
pub(super) fn cannot_open(file: &Path, why: &std::io::Error) -> String {
    format!("cannot open {}: {why}", file.display())
}

/// A file that is larger than the limit.
pub(super) fn file_too_large(most: u64) -> String {
    format!(
        "the file is too large: at most {} MiB are read; split it.",
        most >> 20
    )
}

/// A file that is not UTF-8 text.
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

/// Usage: the words after the name of a command.
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

/// The help of a command that the program also runs itself with a file.
pub(super) fn with_a_file(about: &str, more: &str) -> String {
    format!("With a file of events (or - for standard input), by itself: {about}.\n{more}")
}

/// Hint for an invalid subject, because a shell takes `#` for a comment.
pub(super) const QUOTE_NUMBERS: &str =
    "A number needs quotes in a shell, which takes # for a comment: '#17'.";

/// Help of `--json`.
pub(super) const OPTION_JSON: &str = "Answer in JSON, for other programs";

/// Help of `--yes`.
pub(super) const OPTION_YES: &str = "Do it without asking back";

/// No portcullis runs on this store.
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

/// The running portcullis does not answer.
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

/// The running portcullis has another version.
pub(super) const ANOTHER_VERSION: &str =
    "the portcullis that runs is another version: restart it after an upgrade.";

/// The async runtime cannot start.
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

/// Standard input names no subject.
pub(super) const EMPTY_INPUT: &str = "standard input names nobody; one subject a line is expected.";

/// Too many subjects on standard input.
pub(super) fn too_much_input(most: usize) -> String {
    format!("standard input names more than {most} subjects; nothing was done.")
}

/// The question before subjects are sent in several portions.
pub(super) fn ask_portions(number: usize) -> String {
    format!("These are {number} subjects.")
}

/// Confirmation is needed, but there is no terminal.
pub(super) const SAY_YES: &str = "Nothing was done. Add --yes to do it without being asked.";

/// Hint after input that was not understood.
pub(super) fn see_help(spec: &Spec) -> String {
    format!(
        "Nothing was done. Write: portcullis {}   (more: portcullis {} --help)",
        spec.usage, spec.name
    )
}

/// Hint after a page of a list.
pub(super) fn next_page(page: usize) -> String {
    format!("More: --page {page}, or --all")
}

/// Head of all pages of a list.
pub(super) fn all_of_a_list(number: usize) -> String {
    format!("All {number}")
}

/// Progress of long work.
pub(super) fn progress(done: u64, of: Option<u64>) -> String {
    match (done, of) {
        (0, None) => String::from("working…"),
        (done, None) => format!("{done} done…"),
        (done, Some(of)) => format!("{done} of {of} done…"),
    }
}

/// Sections of the manual page after the commands: title and paragraphs.
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
