//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod copy;
mod diff;
mod edit;
mod edit_file;
mod encode;
mod error;
mod folder;
mod ignore_rules;
mod lock;
mod make_folder;
mod media_type;
mod mount;
mod nearest;
mod reader;
mod remove;
mod rename;
mod temp;
mod text;
mod tree;
mod version;
mod view;
mod walk;
mod write;

/// What the system says of an open file.
pub use cap_std::fs::Metadata;
pub use copy::{CopyProgress, TransferOptions};
pub use diff::{Diff, unified_diff};
pub use edit::{Edit, EditError, Edited, apply_edits};
pub use edit_file::{EditFileError, EditOptions, EditedFile};
pub use error::FileError;
pub use folder::{Entries, Entry, Folder};
pub use lock::Cancelled;
pub use media_type::media_type;
pub use mount::{Mount, MountSpec};
pub use reader::{LineStart, PageLimits, Position, Reader, TextPage};
pub use remove::Removed;
pub use rename::Moved;
pub use text::Encoding;
pub use tree::{Tree, TreeError};
pub use version::{Snapshot, Version};
pub use view::{FileKind, FileMetadata, OpenFile, Parent, View};
pub use walk::{Place, Stop, Walk, WalkFrom, WalkOptions, Walked};
pub use write::{Condition, Written};
