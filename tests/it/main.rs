//! The one integration binary: every file of this folder is a room of tests.

mod store;
