//! A file that is written beside its place and takes it in one step.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt};
use cap_std::fs::{Dir, Metadata, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, Gid, Mode, RenameFlags, Stat, Uid};
use rustix::io::Errno;

use super::lock::{Current, Entry};
use super::{FileError, Snapshot, Version};

/// The permissions of a new file, before the process's umask.
pub(super) const NEW_FILE_MODE: u32 = 0o666;
/// What is kept of a file's mode. Not set-user-ID and its like: a program with new content must earn those anew.
pub(super) const KEPT_MODE: u32 = 0o777;
const TEMP_PREFIX: &str = ".pressmark-";
const TEMP_SUFFIX: &str = ".tmp";

/// A file under a hidden name in the folder of the file that it will become. Removed when dropped before that.
#[derive(Debug)]
pub(super) struct TempFile<'a> {
    entry: Entry<'a>,
    name: String,
    file: File,
    in_place: bool,
}

impl<'a> TempFile<'a> {
    /// Makes the file beside `entry`. It is never open to more users than `mode` says.
    pub(super) fn create(entry: Entry<'a>, mode: u32) -> Result<Self, FileError> {
        let name = format!("{TEMP_PREFIX}{:032x}{TEMP_SUFFIX}", rand::random::<u128>());
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).follow(FollowSymlinks::No).mode(mode & KEPT_MODE);
        let file = entry.dir.open_with(&name, &options).map_err(|error| entry.failed(error))?.into_std();
        Ok(Self { entry, name, file, in_place: false })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Appends to the file.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.file.write_all(bytes).map_err(|error| self.entry.failed(error))
    }

    /// Waits until the content is on the disk.
    pub(super) fn sync(&self) -> Result<(), FileError> {
        self.file.sync_all().map_err(|error| self.entry.failed(error))
    }

    /// Takes the place of a file that the caller has locked, with its permissions and, where the system allows it, its
    /// owner.
    pub(super) fn replace(mut self, current: &Current) -> Result<InPlace, FileError> {
        self.adopt(&current.stat)?;
        rustix::fs::renameat(self.entry.dir, &self.name, self.entry.dir, self.entry.name)
            .map_err(|error| self.entry.failed(error))?;
        self.settle()
    }

    /// Takes a place where nothing is; gives the file back when something is there. Of many that try at once, on
    /// whatever replica, one succeeds.
    pub(super) fn create_in_place(mut self) -> Result<Result<InPlace, Self>, FileError> {
        match rename_no_replace(self.entry.dir, OsStr::new(&self.name), self.entry.dir, self.entry.name) {
            Ok(()) => self.settle().map(Ok),
            Err(Errno::EXIST) => Ok(Err(self)),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                let reason = "its file system cannot make a file without risk to one that is there";
                Err(FileError::ReadOnly { path: self.entry.path.clone(), reason })
            }
            Err(error) => Err(self.entry.failed(error)),
        }
    }

    fn settle(&mut self) -> Result<InPlace, FileError> {
        self.in_place = true;
        // Taken at once: if another program changes the file in place now, this version is not that file's.
        let in_place = InPlace::of(&self.file).map_err(|error| self.entry.failed(error))?;
        self.entry.sync_folder()?;
        Ok(in_place)
    }

    fn adopt(&self, replaced: &Stat) -> Result<(), FileError> {
        let own = rustix::fs::fstat(&self.file).map_err(|error| self.entry.failed(error))?;
        if (own.st_uid, own.st_gid) != (replaced.st_uid, replaced.st_gid) {
            // Only a privileged server may give files away; for any other the file becomes its own, and that is fine.
            let (user, group) = (Uid::from_raw(replaced.st_uid), Gid::from_raw(replaced.st_gid));
            let _ = rustix::fs::fchown(&self.file, Some(user), Some(group))
                .or_else(|_| rustix::fs::fchown(&self.file, None, Some(group)));
        }
        let mode = replaced.st_mode & KEPT_MODE;
        if own.st_mode & KEPT_MODE != mode {
            rustix::fs::fchmod(&self.file, Mode::from_raw_mode(mode)).map_err(|error| self.entry.failed(error))?;
        }
        Ok(())
    }
}

impl Drop for TempFile<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            let _ = rustix::fs::unlinkat(self.entry.dir, &self.name, AtFlags::empty());
        }
    }
}

/// Is this the name of a file that will take another's place?
pub(super) fn is_temp_name(name: &[u8]) -> bool {
    name.starts_with(TEMP_PREFIX.as_bytes()) && name.ends_with(TEMP_SUFFIX.as_bytes())
}

/// A file that has just taken its place.
#[derive(Debug)]
pub(super) struct InPlace {
    file: File,
    pub(super) snapshot: Snapshot,
}

impl InPlace {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self { snapshot: Snapshot::of(file)?, file: file.try_clone()? })
    }

    /// The version of the file as it took its place. Waits a tick with the handle open: until then the file system could
    /// give a replaced file's inode number and times to the next file, which would then have the same version.
    pub(super) fn version(self) -> io::Result<Version> {
        Version::settled(|| Metadata::from_file(&self.file))?;
        Ok(self.snapshot.version())
    }
}

/// Renames a file if nothing has the new name. Where the file system has no such rename, a second link does the same.
pub(super) fn rename_no_replace(from_dir: &Dir, from: &OsStr, to_dir: &Dir, to: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::linkat(from_dir, from, to_dir, to, AtFlags::empty())?;
            rustix::fs::unlinkat(from_dir, from, AtFlags::empty())
        }
        outcome => outcome,
    }
}
