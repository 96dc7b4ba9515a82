//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod copy;
mod diff;
mod edit;
mod edit_file;
mod encode;
mod error;
mod folder;
mod lock;
mod make_folder;
mod mount;
mod nearest;
mod remove;
mod rename;
mod temp;
mod text;
mod tree;
mod version;
mod view;
mod write;

pub use copy::{CopyProgress, TransferOptions};
pub use diff::{Diff, unified_diff};
pub use edit::{Edit, EditError, Edited, apply_edits};
pub use edit_file::{EditFileError, EditOptions, EditedFile};
pub use error::FileError;
pub use folder::Folder;
pub use lock::Cancelled;
pub use mount::{Mount, MountSpec};
pub use remove::Removed;
pub use rename::Moved;
pub use tree::{Tree, TreeError};
pub use version::{Snapshot, Version};
pub use view::{FileKind, FileMetadata, OpenFile, Parent, View};
pub use write::{Condition, Written};
