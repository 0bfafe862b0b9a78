//! "Did you mean": the known word closest to a mistyped one.

/// The closest word in `known`, if it differs by at most one edit, or one for every three letters. Case, and `-` for
/// `_`, do not count. `None` if no word is that close.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let word = plain(word);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_errors_find_their_word_and_other_words_do_not() {
        let known = ["domain", "server", "secret", "secret_file", "tls"];
        let check = |word, want| assert_eq!(nearest(word, known), want, "{word}");
        check("domian", Some("domain"));
        check("Domain", Some("domain"));
        check("secret-file", Some("secret_file"));
        check("secretfile", Some("secret_file"));
        check("sever", Some("server"));
        check("tsl", Some("tls"));
        check("password", None);
        check("x", None);
    }
}
