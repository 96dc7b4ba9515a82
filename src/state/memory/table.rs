//! Entries that expire at their time. When there are too many bytes, those of the group that has most go, unused for longest
//! first: nobody pushes out what is another's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

/// What an entry costs beside its key and its value, roughly: it is in three maps.
const ENTRY_BYTES: usize = 256;
/// Later than any time to live that makes sense.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

pub(super) struct Table<T> {
    entries: HashMap<Arc<str>, Entry<T>>,
    by_expiry: BTreeMap<(Instant, u64), Arc<str>>,
    groups: HashMap<Arc<str>, Group>,
    /// The groups with their bytes.
    by_weight: BTreeSet<(usize, Arc<str>)>,
    uses: u64,
    bytes: usize,
    max_bytes: usize,
}

/// What belongs together: the entries of a group of the shared state; those that are in none are one group, too.
#[derive(Default)]
struct Group {
    bytes: usize,
    by_use: BTreeMap<u64, Arc<str>>,
}

struct Entry<T> {
    item: T,
    bytes: usize,
    expires: Instant,
    /// Which of all uses of the table was the last of this entry.
    used: u64,
}

/// What a [`Table`] can hold.
pub(super) trait Weighed {
    /// The bytes that it takes.
    fn bytes(&self) -> usize;
}

impl<T: Weighed> Table<T> {
    pub(super) fn new(max_bytes: usize) -> Self {
        let (by_expiry, by_weight) = (BTreeMap::new(), BTreeSet::new());
        Self { entries: HashMap::new(), by_expiry, groups: HashMap::new(), by_weight, uses: 0, bytes: 0, max_bytes }
    }

    /// What the key holds, with its time to live left as it is.
    pub(super) fn get(&mut self, key: &str) -> Option<&T> {
        self.sweep();
        let entry = self.entries.get_mut(key)?;
        let by_use = &mut self.groups.get_mut(group_of(key))?.by_use;
        let name = by_use.remove(&entry.used)?;
        self.by_expiry.remove(&(entry.expires, entry.used));
        self.uses += 1;
        entry.used = self.uses;
        by_use.insert(self.uses, name.clone());
        self.by_expiry.insert((entry.expires, self.uses), name);
        Some(&entry.item)
    }

    /// How long the key will go on holding what it holds.
    pub(super) fn time_left(&mut self, key: &str) -> Option<Duration> {
        self.sweep();
        self.entries.get(key).map(|entry| entry.expires.saturating_duration_since(Instant::now()))
    }

    /// Removes what the key holds.
    pub(super) fn take(&mut self, key: &str) -> Option<T> {
        self.sweep();
        self.remove(key)
    }

    /// Replaces what the key holds, to expire after `ttl`.
    pub(super) fn put(&mut self, key: &str, item: T, ttl: Duration) {
        self.sweep();
        self.remove(key);
        let now = Instant::now();
        let expires = now.checked_add(ttl).unwrap_or(now + FOREVER);
        let (key, bytes) = (Arc::<str>::from(key), key.len() + item.bytes() + ENTRY_BYTES);
        self.uses += 1;
        self.by_expiry.insert((expires, self.uses), key.clone());
        let used = self.uses;
        self.weigh(&key, |group, key| {
            group.bytes += bytes;
            group.by_use.insert(used, key.clone());
        });
        self.bytes += bytes;
        self.entries.insert(key, Entry { item, bytes, expires, used });
        while self.bytes > self.max_bytes
            && let Some(heaviest) = self.by_weight.last().and_then(|(_, name)| self.groups.get(name))
            && let Some(oldest) = heaviest.by_use.first_key_value().map(|(_, key)| key.clone())
        {
            self.remove(&oldest);
        }
    }

    /// The bytes of the group whose entries have keys that begin like this one, up to its closing brace.
    pub(super) fn bytes_of_group(&self, key: &str) -> usize {
        self.groups.get(group_of(key)).map_or(0, |group| group.bytes)
    }

    /// Removes what has expired.
    pub(super) fn sweep(&mut self) {
        let now = Instant::now();
        while let Some((_, key)) = self.by_expiry.first_key_value().filter(|((expires, _), _)| *expires <= now) {
            let key = key.clone();
            self.remove(&key);
        }
    }

