//! The operating system's word that something in a folder has changed (inotify).
//!
//! A folder is watched by its open handle, which was reached inside of its mount, and never by a path of the machine: no
//! symbolic link and no exchange of folders leads a watch out of the mount. The names that events carry are joined to the
//! path in the tree by which the folder was reached.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

use super::Touched;
use super::temp::is_temp_name;
use crate::path::TreePath;

/// How much is read of the kernel's queue at once, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;

/// Watches folders, each for as long as somebody is interested in it.
#[derive(Debug)]
pub(super) struct Watcher {
    inotify: AsyncFd<OwnedFd>,
    /// By which paths each watched folder was reached, and how often. The kernel has one watch for a folder, by however
    /// many paths it is reached.
    paths: Mutex<HashMap<i32, Reached>>,
}

/// Paths, and how often each. Those who are interested in the same one share its text.
type Reached = BTreeMap<Arc<TreePath>, usize>;

/// One interest in one folder; given back with [`Watcher::release`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Watch {
    id: i32,
    path: Arc<TreePath>,
}

/// What the kernel has said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) touched: Vec<Touched>,
    /// Events were lost: anything may have changed.
    pub(super) lost: bool,
}

impl Watcher {
    /// A watcher without watches. Must be called in the runtime.
    #[expect(deprecated, reason = "sound for an `OwnedFd` that is never exchanged; what replaces it is `unsafe`")]
    pub(super) fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Self { inotify: AsyncFd::new(inotify)?, paths: Mutex::default() })
    }

    /// Watches an open folder or file, reached by `path`.
    pub(super) fn watch(&self, handle: impl AsFd, path: &TreePath) -> io::Result<Watch> {
        let flags = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::EXCL_UNLINK;
        let handle = format!("/proc/self/fd/{}", handle.as_fd().as_raw_fd());
        // Under the lock, so that no other interest gives the same watch up before this one is counted.
        let mut paths = self.lock();
        let id = inotify::add_watch(&self.inotify, handle, flags)?;
        let reached = paths.entry(id).or_default();
        let known = reached.get_key_value(path).map(|(path, _)| Arc::clone(path));
        let path = known.unwrap_or_else(|| Arc::new(path.clone()));
        *reached.entry(Arc::clone(&path)).or_default() += 1;
        Ok(Watch { id, path })
    }

    /// Gives an interest up.
    pub(super) fn release(&self, watch: &Watch) {
        let mut paths = self.lock();
        let Some(reached) = paths.get_mut(&watch.id) else { return };
        if let Some(count) = reached.get_mut(&watch.path) {
            *count -= 1;
            if *count == 0 {
                reached.remove(&watch.path);
            }
        }
        if reached.is_empty() {
            paths.remove(&watch.id);
            // Fails for a folder that is gone: its watch went with it.
            let _ = inotify::remove_watch(&self.inotify, watch.id);
        }
    }

    /// Waits until something has happened in a watched folder.
    pub(super) async fn heard(&self) -> io::Result<Heard> {
        loop {
            let mut ready = self.inotify.readable().await?;
            let heard = self.read()?;
            ready.clear_ready();
            if heard != Heard::default() {
                return Ok(heard);
            }
        }
    }

    /// Reads until the queue is empty.
    fn read(&self) -> io::Result<Heard> {
        let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
        let mut reader = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut heard = Heard::default();
        loop {
            match reader.next() {
                Ok(event) => self.add(&event, &mut heard),
                Err(Errno::WOULDBLOCK) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(heard)
    }

    fn add(&self, event: &inotify::Event<'_>, heard: &mut Heard) {
        if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
            heard.lost = true;
            return;
        }
        // A file on its way to its place: what counts is that it arrives.
        if event.file_name().is_some_and(|name| is_temp_name(name.to_bytes())) {
            return;
        }
        let mut paths = self.lock();
        let Some(reached) = paths.get(&event.wd()) else { return };
        let gone = ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::UNMOUNT | ReadFlags::IGNORED;
        for folder in reached.keys() {
            let mut add = |path, below| {
                let touched = Touched { path, below };
                // One write makes several events in a row.
                if !heard.touched.iter().rev().take(2).any(|last| *last == touched) {
                    heard.touched.push(touched);
                }
            };
            match event.file_name().map(|name| name.to_str()) {
                // Whatever lies below the entry: it may be a folder that has come or gone.
                Some(Ok(name)) => {
                    add(TreePath::clone(folder), false);
                    add(folder.join(name), true);
                }
                // A name that is not UTF-8 is no path, but an entry of its folder.
                Some(Err(_)) => add(TreePath::clone(folder), false),
                None => add(TreePath::clone(folder), event.events().intersects(gone)),
            }
        }
        if event.events().contains(ReadFlags::IGNORED) {
            paths.remove(&event.wd());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Reached>> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
