//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod diff;
mod edit;
mod error;
mod folder;
mod mount;
mod nearest;
mod tree;
mod version;
mod view;

pub use diff::{Diff, unified_diff};
pub use edit::{Edit, EditError, Edited, apply_edits};
pub use error::FileError;
pub use folder::Folder;
pub use mount::{Mount, MountSpec};
pub use tree::{Tree, TreeError};
pub use version::{Snapshot, Version};
pub use view::{FileKind, FileMetadata, OpenFile, Parent, View};
