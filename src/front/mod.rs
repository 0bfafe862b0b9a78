//! The doors.
pub mod terminal;
