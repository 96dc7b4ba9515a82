//! One served folder, and the only way into it: relative to a handle opened at start-up, never by a path of the machine.

use std::io;
use std::path::{Path, PathBuf};

use cap_fs_ext::{DirExt, FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{Access, AtFlags, OFlags};

use super::{FileError, TreeError};
use crate::path::TreePath;

/// What to mount where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountSpec {
    /// The name under the root; `None` for the root itself.
    pub name: Option<String>,
    /// The folder on this machine.
    pub directory: PathBuf,
    /// May callers with the right scopes change what is in it?
    pub writable: bool,
}

/// A folder of this machine, mounted in the tree.
#[derive(Debug)]
pub struct Mount {
    path: TreePath,
    directory: PathBuf,
    writable: bool,
    remote: bool,
    /// Did the operating system let the server write in it at the start?
    server_writes: bool,
    root: Dir,
}

/// Are symbolic links followed on the way to a file?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Those that are relative and stay inside the mount.
    Follow,
    /// None, wherever they lead.
    Refuse,
}

/// What is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Whatever can be read; opening a pipe or a device does not wait.
    File,
    /// A folder, so that it can be listed and synchronised.
    Folder,
}

impl Mount {
    pub(super) fn open(spec: MountSpec) -> Result<Self, TreeError> {
        let path = match &spec.name {
            None => TreePath::root(),
            Some(name) => mount_point(name)?,
        };
        let directory = spec.directory;
        let root = match open_root(&directory) {
            Ok(root) => root,
            Err(error) => {
                return Err(match error.kind() {
                    io::ErrorKind::NotFound => TreeError::Missing(directory),
                    io::ErrorKind::NotADirectory => TreeError::NotAFolder(directory),
                    io::ErrorKind::PermissionDenied => {
                        TreeError::Unreadable { directory, uid: rustix::process::geteuid().as_raw() }
                    }
                    _ => TreeError::Unusable { directory, source: error },
                });
            }
        };
        let (server_writes, remote) = (may_write(&root), lies_elsewhere(&root));
        Ok(Self { path, directory, writable: spec.writable, server_writes, remote, root })
    }

