//! The served tree: mounts, put together under one root.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::touched::Observers;
use super::{Mount, MountSpec, Touched};
use crate::path::TreePath;

/// Everything that is served. A mount at the root and named mounts may stand together: a named mount then shadows an
/// entry of its name. Without a mount at the root, the root is a folder of the names. Files are reached through a
/// [`View`](super::View) only.
#[derive(Debug)]
pub struct Tree {
    root: Option<Arc<Mount>>,
    named: BTreeMap<String, Arc<Mount>>,
    observers: Observers,
}

/// Why a tree cannot be put together, or is no longer whole. For the operator: it names folders of the machine.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// There is nothing to serve.
    #[error("nothing is mounted; name a folder to serve")]
    Empty,
    /// The folder is not there.
    #[error("the folder {} does not exist", .0.display())]
    Missing(PathBuf),
    /// Something else than a folder is there.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The operating system does not let the server in.
    #[error("the folder {} cannot be read (permission denied); the server runs as uid {uid}", directory.display())]
    Unreadable {
        /// Which folder.
        directory: PathBuf,
        /// As whom the server runs.
        uid: u32,
    },
    /// The operating system failed.
    #[error("the folder {} cannot be used: {source}", directory.display())]
    Unusable {
        /// Which folder.
        directory: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Two mounts at one place.
    #[error("two folders are mounted at {0}; give each mount a name of its own")]
    Duplicate(TreePath),
    /// The name cannot be a name in the tree.
    #[error("{0:?} cannot be the name of a mount: it must be one plain name, such as \"docs\"")]
    BadName(String),
    /// A mount that was there at the start is not any more. Names the place in the tree only: readiness is public.
    #[error("the mount {path} cannot be reached: {source}")]
    Lost {
        /// Where it appears in the tree.
        path: TreePath,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Tree {
    /// Opens every mount.
    ///
    /// # Errors
    /// [`TreeError`] names the mount that cannot be opened and why.
    pub fn open(specs: Vec<MountSpec>) -> Result<Self, TreeError> {
        let mut tree = Self { root: None, named: BTreeMap::new(), observers: Observers::default() };
        for spec in specs {
            let mount = Arc::new(Mount::open(spec)?);
            let previous = match mount.path().file_name() {
                None => tree.root.replace(Arc::clone(&mount)),
                Some(name) => tree.named.insert(name.to_owned(), Arc::clone(&mount)),
            };
            if previous.is_some() {
                return Err(TreeError::Duplicate(mount.path().clone()));
            }
        }
        if tree.mounts().next().is_none() {
            return Err(TreeError::Empty);
        }
        Ok(tree)
    }

    /// All mounts: the one at the root first, then by name.
    pub fn mounts(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.root.iter().chain(self.named.values())
    }

    /// The mount in which a file of the machine lies, if it lies in one: callers can then read it, and where the mount is
    /// writable replace it.
    #[must_use]
    pub fn mount_with(&self, file: &Path) -> Option<&Arc<Mount>> {
        // By the way it is written and by where that leads: a link on the way can be replaced as well as the file.
        let places = |path: &Path| [std::path::absolute(path), path.canonicalize()].into_iter().flatten();
        let holds = |mount: &Mount| places(mount.directory()).any(|top| places(file).any(|place| place.starts_with(&top)));
        self.mounts().filter(|mount| holds(mount)).max_by_key(|mount| mount.is_writable())
    }

    /// Is every mount still there? Blocks while a network volume does not answer.
    ///
    /// # Errors
    /// [`TreeError::Lost`] names the first that is not.
    pub fn check(&self) -> Result<(), TreeError> {
        self.mounts().try_for_each(|mount| mount.check().map_err(|source| TreeError::Lost { path: mount.path().clone(), source }))
    }

    /// From now on tells `observer` of every change that is made through a [`View`](super::View), on the thread that made
    /// it and after it is done. The observer must be quick.
    pub fn observe(&self, observer: impl Fn(&[Touched]) + Send + Sync + 'static) {
        self.observers.add(Box::new(observer));
    }

    /// Tells the observers that the entry at `path` was made, changed or removed, and with it what its folder lists.
    pub(super) fn announce(&self, path: &TreePath, below: bool) {
        let entry = Touched { path: path.clone(), below };
        let folder = path.parent().map(|path| Touched { path, below: false });
        self.observers.tell(&[entry].into_iter().chain(folder).collect::<Vec<_>>());
    }

    /// The mount that holds `path`; `None` for the root of a tree of names, and for what lies in no mount.
    pub(super) fn mount_of(&self, path: &TreePath) -> Option<&Arc<Mount>> {
        path.components().next().and_then(|name| self.named.get(name)).or(self.root.as_ref())
    }

    /// The mounts that appear as entries of the root.
    pub(super) fn named(&self) -> Vec<Arc<Mount>> {
        self.named.values().cloned().collect()
    }
}
