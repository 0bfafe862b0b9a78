//! The one integration binary: linking the XMPP types once is slow enough.
#![allow(clippy::unwrap_used, missing_docs)]

mod gate;
mod house;
mod laws;
//! The integration tests: one binary, because linking it is the slow part.
#![allow(clippy::unwrap_used)]

mod config;
