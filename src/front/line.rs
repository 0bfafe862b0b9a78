//! Parses a chat line into a call: command, subjects, duration; the rest is the reason.

use super::sent::{About, ReplyContext};
use super::{render, text};
use crate::command::{self, Call, Caller, Field, Place, Problem, Spec, Values, phrases};
use crate::core::subject::{BadSubject, is_from, is_guard_of, is_place};
use crate::core::words::{self, LineWord, split};
use crate::core::{EntryPoint, Role, Subject, Term};

/// The call of a line, or what is wrong with the line. In a reply the message it replies to gives what the line
/// omits: the subject, and the command that a duration means. `stands` says whether the subject of that name is
/// banned now.
pub(super) fn call(
    text: &str,
    caller: &Caller,
    door: EntryPoint,
    replied: Option<&ReplyContext>,
    stands: impl Fn(&str) -> bool,
) -> Result<Call, String> {
    let line = text.trim_start_matches(['/', '!']).trim();
    let mut lines = line.lines().skip(1);
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let name = match name.to_lowercase().as_str() {
        "?" => String::from("help"),
        name => name.to_owned(),
    };
    let permitted =
        |name: &str| command::find(name).filter(|spec| command::permits(caller.role(), spec));
    let (name, rest) = match replied.and_then(|replied| meant_by_term(line, replied, stands)) {
        Some(name) if permitted(name).is_some() => (name.to_owned(), line),
        _ => (name, rest),
    };
    let Some(command) = permitted(&name) else {
        if let Ok(subject) = Subject::parse(&name) {
            return Err(text::command_first(&subject));
        }
        // Callers with a role may learn that the command exists.
        if let Some(spec) = command::find(&name).filter(|_| caller.role() > Role::Stranger) {
            let text = phrases::forbidden(spec.needs);
            return Err(format!("{text} {}", phrases::nothing_was_done(None)));
        }
        let text = phrases::no_such_command(&name, command::nearest(caller.role(), &name));
        return Err(format!("{text} {}", phrases::nothing_was_done(None)));
    };
    // A list of subjects may be pasted line by line; a second command must not hide in a reason.
    if lines.any(|line| {
        let first = line.split_whitespace().next().unwrap_or_default();
        permitted(&first.trim_start_matches(['/', '!']).to_lowercase()).is_some()
    }) {
        return Err(String::from(text::ONE_COMMAND));
    }
    let spec: &Spec = command;
    let mut values = read_line(spec, rest, replied.is_some())
        .map_err(|problems| render::wrong(&problems, Some(spec)))?;
    let takes_all = at(spec, Place::All).next().is_some();
    if let (Some(field), Some(replied)) = (at(spec, Place::Subjects).next(), replied)
        && values.words(field.name).is_empty()
        && !at(spec, Place::All).any(|all| values.line(all.name).is_some())
    {
        let needs_whom = field.required || takes_all;
        match replied {
            ReplyContext::To(About::One(whom)) => values.set(field.name, vec![whom.clone()]),
            ReplyContext::To(About::Nobody) if needs_whom => {
                return Err(text::reply_to_nobody(spec));
            }
            ReplyContext::Unknown if needs_whom => return Err(text::reply_to_unknown(spec)),
            _ => {}
        }
    }
    Ok(Call::new(caller.clone(), door, command).with_values(values))
}

/// The command that a duration means in a reply, if the line begins with one. A duration alone extends a ban in
/// force, like the line offered below a notice; with a reason it is a ban with new terms.
fn meant_by_term(
    line: &str,
    replied: &ReplyContext,
    stands: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let Ok(Some((_, used))) = Term::take(&words) else {
        return None;
    };
    match replied {
        ReplyContext::To(About::One(whom)) if used == words.len() && stands(whom) => Some("extend"),
        _ => Some("ban"),
    }
}

