//! Why a path could not be used. Texts name the path as the caller knows it, never where it lies on the machine.

use crate::path::TreePath;

/// A failed operation on the tree.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("{0} does not exist")]
    NotFound(TreePath),
    /// Something is there already.
    #[error("{0} exists already")]
    AlreadyExists(TreePath),
    /// A folder was needed.
    #[error("{0} is not a folder")]
    NotAFolder(TreePath),
    /// A file was needed.
    #[error("{0} is a folder, not a file")]
    IsAFolder(TreePath),
    /// Neither a file nor a folder: a device, a socket, a pipe.
    #[error("{0} is not a regular file")]
    NotRegular(TreePath),
    /// A symbolic link leads out of the mount, or may not be followed for this caller.
    #[error("{0} leads through a symbolic link that cannot be followed")]
    LinkRefused(TreePath),
    /// The mount is read-only, or the operating system refuses.
    #[error("{path} cannot be changed: {reason}")]
    ReadOnly {
        /// Where.
        path: TreePath,
        /// Why.
        reason: &'static str,
    },
    /// The caller's scopes do not cover the path.
    #[error("your access does not cover {0}")]
    Forbidden(TreePath),
    /// Another version is there than the caller expected.
    #[error("{path} has changed: its version is now {actual}")]
    VersionMismatch {
        /// Where.
        path: TreePath,
        /// The version that is there now.
        actual: String,
    },
    /// The folder still has content.
    #[error("{0} is not empty")]
    NotEmpty(TreePath),
    /// The operating system failed in another way.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: TreePath,
        /// What the operating system said.
        source: std::io::Error,
    },
}
