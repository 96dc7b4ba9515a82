//! A folder of real files, served by one or more replicas, and programs beside them.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use pressmark::auth::{Principal, ScopeSet};
use pressmark::files::{Change, Changes, MountSpec, Subscription, Tree, Version, View};
use pressmark::path::TreePath;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Longer than anything is delayed on purpose.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Long enough for everything that is still under way to arrive.
pub(crate) const QUIET: Duration = Duration::from_millis(700);

/// A temporary folder with `served` in it, and `outside` beside it.
pub(crate) struct World(TempDir);

/// A replica that serves the folder.
pub(crate) struct Replica {
    pub(crate) tree: Arc<Tree>,
    pub(crate) changes: Changes,
}

impl World {
    pub(crate) fn new() -> Self {
        let temp = TempDir::new().unwrap();
        fs::create_dir(temp.path().join("served")).unwrap();
        fs::create_dir(temp.path().join("outside")).unwrap();
        Self(temp)
    }

    pub(crate) fn served(&self, path: &str) -> PathBuf {
        self.0.path().join("served").join(path.trim_start_matches('/'))
    }

    pub(crate) fn outside(&self, path: &str) -> PathBuf {
        self.0.path().join("outside").join(path)
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.served(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Another program does something in the served folder.
    pub(crate) fn shell(&self, command: &str) {
        let status = Command::new("sh").arg("-ec").arg(command).current_dir(self.served("")).status().unwrap();
        assert!(status.success(), "{command}");
    }

    pub(crate) fn replica(&self) -> Replica {
        let root = MountSpec { name: None, directory: self.served(""), writable: true };
        let tree = Arc::new(Tree::open(vec![root]).unwrap());
        Replica { changes: Changes::start(&tree), tree }
    }
}

impl Replica {
    pub(crate) fn view(&self, scopes: &[&str]) -> View {
        let scopes = ScopeSet::parse(scopes.iter().copied());
        let caller = Principal::new("test", "alice", scopes);
        View::new(Arc::clone(&self.tree), Arc::new(caller))
    }

    /// Another caller, who may do everything.
    pub(crate) fn other(&self) -> View {
        View::new(Arc::clone(&self.tree), Arc::new(Principal::new("test", "mallory", ScopeSet::full())))
    }

    pub(crate) fn full(&self) -> View {
        self.view(&["files"])
    }

    pub(crate) async fn subscribe(&self, at: &str) -> Subscription {
        self.changes.subscribe(&self.full(), &path(at)).await.unwrap()
    }

    /// The version that the tools give a file.
    pub(crate) fn version(&self, at: &str) -> Option<Version> {
        self.full().metadata(&path(at)).unwrap().version
    }
}

pub(crate) fn path(text: &str) -> TreePath {
    TreePath::parse(text).unwrap()
}

/// The next change, which must come soon.
pub(crate) async fn next(subscription: &mut Subscription) -> Change {
    let path = subscription.path().clone();
    timeout(SOON, subscription.changed()).await.unwrap_or_else(|_| panic!("nothing was announced for {path}"))
}

/// Every change until none has come for a while.
pub(crate) async fn all(subscription: &mut Subscription) -> Vec<Change> {
    let mut changes = Vec::new();
    let deadline = Instant::now() + SOON;
    while let Ok(change) = timeout(QUIET, subscription.changed()).await {
        changes.push(change);
        assert!(Instant::now() < deadline, "it does not come to rest: {changes:?}");
    }
    changes
}

/// The one change that comes, and no other after it.
pub(crate) async fn only(subscription: &mut Subscription) -> Option<Version> {
    let changes = all(subscription).await;
    assert_eq!(changes.len(), 1, "{}: {changes:?}", subscription.path());
    changes.into_iter().next().unwrap().version
}

pub(crate) async fn nothing(subscription: &mut Subscription) {
    assert_eq!(all(subscription).await, [], "{}", subscription.path());
}

/// Inode numbers of everything that this process watches, as the kernel says.
pub(crate) fn watched_inodes() -> BTreeSet<u64> {
    let mut inodes = BTreeSet::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        let Ok(info) = fs::read_to_string(entry.path()) else { continue };
        for line in info.lines().filter(|line| line.starts_with("inotify ")) {
            let inode = line.split(' ').find_map(|field| field.strip_prefix("ino:")).unwrap();
            inodes.insert(u64::from_str_radix(inode, 16).unwrap());
        }
    }
    inodes
}

pub(crate) fn is_watched(path: &Path) -> bool {
    watched_inodes().contains(&fs::metadata(path).unwrap().ino())
}
