//! What the tools work on: a tree of mounts in which every path is contained, and one caller's view of it.

mod error;
mod folder;
mod ignore_rules;
mod media_type;
mod mount;
mod reader;
mod text;
mod tree;
mod version;
mod view;
mod walk;

pub use error::FileError;
pub use folder::{Entries, Entry, Folder};
pub use media_type::media_type;
pub use mount::{Mount, MountSpec};
pub use reader::{LineStart, PageLimits, Position, Reader, TextPage};
pub use text::Encoding;
pub use tree::{Tree, TreeError};
pub use version::{Snapshot, Version};
pub use view::{FileKind, FileMetadata, OpenFile, Parent, View};
pub use walk::{Place, Stop, Walk, WalkFrom, WalkOptions, Walked};
