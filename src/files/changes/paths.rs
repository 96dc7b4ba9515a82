//! The paths that somebody has subscribed to: whose they are, and which of them are to be looked at next.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex};

use tokio::sync::{OnceCell, watch};
use tokio::time::Instant;

use super::super::mount::Links;
use super::super::watch::Watch;
use super::super::{Touched, Version};
use crate::path::TreePath;

/// Paths that one owner may have subscribed to: each costs a look whenever a folder above it moves.
pub(super) const MAX_OWNED: usize = 5_000;

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

#[derive(Default)]
pub(super) struct Paths {
    pub(super) entries: BTreeMap<Arc<Key>, Entry>,
    /// The paths to look at, and when.
    pub(super) pending: HashMap<Arc<Key>, Pending>,
    /// How many paths each owner has subscribed to.
    owned: HashMap<Arc<str>, usize>,
}

/// A path that somebody has subscribed to.
pub(super) struct Entry {
    /// Who, and how often each.
    subscribers: HashMap<Arc<str>, usize>,
    /// The version that was announced last.
    pub(super) latest: watch::Sender<Option<Version>>,
    /// Set once the path was looked at for the first time.
    pub(super) ready: Arc<OnceCell<()>>,
    /// Held while the path is looked at: what was seen earlier is announced earlier.
    pub(super) looking: Arc<Mutex<()>>,
    pub(super) watches: Vec<Watch>,
    pub(super) polled: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub(super) due: Instant,
    /// When the first hint came.
    pub(super) since: Instant,
}

/// One of those who are counted as subscribers of a path.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub(super) key: Arc<Key>,
    owner: Arc<str>,
}

impl Paths {
    /// Counts one more subscriber of a path; `None` when the owner has subscribed to too many others.
    pub(super) fn enter(&mut self, key: Key, owner: &str) -> Option<Subscriber> {
        let known = self.owned.get_key_value(owner).map(|(owner, owned)| (Arc::clone(owner), *owned));
        let (owner, owned) = known.unwrap_or_else(|| (owner.into(), 0));
        let is_new = self.entries.get(&key).is_none_or(|entry| !entry.subscribers.contains_key(&owner));
        if is_new && owned >= MAX_OWNED {
            return None;
        }
        let known = self.entries.get_key_value(&key).map(|(key, _)| Arc::clone(key));
        let key = known.unwrap_or_else(|| Arc::new(key));
        let entry = self.entries.entry(Arc::clone(&key)).or_insert_with(Entry::new);
        *entry.subscribers.entry(Arc::clone(&owner)).or_default() += 1;
        if is_new {
            *self.owned.entry(Arc::clone(&owner)).or_default() += 1;
        }
        Some(Subscriber { key, owner })
    }

    /// One subscriber less. Gives the watches that nobody needs any more.
    pub(super) fn leave(&mut self, subscriber: &Subscriber) -> Vec<Watch> {
        let Some(entry) = self.entries.get_mut(&subscriber.key) else { return Vec::new() };
        if one_less(&mut entry.subscribers, &subscriber.owner) {
            one_less(&mut self.owned, &subscriber.owner);
        }
        if !entry.subscribers.is_empty() {
            return Vec::new();
        }
        self.pending.remove(&subscriber.key);
        self.entries.remove(&subscriber.key).map(|left| left.watches).unwrap_or_default()
    }

    /// The subscribed paths that a hint is about.
    pub(super) fn touched_by(&self, touched: &Touched) -> Vec<Arc<Key>> {
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

    /// Takes the paths whose time has come, one of each owner in turn: nobody waits for all that another has subscribed to.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<(Arc<Key>, Pending)> {
        let mut due: Vec<_> = self.pending.extract_if(|_, pending| pending.due <= now).collect();
        due.sort_unstable_by_key(|(_, pending)| pending.since);
        let mut turns: HashMap<&str, usize> = HashMap::new();
        let mut in_turn: Vec<_> = due.into_iter().map(|due| (self.turn(&due.0, &mut turns), due)).collect();
        in_turn.sort_by_key(|(turn, _)| *turn);
        in_turn.into_iter().map(|(_, due)| due).collect()
    }

    /// Keeps paths for later that there was no time to look at.
    pub(super) fn put_back(&mut self, due: Vec<(Arc<Key>, Pending)>) {
        for (key, pending) in due {
            if self.entries.contains_key(&key) {
                self.pending.entry(key).or_insert(pending);
            }
        }
    }

    /// In which turn a path is looked at: the next one of whichever of its owners has had the fewest.
    fn turn<'a>(&'a self, key: &Key, turns: &mut HashMap<&'a str, usize>) -> usize {
        let owners = self.entries.get(key).into_iter().flat_map(|entry| entry.subscribers.keys());
        let next = owners.map(|owner| (turns.get(&**owner).copied().unwrap_or_default(), &**owner)).min();
        next.map_or(0, |(turn, owner)| {
            turns.insert(owner, turn + 1);
            turn
        })
    }
}

/// Was it the last?
fn one_less(counts: &mut HashMap<Arc<str>, usize>, owner: &Arc<str>) -> bool {
    let Some(count) = counts.get_mut(owner) else { return false };
    *count -= 1;
    let is_last = *count == 0;
    if is_last {
        counts.remove(owner);
    }
    is_last
}

impl Entry {
    fn new() -> Self {
        Self {
            subscribers: HashMap::new(),
            latest: watch::Sender::new(None),
            ready: Arc::default(),
            looking: Arc::default(),
            watches: Vec::new(),
            polled: false,
        }
    }
}
