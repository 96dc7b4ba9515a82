//! Which files are there: watched as a whole, for as long as somebody wants to know.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::super::watch::Watch;
use super::super::{FileKind, Touched, View, Walk, WalkFrom, WalkOptions};
use super::hub::Hub;
use crate::auth::{Principal, ScopeSet};
use crate::path::TreePath;

/// Folders beyond so many are not watched.
const MAX_FOLDERS: usize = 4_096;
/// Nor are folders beyond so many entries.
const MAX_NAMES: usize = 262_144;
/// How many hints are remembered one by one; more, and everything is looked at.
const MAX_DIRTY: usize = 1_024;
/// How long hints are collected.
const PAUSE: Duration = Duration::from_millis(75);
/// Between two signals.
const SPACING: Duration = Duration::from_secs(1);
/// After hints that were none: a file that is written to all the time must not have its folder read all the time.
const QUIET_SPACING: Duration = Duration::from_millis(250);
/// How often everything is looked at when some of it cannot be watched.
const POLL: Duration = Duration::from_secs(10);

/// Who is interested in which files are there, and what they are to be told.
#[derive(Debug, Default)]
pub(super) struct Listing {
    watching: Mutex<Option<Watching>>,
    dirty: Mutex<Dirty>,
    wake: Notify,
}

/// Lives as long as somebody is interested.
#[derive(Debug)]
struct Watching {
    interested: usize,
    /// One for all who may see the same: they hear of a change together.
    signals: HashMap<ScopeSet, watch::Sender<()>>,
    ready: watch::Receiver<bool>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Dirty {
    touched: BTreeSet<TreePath>,
    all: bool,
}

/// One subscriber's interest; given up when dropped.
#[derive(Debug)]
pub(super) struct Interest {
    hub: Weak<Hub>,
    signals: watch::Receiver<()>,
}

impl Interest {
    /// Begins to watch, if nobody has yet, and waits until all is watched.
    pub(super) async fn new(hub: &Arc<Hub>, view: &View) -> Self {
        let (interest, mut ready) = {
            let mut watching = lock(&hub.listing.watching);
            let watching = watching.get_or_insert_with(|| start(hub));
            watching.interested += 1;
            if watching.signals.len() >= watching.interested {
                watching.signals.retain(|_, signals| signals.receiver_count() > 0);
            }
            let signals = watching.signals.entry(view.scopes().clone()).or_insert_with(|| watch::Sender::new(())).subscribe();
            (Self { hub: Arc::downgrade(hub), signals }, watching.ready.clone())
        };
        // An error means that the task has ended, with the server.
        let _ = ready.wait_for(|ready| *ready).await;
        interest
    }

    /// Waits until something that the view shows has come or gone.
    pub(super) async fn signalled(&mut self) {
        if self.signals.changed().await.is_err() {
            // Nobody signals anything any more.
            std::future::pending().await
        }
    }
}

impl Drop for Interest {
    fn drop(&mut self) {
        let Some(hub) = self.hub.upgrade() else { return };
        let mut watching = lock(&hub.listing.watching);
        if let Some(some) = watching.as_mut() {
            some.interested -= 1;
            if some.interested == 0 {
                some.task.abort();
                *watching = None;
            }
        }
    }
}

impl Listing {
    /// Something may have come or gone here.
    pub(super) fn hint(&self, touched: &[Touched]) {
        if lock(&self.watching).is_none() {
            return;
        }
        let mut dirty = lock(&self.dirty);
        for touched in touched {
            dirty.touched.insert(touched.path.clone());
        }
        if dirty.touched.len() > MAX_DIRTY {
            *dirty = Dirty { touched: BTreeSet::new(), all: true };
        }
        drop(dirty);
        self.wake.notify_one();
    }

    /// Something may have come or gone anywhere.
    pub(super) fn hint_all(&self) {
        lock(&self.dirty).all = true;
        self.wake.notify_one();
    }

    /// Tells those who may see one of these.
    fn tell(&self, changed: BTreeSet<TreePath>) {
        let sorted: Vec<TreePath> = changed.into_iter().collect();
        if let Some(watching) = lock(&self.watching).as_ref() {
            let seeing = watching.signals.iter().filter(|(scopes, _)| scopes.sees_any(&sorted));
            seeing.for_each(|(_, signals)| signals.send_replace(()));
        }
    }
}

fn start(hub: &Arc<Hub>) -> Watching {
    *lock(&hub.listing.dirty) = Dirty::default();
    let (set_ready, ready) = watch::channel(false);
    let task = tokio::spawn(run(Arc::clone(hub), set_ready)).abort_handle();
    Watching { interested: 0, signals: HashMap::new(), ready, task }
}

async fn run(hub: Arc<Hub>, ready: watch::Sender<bool>) {
    let folders = Folders::new(Arc::clone(&hub));
    let everything = Dirty { touched: BTreeSet::new(), all: true };
    let Ok((mut folders, _)) = spawn_blocking(move || folders.look(everything)).await else { return };
    let _ = ready.send(true);
    loop {
        let woken = timeout_at(Instant::now() + POLL, hub.listing.wake.notified()).await.is_ok();
        if !woken && !folders.polled {
            continue;
        }
        sleep(PAUSE).await;
        let mut dirty = std::mem::take(&mut *lock(&hub.listing.dirty));
        dirty.all |= !woken;
        let looked_at = Instant::now();
        let Ok((looked, changed)) = spawn_blocking(move || folders.look(dirty)).await else { return };
        folders = looked;
        if changed.is_empty() {
            sleep_until(looked_at + QUIET_SPACING).await;
        } else {
            hub.listing.tell(changed);
            sleep_until(looked_at + SPACING).await;
        }
    }
}

/// The folders that are watched, and what is in them.
struct Folders {
    hub: Arc<Hub>,
    view: View,
    known: BTreeMap<TreePath, Known>,
    names: usize,
    /// Is something not watched?
    truncated: bool,
    polled: bool,
}

struct Known {
    watch: Option<Watch>,
    entries: BTreeMap<TreePath, FileKind>,
}

impl Folders {
    fn new(hub: Arc<Hub>) -> Self {
        let everyone = Principal::new("", "", ScopeSet::full());
        let view = View::new(Arc::clone(&hub.tree), Arc::new(everyone));
        let polled = hub.watcher.is_none() || hub.tree.mounts().any(|mount| mount.is_remote());
        Self { hub, view, known: BTreeMap::new(), names: 0, truncated: false, polled }
    }

