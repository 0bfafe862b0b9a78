//! Commands inside of sentences: marked where the sentence is made, and written where it is shown. In a chat the line
//! is enough, in a room it must be addressed to us, and in a shell it begins with the name of the program.
//!
//! The marks are noncharacters of Unicode. [`clean`](super::clean) removes them from all text from outside, so nobody
//! else can set them.

use crate::core::Subject;
use crate::core::words::line_for_shell;

const OPEN: char = '\u{fdd0}';

const CLOSE: char = '\u{fdd1}';

/// Marks a command.
pub(crate) fn typed(line: impl std::fmt::Display) -> String {
    format!("{OPEN}{line}{CLOSE}")
}

/// Marks a command about a subject.
pub(crate) fn typed_about(command: &str, subject: &Subject) -> String {
    typed(format_args!("{command} {}", subject.written()))
}

/// Whether a character is one of the marks.
pub(crate) fn is_mark(c: char) -> bool {
    matches!(c, OPEN | CLOSE)
}

/// The text for chats, forms and logs.
pub(crate) fn plain(text: &str) -> String {
    written(text, str::to_owned)
}

/// The text for a room, where commands must be addressed to us.
pub(crate) fn in_a_room(text: &str) -> String {
    written(text, |line| format!("!{line}"))
}

/// The text for a terminal, with commands to paste into a shell.
pub(crate) fn in_a_shell(text: &str) -> String {
    written(text, |line| format!("portcullis {}", line_for_shell(line)))
}

fn written(text: &str, how: impl Fn(&str) -> String) -> String {
    let mut parts = text.split(OPEN);
    let mut all = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (line, rest) = part.split_once(CLOSE).unwrap_or((part, ""));
        all.push_str(&how(line));
        all.push_str(rest);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_written_as_its_place_needs_it() {
        let text = format!("To end it: {}. Or {}.", typed("unban #1"), typed("list"));
        assert_eq!(plain(&text), "To end it: unban #1. Or list.");
        assert_eq!(in_a_room(&text), "To end it: !unban #1. Or !list.");
        assert_eq!(
            in_a_shell(&text),
            "To end it: portcullis unban '#1'. Or portcullis list."
        );
        assert_eq!(in_a_room("Banned #1 a@b."), "Banned #1 a@b.");
    }

    #[test]
    fn lines_to_copy_survive_the_shell() {
        let check = |line, expected| assert_eq!(in_a_shell(&typed(line)), expected);
        check("unban #1 #2", "portcullis unban '#1' '#2'");
        check(
            "ban a@b.c until 2030-01-01T00:00:00Z it's $HOME",
            r"portcullis ban a@b.c until 2030-01-01T00:00:00Z 'it'\''s' '$HOME'",
        );
        check("unban a@b.c", "portcullis unban a@b.c");
    }

    #[test]
    fn nobody_else_can_mark_a_line() {
        let reason = crate::command::phrases::clean(&format!("x {} y", typed("unban all #1..")));
        assert_eq!(in_a_room(&reason), "x unban all #1.. y");
        assert_eq!(plain(&typed("")), "");
        assert_eq!(plain(&format!("{CLOSE}a{OPEN}b")), format!("{CLOSE}ab"));
    }
}
