//! Where hints come in, paths are looked at, and versions go out.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OnceCell, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::super::mount::Links;
use super::super::watch::{Heard, Watch, Watcher};
use super::super::{Touched, Tree, Version};
use super::listing::Listing;
use super::look::{look, watch};
use crate::path::TreePath;

/// How long hints are collected before a path is looked at.
const PAUSE: Duration = Duration::from_millis(75);
/// How long a path that does not come to rest is waited for before it is announced all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a path is looked at that cannot be watched.
const POLL: Duration = Duration::from_secs(2);

/// A path, and how it is reached. Sorted by path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) path: TreePath,
    /// Are symbolic links followed on the way? Not for callers that are narrowed to a part of the tree.
    pub(super) follow: bool,
}

impl Key {
    pub(super) fn links(&self) -> Links {
        if self.follow { Links::Follow } else { Links::Refuse }
    }
}

pub(super) struct Hub {
    pub(super) tree: Arc<Tree>,
    pub(super) watcher: Option<Watcher>,
    pub(super) listing: Listing,
    paths: Mutex<Paths>,
    wake: Notify,
    publish: OnceLock<Publish>,
    has_warned: AtomicBool,
}

type Publish = Box<dyn Fn(&[Touched]) + Send + Sync>;

#[derive(Default)]
struct Paths {
    entries: BTreeMap<Arc<Key>, Entry>,
    /// The paths to look at, and when.
    pending: HashMap<Arc<Key>, Pending>,
}

/// A path that somebody has subscribed to.
struct Entry {
    subscribers: usize,
    /// The version that was announced last.
    latest: watch::Sender<Option<Version>>,
    /// Set once the path was looked at for the first time.
    ready: Arc<OnceCell<()>>,
    /// Held while the path is looked at: what was seen earlier is announced earlier.
    looking: Arc<Mutex<()>>,
    watches: Vec<Watch>,
    polled: bool,
}

#[derive(Clone, Copy)]
struct Pending {
    due: Instant,
    /// When the first hint came.
    since: Instant,
}

impl Hub {
    /// Without a watcher, paths are looked at from time to time.
    pub(super) fn new(tree: Arc<Tree>, watcher: io::Result<Watcher>) -> Self {
        let (watcher, problem) = match watcher {
            Ok(watcher) => (Some(watcher), None),
            Err(error) => (None, Some(error)),
        };
        let hub = Self {
            tree,
            watcher,
            listing: Listing::default(),
            paths: Mutex::default(),
            wake: Notify::new(),
            publish: OnceLock::new(),
            has_warned: AtomicBool::new(false),
        };
        if let Some(error) = problem {
            hub.warn_of_polling(&error);
        }
        hub
    }

    pub(super) fn set_publish(&self, publish: Publish) {
        let _ = self.publish.set(publish);
    }

    pub(super) fn publish(&self, touched: &[Touched]) {
        if let Some(publish) = self.publish.get() {
            publish(touched);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Counts one more subscriber of a path.
    pub(super) fn enter(&self, key: Key) -> Arc<Key> {
        let mut paths = self.lock();
        let known = paths.entries.get_key_value(&key).map(|(key, _)| Arc::clone(key));
        let key = known.unwrap_or_else(|| Arc::new(key));
        paths.entries.entry(Arc::clone(&key)).or_insert_with(Entry::new).subscribers += 1;
        key
    }

    /// One subscriber less.
    pub(super) fn leave(&self, key: &Arc<Key>) {
        let mut paths = self.lock();
        let Some(entry) = paths.entries.get_mut(key) else { return };
        entry.subscribers -= 1;
        if entry.subscribers == 0 {
            let left = paths.entries.remove(key);
            paths.pending.remove(key);
            drop(paths);
            self.release(left.map(|entry| entry.watches).unwrap_or_default());
        }
    }

    /// Waits until the path is watched and was looked at.
    pub(super) async fn ready(self: &Arc<Self>, key: &Arc<Key>) -> watch::Receiver<Option<Version>> {
        let ready = self.lock().entries.get(key).map(|entry| Arc::clone(&entry.ready)).unwrap_or_default();
        ready
            .get_or_init(async || {
                let since = Instant::now();
                loop {
                    let (hub, checked) = (Arc::clone(self), Arc::clone(key));
                    match spawn_blocking(move || hub.check(&checked, since)).await {
                        Ok(Some(rest)) if since.elapsed() < PATIENCE => sleep(rest).await,
                        // It is written to all the time: what it is once that ends will be news.
                        Ok(Some(_)) => return self.look_again(|known, _| known == key),
                        Ok(None) | Err(_) => return,
                    }
                }
            })
            .await;
        // The caller is counted, so that the entry is there; a fresh receiver would only never hear anything.
        self.lock().entries.get(key).map_or_else(|| watch::channel(None).1, |entry| entry.latest.subscribe())
    }

    /// Something may have changed here.
    pub(super) fn hint(&self, touched: &[Touched]) {
        self.listing.hint(touched);
        let mut paths = self.lock();
        let hinted: Vec<Arc<Key>> = touched.iter().flat_map(|touched| paths.touched_by(touched)).collect();
        let now = Instant::now();
        for key in &hinted {
            paths.pending.entry(Arc::clone(key)).or_insert(Pending { due: now + PAUSE, since: now });
        }
        drop(paths);
        if !hinted.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Looks at paths when their time has come. Does not end.
    pub(super) async fn run(self: Arc<Self>) {
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = self.lock().pending.values().map(|pending| pending.due).min();
            let due = async {
                match next {
                    Some(next) => sleep_until(next).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = due => {}
                heard = self.heard() => {
                    self.hint(&heard.touched);
                    if heard.lost {
                        self.listing.hint_all();
                        self.look_again(|_, _| true);
                    }
                }
                _ = poll.tick() => self.look_again(|_, entry| entry.polled),
            }
            let due = self.take_due();
            if !due.is_empty() {
                let hub = Arc::clone(&self);
                let _ = spawn_blocking(move || due.iter().for_each(|(key, pending)| hub.check_again(key, *pending))).await;
            }
        }
    }

    /// Says once that changes are looked for from time to time, because the operating system does not tell of them.
    pub(super) fn warn_of_polling(&self, error: &io::Error) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %error,
                "some folders cannot be watched for changes and are looked at every few seconds; \
                 raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
            );
        }
    }

