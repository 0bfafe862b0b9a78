//! The fuzz targets of portcullis, and what each of them checks ([`targets`]).
#![allow(missing_docs, reason = "not a library for others")]

mod support;
pub mod targets;
