//! An open folder of the tree.

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::Bound;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cap_std::fs::{Dir, Metadata};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

use super::entries::SmallestNames;
use super::mount::Links;
use super::{Entries, Entry, FileError, FileKind, FileMetadata, Mount, OpenFile};
use crate::auth::{Permission, Principal};
use crate::path::{MAX_PATH_BYTES, TreePath};

/// A folder of the tree as one caller may see it, opened once: everything below it is reached by single names, relative
/// to the handle and without following symbolic links, so that nothing that happens meanwhile leads out of it.
#[derive(Debug)]
pub struct Folder {
    path: TreePath,
    /// `None` for the root of a tree of named mounts only.
    dir: Option<Dir>,
    /// Where the mount that this folder lies in begins.
    top: TreePath,
    /// The mounts that appear in this folder, in place of entries of the same names.
    mounts: Vec<Arc<Mount>>,
    principal: Arc<Principal>,
    /// May the principal know of every entry, here and anywhere?
    shows_all: bool,
    /// Has the handle been read through?
    was_read: AtomicBool,
}

/// How often a long listing looks whether it should stop.
const ENTRIES_BETWEEN_STOPS: usize = 4096;
/// How much of a folder is read at a time: as much as the C library reads.
const READ_BYTES: usize = 32 * 1024;

impl Folder {
    /// A folder on disk.
    pub(super) fn new(path: TreePath, dir: Dir, top: TreePath, mounts: Vec<Arc<Mount>>, principal: Arc<Principal>) -> Self {
        Self { dir: Some(dir), ..Self::without_handle(path, top, mounts, principal) }
    }

    /// The root of a tree that has named mounts only: nothing but their names.
    pub(super) fn of_mounts(mounts: Vec<Arc<Mount>>, principal: Arc<Principal>) -> Self {
        Self::without_handle(TreePath::root(), TreePath::root(), mounts, principal)
    }

    fn without_handle(path: TreePath, top: TreePath, mounts: Vec<Arc<Mount>>, principal: Arc<Principal>) -> Self {
        let shows_all = principal.scopes.covers_tree(Permission::Read);
        Self { path, dir: None, top, mounts, principal, shows_all, was_read: AtomicBool::new(false) }
    }

