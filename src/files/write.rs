//! Writing a whole file: atomically, and only if what is there is what the caller expects.

use super::lock::{Cancelled, Current, Entry, stop_if};
use super::temp::{InPlace, KEPT_MODE, NEW_FILE_MODE, TempFile};
use super::{FileError, Version, View};
use crate::auth::Permission;
use crate::path::TreePath;

/// How often a file that appears and disappears is tried again.
pub(super) const MAX_ROUNDS: usize = 100;

/// What must be there for a write to happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing.
    Absent,
    /// A file of this version.
    Matches(Version),
    /// A file of whatever version, or nothing.
    Any,
}

/// What a write has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The version of the file as it was written.
    pub version: Version,
    /// Its size in bytes.
    pub bytes: u64,
    /// Was nothing there before?
    pub created: bool,
}

impl View {
    /// Writes a file whole. A reader sees the old content or the new, never a part; after a crash at any moment one of
    /// the two is there. Of several writes that expect the same, exactly one happens.
    ///
    /// A replaced file keeps its permissions; its extended attributes and further hard links stay with the old content.
    ///
    /// # Errors
    /// [`FileError`]; nothing was changed then, except for parents made.
    pub fn write_file(
        &self,
        path: &TreePath,
        content: &[u8],
        condition: &Condition,
        create_parents: bool,
        cancelled: Cancelled,
    ) -> Result<Written, FileError> {
        // A file that must be there has its parents.
        if create_parents && !matches!(condition, Condition::Matches(_)) {
            self.create_parents(path)?;
        }
        let parent = self.open_parent(path, Permission::Write)?;
        let entry = Entry::from(&parent);
        let mut temp = prepare(entry, condition, NEW_FILE_MODE)?;
        temp.write(content)?;
        let put = put(entry, temp, condition, cancelled)?;
        self.announce(path, false);
        put.written(entry)
    }
}

/// Begins a write that will replace or make `entry`. Looks at the condition already, without the lock, so that a write
/// that cannot happen fails before its content is on the disk.
pub(super) fn prepare<'a>(entry: Entry<'a>, condition: &Condition, new_mode: u32) -> Result<TempFile<'a>, FileError> {
    let current = Current::open(entry)?;
    condition.check(entry, current.as_ref())?;
    TempFile::create(entry, current.map_or(new_mode, |current| current.stat.st_mode & KEPT_MODE))
}

/// Puts a file that is written in its place, if the condition holds at that moment.
pub(super) fn put(entry: Entry, mut temp: TempFile, condition: &Condition, cancelled: Cancelled) -> Result<Put, FileError> {
    temp.sync()?;
    for _ in 0..MAX_ROUNDS {
        stop_if(cancelled)?;
        let current = Current::lock(entry, cancelled)?;
        condition.check(entry, current.as_ref())?;
        temp = match current {
            Some(current) => return Ok(Put { file: temp.replace(&current)?, created: false }),
            None => match temp.create_in_place()? {
                Ok(file) => return Ok(Put { file, created: true }),
                Err(temp) => temp,
            },
        };
    }
    Err(FileError::Busy(entry.path.clone()))
}

/// A file put in its place.
pub(super) struct Put {
    pub(super) file: InPlace,
    pub(super) created: bool,
}

impl Put {
    /// For the caller. Not to be asked for while a lock is held: it waits a moment.
    pub(super) fn written(self, entry: Entry) -> Result<Written, FileError> {
        let bytes = self.file.snapshot.size;
        Ok(Written { version: self.file.version().map_err(|error| entry.failed(error))?, bytes, created: self.created })
    }
}

impl Condition {
    fn check(&self, entry: Entry, current: Option<&Current>) -> Result<(), FileError> {
        let path = entry.path;
        match (self, current) {
            (Self::Absent | Self::Any, None) => Ok(()),
            (Self::Matches(_), None) => Err(FileError::NotFound(path.clone())),
            (Self::Absent, Some(current)) => {
                Err(FileError::FileExists { path: path.clone(), version: current.version(path)?.to_string() })
            }
            (Self::Matches(version), Some(current)) => {
                current.expect(path, Some(version))?;
                current.require_writable(path)
            }
            (Self::Any, Some(current)) => current.require_writable(path),
        }
    }
}
