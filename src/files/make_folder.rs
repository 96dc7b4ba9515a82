//! Making folders.

use rustix::fs::Mode;
use rustix::io::Errno;

use super::lock::Entry;
use super::{FileError, FileKind, View};
use crate::auth::Permission;
use crate::path::TreePath;

impl View {
    /// Makes a folder, and those that are missing above it. `false` when it was there already.
    ///
    /// # Errors
    /// [`FileError`]; [`AlreadyExists`](FileError::AlreadyExists) when something else has the name.
    pub fn make_folder(&self, path: &TreePath) -> Result<bool, FileError> {
        match self.metadata(path) {
            Ok(found) => return is_folder(path, found.kind),
            Err(FileError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
        self.create_parents(path)?;
        let parent = self.open_parent(path, Permission::Write)?;
        let entry = Entry::from(&parent);
        match rustix::fs::mkdirat(entry.dir, entry.name, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
            Ok(()) => {
                self.announce(path, false);
                entry.sync_folder()?;
                Ok(true)
            }
            // Another call was faster.
            Err(Errno::EXIST) => is_folder(path, self.metadata(path)?.kind),
            Err(error) => Err(entry.failed(error)),
        }
    }
}

fn is_folder(path: &TreePath, kind: FileKind) -> Result<bool, FileError> {
    if kind == FileKind::Folder { Ok(false) } else { Err(FileError::AlreadyExists(path.clone())) }
}
