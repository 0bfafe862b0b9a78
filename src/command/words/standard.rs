//! Sentences of the nodes of XEP-0133.

use super::{clean, count};

/// Something that is no account.
pub fn accounts_only(typed: &str) -> String {
    format!(
        "“{}” is no account; here only accounts are taken. The commands ban and unban take addresses and networks too.",
        clean(typed)
    )
}

/// What was written with a resource.
pub fn resources_left_out(typed: &[String]) -> String {
    format!(
        "The whole account is meant; the resource was left out of {}",
        typed.join(", ")
    )
}

/// How many accounts are banned.
pub fn disabled_number(total: usize) -> String {
    match total {
        1 => String::from("1 account is banned."),
        _ => format!("{} are banned.", count(total, "account")),
    }
}

/// How many of them are shown.
pub fn disabled_list(shown: usize, total: usize) -> String {
    match shown == total {
        true => disabled_number(total),
        false => format!(
            "{} The newest {shown} are shown; the command list shows all, page by page.",
            disabled_number(total)
        ),
    }
}

/// What the number is called.
pub fn disabled_number_label() -> &'static str {
    "The number of disabled users"
}

/// What the list is called.
pub fn disabled_list_label() -> &'static str {
    "The list of all disabled users"
}

/// Not a number of items.
pub fn no_max_items(typed: &str, most: usize) -> String {
    format!(
        "“{}” is no maximum; it is a number from 1 to {most}, or none.",
        clean(typed)
    )
}
