//! Fields that several commands share. A command that describes one differently overrides the description (`Field {
//! desc: …, ..WHOM }`).

use crate::command::parts::subjects;
use crate::command::spec::{Field, Kind, Place};

/// The subjects, several on one line.
pub(in crate::command) const WHOM: Field = Field {
    name: subjects::FIELD,
    label: "Whom, or #number",
    kind: Kind::Line,
    required: true,
    desc: "An account, an address, a network or the number of a ban (#17); several with spaces between them.",
    place: Place::Subjects,
};

/// The public reason.
pub(in crate::command) const REASON: Field = Field {
    name: "reason",
    label: "Public reason",
    kind: Kind::Line,
    required: false,
    desc: "The banned user sees it.",
    place: Place::Rest,
};

/// The private note.
pub(in crate::command) const NOTE: Field = Field {
    name: "note",
    label: "Private note",
    kind: Kind::Lines,
    required: false,
    desc: "Only those with a role here see it, with show. It is never sent to the server.",
    place: Place::Rest,
};
