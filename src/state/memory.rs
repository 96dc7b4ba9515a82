//! Shared state in this process, for a server of one replica and for tests.

mod item;
mod table;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use self::item::{Group, Item, Log};
use self::table::Table;
use super::keys::{log_topic, member_key, together};
use super::topics::Topics;
use super::{EventId, GroupLimits, LogLimits, Once, SharedState, Signal, StateFuture, Subscription};

/// When keys and what they hold grow beyond this, the group that has most loses what was unused for longest.
const MAX_BYTES: usize = 256 * 1024 * 1024;
/// What has expired is out of reach at once, and out of memory this much later, or with the next operation.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// State in the memory of this process: gone when it ends, and shared with nobody.
pub struct MemoryState {
    // A standard mutex: no operation waits for anything while it holds it.
    contents: Arc<Mutex<Contents>>,
    topics: Arc<Topics>,
}

struct Contents {
    table: Table<Item>,
    last_event: EventId,
    /// Is there a task that removes what has expired?
    swept: bool,
}

impl MemoryState {
    /// An empty store that holds at most 256 MiB.
    #[must_use]
    pub fn new() -> Self {
        let contents = Contents { table: Table::new(MAX_BYTES), last_event: EventId { ms: 0, seq: 0 }, swept: false };
        Self { contents: Arc::new(Mutex::new(contents)), topics: Topics::new(|_| {}) }
    }

    /// Runs one operation, as a future because others have to wait for theirs.
    fn run<'a, T: Send + 'a>(&'a self, operation: impl FnOnce(&mut Contents) -> T + Send + 'a) -> StateFuture<'a, T> {
        Box::pin(async move {
            let mut contents = lock(&self.contents);
            let answer = operation(&mut contents);
            if !contents.swept
                && contents.table.next_expiry().is_some()
                && let Ok(runtime) = Handle::try_current()
            {
                contents.swept = true;
                runtime.spawn(sweep(Arc::downgrade(&self.contents)));
            }
            Ok(answer)
        })
    }
}

fn lock(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what has expired until nothing is left that could.
async fn sweep(contents: Weak<Mutex<Contents>>) {
    while let Some(contents) = contents.upgrade() {
        let next = {
            let mut contents = lock(&contents);
            contents.table.sweep();
            let next = contents.table.next_expiry();
            contents.swept = next.is_some();
            next
        };
        drop(contents);
        let Some(next) = next else { return };
        sleep_until(next.max(Instant::now() + SWEEP_INTERVAL)).await;
    }
}

impl Default for MemoryState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryState").finish_non_exhaustive()
    }
}

impl SharedState for MemoryState {
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()> {
        self.run(move |contents| contents.table.put(key, Item::Record(value), ttl))
    }

    fn get<'a>(&'a self, key: &'a str) -> StateFuture<'a, Option<Bytes>> {
        self.run(move |contents| contents.record(key))
    }

    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        self.run(move |contents| contents.refresh(key, ttl))
    }

    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool> {
        self.run(move |contents| contents.table.take(key).is_some())
    }

    fn put_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        self.run(move |contents| {
            let free = contents.record(key).is_none_or(|held| held == value);
            if free {
                contents.table.put(key, Item::Record(value), ttl);
            }
            free
        })
    }

    fn replace<'a>(&'a self, key: &'a str, expected: &'a [u8], value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        self.run(move |contents| {
            let right = contents.record(key).is_some_and(|held| held == expected || held == value);
            if right {
                contents.table.put(key, Item::Record(value), ttl);
            }
            right
        })
    }

    fn delete_if<'a>(&'a self, key: &'a str, expected: &'a [u8]) -> StateFuture<'a, bool> {
        self.run(move |contents| contents.record(key).is_some_and(|held| held == expected) && contents.table.take(key).is_some())
    }

    fn put_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, ()> {
        self.run(move |contents| {
            contents.table.take(&log_topic(group, member));
            contents.table.put(&member_key(group, member), Item::Record(value), ttl);
            contents.use_member(group, member, ttl);
            contents.keep_within(group, limits);
        })
    }

    fn replace_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        expected: Option<&'a [u8]>,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, bool> {
        self.run(move |contents| {
            let key = member_key(group, member);
            let held = contents.record(&key);
            let right = held.as_deref() == expected || held.as_ref() == Some(&value);
            if right {
                contents.table.put(&key, Item::Record(value), ttl);
                contents.use_member(group, member, ttl);
                contents.keep_within(group, limits);
            }
            right
        })
    }

    fn get_in_group<'a>(&'a self, group: &'a str, member: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        self.run(move |contents| {
            let value = contents.refresh(&member_key(group, member), ttl)?;
            contents.use_member(group, member, ttl);
            Some(value)
        })
    }

    fn delete_in_group<'a>(&'a self, group: &'a str, member: &'a str) -> StateFuture<'a, bool> {
        self.run(move |contents| {
            contents.change_group(group, Duration::ZERO, |members, _| {
                members.members.remove(member);
            });
            contents.forget(group, member)
        })
    }

    fn delete_all_in_group<'a>(&'a self, group: &'a str, beginning: &'a str) -> StateFuture<'a, ()> {
        self.run(move |contents| {
            let mut gone = Vec::new();
            contents.change_group(group, Duration::ZERO, |members, _| {
                gone = members.by_use();
                gone.retain(|member| member.starts_with(beginning));
                members.members.retain(|member, _| !member.starts_with(beginning));
            });
            for member in gone {
                contents.forget(group, &member);
            }
        })
    }

    fn append<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        event: Bytes,
        once: Option<Once<'a>>,
        limits: LogLimits,
    ) -> StateFuture<'a, Option<EventId>> {
        self.run(move |contents| {
            contents.record(&member_key(group, member))?;
            let key = log_topic(group, member);
            let mut held = match contents.table.take(&key) {
                Some(Item::Log(held)) => held,
                _ => Log::default(),
            };
            let known = once.is_some_and(|once| held.told.get(once.field).is_some_and(|told| **told == *once.value));
            if !known {
                // One id for all logs: it grows also when a log is forgotten and begins anew.
                contents.last_event = contents.last_event.next(milliseconds_since_1970());
                held.push(contents.last_event, event, limits);
                if let Some(Once { field, value }) = once {
                    if held.told.len() >= limits.max_events && !held.told.contains_key(field) {
                        held.told.clear();
                    }
                    held.told.insert(field.into(), value.into());
                }
            }
            contents.table.put(&key, Item::Log(held), limits.ttl);
            if known {
                return None;
            }
            contents.use_member(group, member, limits.ttl);
            contents.keep_within(group, limits.group);
            // Within the lock, so that messages come in the order of the events.
            self.topics.send(&key, Signal::Message(Bytes::new()));
            Some(contents.last_event)
        })
    }

    fn read_log<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        after: Option<EventId>,
        max: usize,
    ) -> StateFuture<'a, Vec<(EventId, Bytes)>> {
        self.run(move |contents| match contents.table.get(&log_topic(group, member)) {
            Some(Item::Log(log)) => log.after(after).take(max).cloned().collect(),
            _ => Vec::new(),
        })
    }

    fn publish<'a>(&'a self, topic: &'a str, message: Bytes) -> StateFuture<'a, ()> {
        self.run(move |_| self.topics.send(topic, Signal::Message(message)))
    }

    fn subscribe<'a>(&'a self, topic: &'a str) -> StateFuture<'a, Subscription> {
        self.run(move |_| self.topics.subscribe(topic.into()))
    }

    fn check(&self) -> StateFuture<'_, ()> {
        self.run(|_| ())
    }
}

