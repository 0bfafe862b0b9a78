//! Words of a line that somebody types or copies, and quotes around those that hold more than letters.
//!
//! A stranger chooses the name of an account, and a name may hold typographic quotes, commas, `#` and `$`. Lines that we
//! print are copied by people with power, so a name or reason in them must stay one word whatever it holds:
//! [`quoted`] writes it and [`split`] reads it back. No valid name holds a plain quote (RFC 7622, 3.3.1), which makes
//! that form unambiguous. In plain quotes a name is the account of exactly this spelling, and `\u{2066}` stands for a
//! character that nobody sees.

use super::as_written;

/// A word of a line, or several words in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineWord {
    /// The text, without its quotes.
    pub text: String,
    /// Whether it stood in quotes.
    pub quoted: bool,
}

/// Cuts a text to `most` characters; the last one becomes `…`.
pub fn cut(mut text: String, most: usize) -> String {
    // Most texts are short, and a text of few bytes has few characters.
    if text.len() > most && text.char_indices().nth(most).is_some() {
        let end = text.char_indices().nth(most.saturating_sub(1));
        text.truncate(end.map_or(0, |(at, _)| at));
        text.push('…');
    }
    text
}

/// Reads a public reason or comment, cut to [`REASON_MAX`](super::policy::REASON_MAX): what an older version stored, or
/// another program wrote, may be longer than any order may make it.
pub(in crate::core) fn public<'de, D: serde::Deserializer<'de>>(
    from: D,
) -> Result<String, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(from)?;
    Ok(cut(text, super::policy::REASON_MAX))
}

/// Typographic quotes: opening and closing.
const TYPOGRAPHIC: [(char, char); 4] = [('“', '”'), ('„', '“'), ('«', '»'), ('”', '”')];

/// Splits a line into words at whitespace. A word that begins with a quote runs to the closing quote, so that it may hold
/// spaces. Within plain quotes, `\"` stands for a quote, `\\` for a backslash, and `\u{2066}` for any character by its
/// number. Typographic quotes count only if the closing one ends the word, and if the word cannot be an account whose name
/// begins with such a quote.
pub fn split(line: &str) -> Vec<LineWord> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let (text, used, quoted) =
            match plain_quotes(rest).or_else(|| typographic(rest, words.is_empty())) {
                Some((text, used)) => (text, used, true),
                None => {
                    let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                    (rest[..end].to_owned(), end, false)
                }
            };
        words.push(LineWord { text, quoted });
        rest = rest[used..].trim_start();
    }
    words
}

/// The text in plain quotes at the start, and the number of bytes with the quotes.
fn plain_quotes(text: &str) -> Option<(String, usize)> {
    let inside = text.strip_prefix('"')?;
    let mut read = String::new();
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((read, at + 2)),
            '\\' if inside[at + 1..].starts_with(['"', '\\']) => {
                read.extend(chars.next().map(|(_, escaped)| escaped));
            }
            '\\' => match escape(&inside[at..]) {
                Some((escaped, used)) => {
                    read.push(escaped);
                    chars.nth(used - 2);
                }
                None => read.push('\\'),
            },
            c => read.push(c),
        }
    }
    None
}

/// The character of `\u{2066}` at the start, and the number of bytes.
fn escape(text: &str) -> Option<(char, usize)> {
    let (digits, _) = text.strip_prefix(r"\u{")?.split_once('}')?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some((char::from_u32(number)?, digits.len() + r"\u{}".len()))
}

