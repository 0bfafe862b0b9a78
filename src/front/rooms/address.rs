//! Whether a line in a room is addressed to us.

use crate::command;

/// The text of a line without our name; `None` if it is addressed to others. Ours are `nick: …`, `nick, …`, `@nick
/// …`, and `!…` if it begins like one of our commands, because other bots have commands, too.
pub(in crate::front) fn to_us<'a>(text: &'a str, nick: &str) -> Option<&'a str> {
    let text = text.trim();
    if let Some(order) = text.strip_prefix('!') {
        let name = order.split_whitespace().next()?.to_lowercase();
        let is_ours = name == "?" || command::is_nearly(&name);
        return is_ours.then_some(order.trim());
    }
    let (at, said) = match text.strip_prefix('@') {
        Some(said) => (true, said),
        None => (false, text),
    };
    let rest = strip_name(said, nick)?;
    let order = match rest.strip_prefix([':', ',']) {
        Some(order) => order,
        None if at && (rest.is_empty() || rest.starts_with(char::is_whitespace)) => rest,
        None if rest.is_empty() => rest,
        None => return None,
    };
    match order.trim() {
        // Only our name: show the help.
        "" => Some("help"),
        order => Some(order),
    }
}

/// The text after a name in any case; `None` if the line does not begin with it.
fn strip_name<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = text.chars();
    for expected in name.chars() {
        let found = rest.next()?;
        if !found.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    Some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_is_addressed_to_us_is_ours() {
        for (text, ours) in [
            ("portcullis: ban a@b", Some("ban a@b")),
            ("Portcullis, list", Some("list")),
            ("PORTCULLIS:list", Some("list")),
            ("@portcullis list", Some("list")),
            ("@portcullis: list", Some("list")),
            ("portcullis", Some("help")),
            ("portcullis:", Some("help")),
            ("@portcullis", Some("help")),
            ("!list", Some("list")),
            ("! list", Some("list")),
            ("!lsit", Some("lsit")),
            ("!?", Some("?")),
            ("!weather Berlin", None),
            ("!", None),
            ("!!!", None),
            ("portcullis is great", None),
            ("portcullis-2: list", None),
            ("portcull: list", None),
            ("@portcullisson list", None),
            ("ask portcullis: list", None),
            ("ban a@b", None),
            ("yes", None),
            ("", None),
        ] {
            assert_eq!(to_us(text, "portcullis"), ours, "{text}");
        }
    }

    #[test]
    fn a_nick_may_hold_anything() {
        assert_eq!(to_us("der Wächter: list", "Der WÄCHTER"), Some("list"));
        assert_eq!(to_us("🛡: list", "🛡"), Some("list"));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,40}", nick in "\\PC{1,10}") {
            let _ = to_us(&line, &nick);
            let line = format!("{nick}: list");
            let is_clear = !nick.starts_with(['!', '@']) && nick.trim() == nick;
            prop_assert!(!is_clear || to_us(&line, &nick) == Some("list"));
        }
    }
}
