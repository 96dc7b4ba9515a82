//! The tree of files as tools reach it, on real folders: what is contained, what is shown, page by page.

#![expect(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod arguments;
mod containment;
mod cursors;
mod info;
mod pages;
mod race;
mod support;
mod tree;