    /// Where it is in the tree.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        &self.path
    }

    /// The handle, open for reading; `None` for the root of a tree without a root mount.
    #[must_use]
    pub fn dir(&self) -> Option<&Dir> {
        self.dir.as_ref()
    }

    /// Has it so few entries that looking at each of them takes a millisecond or two at most? A folder that was large once
    /// may keep its size.
    #[must_use]
    pub fn is_small(&self) -> bool {
        /// In bytes: some hundred entries, in the ways in which file systems count the size of a folder.
        const SMALL: i64 = 8 * 1024;
        self.dir.as_ref().is_none_or(|dir| rustix::fs::fstat(dir).is_ok_and(|found| found.st_size <= SMALL))
    }

    /// Where the mount that this folder lies in begins.
    pub(super) fn top(&self) -> &TreePath {
        &self.top
    }

    /// The first entries that the caller may see, in the order of the bytes of their names, from a name on: `limit` of them,
    /// or fewer when their names are very long. Holds no more than about twice as many at a time, however many there are.
    /// `stop` is asked now and then whether the answer is still wanted; when not, the answer is cut short.
    ///
    /// # Errors
    /// [`FileError`] when the folder cannot be read.
    pub fn entries(&self, from: Bound<&[u8]>, limit: usize, stop: &dyn Fn() -> bool) -> Result<Entries, FileError> {
        let wanted = |name: &[u8]| match from {
            Bound::Unbounded => true,
            Bound::Included(first) => name >= first,
            Bound::Excluded(last) => name > last,
        };
        let mut found = SmallestNames::new(limit);
        for mount in &self.mounts {
            let name = mount.path().relative().as_bytes();
            if wanted(name) && found.wants(name) && self.shows(name, FileKind::Folder) {
                found.add(Entry { name, kind: FileKind::Folder });
            }
        }
        let Some(dir) = &self.dir else { return Ok(found.finish()) };
        let failed = |error: rustix::io::Errno| FileError::from_io(&self.path, error.into());
        // A handle remembers how far it was read: for another time there is another one.
        let again = if self.was_read.swap(true, Ordering::Relaxed) { Some(open_again(dir).map_err(failed)?) } else { None };
        let mut buffer = [MaybeUninit::uninit(); READ_BYTES];
        let mut entries = RawDir::new(again.as_ref().map_or(dir.as_fd(), AsFd::as_fd), &mut buffer);
        let mut count = 0;
        while let Some(entry) = entries.next() {
            if count % ENTRIES_BETWEEN_STOPS == 0 && stop() {
                break;
            }
            count += 1;
            let entry = match entry {
                Ok(entry) => entry,
                // Somebody has removed the folder: nothing is in it any more.
                Err(rustix::io::Errno::NOENT) => break,
                Err(error) => return Err(failed(error)),
            };
            let name = entry.file_name().to_bytes();
            if !wanted(name) || !found.wants(name) || matches!(name, b"." | b"..") || self.has_mount(name) {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems keep the type elsewhere.
                FileType::Unknown => match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => kind_of(FileType::from_raw_mode(stat.st_mode)),
                    Err(_) => continue,
                },
                known => kind_of(known),
            };
            if self.shows(name, kind) {
                found.add(Entry { name, kind });
            }
        }
        Ok(found.finish())
    }

    /// The path of an entry; `None` when its name is not UTF-8 or the path would be too long to be asked for.
    #[must_use]
    pub fn child(&self, name: &[u8]) -> Option<TreePath> {
        let name = std::str::from_utf8(name).ok()?;
        (self.path.as_str().len() + 1 + name.len() <= MAX_PATH_BYTES).then(|| self.path.join(name))
    }

    /// What is known of an entry without opening it. Of a folder that is only on the way down, no times, as in
    /// [`View::metadata`](super::View::metadata).
    ///
    /// # Errors
    /// [`FileError`], such as [`NotFound`](FileError::NotFound) for an entry that is gone by now.
    pub fn metadata(&self, name: &[u8]) -> Result<FileMetadata, FileError> {
        let stat = match (self.mount(name), &self.dir) {
            (Some(mount), _) => rustix::fs::fstat(self.open_mount(mount)?),
            (None, Some(dir)) => rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW),
            (None, None) => return Err(FileError::NotFound(self.nearest(name))),
        }
        .map_err(|error| FileError::from_io(&self.nearest(name), error.into()))?;
        let kind = kind_of(FileType::from_raw_mode(stat.st_mode));
        let size = if kind == FileKind::File { u64::try_from(stat.st_size).unwrap_or(0) } else { 0 };
        let modified = system_time(stat.st_mtime, stat.st_mtime_nsec);
        let found = FileMetadata { kind, size, modified, created: None, version: None };
        Ok(if self.may_read(name) { found } else { found.without_times() })
    }

    /// Opens a folder in this one.
    ///
    /// # Errors
    /// [`FileError`]; [`LinkRefused`](FileError::LinkRefused) for a symbolic link.
    pub fn open_folder(&self, name: &[u8]) -> Result<Self, FileError> {
        let path = self.nearest(name);
        if !self.principal.scopes.sees(&path) {
            return Err(FileError::Forbidden(path));
        }
        let principal = Arc::clone(&self.principal);
        if let Some(mount) = self.mount(name) {
            return Ok(Self::new(path.clone(), self.open_mount(mount)?, path, Vec::new(), principal));
        }
        let handle = self.open_at(name, OFlags::DIRECTORY, &path)?;
        Ok(Self::new(path, Dir::from_std_file(handle.into()), self.top.clone(), Vec::new(), principal))
    }

    /// Opens a regular file in this folder for reading. Never waits for a pipe or a device.
    ///
    /// # Errors
    /// [`FileError`]; [`LinkRefused`](FileError::LinkRefused) for a symbolic link.
    pub fn open_file(&self, name: &[u8]) -> Result<OpenFile, FileError> {
        let path = self.nearest(name);
        if !self.principal.scopes.allows(Permission::Read, &path) {
            return Err(FileError::Forbidden(path));
        }
        let file = File::from(self.open_at(name, OFlags::empty(), &path)?);
        let metadata = Metadata::from_file(&file).map_err(|error| FileError::from_io(&path, error))?;
        if metadata.is_file() {
            Ok(OpenFile { path, file, metadata })
        } else if metadata.is_dir() {
            Err(FileError::IsAFolder(path))
        } else {
            Err(FileError::NotRegular(path))
        }
    }

    /// Is there an entry of this name, of whatever kind, on disk?
    pub(super) fn holds(&self, name: &str) -> bool {
        self.dir.as_ref().is_some_and(|dir| rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }

    /// Opens a regular file that is read for the server's own use, whether the caller may see it or not. The names lead
    /// down from this folder.
    pub(super) fn open_unchecked(&self, names: &[&str]) -> Option<File> {
        let (last, folders) = names.split_last()?;
        let mut dir: Option<Dir> = None;
        for name in folders {
            let handle = open_nofollow(dir.as_ref().or(self.dir.as_ref())?, name.as_bytes(), OFlags::DIRECTORY).ok()?;
            dir = Some(Dir::from_std_file(handle.into()));
        }
        let file = File::from(open_nofollow(dir.as_ref().or(self.dir.as_ref())?, last.as_bytes(), OFlags::empty()).ok()?);
        file.metadata().is_ok_and(|metadata| metadata.is_file()).then_some(file)
    }

    /// May the caller know of every entry?
    pub(super) fn shows_all(&self) -> bool {
        self.shows_all
    }

    /// May the caller know of this entry?
    fn shows(&self, name: &[u8], kind: FileKind) -> bool {
        self.may_read(name) || (kind == FileKind::Folder && self.principal.scopes.sees(&self.nearest(name)))
    }

    fn may_read(&self, name: &[u8]) -> bool {
        self.shows_all || self.principal.scopes.allows(Permission::Read, &self.nearest(name))
    }

    /// The path of an entry, with marks in place of what is not UTF-8: for errors, and for scopes, which such a name is
    /// covered by only as a part of a covered folder.
    fn nearest(&self, name: &[u8]) -> TreePath {
        self.path.join(&String::from_utf8_lossy(name))
    }

    /// Does a mount appear here under this name?
    pub(super) fn has_mount(&self, name: &[u8]) -> bool {
        self.mount(name).is_some()
    }

    fn mount(&self, name: &[u8]) -> Option<&Mount> {
        self.mounts.iter().map(Arc::as_ref).find(|mount| mount.path().relative().as_bytes() == name)
    }

    fn open_mount(&self, mount: &Mount) -> Result<Dir, FileError> {
        mount.open_folder(mount.path(), Links::Refuse)
    }

    fn open_at(&self, name: &[u8], flags: OFlags, path: &TreePath) -> Result<OwnedFd, FileError> {
        let dir = self.dir.as_ref().ok_or_else(|| FileError::NotFound(path.clone()))?;
        open_nofollow(dir, name, flags).map_err(|error| match FileError::from_io(path, error) {
            // With O_DIRECTORY, Linux says "not a directory" of a link.
            FileError::NotAFolder(path) if self.metadata(name).is_ok_and(|found| found.kind == FileKind::Symlink) => {
                FileError::LinkRefused(path)
            }
            other => other,
        })
    }
}

/// Opens a folder that is open already, so that it can be read from its beginning.
fn open_again(dir: &Dir) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Opens an entry of a folder; `name` is a single name.
fn open_nofollow(dir: &Dir, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    debug_assert!(!name.contains(&b'/'));
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

fn kind_of(file_type: FileType) -> FileKind {
    match file_type {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Folder,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    }
}

fn system_time(seconds: i64, nanoseconds: impl TryInto<u32>) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base?.checked_add(Duration::from_nanos(nanoseconds.try_into().ok()?.into()))
}
