//! An open folder of the tree.

use std::sync::Arc;

use cap_std::fs::Dir;

use super::Mount;
use crate::path::TreePath;

/// A folder of the tree, opened once: a handle on it, and the mounts that appear in it as folders of their own. What the
/// caller may see of its entries is for [`View::sees`](super::View::sees) to say.
#[derive(Debug)]
pub struct Folder {
    path: TreePath,
    dir: Option<Dir>,
    mounts: Vec<Arc<Mount>>,
}

impl Folder {
    /// A folder on disk, with the mounts that shadow its entries of the same names.
    pub(super) fn new(path: TreePath, dir: Dir, mounts: Vec<Arc<Mount>>) -> Self {
        Self { path, dir: Some(dir), mounts }
    }

    /// The root of a tree that has named mounts only: nothing but their names.
    pub(super) fn of_mounts(mounts: Vec<Arc<Mount>>) -> Self {
        Self { path: TreePath::root(), dir: None, mounts }
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

    /// The mounts that appear in this folder, sorted by name.
    #[must_use]
    pub fn mounts(&self) -> &[Arc<Mount>] {
        &self.mounts
    }
}
