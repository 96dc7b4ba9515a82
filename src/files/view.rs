//! One caller's view of the tree: the only way to files, and the place where scopes, mounts and links are checked.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use cap_fs_ext::FollowSymlinks;
use cap_std::fs::{Dir, Metadata};

use super::depth::MAX_NEW_DEPTH;
use super::mount::{Links, Want, open_entry};
use super::{FileError, Folder, Mount, Tree, Version};
use crate::auth::{Permission, Principal, ScopeSet};
use crate::path::TreePath;

/// The tree as one caller may see and change it.
///
/// Symbolic links are followed where they are relative, stay inside their mount, and the caller's permission covers the
/// whole tree. For a caller narrowed to a part of the tree no link is followed anywhere on a path: it could lead from a
/// granted folder into another.
#[derive(Clone, Debug)]
pub struct View {
    tree: Arc<Tree>,
    principal: Arc<Principal>,
}

/// A regular file, open for reading.
#[derive(Debug)]
pub struct OpenFile {
    /// Where it is in the tree.
    pub path: TreePath,
    /// The handle.
    pub file: std::fs::File,
    /// What the handle said of itself when it was opened.
    pub metadata: Metadata,
}

/// An open folder and the name of one entry in it, which may or may not be there: what an operation that makes, replaces
/// or removes the entry works on. The entry may be a symbolic link; operations on it must not follow it.
#[derive(Debug)]
pub struct Parent {
    /// The folder, open for reading, so that it can be synchronised.
    pub dir: Dir,
    /// The entry's name in the folder.
    pub name: String,
    /// The entry's path in the tree.
    pub path: TreePath,
}

/// What kind of thing lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A device, a pipe or a socket.
    Other,
}

/// What is known of a path without reading content.
#[derive(Clone, Debug)]
pub struct FileMetadata {
    /// What it is.
    pub kind: FileKind,
    /// In bytes, of a file; zero for everything else.
    pub size: u64,
    /// When the content last changed, where the file system knows.
    pub modified: Option<SystemTime>,
    /// When it was made, where the file system knows.
    pub created: Option<SystemTime>,
    /// Of a file.
    pub version: Option<Version>,
}

impl View {
    /// The view that `principal` has of `tree`.
    #[must_use]
    pub fn new(tree: Arc<Tree>, principal: Arc<Principal>) -> Self {
        Self { tree, principal }
    }

    /// May the caller know that this path is there? Entries of a folder are shown only when this is true.
    #[must_use]
    pub fn sees(&self, path: &TreePath) -> bool {
        self.principal.scopes.sees(path)
    }

    /// May the caller do this to this path, as far as its scopes say?
    #[must_use]
    pub fn allows(&self, permission: Permission, path: &TreePath) -> bool {
        self.principal.scopes.allows(permission, path)
    }

    /// May the caller do this to this folder and everything below it, as far as its scopes say?
    #[must_use]
    pub fn allows_all_below(&self, permission: Permission, folder: &TreePath) -> bool {
        self.principal.scopes.covers_all_below(permission, folder)
    }

    /// Could the caller write here: do its scopes, the mount and the operating system allow it?
    #[must_use]
    pub fn is_writable(&self, path: &TreePath) -> bool {
        let lets_replace = |mount: &Arc<Mount>| mount.lets_replace(path, self.links(Permission::Write));
        self.allows(Permission::Write, path) && self.changeable(path).is_ok_and(lets_replace)
    }

    /// Fails when what lies at `path` was removed from this machine under the server's hands: its mount then looks like an
    /// empty folder. To be asked before something empty is shown.
    ///
    /// # Errors
    /// [`FileError::MountGone`].
    pub fn must_be_there(&self, path: &TreePath) -> Result<(), FileError> {
        match self.tree.mount_of(path) {
            Some(mount) if mount.is_gone() => Err(FileError::MountGone(mount.path().clone())),
            Some(_) | None => Ok(()),
        }
    }

    /// Does the path lie on a file system of this machine, so that a look at it waits for no network?
    #[must_use]
    pub fn is_local(&self, path: &TreePath) -> bool {
        self.tree.mount_of(path).is_none_or(|mount| !mount.is_remote())
    }

    /// Whose view it is (see [`Principal::owner`]).
    pub(super) fn owner(&self) -> String {
        self.principal.owner()
    }

    /// What the caller may do.
    pub(super) fn scopes(&self) -> &ScopeSet {
        &self.principal.scopes
    }

    /// Does this caller's reading follow symbolic links that stay inside their mount?
    #[must_use]
    pub fn follows_links(&self) -> bool {
        self.links(Permission::Read) == Links::Follow
    }