/// Whether a character that may stand in the name of an account is seen by nobody, or changes the order of others: those
/// without a shape that Unicode 3.2 did not assign.
pub fn is_unseen(c: char) -> bool {
    matches!(c,
        '\u{600}'..='\u{605}' | '\u{61c}' | '\u{180f}' | '\u{2064}'..='\u{2069}' | '\u{fff0}'..='\u{fff8}' | '\u{110bd}'
        | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{e0000}'..='\u{e0fff}')
}

/// As [`plain_quotes`], for typographic ones. `is_first`: of a line, where an account is expected.
fn typographic(text: &str, is_first: bool) -> Option<(String, usize)> {
    let open = text.chars().next()?;
    let inside = &text[open.len_utf8()..];
    let word = inside.split(char::is_whitespace).next().unwrap_or_default();
    TYPOGRAPHIC
        .iter()
        .filter(|(opens, _)| *opens == open)
        .find_map(|(_, close)| {
            let is_name = word.contains('@')
                && !word.ends_with(*close)
                && (is_first || word.contains(*close));
            let ends = |at: usize| {
                inside[at + close.len_utf8()..]
                    .chars()
                    .next()
                    .is_none_or(char::is_whitespace)
            };
            let mut ends = inside
                .match_indices(*close)
                .map(|(at, _)| at)
                .filter(|at| !is_name && ends(*at));
            let end = ends.next()?;
            Some((
                inside[..end].to_owned(),
                open.len_utf8() + end + close.len_utf8(),
            ))
        })
}

/// The text as one word in plain quotes.
pub fn quoted(text: &str) -> String {
    let mut word = String::with_capacity(text.len() + 2);
    word.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => word.extend(['\\', c]),
            c if is_unseen(c) => word.extend(c.escape_unicode()),
            c => word.push(c),
        }
    }
    word.push('"');
    word
}

/// The text of a word that is all in plain quotes; `None` for any other word.
pub fn unquoted(word: &str) -> Option<String> {
    let (text, used) = plain_quotes(word)?;
    (used == word.len()).then_some(text)
}

/// The name of an account as lines write it: in quotes, unless it is all letters, digits and marks that mean nothing in a
/// line or a shell, and is read as that account.
pub fn name(account: &str) -> String {
    let is_plain = |c: char| {
        c.is_alphanumeric() || matches!(c, '@' | '.' | '_' | '-' | '+' | '=' | '%' | '\\')
    };
    let is_plain = account.starts_with(char::is_alphanumeric) && account.chars().all(is_plain);
    match is_plain && as_written::reads_back(account) {
        true => account.to_owned(),
        false => quoted(account),
    }
}

/// One word for a POSIX shell: in single quotes, unless it is plain.
pub fn for_shell(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "@%+=:,./-_".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// A line for a POSIX shell: every word is one argument, and words in plain quotes keep them, so that the reader can tell
/// them from others.
pub fn line_for_shell(line: &str) -> String {
    let mut arguments = Vec::new();
    let mut rest = line;
    loop {
        let end = match plain_quotes(rest) {
            Some((_, used)) => used,
            None => rest.find(' ').unwrap_or(rest.len()),
        };
        arguments.push(for_shell(&rest[..end]));
        match rest[end..].strip_prefix(' ') {
            Some(more) => rest = more,
            None if rest.len() == end => return arguments.join(" "),
            None => rest = &rest[end..],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> String {
        let write = |word: LineWord| match word.quoted {
            true => format!("[{}]", word.text),
            false => word.text,
        };
        split(line)
            .into_iter()
            .map(write)
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn quotes_keep_words_together_and_names_whole() {
        for (line, expected) in [
            ("a \"b c\" d", "a|[b c]|d"),
            ("a “b c” d", "a|[b c]|d"),
            ("a „b c“", "a|[b c]"),
            ("a «b» c", "a|[b]|c"),
            ("“#1”x@example.org sorry", "“#1”x@example.org|sorry"),
            ("“#1”x@example.org sorry ”", "“#1”x@example.org|sorry|”"),
            ("“x@example.org he said ”hi”", "“x@example.org|he|said|[hi]"),
            ("„1.2.3.4“x@example.org", "„1.2.3.4“x@example.org"),
            ("«all»x@example.org", "«all»x@example.org"),
            ("a@b “#1”x@c", "a@b|“#1”x@c"),
            ("a@b “c@d again”", "a@b|[c@d again]"),
            ("“c@d”", "[c@d]"),
            (
                r#"a "say \"hi\" \\ to 3\4" b"#,
                r#"a|[say "hi" \ to 3\4]|b"#,
            ),
            ("it's \"unfinished", "it's|\"unfinished"),
            ("“unfinished x", "“unfinished|x"),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn quoted_text_is_one_word_and_itself(text in "[a-z \"\\\\“”„«»'#,;@${}2\u{2066}\u{e0100}-]{0,30}", more in "[a-z \"“”]{0,10}") {
            let line = format!("{} {more}", quoted(&text));
            let first = LineWord { text: text.clone(), quoted: true };
            prop_assert_eq!(split(&line).into_iter().next(), Some(first));
            prop_assert_eq!(unquoted(&quoted(&text)), Some(text));
        }
    }
}
