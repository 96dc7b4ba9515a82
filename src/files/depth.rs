//! How deep folders may be nested. What lies deeper than walks and removals go could be neither found nor deleted, and to
//! look at it costs a step for each folder on the way.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::path::Arg;

use super::FileError;
use super::lock::{Cancelled, Entry, stop_if};
use crate::path::TreePath;

/// How many names the path of a folder may have that the server makes or moves.
pub(super) const MAX_NEW_DEPTH: usize = 100;

/// Refuses to move a folder to where it, or a folder in it, would lie too deep. What comes to lie no deeper than it does is
/// not looked at: it can be moved wherever it came from.
pub(super) fn refuse_too_deep(source: Entry, to: &TreePath, cancelled: Cancelled) -> Result<(), FileError> {
    let depth = to.components().count();
    if depth <= source.path.components().count() {
        return Ok(());
    }
    let is_too_deep = match MAX_NEW_DEPTH.checked_sub(depth) {
        Some(levels) => has_more_levels(source.dir.as_fd(), source.name, levels, cancelled)?,
        None => true,
    };
    let problem = "folders would lie too deep there, at paths of more than 100 names; choose a destination further up";
    if is_too_deep { Err(FileError::Unsuitable { path: to.clone(), problem }) } else { Ok(()) }
}

/// Are there more than `levels` of folders in this one? One that cannot be opened has none.
fn has_more_levels(parent: BorrowedFd, name: impl Arg, levels: usize, cancelled: Cancelled) -> Result<bool, FileError> {
    stop_if(cancelled)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::openat(parent, name, flags, Mode::empty()) else { return Ok(false) };
    // Two links, its name and its own `.`, leave none for the `..` of a folder in it. Where file systems do not count these,
    // there is one.
    if rustix::fs::fstat(&folder).is_ok_and(|found| found.st_nlink == 2) {
        return Ok(false);
    }
    let Ok(entries) = Dir::read_from(&folder) else { return Ok(false) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_folder = match entry.file_type() {
            FileType::Unknown => rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)
                .is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Directory),
            known => known == FileType::Directory,
        };
        let is_in_it = is_folder && !matches!(name.to_bytes(), b"." | b"..");
        if is_in_it && (levels == 0 || has_more_levels(folder.as_fd(), name, levels - 1, cancelled)?) {
            return Ok(true);
        }
    }
    Ok(false)
}