    /// Where it appears in the tree.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        &self.path
    }

    /// The folder on this machine: for the operator's eyes, never for a caller's.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// May callers with the right scopes change what is in it?
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// Did the operating system let the server write in it at the start, whatever callers may?
    #[must_use]
    pub fn server_may_write(&self) -> bool {
        self.server_writes
    }

    /// Is the folder that was opened at start-up still the one that lies there, and can it be used as it could be then?
    pub(super) fn check(&self) -> io::Result<()> {
        let opened = self.root.dir_metadata()?;
        let there = open_root(&self.directory)?;
        let found = there.dir_metadata()?;
        if (opened.dev(), opened.ino()) != (found.dev(), found.ino()) {
            return Err(io::Error::other("another folder has taken its place; restart the server"));
        }
        if self.writable && self.server_writes && !may_write(&there) {
            return Err(io::Error::other("the server may not write in it any more"));
        }
        Ok(())
    }

    /// Does the folder that was opened at start-up have no place on disk any more? Then it looks empty, and is not.
    pub(super) fn is_gone(&self) -> bool {
        self.root.dir_metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    /// Does the operating system let the server put something else in place of the entry at `path`?
    pub(super) fn lets_replace(&self, path: &TreePath, links: Links) -> bool {
        path.parent().is_some_and(|parent| self.open_folder(&parent, links).is_ok_and(|folder| may_write(&folder)))
    }

    /// Opens the folder at `path`, which must lie in this mount.
    pub(super) fn open_folder(&self, path: &TreePath, links: Links) -> Result<Dir, FileError> {
        self.open_at(path, Want::Folder, links).map(|file| Dir::from_std_file(file.into_std()))
    }

    /// Opens the folder at `path`, whose parent is open already: one step, however deep it lies.
    pub(super) fn open_folder_in(&self, parent: &Dir, path: &TreePath, links: Links) -> Result<Dir, FileError> {
        let name = path.file_name().unwrap_or_default();
        match open_entry(parent, name, Want::Folder, FollowSymlinks::No) {
            Ok(file) => Ok(Dir::from_std_file(file.into_std())),
            // Where a link leads is found from the top of the mount, which it must not leave.
            Err(_) if links == Links::Follow && parent.symlink_metadata(name).is_ok_and(|found| found.is_symlink()) => {
                self.open_folder(path, links)
            }
            Err(error) => Err(FileError::from_io(path, error)),
        }
    }

    /// Opens what is at `path`, which must lie in this mount.
    pub(super) fn open_at(&self, path: &TreePath, want: Want, links: Links) -> Result<File, FileError> {
        let relative = self.relative(path);
        match links {
            _ if relative.is_empty() => open_entry(&self.root, ".", want, FollowSymlinks::Yes),
            Links::Follow => open_entry(&self.root, relative, want, FollowSymlinks::Yes),
            Links::Refuse => return self.walk(path, want),
        }
        .map_err(|error| match FileError::from_io(path, error) {
            FileError::NotAFolder(_) => self.first_not_a_folder(path),
            FileError::NotFound(_) if self.is_gone() => FileError::MountGone(self.path.clone()),
            other => other,
        })
    }

    /// What lies at `path`, for comparing it with what lay there before.
    pub(super) fn metadata(&self, path: &TreePath, links: Links) -> Result<Metadata, FileError> {
        let failed = |error| FileError::from_io(path, error);
        let (Some(parent), Some(name)) = (path.parent().filter(|_| path != &self.path), path.file_name()) else {
            return self.root.dir_metadata().map_err(failed);
        };
        if links == Links::Follow {
            return self.followed_metadata(path).map_err(failed);
        }
        let metadata = self.open_folder(&parent, links)?.symlink_metadata(name).map_err(failed)?;
        if metadata.is_symlink() { Err(FileError::LinkRefused(path.clone())) } else { Ok(metadata) }
    }

    /// Can another machine change what is in it without this one's kernel noticing, and does reading it take a network?
    pub(super) fn is_remote(&self) -> bool {
        self.remote
    }

    /// What lies at `path`, or where a link there leads within the mount.
    pub(super) fn followed_metadata(&self, path: &TreePath) -> io::Result<Metadata> {
        self.root.metadata(self.relative(path))
    }

    /// One component at a time, each opened without following a link, so that no exchange between check and use helps.
    fn walk(&self, path: &TreePath, want: Want) -> Result<File, FileError> {
        let names: Vec<&str> = self.relative(path).split('/').collect();
        let mut at = self.path.clone();
        let mut dir: Option<Dir> = None;
        for (index, name) in names.iter().enumerate() {
            let parent = dir.as_ref().unwrap_or(&self.root);
            at = at.join(name);
            let refuse = |error| match parent.symlink_metadata(name) {
                Ok(metadata) if metadata.is_symlink() => FileError::LinkRefused(at.clone()),
                _ => FileError::from_io(&at, error),
            };
            if index + 1 == names.len() {
                return open_entry(parent, name, want, FollowSymlinks::No).map_err(refuse);
            }
            dir = Some(parent.open_dir_nofollow(name).map_err(refuse)?);
        }
        Err(FileError::NotFound(path.clone()))
    }

    /// The path of the mount without the mount's own part.
    fn relative<'a>(&self, path: &'a TreePath) -> &'a str {
        debug_assert!(path.is_within(&self.path));
        let below = if self.path.is_root() { path.relative() } else { &path.as_str()[self.path.as_str().len()..] };
        below.trim_start_matches('/')
    }

    /// The system says "not a directory" of a whole path: find the part that is none. For the text of an error only.
    fn first_not_a_folder(&self, path: &TreePath) -> FileError {
        let mut at = self.path.clone();
        for name in self.relative(path).split('/') {
            at = at.join(name);
            if self.root.metadata(self.relative(&at)).is_ok_and(|metadata| !metadata.is_dir()) {
                break;
            }
        }
        FileError::NotAFolder(at)
    }
}

/// Opens an entry relative to a folder. Never waits (a pipe without a writer), never becomes a controlling terminal.
pub(super) fn open_entry(dir: &Dir, name: &str, want: Want, follow: FollowSymlinks) -> io::Result<File> {
    let mut flags = OFlags::NOCTTY;
    if want == Want::Folder {
        flags |= OFlags::DIRECTORY;
    }
    let mut options = OpenOptions::new();
    options.read(true).nonblock(true).follow(follow).custom_flags(flags.bits().cast_signed());
    dir.open_with(name, &options)
}

/// Is it on a file system that other machines serve?
fn lies_elsewhere(root: &Dir) -> bool {
    // NFS, SMB, CIFS, SMB2, 9P, Ceph, AFS, Lustre, FUSE, VirtualBox: from linux/magic.h and statfs(2).
    const REMOTE: [u32; 10] =
        [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x00C3_6400, 0x5346_414F, 0x0BD0_0BD0, 0x6573_5546, 0x786F_4256];
    rustix::fs::fstatfs(root).is_ok_and(|found| REMOTE.contains(&(found.f_type as u32)))
}

/// Opens a folder of this machine that the server can list and look into: a handle alone can be had without that right.
fn open_root(directory: &Path) -> io::Result<Dir> {
    let root = Dir::open_ambient_dir(directory, cap_std::ambient_authority())?;
    open_entry(&root, ".", Want::Folder, FollowSymlinks::Yes)?;
    rustix::fs::accessat(&root, ".", Access::READ_OK | Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(root)
}

/// Does the operating system let the server make and replace entries in this folder?
fn may_write(folder: &Dir) -> bool {
    rustix::fs::accessat(folder, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
}

fn mount_point(name: &str) -> Result<TreePath, TreeError> {
    let bad = || TreeError::BadName(name.to_owned());
    let path = TreePath::parse(name).map_err(|_| bad())?;
    // A name that the path's normal form changes could never be asked for.
    if path.relative() != name || name.contains('/') || name.is_empty() || name.chars().any(char::is_control) {
        return Err(bad());
    }
    Ok(path)
}
