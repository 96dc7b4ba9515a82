//! Telling subscribers that a file or folder has changed, whoever changed it, and each of them once.
//!
//! Three sources say where to look: the operating system (a program on this machine), this server's own writes, and
//! other replicas, whose writes the code above hears of and passes on. What they say are hints. After a hint, and after a
//! short pause for more of them, the path is looked at, and only when its version is another than the one announced last
//! do its subscribers hear of it: a write that all three sources report is announced once, and reports that repeat or
//! come late change nothing.
//!
//! Versions have the resolution of the file system's clock. As when a version is given out to a caller, a file counts only
//! when it has been at rest for a tick, so that a second write within the tick is not taken for the first. One that is
//! written to without a pause is announced about twice a second; its last state always is.
//!
//! Paths that the operating system cannot watch (its limit is reached, or another machine may change the folder behind
//! its back) are looked at every two seconds.

mod hub;
mod listing;
mod look;
mod paths;

use std::io;
use std::sync::Arc;

use futures_util::stream::{self, Stream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use self::hub::Hub;
use self::listing::Interest;
use self::paths::{Key, Subscriber};
use super::walk::MAX_DEPTH;
use super::watch::Watcher;
use super::{FileError, Touched, Tree, Version, View};
use crate::auth::Permission;
use crate::path::TreePath;

/// The changes of a tree, for those who subscribe. Clones are the same thing.
#[derive(Clone, Debug)]
pub struct Changes(Arc<Running>);

#[derive(Debug)]
struct Running {
    hub: Arc<Hub>,
    worker: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

/// What a path has become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The path that was subscribed to.
    pub path: TreePath,
    /// What is there now: a file in the version that the tools give it, a folder in one that changes with its entries;
    /// `None` when nothing is there that can be read.
    pub version: Option<Version>,
}

impl Changes {
    /// Listens to the changes of `tree`. Must be called in the runtime, once for a tree.
    #[must_use]
    pub fn start(tree: &Arc<Tree>) -> Self {
        Self::with(tree, Watcher::new())
    }

    fn with(tree: &Arc<Tree>, watcher: io::Result<Watcher>) -> Self {
        let hub = Arc::new(Hub::new(Arc::clone(tree), watcher));
        let own = Arc::downgrade(&hub);
        tree.observe(move |touched| {
            if let Some(hub) = own.upgrade() {
                hub.hint(touched);
                hub.publish(touched);
            }
        });
        let worker = tokio::spawn(Arc::clone(&hub).run()).abort_handle();
        Self(Arc::new(Running { hub, worker }))
    }

    /// Hands every change that this server makes to `publish`, for the other replicas. It is called on the thread that
    /// made the change and must be quick.
    ///
    /// Only the first such function is kept.
    pub fn on_announce(&self, publish: impl Fn(&[Touched]) + Send + Sync + 'static) {
        self.0.hub.set_publish(Box::new(publish));
    }

    /// Another replica has changed something here.
    pub fn announced(&self, touched: &[Touched]) {
        self.0.hub.hint(touched);
    }

    /// Every change of what lies at `path`, be it there now or not, from the moment this returns. Symbolic links are
    /// followed as they are for the caller's reading.
    ///
    /// # Errors
    /// [`Unsuitable`](FileError::Unsuitable) for a path of more than 200 names, and when the caller has subscribed to 5,000
    /// others on this replica. [`Forbidden`](FileError::Forbidden) when it may not read `path`. A folder that is only on the way down to
    /// what it may read counts as such: it must not learn when others make or remove something there.
    pub async fn subscribe(&self, view: &View, path: &TreePath) -> Result<Subscription, FileError> {
        if !view.allows(Permission::Read, path) {
            return Err(FileError::Forbidden(path.clone()));
        }
        let key = Key { path: path.clone(), follow: view.follows_links() };
        let unsuitable = |problem| FileError::Unsuitable { path: path.clone(), problem };
        // Each folder on the way is watched, and opened whenever one above it moves.
        if path.components().count() > MAX_DEPTH {
            return Err(unsuitable("it lies too deep to be watched; subscribe to a path of at most 200 names"));
        }
        let Some(subscriber) = self.0.hub.enter(key, &view.owner()) else {
            return Err(unsuitable("you have subscribed to 5000 paths; end some of these subscriptions first"));
        };
        let interest = PathInterest { running: Arc::clone(&self.0), subscriber };
        let latest = self.0.hub.ready(&interest.subscriber.key).await;
        Ok(Subscription { latest, interest })
    }

    /// Every change of the set of files and folders that the caller may see, from the moment this returns: which are
    /// there, not what is in them. Hidden and ignored ones are left out, as `find_files` leaves them out.
    ///
    /// As long as somebody is interested, all folders are watched, up to 4,096 of them with 262,144 entries. What lies in
    /// others is heard of only when a replica changes it.
    pub async fn list_changes(&self, view: &View) -> ListChanges {
        let interest = Interest::new(&self.0.hub, view).await;
        ListChanges { interest, _running: Arc::clone(&self.0) }
    }

    /// How many paths are subscribed to, each counted once.
    #[must_use]
    pub fn subscribed_paths(&self) -> usize {
        self.0.hub.len()
    }
}

/// One subscriber's interest in a path, which ends when this is dropped.
#[derive(Debug)]
pub struct Subscription {
    latest: watch::Receiver<Option<Version>>,
    interest: PathInterest,
}

impl Subscription {
    /// The path that was subscribed to.
    #[must_use]
    pub fn path(&self) -> &TreePath {
        &self.interest.subscriber.key.path
    }

    /// The version announced last, or else the one when the subscription began; `None` when nothing is there.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        self.latest.borrow().clone()
    }

    /// Waits for the next change. Changes that come while nobody waits become one, the last. Can be cancelled without
    /// losing one.
    pub async fn changed(&mut self) -> Change {
        if self.latest.changed().await.is_err() {
            // Nobody announces anything any more.
            std::future::pending::<()>().await;
        }
        Change { path: self.path().clone(), version: self.latest.borrow_and_update().clone() }
    }

    /// The changes, one after another. It does not end.
    pub fn into_stream(self) -> impl Stream<Item = Change> + Send {
        stream::unfold(self, async |mut subscription| Some((subscription.changed().await, subscription)))
    }
}