/// Parses the words after the name of a command. Quotes are never required; words in quotes are not interpreted. In a
/// reply the first word need not be a subject.
///
/// # Errors
/// All problems at once.
pub fn read_line(spec: &Spec, rest: &str, is_reply: bool) -> Result<Values, Vec<Problem>> {
    sort(spec, split(rest), Values::new(), is_reply)
}

/// [`read_line`] for the arguments of a shell, which has already removed quotes: an argument of several words stays
/// together, unless all of it is a subject or a duration. Fields in `given` are not looked for among the words.
///
/// # Errors
/// All problems at once.
pub fn read_words(spec: &Spec, words: &[String], given: Values) -> Result<Values, Vec<Problem>> {
    let words = words.iter().flat_map(|argument| {
        if let Some(text) = words::unquoted(argument) {
            return vec![LineWord { text, quoted: true }];
        }
        let quoted = argument.contains(char::is_whitespace) && !is_one(argument);
        let one = || vec![argument.as_str()];
        let apart = || argument.split_whitespace().collect();
        let words: Vec<&str> = if quoted { one() } else { apart() };
        let word = |word: &str| LineWord {
            text: word.to_owned(),
            quoted,
        };
        words.into_iter().map(word).collect()
    });
    sort(spec, words.collect(), given, false)
}

/// Whether the whole text is a subject or a duration.
fn is_one(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    let is_term = matches!(Term::take(&words), Ok(Some((_, used))) if used == words.len());
    is_term || Subject::parse(&words.join(" ")).is_ok()
}

/// Assigns each word to a field, and the rest to the field that takes it.
fn sort(
    spec: &Spec,
    mut words: Vec<LineWord>,
    mut values: Values,
    is_reply: bool,
) -> Result<Values, Vec<Problem>> {
    let mut problems = Vec::new();
    let given = values.clone();
    let at = |place| at(spec, place).filter(|field| given.raw(field.name).is_empty());
    for field in at(Place::Option) {
        let before = words.len();
        words.retain(|word| word.quoted || !is_option(&word.text, field.name));
        if words.len() < before {
            values.set(field.name, vec![String::from("1")]);
        }
    }
    let mut is_all = false;
    for field in at(Place::All) {
        let says_all = |word: &LineWord| !word.quoted && word.text.eq_ignore_ascii_case("all");
        is_all = words.first().is_some_and(says_all);
        if is_all {
            let (quoted, plain): (Vec<LineWord>, Vec<LineWord>) =
                words.drain(..).skip(1).partition(|word| word.quoted);
            words = quoted;
            let plain: Vec<String> = plain.into_iter().map(|word| word.text).collect();
            // With nothing after it, report the missing filter.
            let text = match plain.is_empty() {
                true => String::from("all"),
                false => plain.join(" "),
            };
            values.set(field.name, vec![text]);
        }
    }
    let whom = at(Place::Subjects)
        .chain(at(Place::Subject))
        .chain(at(Place::Login));
    for field in whom.filter(|_| !is_all) {
        let mut named = 0;
        while let Some(word) = words.get(named)
            && let length = words_of_one(&words[named..])
            && (named == 0 || field.place != Place::Subject)
            && ((named == 0 && !is_reply)
                || length > 1
                || is_name(word)
                || (named > 0 && is_wider(&words[named - 1..])))
        {
            named += length;
        }
        let named = words.drain(..named).map(as_value).collect();
        values.set(field.name, named);
    }
    for field in at(Place::Term) {
        let plain: Vec<&str> = words
            .iter()
            .take_while(|word| !word.quoted)
            .map(|word| word.text.as_str())
            .collect();
        match Term::take(&plain) {
            Ok(None) if at(Place::Rest).next().is_some() => {
                if let Some(term) = Term::at_the_end(&plain).filter(|_| plain.len() == words.len())
                {
                    let text = phrases::term_at_the_end(&term.join(" "));
                    problems.push(Problem::new(field.name, text));
                }
            }
            Ok(None) => {}
            Ok(Some((_, used))) => {
                let term = plain[..used].join(" ");
                values.set(field.name, vec![term]);
                words.drain(..used);
            }
            Err(why) => problems.push(Problem::new(field.name, phrases::bad_term_in_chat(&why))),
        }
    }
    for field in at(Place::Last) {
        if let Some(last) = words.pop_if(|word| !word.quoted && is_number(&word.text)) {
            values.set(field.name, vec![last.text]);
        }
    }
    let rest: Vec<String> = words.into_iter().map(|word| word.text).collect();
    match at(Place::Rest).next() {
        Some(field) => values.set(field.name, vec![rest.join(" ")]),
        None if rest.is_empty() => {}
        None => problems.push(Problem::new(
            spec.fields.first().map_or("", |field| field.name),
            text::left_over(&rest.join(" ")),
        )),
    }
    if problems.is_empty() {
        Ok(values)
    } else {
        Err(problems)
    }
}

