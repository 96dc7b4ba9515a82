//! What must hold for any input, whoever wrote it. The fuzz targets look for an input that breaks a property, and
//! `tests/properties.rs` tries each property with a stable compiler whenever the tests run.
//!
//! Each module has one `check`, which takes bytes and panics when the property is broken. Everything is asked of the
//! library's public API, as a caller sees it.

pub mod cursors;
pub mod envelope;
pub mod headers;
pub mod paths;
pub mod request_state;
mod server;
