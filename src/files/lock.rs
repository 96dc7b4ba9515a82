//! The lock under which Pressmark replaces and removes files, so that what it checked is still true when it acts.
//!
//! It is an advisory lock (`flock`) on the open handle of the file that is about to be replaced: every replica that
//! shares the volume sees it, it goes when its holder dies, and no lock file lies about. Whoever holds it and finds the
//! name still standing for that file knows that no other Pressmark is replacing, moving or deleting it. Making a file
//! needs no lock: the file system lets only one of several makers have the name.
//!
//! What it does not cover: a program that does not take the lock. A file replaced by such a program between the check
//! and the rename is lost; one changed in place before the rename is noticed by its version.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, FileType, FlockOperation, OFlags, Stat};
use rustix::io::Errno;

use super::{FileError, Parent, Snapshot, Version};
use crate::path::TreePath;

/// True once nobody waits for the outcome any more: the work stops without changing anything further.
pub type Cancelled<'a> = &'a dyn Fn() -> bool;

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_millis(40);

/// A name in an open folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    pub(super) dir: &'a Dir,
    pub(super) name: &'a OsStr,
    /// For errors.
    pub(super) path: &'a TreePath,
}

impl<'a> From<&'a Parent> for Entry<'a> {
    fn from(parent: &'a Parent) -> Self {
        Self { dir: &parent.dir, name: OsStr::new(&parent.name), path: &parent.path }
    }
}

impl Entry<'_> {
    /// What the name stands for, links not followed; `None` when there is nothing.
    pub(super) fn stat(self) -> Result<Option<Stat>, FileError> {
        match rustix::fs::statat(self.dir, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    pub(super) fn failed(self, error: impl Into<io::Error>) -> FileError {
        FileError::from_io(self.path, error.into())
    }

    /// Makes a change in the folder survive a power failure. Some network file systems have no such thing for folders.
    pub(super) fn sync_folder(self) -> Result<(), FileError> {
        match rustix::fs::fsync(self.dir) {
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(self.failed(error)),
        }
    }
}

/// The regular file that a name stood for when it was opened.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) file: File,
    pub(super) stat: Stat,
    writable: bool,
}

impl Current {
    /// Opens the file without locking it; `None` when nothing is there.
    ///
    /// # Errors
    /// Also for what is no regular file: a symbolic link is neither followed nor replaced.
    pub(super) fn open(entry: Entry) -> Result<Option<Self>, FileError> {
        let Some(stat) = entry.stat()? else { return Ok(None) };
        // Before opening: opening a device can do something.
        require_regular(entry, &stat)?;
        let (file, writable) = match open(entry, true) {
            Ok(file) => (file, true),
            // A running program can be replaced, though not written to.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TXTBSY) => {
                (open(entry, false).map_err(|error| entry.failed(error))?, true)
            }
            Err(error) => match (Errno::from_io_error(&error), open(entry, false)) {
                (Some(Errno::NOENT), _) => return Ok(None),
                (_, Ok(file)) => (file, false),
                (_, Err(_)) => return Err(entry.failed(error)),
            },
        };
        let stat = rustix::fs::fstat(&file).map_err(|error| entry.failed(error))?;
        require_regular(entry, &stat)?;
        Ok(Some(Self { file, stat, writable }))
    }

    /// Opens the file and locks it against every other Pressmark, until the value is dropped; `None` when nothing is
    /// there.
    ///
    /// # Errors
    /// [`Busy`](FileError::Busy) when others hold the lock for longer than five seconds.
    pub(super) fn lock(entry: Entry, cancelled: Cancelled) -> Result<Option<Self>, FileError> {
        let started = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            let Some(current) = Self::open(entry)? else { return Ok(None) };
            while !current.try_lock(entry)? {
                if started.elapsed() > PATIENCE {
                    return Err(FileError::Busy(entry.path.clone()));
                }
                stop_if(cancelled)?;
                sleep(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            // While this call waited, the holder of the lock may have put another file in this one's place.
            if current.is_still_named(entry)? {
                return Ok(Some(current));
            }
            stop_if(cancelled)?;
        }
    }

    /// The version, for giving out.
    pub(super) fn version(&self, path: &TreePath) -> Result<Version, FileError> {
        Version::settled(|| Metadata::from_file(&self.file))
            .map(|(version, _)| version)
            .map_err(|error| FileError::from_io(path, error))
    }

    /// The numbers that make its version, now.
    pub(super) fn snapshot(&self, path: &TreePath) -> Result<Snapshot, FileError> {
        Snapshot::of(&self.file).map_err(|error| FileError::from_io(path, error))
    }

    /// Is it the version that the caller expects? No expectation is met by every version.
    pub(super) fn expect(&self, path: &TreePath, if_match: Option<&Version>) -> Result<(), FileError> {
        match if_match {
            Some(expected) if self.snapshot(path)?.version() != *expected => {
                Err(FileError::VersionMismatch { path: path.clone(), actual: self.version(path)?.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// May the file be replaced? A rename would not ask the file's own permissions; whoever set them meant them.
    pub(super) fn require_writable(&self, path: &TreePath) -> Result<(), FileError> {
        if self.writable {
            return Ok(());
        }
        Err(FileError::ReadOnly { path: path.clone(), reason: "the file is write-protected" })
    }

    pub(super) fn is_same_file(&self, other: &Stat) -> bool {
        (self.stat.st_dev, self.stat.st_ino) == (other.st_dev, other.st_ino)
    }

    fn try_lock(&self, entry: Entry) -> Result<bool, FileError> {
        match rustix::fs::flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(false),
            // Network file systems that lock by byte range want a handle that can write.
            Err(Errno::BADF) => self.require_writable(entry.path).and(Err(entry.failed(Errno::BADF))),
            Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK | Errno::INVAL) => {
                Err(FileError::ReadOnly { path: entry.path.clone(), reason: "its file system cannot lock files" })
            }
            Err(error) => Err(entry.failed(error)),
        }
    }

    /// The link count is asked of the handle because a network client may answer for the name from its cache.
    fn is_still_named(&self, entry: Entry) -> Result<bool, FileError> {
        match rustix::fs::fstat(&self.file) {
            Ok(stat) if stat.st_nlink == 0 => return Ok(false),
            Err(Errno::STALE) => return Ok(false),
            Ok(_) => {}
            Err(error) => return Err(entry.failed(error)),
        }
        Ok(entry.stat()?.is_some_and(|named| self.is_same_file(&named)))
    }
}

/// # Errors
/// [`Cancelled`](FileError::Cancelled) when nobody waits any more.
pub(super) fn stop_if(cancelled: Cancelled) -> Result<(), FileError> {
    if cancelled() { Err(FileError::Cancelled) } else { Ok(()) }
}

fn require_regular(entry: Entry, stat: &Stat) -> Result<(), FileError> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(()),
        FileType::Directory => Err(FileError::IsAFolder(entry.path.clone())),
        FileType::Symlink => Err(FileError::LinkRefused(entry.path.clone())),
        _ => Err(FileError::NotRegular(entry.path.clone())),
    }
}

fn open(entry: Entry, write: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(write).nonblock(true).follow(FollowSymlinks::No).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    Ok(entry.dir.open_with(entry.name, &options)?.into_std())
}