    /// Opens a folder. Also one that is only on the way down to what the caller may read: its entries are then to be
    /// shown as far as [`sees`](Self::sees) says.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open_folder(&self, path: &TreePath) -> Result<Folder, FileError> {
        if !self.sees(path) {
            return Err(FileError::Forbidden(path.clone()));
        }
        let mounts = if path.is_root() { self.tree.named() } else { Vec::new() };
        match self.tree.mount_of(path) {
            Some(mount) => {
                let dir = mount.open_folder(path, self.links(Permission::Read))?;
                Ok(Folder::new(path.clone(), dir, mount.path().clone(), mounts, Arc::clone(&self.principal)))
            }
            None if path.is_root() => Ok(Folder::of_mounts(mounts, Arc::clone(&self.principal))),
            None => Err(FileError::NotFound(path.clone())),
        }
    }

    /// Opens a regular file for reading. Devices, pipes and sockets are refused without waiting for them.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn open_file(&self, path: &TreePath) -> Result<OpenFile, FileError> {
        self.check(Permission::Read, path)?;
        let mount = match self.tree.mount_of(path) {
            Some(mount) => mount,
            None if path.is_root() => return Err(FileError::IsAFolder(path.clone())),
            None => return Err(FileError::NotFound(path.clone())),
        };
        let file = mount.open_at(path, Want::File, self.links(Permission::Read))?.into_std();
        let metadata = Metadata::from_file(&file).map_err(|error| FileError::from_io(path, error))?;
        match kind_of(&metadata) {
            FileKind::File => Ok(OpenFile { path: path.clone(), file, metadata }),
            FileKind::Folder => Err(FileError::IsAFolder(path.clone())),
            FileKind::Symlink | FileKind::Other => Err(FileError::NotRegular(path.clone())),
        }
    }

    /// Opens the folder that holds `path`, for an operation on the entry itself: to change it with `Write` or `Delete`,
    /// which a read-only mount refuses. The root and the mounts themselves cannot be operated on.
    ///
    /// # Errors
    /// [`FileError`]; [`NotFound`](FileError::NotFound) names the parent when that is missing.
    pub fn open_parent(&self, path: &TreePath, permission: Permission) -> Result<Parent, FileError> {
        self.check(permission, path)?;
        let mount = match permission {
            Permission::Read => self.inside_a_mount(path)?,
            Permission::Write | Permission::Delete => self.changeable(path)?,
        };
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(FileError::IsAFolder(path.clone()));
        };
        let dir = mount.open_folder(&parent, self.links(permission))?;
        Ok(Parent { dir, name: name.to_owned(), path: path.clone() })
    }

    /// Makes the folders that are missing above `path`, each of which the caller must be allowed to write. Not at any
    /// depth: what lies deeper than walks and removals go could then be neither found nor deleted, and one call would
    /// make thousands of folders.
    ///
    /// # Errors
    /// [`FileError`]; nothing was made then, except for folders above the one that it names.
    pub fn create_parents(&self, path: &TreePath) -> Result<(), FileError> {
        self.check(Permission::Write, path)?;
        let mount = self.changeable(path)?;
        let mut missing = Vec::new();
        let mut above = path.parent();
        let mut dir = loop {
            let Some(folder) = above else { return Err(FileError::NotFound(path.clone())) };
            match mount.open_folder(&folder, self.links(Permission::Write)) {
                Ok(dir) => break dir,
                Err(FileError::NotFound(_)) => above = folder.parent(),
                Err(error) => return Err(error),
            }
            missing.push(folder);
        };
        if !missing.is_empty() && path.components().count() > MAX_NEW_DEPTH {
            let problem = "it lies too deep for folders to be made above it; use a path of at most 100 names";
            return Err(FileError::Unsuitable { path: path.clone(), problem });
        }
        for folder in missing.iter().rev() {
            self.check(Permission::Write, folder)?;
            dir = create_folder(&dir, folder)?;
            self.announce(folder, false);
        }
        Ok(())
    }

    /// What lies at `path` itself: a symbolic link is reported as one. Gives a file's version, for which it waits a
    /// moment when the file has changed just now. Of a folder that is only on the way down to what the caller may read,
    /// no times: they tell when somebody makes or removes something in it.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn metadata(&self, path: &TreePath) -> Result<FileMetadata, FileError> {
        if !self.sees(path) {
            return Err(FileError::Forbidden(path.clone()));
        }
        let found = match self.inside_a_mount(path) {
            Ok(mount) => self.metadata_of_entry(mount, path)?,
            Err(FileError::IsAFolder(_)) => self.metadata_of_top(path)?,
            Err(error) => return Err(error),
        };
        match self.check(Permission::Read, path) {
            Ok(()) => Ok(found),
            Err(_) if found.kind == FileKind::Folder => Ok(found.without_times()),
            Err(error) => Err(error),
        }
    }

    /// What a symbolic link at `path` leads to, as [`metadata`](Self::metadata) tells it.
    ///
    /// # Errors
    /// [`FileError`]; [`LinkRefused`](FileError::LinkRefused) when the link cannot be followed for this caller.
    pub fn metadata_of_target(&self, path: &TreePath) -> Result<FileMetadata, FileError> {
        self.check(Permission::Read, path)?;
        let mount = self.inside_a_mount(path)?;
        match self.links(Permission::Read) {
            Links::Refuse => Err(FileError::LinkRefused(path.clone())),
            Links::Follow => self.describe(path, || mount.followed_metadata(path)),
        }
    }

    fn metadata_of_entry(&self, mount: &Mount, path: &TreePath) -> Result<FileMetadata, FileError> {
        let parent = path.parent().unwrap_or_else(TreePath::root);
        let dir = mount.open_folder(&parent, self.links(Permission::Read))?;
        let name = path.file_name().unwrap_or_default();
        self.describe(path, || dir.symlink_metadata(name))
    }

    /// The root and the mounts, which are entries of no folder on disk.
    fn metadata_of_top(&self, path: &TreePath) -> Result<FileMetadata, FileError> {
        match self.open_folder(path)?.dir() {
            Some(dir) => self.describe(path, || dir.dir_metadata()),
            None => Ok(FileMetadata { kind: FileKind::Folder, size: 0, modified: None, created: None, version: None }),
        }
    }

    fn describe(&self, path: &TreePath, mut read: impl FnMut() -> io::Result<Metadata>) -> Result<FileMetadata, FileError> {
        let failed = |error| FileError::from_io(path, error);
        let metadata = read().map_err(failed)?;
        if !metadata.is_file() {
            return Ok(FileMetadata::new(&metadata, None));
        }
        let (version, metadata) = Version::settled(read).map_err(failed)?;
        Ok(FileMetadata::new(&metadata, Some(version)))
    }

    /// Tells all who listen that the entry at `path` was made, changed or removed; `below`: and everything in it. Every
    /// operation that changes something calls this once it is done.
    pub(super) fn announce(&self, path: &TreePath, below: bool) {
        self.tree.announce(path, below);
    }

    fn check(&self, permission: Permission, path: &TreePath) -> Result<(), FileError> {
        if self.allows(permission, path) { Ok(()) } else { Err(FileError::Forbidden(path.clone())) }
    }

    fn links(&self, permission: Permission) -> Links {
        if self.principal.scopes.covers_tree(permission) { Links::Follow } else { Links::Refuse }
    }

    /// The mount that `path` is an entry of.
    fn inside_a_mount(&self, path: &TreePath) -> Result<&Arc<Mount>, FileError> {
        match self.tree.mount_of(path) {
            Some(mount) if mount.path() == path => Err(FileError::IsAFolder(path.clone())),
            Some(mount) => Ok(mount),
            None if path.is_root() => Err(FileError::IsAFolder(path.clone())),
            None => Err(FileError::NotFound(path.clone())),
        }
    }

    /// The mount that `path` is an entry of, if it lets its entries be changed.
    fn changeable(&self, path: &TreePath) -> Result<&Arc<Mount>, FileError> {
        let read_only = |reason| Err(FileError::ReadOnly { path: path.clone(), reason });
        match self.tree.mount_of(path) {
            Some(mount) if mount.path() == path => read_only("it is the top of a mount"),
            Some(mount) if !mount.is_writable() => read_only("its mount is read-only"),
            Some(mount) if mount.is_gone() => Err(FileError::MountGone(mount.path().clone())),
            Some(mount) => Ok(mount),
            None => read_only("it lies in no mount; the folders in / are the mounts"),
        }
    }
}

