//! The fields that several commands ask for, in one place: what each command says otherwise of one stands with the
//! command (`Field { desc: …, ..WHOM }`).

use crate::command::parts::subjects;
use crate::command::spec::{Field, Kind, Place};

/// Whom it is about, several on one line.
pub(in crate::command) const WHOM: Field = Field {
    name: subjects::FIELD,
    label: "Whom, or #number",
    kind: Kind::Line,
    required: true,
    desc: "An account, an address, a network or the number of a ban (#17); several with spaces between them.",
    place: Place::Subjects,
};

/// What the one it is about is told.
pub(in crate::command) const REASON: Field = Field {
    name: "reason",
    label: "Public reason",
    kind: Kind::Line,
    required: false,
    desc: "The banned user sees it.",
    place: Place::Rest,
};

/// What they are not told.
pub(in crate::command) const NOTE: Field = Field {
    name: "note",
    label: "Private note",
    kind: Kind::Lines,
    required: false,
    desc: "Only those with a role here see it, with show. It is never sent to the server.",
    place: Place::Rest,
};
