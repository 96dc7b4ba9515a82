//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod diff;
mod edit;
mod error;
mod nearest;

pub use diff::{Diff, unified_diff};
pub use edit::{Edit, EditError, Edited, apply_edits};
pub use error::FileError;