    /// When the next entry expires; `None` when there is none.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.by_expiry.first_key_value().map(|((expires, _), _)| *expires)
    }

    fn remove(&mut self, key: &str) -> Option<T> {
        let entry = self.entries.remove(key)?;
        self.by_expiry.remove(&(entry.expires, entry.used));
        self.weigh(key, |group, _| {
            group.bytes -= entry.bytes;
            group.by_use.remove(&entry.used);
        });
        self.bytes -= entry.bytes;
        if self.entries.is_empty() {
            // A map that was large once would stay so.
            self.entries.shrink_to_fit();
            self.groups.shrink_to_fit();
        }
        Some(entry.item)
    }

    /// Changes what is known of the group that this key belongs to; one without entries goes.
    fn weigh<K: AsRef<str> + ?Sized>(&mut self, key: &K, change: impl FnOnce(&mut Group, &K)) {
        let name = group_of(key.as_ref());
        let (name, mut group) = self.groups.remove_entry(name).unwrap_or_else(|| (name.into(), Group::default()));
        self.by_weight.remove(&(group.bytes, name.clone()));
        change(&mut group, key);
        if !group.by_use.is_empty() {
            self.by_weight.insert((group.bytes, name.clone()));
            self.groups.insert(name, group);
        }
    }
}

/// The keys of a group begin alike, up to a closing brace (see [`keys`](crate::state::member_key)).
fn group_of(key: &str) -> &str {
    key.find('}').map_or("", |end| &key[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weighed for Vec<u8> {
        fn bytes(&self) -> usize {
            self.len()
        }
    }

    impl<T> Table<T> {
        /// The size of the largest of the maps.
        pub(in crate::state::memory) fn len(&self) -> usize {
            let by_use = self.groups.values().map(|group| group.by_use.len()).sum::<usize>();
            self.entries.len().max(self.by_expiry.len()).max(by_use).max(self.by_weight.len())
        }
    }

    const TTL: Duration = Duration::from_secs(60);

    #[test]
    fn those_unused_for_longest_go_first() {
        let mut table = Table::new(3 * (ENTRY_BYTES + 101));
        for key in ["a", "b", "c"] {
            table.put(key, vec![0; 100], TTL);
        }
        assert!(table.get("a").is_some());
        table.put("d", vec![0; 100], TTL);
        assert!(table.get("b").is_none());
        for key in ["a", "c", "d"] {
            assert!(table.get(key).is_some(), "{key}");
        }
        table.put("larger than everything", vec![0; 10_000], TTL);
        assert!(table.get("larger than everything").is_none());
        assert_eq!(table.bytes, 0);
    }

    #[test]
    fn the_group_that_has_most_makes_room() {
        let mut table = Table::new(10 * (ENTRY_BYTES + 110));
        table.put("{few}:1", vec![0; 100], TTL);
        table.put("alone", vec![0; 100], TTL);
        for number in 0..20 {
            table.put(&format!("{{many}}:{number:02}"), vec![0; 100], TTL);
        }
        assert!(table.get("{few}:1").is_some() && table.get("alone").is_some());
        assert!(table.get("{many}:00").is_none() && table.get("{many}:19").is_some());
        assert!(table.bytes_of_group("{many}:19") > table.bytes_of_group("{few}"));
    }

    #[test]
    fn nothing_is_left_of_what_has_expired_or_was_taken() {
        let mut table = Table::new(usize::MAX);
        for number in 0..100 {
            table.put(&number.to_string(), vec![0; 10], if number % 2 == 0 { Duration::ZERO } else { TTL });
            table.put(&number.to_string(), vec![0; 20], if number % 2 == 0 { Duration::ZERO } else { Duration::MAX });
        }
        assert!(table.get("0").is_none());
        for number in 0..100 {
            assert_eq!(table.take(&number.to_string()).is_some(), number % 2 == 1);
        }
        assert_eq!((table.len(), table.bytes), (0, 0));
        assert_eq!(table.next_expiry(), None);
    }
}