impl FileMetadata {
    pub(super) fn without_times(self) -> Self {
        Self { modified: None, created: None, ..self }
    }

    fn new(metadata: &Metadata, version: Option<Version>) -> Self {
        let kind = kind_of(metadata);
        Self {
            kind,
            size: if kind == FileKind::File { metadata.len() } else { 0 },
            modified: metadata.modified().ok().map(cap_std::time::SystemTime::into_std),
            created: metadata.created().ok().map(cap_std::time::SystemTime::into_std),
            version,
        }
    }
}

fn kind_of(metadata: &Metadata) -> FileKind {
    let file_type = metadata.file_type();
    if file_type.is_file() {
        FileKind::File
    } else if file_type.is_dir() {
        FileKind::Folder
    } else if file_type.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

/// Makes the folder that `path` names in `parent`, or finds that another call has just made it, and opens it.
fn create_folder(parent: &Dir, path: &TreePath) -> Result<Dir, FileError> {
    let failed = |error| FileError::from_io(path, error);
    let name = path.file_name().unwrap_or_default();
    match parent.create_dir(name) {
        Ok(()) => rustix::fs::fsync(parent).map_err(|error| failed(error.into()))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    open_entry(parent, name, Want::Folder, FollowSymlinks::No).map(|file| Dir::from_std_file(file.into_std())).map_err(failed)
}