    pub(super) fn release(&self, watches: Vec<Watch>) {
        if let Some(watcher) = &self.watcher {
            watches.iter().for_each(|watch| watcher.release(watch));
        }
    }

    async fn heard(&self) -> Heard {
        let Some(watcher) = &self.watcher else { return std::future::pending().await };
        match watcher.heard().await {
            Ok(heard) => heard,
            Err(error) => {
                self.warn_of_polling(&error);
                sleep(POLL).await;
                Heard { touched: Vec::new(), lost: true }
            }
        }
    }

    /// Has these paths looked at as soon as can be.
    fn look_again(&self, wanted: impl Fn(&Arc<Key>, &Entry) -> bool) {
        let mut paths = self.lock();
        let wanted = paths.entries.iter().filter(|(key, entry)| wanted(key, entry));
        let wanted: Vec<_> = wanted.map(|(key, _)| Arc::clone(key)).collect();
        let now = Instant::now();
        for key in wanted {
            paths.pending.entry(key).or_insert(Pending { due: now, since: now });
        }
        drop(paths);
        self.wake.notify_one();
    }

    fn take_due(&self) -> Vec<(Arc<Key>, Pending)> {
        let now = Instant::now();
        self.lock().pending.extract_if(|_, pending| pending.due <= now).collect()
    }

    fn check_again(&self, key: &Arc<Key>, pending: Pending) {
        if let Some(rest) = self.check(key, pending.since) {
            let mut paths = self.lock();
            if paths.entries.contains_key(key) {
                let due = Instant::now() + rest;
                let since = if pending.since.elapsed() < PATIENCE { pending.since } else { Instant::now() };
                paths.pending.insert(Arc::clone(key), Pending { due, since });
            }
        }
    }

    /// Looks at a path and announces what it finds, if that is news. Gives how long to wait before looking again, where
    /// what it found was changing at that moment.
    fn check(&self, key: &Arc<Key>, since: Instant) -> Option<Duration> {
        let looking = Arc::clone(&self.lock().entries.get(key)?.looking);
        let _looking = looking.lock().unwrap_or_else(PoisonError::into_inner);
        let watched = watch(&self.tree, self.watcher.as_ref(), key);
        if let Some(error) = &watched.problem {
            self.warn_of_polling(error);
        }
        let seen = look(&self.tree, key);
        let mut paths = self.lock();
        let Some(entry) = paths.entries.get_mut(key) else {
            drop(paths);
            self.release(watched.watches);
            return None;
        };
        entry.polled = watched.polled;
        let before = std::mem::replace(&mut entry.watches, watched.watches);
        let version = match seen.rest {
            None => Some(seen.version),
            Some(_) if since.elapsed() < PATIENCE => None,
            Some(_) => Some(Some(Version::unsettled())),
        };
        if let Some(version) = version {
            entry.latest.send_if_modified(|latest| {
                let is_news = *latest != version;
                *latest = version;
                is_news
            });
        }
        drop(paths);
        self.release(before);
        seen.rest
    }

    fn lock(&self) -> MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Paths {
    /// The subscribed paths that a hint is about.
    fn touched_by(&self, touched: &Touched) -> Vec<Arc<Key>> {
        let key = |path: &TreePath, follow| Key { path: path.clone(), follow };
        let own = [false, true].map(|follow| self.entries.get_key_value(&key(&touched.path, follow)));
        let mut found: Vec<_> = own.into_iter().flatten().map(|(key, _)| Arc::clone(key)).collect();
        if touched.below {
            // Between a folder and what lies in it, other names may come: "/a", "/a-b", "/a/b".
            let from = Bound::Excluded(key(&touched.path, true));
            let after = self.entries.range::<Key, _>((from, Bound::Unbounded));
            let names_after = after.take_while(|(key, _)| key.path.as_str().starts_with(touched.path.as_str()));
            found.extend(names_after.filter(|(key, _)| key.path.is_within(&touched.path)).map(|(key, _)| Arc::clone(key)));
        }
        found
    }
}

impl Entry {
    fn new() -> Self {
        Self {
            subscribers: 0,
            latest: watch::Sender::new(None),
            ready: Arc::default(),
            looking: Arc::default(),
            watches: Vec::new(),
            polled: false,
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("paths", &self.len()).field("watcher", &self.watcher).finish_non_exhaustive()
    }
}
