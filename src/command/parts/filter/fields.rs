//! Form fields for the usual filter words, so that nobody has to learn them.

use crate::command::spec::{Field, Kind, Place};

/// The choice that does not filter.
pub const ANY: &str = "any";

/// The field for filter words.
pub const fn words_field(desc: &'static str) -> Field {
    Field::new("filter", "Filter", Kind::Line)
        .at(Place::Rest)
        .desc(desc)
}

/// The field for the kind of subject.
pub const KIND: Field = Field::new(
    "kind",
    "Kind",
    Kind::Choice(&[
        (ANY, "Any"),
        ("account", "Accounts"),
        ("address", "Addresses"),
        ("network", "Networks"),
        ("pair", "An account from one place"),
        ("guard", "Guards"),
    ]),
)
.desc("Whom they are about.");

/// The field for the state.
pub const STATE: Field = Field::new(
    "state",
    "State",
    Kind::Choice(&[
        ("in-force", "In force"),
        ("pending", "In force, server not told"),
        ("ended", "Ended"),
        (ANY, "Any"),
    ]),
)
.desc("Of ended bans only the last 2000 are searched.");

/// The field for the origin.
pub const ORIGIN: Field = Field::new(
    "origin",
    "Origin",
    Kind::Choice(&[
        (ANY, "Any way"),
        ("hand", "By hand"),
        ("rule", "By a rule"),
        ("import", "By an import"),
        ("server", "By the server itself"),
    ]),
)
.desc("Who decided.");

/// The field for the author.
pub const BY: Field =
    Field::new("by", "By whom", Kind::Line).desc("A part of the name of who gave it.");

/// The field for the time until the end.
pub const EXPIRING: Field =
    Field::new("expiring", "Ends within", Kind::Line).desc("A duration, such as 2h or 3d.");
