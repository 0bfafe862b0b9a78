//! Chat lines: no word of a line is dropped, every line is answered once, and an answer that says that nothing was done
//! is true.

use portcullis::command::{self, Place, Spec, Values};
use portcullis::front::line::read_line;

use super::bot;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for line in text.split('\u{1e}') {
        let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        if let Some(command) = command::find(name) {
            for is_reply in [false, true] {
                if let Ok(values) = read_line(command, rest, is_reply) {
                    keeps_every_word(command, rest, &values);
                }
            }
        }
    }
    // An answer may repeat what was said: without a capital N, "Nothing was done" and "Not done" are our own words.
    let text = text.replace('N', "n");
    bot::with(async |bot| {
        for line in text.split('\u{1e}').take(8) {
            say(line, bot).await;
        }
    });
}

/// Compares the words of a line with those of its values, apart from options and a leading `all`.
fn keeps_every_word(spec: &Spec, rest: &str, values: &Values) {
    // Quotes join words and disappear.
    if rest.contains(['"', '“', '„', '«', '”', '»']) {
        return;
    }
    let at = |place| spec.fields.iter().filter(move |field| field.place == place);
    let is_option = |word: &str| {
        at(Place::Option).any(|field| {
            let name = ["--", "—", "–"]
                .iter()
                .find_map(|dash| word.strip_prefix(dash));
            name.is_some_and(|name| name.eq_ignore_ascii_case(field.name))
        })
    };
    let mut said: Vec<&str> = rest
        .split_whitespace()
        .filter(|word| !is_option(word))
        .collect();
    let takes_all = at(Place::All).any(|field| values.line(field.name).is_some());
    match &mut said[..] {
        // Alone it is read whatever its case.
        [only] if takes_all && only.eq_ignore_ascii_case("all") => *only = "all",
        [_, _, ..] if takes_all => drop(said.remove(0)),
        _ => {}
    }
    let kept = spec
        .fields
        .iter()
        .filter(|field| field.place != Place::Option);
    let mut kept: Vec<&str> = kept
        .flat_map(|field| values.raw(field.name))
        .flat_map(|value| value.split_whitespace())
        .collect();
    said.sort_unstable();
    kept.sort_unstable();
    assert_eq!(said, kept, "{} {rest}", spec.name);
}

/// Says a line to the bot.
async fn say(text: &str, bot: &bot::Bot) {
    let before = bot.head();
    let texts = bot.says(text).await;
    assert!(
        texts.len() <= 1,
        "{text:?} is answered {} times",
        texts.len()
    );
    for answer in &texts {
        let is_trick = |c: char| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}' | '\u{fdd1}')
        };
        assert!(
            !answer.trim().is_empty() && !answer.contains(is_trick),
            "{answer:?}"
        );
        if answer.contains("Nothing was done") || answer.starts_with("Not done") {
            assert_eq!(
                bot.head(),
                before,
                "{text:?} did something and is answered {answer:?}"
            );
        }
    }
    if texts.is_empty() {
        assert_eq!(
            bot.head(),
            before,
            "{text:?} did something without an answer"
        );
    }
}
