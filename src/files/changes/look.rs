//! Looking at a path: what is there, and which folders to watch to hear of the next change.

use std::io;
use std::time::{Duration, SystemTime};

use cap_std::fs::Dir;

use super::super::mount::{Links, Mount, Want};
use super::super::watch::{Watch, Watcher};
use super::super::{Snapshot, Tree, Version};
use super::paths::Key;
use crate::path::TreePath;

/// What lies at a path at one moment.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) version: Option<Version>,
    /// How long to wait before the version counts, where it has changed just now.
    pub(super) rest: Option<Duration>,
}

/// The watches that together hear of every change at a path.
#[derive(Debug, Default)]
pub(super) struct Watched {
    pub(super) watches: Vec<Watch>,
    /// Does the path have to be looked at from time to time all the same?
    pub(super) polled: bool,
    /// Why a watch could not be had.
    pub(super) problem: Option<io::Error>,
}

/// Looks at what lies at the path now.
pub(super) fn look(tree: &Tree, key: &Key) -> Seen {
    let Some(mount) = tree.mount_of(&key.path) else {
        // The root of a tree of names never changes; any other such path is in no mount.
        let version = key.path.is_root().then(Version::constant);
        return Seen { version, rest: None };
    };
    match mount.metadata(&key.path, key.links()) {
        Ok(metadata) if metadata.is_file() || metadata.is_dir() => {
            let snapshot = Snapshot::from(&metadata);
            Seen { version: Some(snapshot.version()), rest: snapshot.rest_needed(SystemTime::now()) }
        }
        Ok(_) | Err(_) => Seen { version: None, rest: None },
    }
}

/// Watches the folders on the way to the path, as far as they are there: a folder on the way that is moved, made or
/// exchanged changes what lies at the path. Each is watched before the next is opened in it, so that no change falls
/// between.
pub(super) fn watch(tree: &Tree, watcher: Option<&Watcher>, key: &Key) -> Watched {
    let mut watched = Watched::default();
    let Some(mount) = tree.mount_of(&key.path) else { return watched };
    let Some(watcher) = watcher else {
        watched.polled = true;
        return watched;
    };
    watched.polled = mount.is_remote();
    let mut above: Option<Dir> = None;
    for folder in way_down(mount, &key.path) {
        let opened = match &above {
            None => mount.open_folder(&folder, key.links()),
            Some(above) => mount.open_folder_in(above, &folder, key.links()),
        };
        let Ok(dir) = opened else {
            watch_target(mount, watcher, key, &folder, &mut watched);
            break;
        };
        if !watched.add(watcher.watch(&dir, &folder)) {
            break;
        }
        above = Some(dir);
    }
    watched
}

impl Watched {
    pub(super) fn add(&mut self, watch: io::Result<Watch>) -> bool {
        match watch {
            Ok(watch) => {
                self.watches.push(watch);
                true
            }
            Err(error) => {
                self.polled = true;
                self.problem = Some(error);
                false
            }
        }
    }
}

/// The file that a symbolic link at the path leads to lies in a folder that is not on the way: it is watched itself.
fn watch_target(mount: &Mount, watcher: &Watcher, key: &Key, reached: &TreePath, watched: &mut Watched) {
    if key.links() == Links::Refuse || *reached != key.path {
        return;
    }
    let (Some(parent), Some(name)) = (key.path.parent(), key.path.file_name()) else { return };
    let is_link = |parent: Dir| parent.symlink_metadata(name).is_ok_and(|found| found.is_symlink());
    // Looked at before it is opened: opening a device can do something.
    let leads_to_file = || mount.metadata(&key.path, Links::Follow).is_ok_and(|found| found.is_file());
    if mount.open_folder(&parent, Links::Follow).is_ok_and(is_link)
        && leads_to_file()
        && let Ok(file) = mount.open_at(&key.path, Want::File, Links::Follow)
    {
        watched.add(watcher.watch(&file, &key.path));
    }
}

/// The paths from the top of the mount to `path` itself.
fn way_down(mount: &Mount, path: &TreePath) -> impl Iterator<Item = TreePath> {
    let top = mount.path().clone();
    let below = path.components().skip(top.components().count());
    let way = below.scan(top.clone(), |at, name| {
        *at = at.join(name);
        Some(at.clone())
    });
    std::iter::once(top).chain(way)
}