fn at(spec: &Spec, place: Place) -> impl Iterator<Item = &'static Field> + use<> {
    let fields = spec.fields;
    fields.iter().filter(move |field| field.place == place)
}

/// The word as the value of a field of subjects, which may hold several: a name in quotes keeps them.
fn as_value(word: LineWord) -> String {
    let is_one = word.text.contains('@') && !word.text.contains(char::is_whitespace);
    match word.quoted && is_one {
        true => words::quoted(&word.text),
        false => word.text,
    }
}

/// Whether it is an account whose name could be taken for something else.
fn needs_quotes(text: &str) -> bool {
    let is_one = text.contains('@') && !text.contains(|c: char| c.is_whitespace() || c == '/');
    let quoted = words::quoted(text);
    is_one && words::name(text) == quoted && Subject::parse(&quoted).is_ok()
}

/// Whether a further word is meant as a subject: what stands in quotes is a text, unless we would write it so.
fn is_name(word: &LineWord) -> bool {
    match word.quoted {
        true => needs_quotes(&word.text),
        false => names_somebody(&word.text),
    }
}

/// Matches `--force`, also with the dash that a phone's keyboard makes of `--`.
fn is_option(word: &str, name: &str) -> bool {
    ["--", "—", "–"].iter().any(|dash| {
        word.strip_prefix(dash)
            .is_some_and(|rest| rest.eq_ignore_ascii_case(name))
    })
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the word behind the first one was meant to make that address a network or a range.
fn is_wider(words: &[LineWord]) -> bool {
    let plain: Vec<&str> = words
        .iter()
        .take_while(|word| !word.quoted)
        .take(3)
        .map(|word| word.text.as_str())
        .collect();
    matches!(Subject::take(&plain), Err(BadSubject::Apart(_)))
}

/// Number of words in the first subject: three in `alice@example.org from 203.0.113.7`, even with an invalid address,
/// and in `guard of alice@example.org`.
fn words_of_one(words: &[LineWord]) -> usize {
    let plain = |place: usize| {
        let word = words.get(place);
        let word = word.filter(|word| !word.quoted || needs_quotes(&word.text));
        word.map_or("", |word| word.text.as_str())
    };
    // In quotes, too: without its place a ban would be wider.
    let place = words.get(2).map_or("", |word| word.text.trim());
    let is_pair = plain(0).contains('@')
        && is_from(plain(1))
        && !place.contains(char::is_whitespace)
        && (is_place(place) || (!plain(2).contains('@') && names_somebody(plain(2))));
    let is_guard = is_guard_of(plain(0), plain(1)) && plain(2).contains('@');
    if is_pair || is_guard { 3 } else { 1 }
}

/// Whether a further word is meant as another subject, valid or not. An invalid one must be reported instead of
/// becoming part of the reason.
fn names_somebody(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';']);
    if word.contains('@') || word.strip_prefix('#').is_some_and(is_number) {
        return true;
    }
    match Subject::parse(word) {
        Ok(_) | Err(BadSubject::Zone(_)) => true,
        Err(_) => {
            // Also ranges and wildcards, which other programs take.
            (word.starts_with(|c: char| c.is_ascii_digit()) || word.contains("::"))
                && word.contains(['.', ':', '/'])
                && word
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || matches!(c, '.' | ':' | '/' | '*' | '-'))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(spec: &Spec, rest: &str) -> Result<Values, Vec<Problem>> {
        read_line(spec, rest, false)
    }
    use crate::command::find;
    use crate::core::{Rights, Role};
    use proptest::prelude::*;
    use xmpp_parsers::jid::Jid;

    /// `subjects | duration | reason | force`
    fn check(line: &str, expected: &str) {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let values = read(find(name).unwrap(), rest).unwrap();
        let told = [
            values.words("subject").join(" "),
            values.line("duration").unwrap_or_default(),
            values.line("reason").unwrap_or_default(),
            String::from(if values.flag("force").unwrap() {
                "force"
            } else {
                ""
            }),
        ];
        assert_eq!(told.join("|"), expected, "{line}");
    }

    #[test]
    fn whom_how_long_and_why_are_told_apart() {
        check("ban a@b", "a@b|||");
        check("ban a@b 3d spam in rooms", "a@b|3d|spam in rooms|");
        check("ban a@b \"spam for 3 days\"", "a@b||spam for 3 days|");
        check("ban a@b for 3 days spam", "a@b|for 3 days|spam|");
        check(
            "ban a@b, c@d 203.0.113.7 2001:db8::/64 12h x",
            "a@b c@d 203.0.113.7 2001:db8::/64|12h|x|",
        );
        check(
            "ban a@b until 2030-01-01 12:00 UTC x",
            "a@b|until 2030-01-01 12:00 UTC|x|",
        );
        check("ban #17 #18 forever", "#17 #18|forever||");
        check("ban a@b #spam", "a@b||#spam|");
        check("ban a@b \"3d is too little\"", "a@b||3d is too little|");
        check("ban a@b 1h “c@d” again", "a@b|1h|c@d again|");
        check("ban a@b it's \"unfinished", "a@b||it's \"unfinished|");
        check("ban a@b --force 1d x", "a@b|1d|x|force");
        check("ban a@b x —force", "a@b||x|force");
        check("ban a@b bad. very bad.", "a@b||bad. very bad.|");
        check("ban a@b note: more", "a@b||note: more|");
        check("unban #17 sorry", "#17||sorry|");
        check("unban all by:alice spam \"my mistake\"", "||my mistake|");
        check("unban \"all\" x", "all||x|");
        check("ban", "|||");
    }

    #[test]
    fn a_wrong_address_is_not_taken_for_the_reason() {
        check("ban a@b 1.2.3.400 spam", "a@b 1.2.3.400||spam|");
        check("ban a@b fe80::1%eth0", "a@b fe80::1%eth0|||");
        check("ban a@b 10.0.0.0/99", "a@b 10.0.0.0/99|||");
    }

    #[test]
    fn unclear_input_is_refused_and_not_guessed_about() {
        for (line, told) in [
            ("ban a@b spam for 3 days", "3 days"),
            ("ban a@b spam 3d", "“3d”"),
            ("ban a@b loud, permanently", "“permanently”"),
            (
                "allow 203.0.113.0/24 the office until 2030-01-01",
                "until 2030-01-01",
            ),
            ("ban 198.51.100.0 / 24 flood", "24 what?"),
        ] {
            let (name, rest) = line.split_once(' ').unwrap();
            let problems = read(find(name).unwrap(), rest).unwrap_err();
            assert!(
                problems[0].text.contains(told),
                "{line}: {}",
                problems[0].text
            );
        }
        check("ban a@b P1D spam", "a@b|P1D|spam|");
        check("ban a@b pt12h spam", "a@b|pt12h|spam|");
        check("ban a@b p2p spam", "a@b||p2p spam|");
        check(
            "ban a@b spam since 2026-01-01",
            "a@b||spam since 2026-01-01|",
        );
        check("ban a@b 1h spam for 3 days", "a@b|1h|spam for 3 days|");
        // What cannot be read as subjects is told by the command.
        check(
            "ban 198.51.100.0 /24 1d flood",
            "198.51.100.0 /24|1d|flood|",
        );
        check("ban a@b 198.51.100.* flood", "a@b 198.51.100.*||flood|");
        check(
            "ban 198.51.100.0 - 198.51.100.9 1d x",
            "198.51.100.0 - 198.51.100.9|1d|x|",
        );
    }

    #[test]
    fn an_account_from_somewhere_is_one_subject() {
        check(
            "ban a@b from 203.0.113.7 1h from a list",
            "a@b from 203.0.113.7|1h|from a list|",
        );
        check(
            "ban c@d a@b from 2001:db8::/64 x",
            "c@d a@b from 2001:db8::/64||x|",
        );
        check("ban a@b from hell", "a@b||from hell|");
        check("ban a@b from 1.2.3.400 x", "a@b from 1.2.3.400||x|");
        check("ban a@b From 1.2.3.4 x", "a@b From 1.2.3.4||x|");
        check("ban a@b from \"1.2.3.4\" x", "a@b from 1.2.3.4||x|");
        check("ban a@b from (1.2.3.4) x", "a@b from (1.2.3.4)||x|");
        check("ban a@b from [1.2.3.4]:80 x", "a@b from [1.2.3.4]:80||x|");
        check("ban a@b \"from 1.2.3.4\"", "a@b||from 1.2.3.4|");
        check("unban guard of a@b sorry", "guard of a@b||sorry|");
        check("unban a@b, guard of a@b", "a@b guard of a@b|||");
    }

    #[test]
    fn a_number_without_a_unit_is_told() {
        let problems = read(find("ban").unwrap(), "a@b 3 strikes").unwrap_err();
        assert_eq!(problems[0].field, "duration");
        assert!(problems[0].text.contains("quotes"), "{}", problems[0].text);
    }

    #[test]
    fn a_number_at_the_end_of_a_list_is_the_page() {
        let values = read(find("list").unwrap(), "account by:alice 2").unwrap();
        assert_eq!(values.line("filter").as_deref(), Some("account by:alice"));
        assert_eq!(values.line("page").as_deref(), Some("2"));
        assert!(read(find("status").unwrap(), "now").is_err());
    }

    #[test]
    fn lines_become_calls_or_helpful_sentences() {
        let caller = Caller {
            jid: Jid::new("admin@example.org/phone").unwrap(),
            rights: Rights::everywhere(Role::Admin),
            occupant: None,
        };
        let parse = |text| call(text, &caller, EntryPoint::Chat, None, |_| false);
        assert_eq!(parse("!BAN a@b 3d").unwrap().command.name, "ban");
        assert_eq!(parse("?").unwrap().command.name, "help");
        assert_eq!(
            parse("ban a@b\nc@d\n3d x")
                .unwrap()
                .values
                .words("subject")
                .len(),
            2
        );
        assert!(parse("bann a@b").unwrap_err().contains("Did you mean ban?"));
        assert!(parse("a@b").unwrap_err().contains("ban a@b"));
        assert!(
            parse("ban a@b\nban c@d")
                .unwrap_err()
                .contains("One command")
        );
        assert!(
            parse("ban a@b 3 strikes")
                .unwrap_err()
                .contains("Nothing was done")
        );
        let mut stranger = caller.clone();
        stranger.rights = Rights::default();
        assert!(
            call("bann a@b", &stranger, EntryPoint::Chat, None, |_| false)
                .is_err_and(|text| !text.contains("mean"))
        );
    }

    /// Names of accounts: valid ones, and those that only a server's word makes valid.
    fn account() -> impl Strategy<Value = crate::core::Account> {
        let name = "[a-zé漢😀“”„«»#,;!?$`()|*~\\[\\]{}<>%^=+._\\\\0-9-]{1,12}";
        name.prop_filter_map("no account", |name| {
            crate::core::Account::from_server(&format!("{name}@example.org")).filter(|account| {
                Subject::parse(&crate::core::words::quoted(account.as_str()))
                    .is_ok_and(|subject| subject.account() == Some(account))
            })
        })
    }

    fn subject() -> impl Strategy<Value = Subject> {
        let place: ipnet::IpNet = "203.0.113.0/24".parse().unwrap();
        account().prop_flat_map(move |account| {
            prop_oneof![
                Just(Subject::Account(account.clone())),
                Just(Subject::Pair(account.clone(), place)),
                Just(Subject::Guard(account)),
            ]
        })
    }

    /// The subjects that a value names, read as commands do.
    fn named(values: &Values) -> Vec<Subject> {
        let words = values.words("subject");
        let (mut rest, mut found) = (&words[..], Vec::new());
        while !rest.is_empty() {
            assert!(!rest[0].starts_with('#'), "a number: {words:?}");
            let (subject, used) = Subject::take(rest).unwrap();
            found.push(subject);
            rest = &rest[used..];
        }
        found
    }

    /// The arguments that a POSIX shell makes of a line of words, some in single quotes.
    fn in_a_shell(line: &str) -> Vec<String> {
        let (mut words, mut quoted, mut escaped) = (vec![String::new()], false, false);
        for c in crate::core::words::line_for_shell(line).chars() {
            let word = words.last_mut().unwrap();
            match c {
                c if escaped => {
                    escaped = false;
                    word.push(c);
                }
                '\'' => quoted = !quoted,
                '\\' if !quoted => escaped = true,
                ' ' if !quoted => words.push(String::new()),
                c => {
                    let means_something = !quoted && "|&;<>()$`\"*?[#~%!{}".contains(c);
                    assert!(!means_something || c == '%', "{line}");
                    word.push(c);
                }
            }
        }
        assert!(!quoted && !escaped);
        words
    }

    proptest! {
        #[test]
        fn a_printed_order_is_about_whom_it_names(whom in proptest::collection::vec(subject(), 1..4)) {
            let written: Vec<String> = whom.iter().map(Subject::written).collect();
            for command in ["show", "unban", "undo", "ban"] {
                // Commands about one take one.
                let most = if command == "show" { 1 } else { 3 };
                let some = &whom[..whom.len().min(most)];
                let line = written[..some.len()].join(" ");
                let spec = find(command).unwrap();
                let values = read(spec, &line).unwrap();
                prop_assert_eq!(&named(&values)[..], some, "{}", line);
                let values = read_words(spec, &in_a_shell(&line), Values::new()).unwrap();
                prop_assert_eq!(&named(&values)[..], some, "in a shell: {}", line);
            }
        }

        #[test]
        fn a_printed_reason_is_a_reason(reason in "[a-z0-9 \"'\\\\“”«»#,;@/!—-]{1,40}|--force|—force|-n|3d|all|\"x\" --force") {
            let reason = phrases::clean(&reason);
            prop_assume!(!reason.is_empty());
            let line = format!("#12 until 2030-01-01T00:00:00Z {}", crate::core::words::quoted(&reason));
            let spec = find("ban").unwrap();
            for values in [read(spec, &line).unwrap(), read_words(spec, &in_a_shell(&line), Values::new()).unwrap()] {
                prop_assert_eq!(values.words("subject"), ["#12"]);
                prop_assert_eq!(values.line("reason"), Some(reason.clone()));
                prop_assert_eq!(values.line("duration"), Some("until 2030-01-01T00:00:00Z".into()));
                prop_assert_eq!(values.flag("force"), Some(false));
            }
        }

        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,80}", quote in "[\"“„«»” @#0-9dh.:/-]{0,40}") {
            for spec in crate::command::specs() {
                let _ = read(spec, &line);
                let _ = read(spec, &quote);
                let _ = read(spec, &format!("{quote}{line}"));
            }
        }
    }
}
