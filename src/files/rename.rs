//! Moving files and folders.

use std::fs::FileTimes;
use std::io;

use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;

use super::copy::{CopyProgress, TransferOptions, copy_content, refuse_same_file};
use super::depth::refuse_too_deep;
use super::lock::{Cancelled, Current, Entry, stop_if};
use super::temp::{InPlace, KEPT_MODE, rename_no_replace};
use super::write::{MAX_ROUNDS, prepare, put};
use super::{FileError, Version, View};
use crate::auth::Permission;
use crate::path::TreePath;

/// What a move has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The version of the file at its new place; `None` for a folder.
    pub version: Option<Version>,
    /// Was another file replaced?
    pub replaced: bool,
}

impl View {
    /// Moves a file or a folder with all its content. Within a file system that is one step; between two, a file is
    /// copied and then removed, and a folder is refused.
    ///
    /// # Errors
    /// [`FileError`]; nothing was changed then, except for parents made.
    pub fn move_path(
        &self,
        from: &TreePath,
        to: &TreePath,
        options: TransferOptions,
        progress: CopyProgress,
        cancelled: Cancelled,
    ) -> Result<Moved, FileError> {
        let unsuitable = |path: &TreePath, problem| Err(FileError::Unsuitable { path: path.clone(), problem });
        if to == from {
            return unsuitable(to, "it is the source itself; choose another destination");
        }
        if to.is_within(from) {
            return unsuitable(to, "a folder cannot be moved into itself; choose a destination outside of it");
        }
        let from_parent = self.open_parent(from, Permission::Write)?;
        let source = Entry::from(&from_parent);
        let stat = source.stat()?.ok_or_else(|| FileError::NotFound(from.clone()))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            if options.if_match.is_some() {
                return unsuitable(from, "it is a folder, and folders have no version; leave out `if_match`");
            }
            for folder in [from, to] {
                self.require_all_below(Permission::Write, folder)?;
            }
            refuse_too_deep(source, to, cancelled)?;
        }
        if options.create_parents {
            self.create_parents(to)?;
        }
        let to_parent = self.open_parent(to, Permission::Write)?;
        let target = Entry::from(&to_parent);
        if kind == FileType::Directory {
            return move_folder(self, source, target);
        }
        refuse_same_file(target, &stat)?;
        for _ in 0..MAX_ROUNDS {
            match move_file(self, source, target, options, progress, cancelled) {
                // Made by another call after this one found nothing to replace.
                Err(FileError::FileExists { .. }) if options.overwrite => {}
                outcome => return outcome,
            }
        }
        Err(FileError::Busy(to.clone()))
    }

    /// Does the caller's permission cover this folder with everything in it?
    pub(super) fn require_all_below(&self, permission: Permission, folder: &TreePath) -> Result<(), FileError> {
        if self.allows_all_below(permission, folder) { Ok(()) } else { Err(FileError::Forbidden(folder.clone())) }
    }
}

fn move_file(
    view: &View,
    source: Entry,
    target: Entry,
    options: TransferOptions,
    progress: CopyProgress,
    cancelled: Cancelled,
) -> Result<Moved, FileError> {
    // Two opposite moves lock in the same order, so that neither waits for the other.
    let overwritten = || if options.overwrite { Current::lock(target, cancelled) } else { Ok(None) };
    let (current, replaced) = if source.path < target.path {
        (Current::lock(source, cancelled)?, overwritten()?)
    } else {
        let replaced = overwritten()?;
        (Current::lock(source, cancelled)?, replaced)
    };
    let current = current.ok_or_else(|| FileError::NotFound(source.path.clone()))?;
    current.expect(source.path, options.if_match)?;
    if let Some(replaced) = &replaced {
        replaced.require_writable(target.path)?;
    }
    stop_if(cancelled)?;
    let outcome = match &replaced {
        Some(_) => rustix::fs::renameat(source.dir, source.name, target.dir, target.name),
        None => rename_no_replace(source.dir, source.name, target.dir, target.name),
    };
    match outcome {
        Ok(()) => {
            view.announce(source.path, false);
            view.announce(target.path, false);
            sync_both(source, target)?;
            let moved = InPlace::of(&current.file).map_err(|error| target.failed(error))?;
            let was_replaced = replaced.is_some();
            drop((current, replaced));
            let version = moved.version().map_err(|error| target.failed(error))?;
            Ok(Moved { version: Some(version), replaced: was_replaced })
        }
        Err(Errno::XDEV) => {
            drop(replaced);
            move_by_copy(view, source, &current, target, options, progress, cancelled)
        }
        Err(Errno::EXIST) => Err(taken(target)),
        Err(error) => Err(target.failed(error)),
    }
}

