//! Why a path could not be used. Texts name the path as the caller knows it, never where it lies on the machine.

use std::io;

use rustix::io::Errno;

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
    /// A file is there already.
    #[error("{path} exists already, in version {version}")]
    FileExists {
        /// Where.
        path: TreePath,
        /// The version that is there now.
        version: String,
    },
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
    /// The operating system does not let the server in.
    #[error("the server has no permission to use {0}")]
    NotPermitted(TreePath),
    /// A name in the path is longer than this file system holds.
    #[error("{0} has a name that is too long for the file system")]
    NameTooLong(TreePath),
    /// The folder still has content.
    #[error("{0} is not empty")]
    NotEmpty(TreePath),
    /// It is larger than the operation takes.
    #[error("{path} is too large: at most {limit}")]
    TooLarge {
        /// Where.
        path: TreePath,
        /// The most that is taken.
        limit: &'static str,
    },
    /// There is no room for it.
    #[error("{path} cannot be written: {reason}")]
    NoSpace {
        /// Where.
        path: TreePath,
        /// What is used up.
        reason: &'static str,
    },
    /// Other calls are changing it, for longer than this one can wait.
    #[error("{0} is being changed by other calls")]
    Busy(TreePath),
    /// It changed while it was being read.
    #[error("{0} changed while it was being read")]
    Changed(TreePath),
    /// What was asked for cannot be done with what is there. The problem says so, and what can be done.
    #[error("{path}: {problem}")]
    Unsuitable {
        /// Where.
        path: TreePath,
        /// What is wrong, and what to do.
        problem: &'static str,
    },
    /// The folder that the mount serves was removed from the machine.
    #[error("the mount {0} is gone")]
    MountGone(TreePath),
    /// Nobody waits for the outcome any more.
    #[error("the call was cancelled")]
    Cancelled,
    /// The operating system failed in another way.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: TreePath,
        /// What the operating system said.
        source: io::Error,
    },
}

impl FileError {
    /// What the operating system's answer means for this path: the one place where its error codes are read.
    pub(crate) fn from_io(path: &TreePath, source: io::Error) -> Self {
        let path = path.clone();
        match Errno::from_io_error(&source) {
            Some(Errno::NOENT) => Self::NotFound(path),
            Some(Errno::EXIST) => Self::AlreadyExists(path),
            Some(Errno::NOTDIR) => Self::NotAFolder(path),
            Some(Errno::ISDIR) => Self::IsAFolder(path),
            Some(Errno::LOOP | Errno::XDEV) => Self::LinkRefused(path),
            Some(Errno::ACCESS | Errno::PERM) => Self::NotPermitted(path),
            Some(Errno::NAMETOOLONG) => Self::NameTooLong(path),
            // Opening a socket, or a device without a driver.
            Some(Errno::NXIO | Errno::NODEV | Errno::OPNOTSUPP) => Self::NotRegular(path),
            Some(Errno::ROFS) => Self::ReadOnly { path, reason: "its file system is read-only" },
            Some(Errno::NOSPC) => Self::NoSpace { path, reason: "the disk is full" },
            Some(Errno::DQUOT) => Self::NoSpace { path, reason: "the disk quota is used up" },
            Some(Errno::NOTEMPTY) => Self::NotEmpty(path),
            // cap-std's own refusal of a path that leads out of its folder carries no error code.
            None if source.kind() == io::ErrorKind::PermissionDenied => Self::LinkRefused(path),
            _ => Self::Io { path, source },
        }
    }
}
