//! Changes of files reach every subscriber once, whoever makes them.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod announcements;
mod containment;
mod limits;
mod listing;
mod other_programs;
mod support;
