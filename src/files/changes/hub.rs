//! Where hints come in, paths are looked at, and versions go out.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};

use super::super::watch::{Heard, Watch, Watcher};
use super::super::{Touched, Tree, Version};
use super::listing::Listing;
use super::look::{look, watch};
use super::paths::{Entry, Key, Paths, Pending, Subscriber};

/// How long hints are collected before a path is looked at.
const PAUSE: Duration = Duration::from_millis(75);
/// How long a path that does not come to rest is waited for before it is announced all the same.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a path is looked at that cannot be watched.
const POLL: Duration = Duration::from_secs(2);
/// How long paths are looked at in one go, before it is seen who else has some to be looked at.
const SLICE: Duration = Duration::from_millis(100);
/// First looks at once: those of many subscribers must not take the threads of all other work.
const FIRST_LOOKS: usize = 16;

pub(super) struct Hub {
    pub(super) tree: Arc<Tree>,
    pub(super) watcher: Option<Watcher>,
    pub(super) listing: Listing,
    paths: Mutex<Paths>,
    first_looks: Arc<Semaphore>,
    wake: Notify,
    publish: OnceLock<Publish>,
    has_warned: AtomicBool,
}

type Publish = Box<dyn Fn(&[Touched]) + Send + Sync>;

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
            first_looks: Arc::new(Semaphore::new(FIRST_LOOKS)),
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

    /// Counts one more subscriber of a path; `None` when the owner has subscribed to too many others.
    pub(super) fn enter(&self, key: Key, owner: &str) -> Option<Subscriber> {
        self.lock().enter(key, owner)
    }

    /// One subscriber less.
    pub(super) fn leave(&self, subscriber: &Subscriber) {
        let watches = self.lock().leave(subscriber);
        self.release(watches);
    }

    /// Waits until the path is watched and was looked at.
    pub(super) async fn ready(self: &Arc<Self>, key: &Arc<Key>) -> watch::Receiver<Option<Version>> {
        let ready = self.lock().entries.get(key).map(|entry| Arc::clone(&entry.ready)).unwrap_or_default();
        ready
            .get_or_init(async || {
                let since = Instant::now();
                loop {
                    let (hub, checked) = (Arc::clone(self), Arc::clone(key));
                    // Given back when the look is done, also if nobody waits for it any more.
                    let permit = Arc::clone(&self.first_looks).acquire_owned().await;
                    let looked = spawn_blocking(move || {
                        let _permit = permit;
                        hub.check(&checked, since)
                    });
                    match looked.await {
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
            let due = self.lock().take_due(Instant::now());
            if !due.is_empty() {
                let hub = Arc::clone(&self);
                let left = spawn_blocking(move || hub.check_for_a_while(due)).await;
                self.lock().put_back(left.unwrap_or_default());
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

    /// Looks at paths in this order until the time is over. Gives those that are left.
    fn check_for_a_while(&self, due: Vec<(Arc<Key>, Pending)>) -> Vec<(Arc<Key>, Pending)> {
        let began = Instant::now();
        let mut due = due.into_iter();
        for (key, pending) in due.by_ref() {
            self.check_again(&key, pending);
            if began.elapsed() >= SLICE {
                break;
            }
        }
        due.collect()
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

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("paths", &self.len()).field("watcher", &self.watcher).finish_non_exhaustive()
    }
}
