//! The hands.
pub mod clock;
pub mod ports;
