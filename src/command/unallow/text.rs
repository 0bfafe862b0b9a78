//! What `unallow` says.

use crate::command::phrases::{clean, stop, typed};
use crate::core::Subject;

/// There was none.
pub(super) fn not_allowed(subject: &Subject) -> String {
    format!(
        "There is no exemption of {subject}; {} lists them.",
        typed("allowed")
    )
}

/// Something else exempts it.
pub(super) fn still_exempt(by: &str) -> String {
    let mut text = format!("It is still exempt by {}", clean(by));
    stop(&mut text);
    text
}

/// The configuration exempts it.
pub(super) fn by_configuration(by: String) -> String {
    format!("the configuration ({by}); take it out of [exempt] there if you mean it")
}
