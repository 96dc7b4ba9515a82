//! Removing files and folders.

use std::ffi::OsString;

use cap_fs_ext::DirExt;
use cap_std::fs::{Dir, MetadataExt};
use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::lock::{Cancelled, Current, Entry, stop_if};
use super::{FileError, Snapshot, Version, View};
use crate::auth::Permission;
use crate::path::TreePath;

/// How deep the folders in a removed folder may lie: each level holds handles open.
const MAX_DEPTH: usize = 128;
/// How often a folder is emptied again into which something was put meanwhile.
const MAX_ROUNDS: usize = 3;

/// What was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Files, links and whatever else is no folder.
    pub files: u64,
    /// Folders.
    pub folders: u64,
}

impl View {
    /// Which folder this is: another version when another one is in its place, or an entry of it has come or gone.
    ///
    /// # Errors
    /// [`FileError`], as for removing it.
    pub fn removable_version(&self, path: &TreePath) -> Result<Version, FileError> {
        let parent = self.open_parent(path, Permission::Delete)?;
        let stat = Entry::from(&parent).stat()?.ok_or_else(|| FileError::NotFound(path.clone()))?;
        Ok(Snapshot::from(&stat).version())
    }

    /// Removes a file, a symbolic link (never what it leads to) or a folder. A folder with content only where
    /// `recursive` says so; that is no single step: when it stops in the middle, the same call goes on.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remove(
        &self,
        path: &TreePath,
        if_match: Option<&Version>,
        recursive: bool,
        cancelled: Cancelled,
    ) -> Result<Removed, FileError> {
        let parent = self.open_parent(path, Permission::Delete)?;
        let entry = Entry::from(&parent);
        let stat = entry.stat()?.ok_or_else(|| FileError::NotFound(path.clone()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind != FileType::RegularFile && if_match.is_some() {
            let problem = "it is no regular file and has no version; leave out `if_match`";
            return Err(FileError::Unsuitable { path: path.clone(), problem });
        }
        let mut removal = Removal { removed: Removed { files: 0, folders: 0 }, cancelled };
        let outcome = if kind != FileType::Directory {
            removal.remove_file(entry, kind, if_match)
        } else if recursive {
            self.require_all_below(Permission::Delete, path)?;
            removal.remove_folder(entry, stat.st_dev, 0)
        } else {
            removal.remove_empty(entry)
        };
        // Also what a removal has done that stopped in the middle.
        if removal.removed.files + removal.removed.folders > 0 {
            self.announce(path, kind == FileType::Directory);
        }
        outcome?;
        entry.sync_folder()?;
        Ok(removal.removed)
    }
}

struct Removal<'a> {
    removed: Removed,
    cancelled: Cancelled<'a>,
}

impl Removal<'_> {
    fn remove_file(&mut self, entry: Entry, kind: FileType, if_match: Option<&Version>) -> Result<(), FileError> {
        stop_if(self.cancelled)?;
        let locked = match kind {
            FileType::RegularFile => match Current::lock(entry, self.cancelled) {
                // A file that the server may not open, no Pressmark can be writing.
                Err(FileError::NotPermitted(_)) if if_match.is_none() => None,
                locked => Some(locked?.ok_or_else(|| FileError::NotFound(entry.path.clone()))?),
            },
            _ => None,
        };
        if let Some(current) = &locked {
            current.expect(entry.path, if_match)?;
        }
        rustix::fs::unlinkat(entry.dir, entry.name, AtFlags::empty()).map_err(|error| entry.failed(error))?;
        self.removed.files += 1;
        Ok(())
    }

    fn remove_empty(&mut self, entry: Entry) -> Result<(), FileError> {
        match rustix::fs::unlinkat(entry.dir, entry.name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                self.removed.folders += 1;
                Ok(())
            }
            // POSIX allows either.
            Err(Errno::EXIST | Errno::NOTEMPTY) => Err(FileError::NotEmpty(entry.path.clone())),
            Err(error) => Err(entry.failed(error)),
        }
    }

    /// Every folder is opened without following a link and relative to the handle of the one above, so that nothing
    /// outside can be reached, whatever is exchanged meanwhile.
    fn remove_folder(&mut self, entry: Entry, device: u64, depth: usize) -> Result<(), FileError> {
        let unsuitable = |problem| Err(FileError::Unsuitable { path: entry.path.clone(), problem });
        if depth >= MAX_DEPTH {
            return unsuitable("it lies too deep to be deleted with all that is above it; delete it first");
        }
        let dir = entry.dir.open_dir_nofollow(entry.name).map_err(|error| entry.failed(error))?;
        if dir.dir_metadata().map_err(|error| entry.failed(error))?.dev() != device {
            return unsuitable("another file system is mounted there, which is not deleted");
        }
        for _ in 0..MAX_ROUNDS {
            self.empty(&dir, entry.path, device, depth)?;
            match self.remove_empty(entry) {
                Err(FileError::NotEmpty(_)) => {}
                outcome => return outcome,
            }
        }
        Err(FileError::Busy(entry.path.clone()))
    }

    fn empty(&mut self, dir: &Dir, path: &TreePath, device: u64, depth: usize) -> Result<(), FileError> {
        let failed = |error| FileError::from_io(path, error);
        for found in dir.entries().map_err(failed)? {
            let name: OsString = found.map_err(failed)?.file_name();
            let path = path.join(&name.to_string_lossy());
            let entry = Entry { dir, name: &name, path: &path };
            // Gone meanwhile is as good as removed.
            let Some(stat) = entry.stat()? else { continue };
            let outcome = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => self.remove_folder(entry, device, depth + 1),
                kind => self.remove_file(entry, kind, None),
            };
            match outcome {
                Err(FileError::NotFound(_)) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}
