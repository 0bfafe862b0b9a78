//! The description of a command, from which the form, the chat line, `help`, the disco item, the permission and the
//! manual are derived.

use crate::core::Role;

/// The description of one command.
#[derive(Debug)]
pub struct Spec {
    /// The word in chat, and the node of the form. Some clients show only this.
    pub name: &'static str,
    /// The name in lists of commands.
    pub title: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// The lowest role that sees it and may run it.
    pub needs: Role,
    /// Whether it is also offered as a form (XEP-0050); otherwise in chat only.
    pub form: bool,
    /// Its fields, in the order of the form.
    pub fields: &'static [Field],
    /// Its syntax in chat.
    pub usage: &'static str,
    /// Valid lines, with their effect.
    pub examples: &'static [(&'static str, &'static str)],
    /// Whether it changes something, so that audit rooms are told.
    pub changes: bool,
}

/// One field of a command.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name in code, forms and scripts.
    pub name: &'static str,
    /// Label for people, under 30 characters; some clients show nothing else.
    pub label: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// An additional sentence, for the manual and for clients that show it.
    pub desc: &'static str,
    /// Its place in a chat line.
    pub place: Place,
}

impl Field {
    /// An optional field without a place in chat lines. The other methods change that.
    pub const fn new(name: &'static str, label: &'static str, kind: Kind) -> Field {
        Field {
            name,
            label,
            kind,
            required: false,
            desc: "",
            place: Place::Nowhere,
        }
    }

    /// Makes the field required.
    #[must_use]
    pub const fn required(mut self) -> Field {
        self.required = true;
        self
    }

    /// Sets its place in a chat line.
    #[must_use]
    pub const fn at(mut self, place: Place) -> Field {
        self.place = place;
        self
    }

    /// Sets the additional sentence.
    #[must_use]
    pub const fn desc(mut self, desc: &'static str) -> Field {
        self.desc = desc;
        self
    }
}

/// What a field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Several lines, one value each.
    Lines,
    /// One line.
    Line,
    /// One of a few terms; any other term goes into the named field.
    Term {
        /// The field for any other term.
        other: &'static str,
    },
    /// Yes or no; no by default.
    Flag,
    /// One of these choices, the first by default: value and label.
    Choice(&'static [(&'static str, &'static str)]),
    /// An integer.
    Number {
        /// The smallest value.
        from: u32,
        /// The largest value.
        to: u32,
    },
    /// Bare JIDs, one each; only in the forms of XEP-0133, which call them so.
    Jids,
}

/// The place of a field in a chat line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The words at the beginning that name subjects.
    Subjects,
    /// The word or words at the beginning that name one subject.
    Subject,
    /// All words after `all`, instead of subjects; quoted words there belong to the rest.
    All,
    /// The words at the beginning that name a login: an account, an address, or both.
    Login,
    /// A duration after the subjects.
    Term,
    /// Everything else.
    Rest,
    /// A number at the very end.
    Last,
    /// `--name`, anywhere.
    Option,
    /// Not in chat.
    Nowhere,
}

/// The choice that leaves the term to the configuration, or unchanged for an active ban.
pub const DEFAULT_TERM: &str = "default";

/// The terms offered as choices; any other can be typed.
pub const PRESETS: [&str; 9] = ["1h", "12h", "1d", "3d", "7d", "30d", "90d", "1y", "forever"];
