//! What `standard` says.

use crate::command::phrases::{clean, count};

/// Something that is no account.
pub(super) fn accounts_only(typed: &str) -> String {
    format!(
        "“{}” is no account; here only accounts are taken. The commands ban and unban take addresses and networks too.",
        clean(typed)
    )
}

/// What was written with a resource.
pub(super) fn resources_left_out(typed: &[String]) -> String {
    format!(
        "The whole account is meant; the resource was left out of {}",
        typed.join(", ")
    )
}

/// How many accounts are banned.
pub(super) fn disabled_number(total: usize) -> String {
    match total {
        1 => String::from("1 account is banned."),
        _ => format!("{} are banned.", count(total, "account")),
    }
}

/// How many of them are shown.
pub(super) fn disabled_list(shown: usize, total: usize) -> String {
    match shown == total {
        true => disabled_number(total),
        false => format!(
            "{} The newest {shown} are shown; the command list shows all, page by page.",
            disabled_number(total)
        ),
    }
}

/// What the number is called.
pub(super) const DISABLED_NUMBER_LABEL: &str = "The number of disabled users";

/// What the list is called.
pub(super) const DISABLED_LIST_LABEL: &str = "The list of all disabled users";

/// Not a number of items.
pub(super) fn no_max_items(typed: &str, most: usize) -> String {
    format!(
        "“{}” is no maximum; it is a number from 1 to {most}, or none.",
        clean(typed)
    )
}
