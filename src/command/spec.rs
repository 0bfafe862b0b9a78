//! What a command is: one description that the form, the chat line, `help`, the disco item, the
//! permission and the manual all derive from.

use crate::core::Role;

/// One command.
#[derive(Debug)]
pub struct Spec {
    /// The word in chat and the node of the form. Some clients show only this.
    pub name: &'static str,
    /// What lists of commands call it.
    pub title: &'static str,
    /// What it does, one sentence.
    pub summary: &'static str,
    /// The least role that sees it and may run it.
    pub needs: Role,
    /// Whether it is offered as a form (XEP-0050) too, or in chat only.
    pub form: bool,
    /// What it asks for, in the order of the form.
    pub fields: &'static [Field],
    /// How it is written in chat.
    pub usage: &'static str,
    /// Lines that work, with what they do.
    pub examples: &'static [(&'static str, &'static str)],
    /// Whether it changes something that others should hear of: an audit room is told of it.
    pub changes: bool,
}

/// One thing a command asks for.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in code, forms and scripts.
    pub name: &'static str,
    /// What people see, under 30 characters: some clients show nothing else.
    pub label: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether the command cannot do without.
    pub required: bool,
    /// One sentence more, for clients that show it and for the manual.
    pub desc: &'static str,
    /// Where it stands in a chat line.
    pub place: Place,
}

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Several lines, one value each.
    Lines,
    /// One line.
    Line,
    /// One of a few terms; what is not among them goes into the named field.
    Term {
        /// The field that takes any other term.
        other: &'static str,
    },
    /// Yes or no, by default no.
    Flag,
    /// One of these, the first when nothing is chosen: value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// A whole number.
    Number {
        /// The least.
        from: u32,
        /// The most.
        to: u32,
    },
    /// Bare JIDs, one each: only in the forms of XEP-0133, which name them so.
    Jids,
}

/// Where a field stands in a chat line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The words at the front that name somebody.
    Subjects,
    /// The first word or words, which name one.
    Subject,
    /// All words behind `all`, in place of subjects; what is in quotes there is the rest.
    All,
    /// The words at the front that name a login: an account, an address, or both.
    Login,
    /// A duration behind them.
    Term,
    /// All that is left.
    Rest,
    /// A bare number at the very end.
    Last,
    /// `--name`, anywhere.
    Option,
    /// Not in a chat line.
    Nowhere,
}

/// What a preset is called that leaves the term to the configuration, or to the ban in force.
pub const DEFAULT_TERM: &str = "default";

/// The terms offered; any other can be typed.
pub const PRESETS: [&str; 9] = ["1h", "12h", "1d", "3d", "7d", "30d", "90d", "1y", "forever"];
