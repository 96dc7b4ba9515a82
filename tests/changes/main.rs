//! Changes of files reach every subscriber once, whoever makes them.

mod announcements;
mod containment;
mod listing;
mod other_programs;
mod support;
