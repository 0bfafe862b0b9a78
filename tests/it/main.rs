//! The integration tests: one binary, because linking it is the slow part.
#![allow(clippy::unwrap_used)]

mod config;
