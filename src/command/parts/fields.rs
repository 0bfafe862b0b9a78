//! Fields that several commands share. A command that describes one differently overrides the description (`WHOM.desc(…)`).

use crate::command::parts::subjects;
use crate::command::spec::{Field, Kind, Place};

/// The subjects, several on one line.
pub(in crate::command) const WHOM: Field = Field::new(subjects::FIELD, "Whom, or #number", Kind::Line)
    .required()
    .at(Place::Subjects)
    .desc("An account, an address, a network or the number of a ban (#17); several with spaces between them.");

/// The public reason.
pub(in crate::command) const REASON: Field = Field::new("reason", "Public reason", Kind::Line)
    .at(Place::Rest)
    .desc("The banned user sees it.");

/// The private note.
pub(in crate::command) const NOTE: Field = Field::new("note", "Private note", Kind::Lines)
    .at(Place::Rest)
    .desc("Only those with a role here see it, with show. It is never sent to the server.");
