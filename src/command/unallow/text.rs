//! Sentences of `unallow`.

use crate::command::phrases::{clean, stop, typed};
use crate::core::Subject;

/// There is no exemption.
pub(super) fn not_exempt(subject: &Subject) -> String {
    format!(
        "There is no exemption of {subject}; {} lists them.",
        typed("allowed")
    )
}

/// The configuration exempts the subject, too.
pub(super) fn by_configuration(by: &str) -> String {
    format!("the configuration ({by}); take it out of [exempt] there if you mean it")
}

/// Another exemption still covers the subject.
pub(super) fn still_exempt(by: &str) -> String {
    let mut text = format!("It is still exempt by {}", clean(by));
    stop(&mut text);
    text
}