impl Contents {
    fn record(&mut self, key: &str) -> Option<Bytes> {
        match self.table.get(key) {
            Some(Item::Record(value)) => Some(value.clone()),
            _ => None,
        }
    }

    fn refresh(&mut self, key: &str, ttl: Duration) -> Option<Bytes> {
        let value = self.record(key)?;
        self.table.put(key, Item::Record(value.clone()), ttl);
        Some(value)
    }

    fn use_member(&mut self, group: &str, member: &str, ttl: Duration) {
        self.change_group(group, ttl, |members, _| members.touch(member));
    }

    /// Removes what a member has; `true` when it had a record.
    fn forget(&mut self, group: &str, member: &str) -> bool {
        self.table.take(&log_topic(group, member));
        self.table.take(&member_key(group, member)).is_some()
    }

    /// Removes members until the group is within its limits, but never the one used last.
    fn keep_within(&mut self, group: &str, limits: GroupLimits) {
        let key = together(group);
        let (mut members, mut bytes) = (0, self.table.bytes_of_group(&key));
        self.change_group(group, Duration::ZERO, |group, _| members = group.members.len());
        if members <= limits.members && bytes <= limits.bytes {
            return;
        }
        let most = if bytes > limits.bytes { limits.bytes_after_cut() } else { limits.bytes };
        let mut by_use = Vec::new();
        self.change_group(group, Duration::ZERO, |members, table| {
            members.members.retain(|member, _| table.time_left(&member_key(group, member)).is_some());
            by_use = members.by_use();
        });
        let (mut gone, all) = (HashSet::new(), by_use.len());
        for member in by_use {
            let left = all - gone.len();
            if left <= 1 || (left <= limits.members && bytes <= most) {
                break;
            }
            self.forget(group, &member);
            bytes = self.table.bytes_of_group(&key);
            gone.insert(member);
        }
        self.change_group(group, Duration::ZERO, |members, _| members.members.retain(|member, _| !gone.contains(member)));
    }

    /// Changes who is in a group, which then lives for `ttl` or longer; a group without members goes.
    fn change_group(&mut self, group: &str, ttl: Duration, change: impl FnOnce(&mut Group, &mut Table<Item>)) {
        let key = together(group);
        let ttl = self.table.time_left(&key).map_or(ttl, |left| left.max(ttl));
        let mut members = match self.table.take(&key) {
            Some(Item::Group(members)) => members,
            _ => Group::default(),
        };
        change(&mut members, &mut self.table);
        if !members.members.is_empty() {
            self.table.put(&key, Item::Group(members), ttl);
        }
    }
}

fn milliseconds_since_1970() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_left_when_everything_has_expired_and_nobody_comes() {
        let (state, ttl) = (MemoryState::new(), Duration::from_millis(50));
        let (value, limits) =
            (Bytes::from_static(b"1"), LogLimits { max_events: 10, max_bytes: 1_000, ttl, group: GroupLimits::members(100) });
        for number in 0..1_000 {
            let name = format!("pressmark:test:{number}");
            state.put(&name, value.clone(), ttl).await.expect("a write");
            state.put_in_group("pressmark:group", &name, value.clone(), ttl, GroupLimits::members(100)).await.expect("a write");
            state
                .append("pressmark:group", &name, value.clone(), Some(Once { field: &name, value: "1" }), limits)
                .await
                .expect("an event");
            drop(state.subscribe(&name).await.expect("a subscription"));
        }
        assert!(lock(&state.contents).swept);
        let start = Instant::now();
        while lock(&state.contents).swept {
            assert!(start.elapsed() < 10 * SWEEP_INTERVAL, "somebody is still waiting");
            tokio::time::sleep(ttl).await;
        }
        assert_eq!(lock(&state.contents).table.len(), 0);
        assert!(state.topics.is_empty());
    }
}