/// Copies the locked source to another file system and removes it there.
fn move_by_copy(
    view: &View,
    source: Entry,
    current: &Current,
    target: Entry,
    options: TransferOptions,
    progress: CopyProgress,
    cancelled: Cancelled,
) -> Result<Moved, FileError> {
    let before = current.snapshot(source.path)?;
    let condition = options.condition();
    let mut temp = prepare(target, &condition, current.stat.st_mode & KEPT_MODE)?;
    copy_content(source.path, &current.file, before, &mut temp, progress, cancelled)?;
    let modified = current.file.metadata().and_then(|metadata| metadata.modified());
    let times = FileTimes::new().set_modified(modified.map_err(|error| source.failed(error))?);
    temp.file().set_times(times).map_err(|error| target.failed(error))?;
    let put = put(target, temp, &condition, cancelled)?;
    view.announce(target.path, false);
    rustix::fs::unlinkat(source.dir, source.name, AtFlags::empty()).map_err(|error| FileError::Io {
        path: source.path.clone(),
        source: io::Error::other(format!(
            "it was copied to {}, but could not be removed: {}",
            target.path,
            io::Error::from(error)
        )),
    })?;
    view.announce(source.path, false);
    source.sync_folder()?;
    let written = put.written(target)?;
    Ok(Moved { version: Some(written.version), replaced: !written.created })
}

fn move_folder(view: &View, source: Entry, target: Entry) -> Result<Moved, FileError> {
    let unsuitable = |entry: Entry, problem| Err(FileError::Unsuitable { path: entry.path.clone(), problem });
    match rename_folder_no_replace(source, target) {
        Ok(()) => {
            view.announce(source.path, true);
            view.announce(target.path, true);
            sync_both(source, target)?;
            Ok(Moved { version: None, replaced: false })
        }
        Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => Err(taken(target)),
        // Reached by a symbolic link on the way: by their paths the one does not lie in the other.
        Err(Errno::INVAL) => unsuitable(target, "a folder cannot be moved into itself; choose a destination outside of it"),
        Err(Errno::XDEV) => unsuitable(
            source,
            "it is a folder, and folders cannot be moved to another mount; make the folder there with create_directory and \
             move the files one by one",
        ),
        Err(error) => Err(source.failed(error)),
    }
}

/// Where the file system has no rename that refuses to replace, an empty folder holds the place: only one call can make
/// it, and a folder may be renamed over an empty one.
fn rename_folder_no_replace(source: Entry, target: Entry) -> Result<(), Errno> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    match rustix::fs::renameat_with(source.dir, source.name, target.dir, target.name, flags) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            rustix::fs::mkdirat(target.dir, target.name, Mode::RWXU)?;
            rustix::fs::renameat(source.dir, source.name, target.dir, target.name).inspect_err(|_| {
                let _ = rustix::fs::unlinkat(target.dir, target.name, AtFlags::REMOVEDIR);
            })
        }
        outcome => outcome,
    }
}

/// The error for a destination where something is, which was not to be replaced.
fn taken(target: Entry) -> FileError {
    match Current::open(target) {
        Ok(Some(found)) => match found.version(target.path) {
            Ok(version) => FileError::FileExists { path: target.path.clone(), version: version.to_string() },
            Err(error) => error,
        },
        _ => FileError::AlreadyExists(target.path.clone()),
    }
}

fn sync_both(source: Entry, target: Entry) -> Result<(), FileError> {
    target.sync_folder()?;
    source.sync_folder()
}
