//! Form fields for the usual filter words, so that nobody has to learn them.

use crate::command::spec::{Field, Kind, Place};

/// The choice that does not filter.
pub const ANY: &str = "any";

/// The field for filter words.
pub const fn words_field(desc: &'static str) -> Field {
    Field {
        name: "filter",
        label: "Filter",
        kind: Kind::Line,
        required: false,
        desc,
        place: Place::Rest,
    }
}

/// The field for the kind of subject.
pub const KIND: Field = Field {
    name: "kind",
    label: "Kind",
    kind: Kind::Choice(&[
        (ANY, "Any"),
        ("account", "Accounts"),
        ("address", "Addresses"),
        ("network", "Networks"),
        ("pair", "An account from one place"),
        ("guard", "Guards"),
    ]),
    required: false,
    desc: "Whom they are about.",
    place: Place::Nowhere,
};

/// The field for the state.
pub const STATE: Field = Field {
    name: "state",
    label: "State",
    kind: Kind::Choice(&[
        ("in-force", "In force"),
        ("pending", "In force, server not told"),
        ("ended", "Ended"),
        (ANY, "Any"),
    ]),
    required: false,
    desc: "Of ended bans only the last 2000 are searched.",
    place: Place::Nowhere,
};

/// The field for the origin.
pub const ORIGIN: Field = Field {
    name: "origin",
    label: "Origin",
    kind: Kind::Choice(&[
        (ANY, "Any way"),
        ("hand", "By hand"),
        ("rule", "By a rule"),
        ("import", "By an import"),
        ("server", "By the server itself"),
    ]),
    required: false,
    desc: "Who decided.",
    place: Place::Nowhere,
};

/// The field for the author.
pub const BY: Field = Field {
    name: "by",
    label: "By whom",
    kind: Kind::Line,
    required: false,
    desc: "A part of the name of who gave it.",
    place: Place::Nowhere,
};

/// The field for the time until the end.
pub const EXPIRING: Field = Field {
    name: "expiring",
    label: "Ends within",
    kind: Kind::Line,
    required: false,
    desc: "A duration, such as 2h or 3d.",
    place: Place::Nowhere,
};