    /// Looks again at what may have changed. Gives what has come or gone.
    fn look(mut self, dirty: Dirty) -> (Self, BTreeSet<TreePath>) {
        let mut changed = BTreeSet::new();
        let mut folders: BTreeSet<TreePath> = if dirty.all { self.known.keys().cloned().collect() } else { BTreeSet::new() };
        if self.known.is_empty() {
            folders.insert(TreePath::root());
        }
        for path in dirty.touched {
            let parent = path.parent().filter(|parent| self.known.contains_key(parent));
            if parent.is_none() && !self.known.contains_key(&path) && self.truncated && !is_hidden(&path) {
                changed.insert(path);
                continue;
            }
            folders.extend(parent);
            folders.extend(Some(path).filter(|path| self.known.contains_key(path)));
        }
        folders.iter().for_each(|folder| self.look_at(folder, &mut changed));
        (self, changed)
    }

    /// Reads a folder again, and the folders in it that are new.
    fn look_at(&mut self, folder: &TreePath, changed: &mut BTreeSet<TreePath>) {
        let mut queue = VecDeque::from([(folder.clone(), true)]);
        while let Some((folder, is_first)) = queue.pop_front() {
            let before = self.known.get(&folder).map(|known| known.entries.clone()).unwrap_or_default();
            let Some(now) = self.read(&folder) else {
                self.forget(&folder);
                continue;
            };
            for (path, kind) in before.iter().filter(|(path, kind)| now.get(*path) != Some(kind)) {
                if *kind == FileKind::Folder {
                    self.forget(path);
                }
                changed.insert(path.clone());
            }
            for (path, kind) in now.iter().filter(|(path, kind)| before.get(*path) != Some(kind)) {
                if *kind == FileKind::Folder {
                    queue.push_back((path.clone(), false));
                }
                // What is in a new folder is new with it.
                if is_first {
                    changed.insert(path.clone());
                }
            }
        }
    }

    /// Watches a folder and reads what is in it; `None` when it is gone or one too many.
    fn read(&mut self, path: &TreePath) -> Option<BTreeMap<TreePath, FileKind>> {
        if !self.known.contains_key(path) && (self.known.len() >= MAX_FOLDERS || self.names >= MAX_NAMES) {
            if !std::mem::replace(&mut self.truncated, true) {
                tracing::warn!(
                    folders = self.known.len(),
                    "too many folders to watch which files are there; what other programs make in the others is not announced"
                );
            }
            return None;
        }
        let folder = self.view.open_folder(path).ok()?;
        let watch = match (self.hub.watcher.as_ref(), folder.dir()) {
            (Some(watcher), Some(dir)) => watcher.watch(dir, path).map_err(|error| self.hub.warn_of_polling(&error)).ok(),
            _ => None,
        };
        self.polled |= watch.is_none() && folder.dir().is_some();
        let options = WalkOptions { hidden: false, ignored: false, max_depth: 1, expected: usize::MAX };
        let room = MAX_NAMES.saturating_sub(self.names).max(1);
        let walk = Walk::new(&self.view, folder, options, WalkFrom::Start, &|| false);
        let entries: BTreeMap<_, _> =
            walk.into_iter().flatten().flatten().take(room).filter_map(|walked| Some((walked.path()?, walked.kind()))).collect();
        self.names += entries.len();
        self.truncated |= entries.len() == room;
        let before = self.known.insert(path.clone(), Known { watch, entries: entries.clone() });
        self.give_up(before);
        Some(entries)
    }

    /// A folder is gone, with all in it.
    fn forget(&mut self, folder: &TreePath) {
        let gone: Vec<TreePath> = self.known.keys().filter(|path| path.is_within(folder)).cloned().collect();
        for path in gone {
            let known = self.known.remove(&path);
            self.give_up(known);
        }
    }

    fn give_up(&mut self, known: Option<Known>) {
        if let Some(known) = known {
            self.names -= known.entries.len();
            self.hub.release(known.watch.into_iter().collect());
        }
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        for known in std::mem::take(&mut self.known).into_values() {
            self.give_up(Some(known));
        }
    }
}

fn is_hidden(path: &TreePath) -> bool {
    path.components().any(|name| name.starts_with('.'))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