/// One subscriber's interest in which files are there, which ends when this is dropped.
#[derive(Debug)]
pub struct ListChanges {
    interest: Interest,
    _running: Arc<Running>,
}

impl ListChanges {
    /// Waits until something that the caller may see has come or gone: at most once a second. Can be cancelled without
    /// losing a signal.
    pub async fn changed(&mut self) {
        self.interest.signalled().await;
    }

    /// The signals, one after another. It does not end.
    pub fn into_stream(self) -> impl Stream<Item = ()> + Send {
        stream::unfold(self, async |mut changes| {
            changes.changed().await;
            Some(((), changes))
        })
    }
}

/// Counts a subscriber of a path.
#[derive(Debug)]
struct PathInterest {
    running: Arc<Running>,
    subscriber: Subscriber,
}

impl Drop for PathInterest {
    fn drop(&mut self) {
        self.running.hub.leave(&self.subscriber);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::MountSpec;
    use super::*;
    use crate::auth::{Principal, ScopeSet};

    #[tokio::test]
    async fn what_cannot_be_watched_is_looked_at_from_time_to_time() {
        let temp = tempfile::tempdir().expect("a folder");
        let root = MountSpec { name: None, directory: temp.path().to_owned(), writable: false };
        let tree = Arc::new(Tree::open(vec![root]).expect("a tree"));
        let changes = Changes::with(&tree, Err(io::ErrorKind::StorageFull.into()));
        let caller = Principal::new("", "", ScopeSet::full());
        let view = View::new(tree, Arc::new(caller));
        let path = TreePath::parse("/later/a.md").expect("a path");
        let mut file = changes.subscribe(&view, &path).await.expect("readable");
        let mut list = changes.list_changes(&view).await;
        fs::create_dir(temp.path().join("later")).expect("a folder");
        for content in ["one", "two"] {
            fs::write(temp.path().join("later/a.md"), content).expect("a file");
            let change = timeout(Duration::from_secs(5), file.changed()).await.expect("announced");
            assert_eq!(change.version, view.metadata(&path).expect("there").version);
        }
        timeout(Duration::from_secs(15), list.changed()).await.expect("signalled");
        let more = timeout(Duration::from_secs(3), file.changed()).await;
        assert!(more.is_err(), "nothing has changed: {more:?}");
    }
}
