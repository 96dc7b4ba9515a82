//! Shared state in this process, for a server of one replica and for tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::ops::compute::{CompResult, Op};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::{SharedState, StateFuture};

/// When keys and values grow beyond this, the records unused for longest go first.
const MAX_BYTES: u64 = 256 * 1024 * 1024;
/// What an entry costs beside its key and its value, roughly.
const ENTRY_BYTES: usize = 128;

/// State in the memory of this process: gone when it ends, and shared with nobody.
#[derive(Debug)]
pub struct MemoryState {
    records: Cache<Arc<str>, Record>,
}

#[derive(Clone, Debug)]
struct Record {
    value: Bytes,
    ttl: Duration,
}

impl MemoryState {
    /// An empty store that holds at most 256 MiB.
    #[must_use]
    pub fn new() -> Self {
        let records = Cache::builder()
            .max_capacity(MAX_BYTES)
            .weigher(|key: &Arc<str>, record: &Record| {
                u32::try_from(key.len() + record.value.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
            })
            // The cache's own policy may refuse a new record in favour of old ones; a cursor just handed out must be there.
            .eviction_policy(EvictionPolicy::lru())
            .expire_after(TimeToLive)
            .build();
        Self { records }
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::new()
    }
}

impl SharedState for MemoryState {
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()> {
        Box::pin(async move {
            self.records.insert(Arc::from(key), Record { value, ttl });
            Ok(())
        })
    }

    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        Box::pin(async move {
            // One atomic step: a read followed by a write could bring back a record that was deleted in between.
            let refreshed = self.records.entry(Arc::from(key)).and_compute_with(|entry| match entry {
                Some(entry) => Op::Put(Record { ttl, ..entry.into_value() }),
                None => Op::Nop,
            });
            Ok(match refreshed {
                CompResult::ReplacedWith(entry) => Some(entry.into_value().value),
                _ => None,
            })
        })
    }

    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool> {
        Box::pin(async move {
            // The cache's own `remove` also gives back what has expired.
            let removed = self.records.entry(Arc::from(key)).and_compute_with(|entry| match entry {
                Some(_) => Op::Remove,
                None => Op::Nop,
            });
            Ok(matches!(removed, CompResult::Removed(_)))
        })
    }

    fn check(&self) -> StateFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A record lives for its own time to live, counted from when it was last written or refreshed.
struct TimeToLive;

impl Expiry<Arc<str>, Record> for TimeToLive {
    fn expire_after_create(&self, _key: &Arc<str>, record: &Record, _now: Instant) -> Option<Duration> {
        Some(record.ttl)
    }

    fn expire_after_update(&self, _key: &Arc<str>, record: &Record, _now: Instant, _left: Option<Duration>) -> Option<Duration> {
        Some(record.ttl)
    }
}
