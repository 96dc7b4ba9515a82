//! Shared state in Redis, for any number of replicas. The only place that speaks to Redis.
//!
//! Redis 6.2 or later, alone, behind Sentinel, or as a cluster. The store may lose everything at any time, see
//! [`state`](super); it should run with an eviction policy that prefers keys close to expiry (`volatile-ttl`), or with
//! none: every key has a time to live.
//!
//! A user with restricted rights needs `GET`, `SET`, `GETEX`, `DEL`, `EVAL`, `EXISTS`, `PEXPIRE`, `PTTL`, `STRLEN`, `ZADD`,
//! `ZCARD`, `ZRANGE`, `ZREM`, `HEXISTS`, `HGET`, `HLEN`, `HSET`, `XADD`, `XDEL`, `XLEN`, `XRANGE`, `PUBLISH`, `SUBSCRIBE`,
//! `UNSUBSCRIBE`, `PING` and `HELLO`, on the keys and channels `pressmark:*`; behind Sentinel also `ROLE`, in a cluster also `CLUSTER`.
//! [`RedisInspection`] also asks for `INFO`, and tells when it may not.
//!
//! Messages come over a second connection. In a cluster it leads to one of the nodes that the URL names, and to another of
//! them when that one fails.

mod connect;
mod error;
mod inspection;
mod link;
mod scripts;
mod subscriber;
mod url;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use redis::Cmd;

pub use self::inspection::{RedisCluster, RedisInspection, RedisLatency, RedisSentinel, RedisServer};
use self::link::Link;
use self::subscriber::Subscriber;
pub use self::url::{RedisUrl, RedisUrlError};
use super::{EventId, GroupLimits, LogLimits, Once, SharedState, StateError, StateFuture, Subscription};
use crate::metrics::StateOperations;

/// What readiness writes, to notice a Redis that answers but takes no writes.
const CHECK_KEY: &str = "pressmark:check";
const CHECK_TTL: Duration = Duration::from_secs(1);

/// State in Redis, over one connection that many calls share and that is made anew when it breaks, and one more for
/// messages once somebody subscribes.
///
/// Every operation is one command, and is answered or fails within 2.5 seconds; while Redis is away operations fail at
/// once, and the first one after it is back succeeds.
pub struct RedisState {
    link: Link,
    subscriber: Subscriber,
}

impl RedisState {
    /// Connects, and makes sure that what is needed can be done there.
    ///
    /// # Errors
    /// [`StateError`] within seconds, when Redis cannot be reached, refuses the credentials, takes no writes, or is
    /// too old.
    pub async fn connect(url: &RedisUrl) -> Result<Self, StateError> {
        let state = Self { link: Link::new(url.clone()), subscriber: Subscriber::new(url.clone()) };
        state.check().await?;
        state.link.query::<Option<Bytes>>(&get_and_refresh(CHECK_KEY, CHECK_TTL)).await.map_err(|error| match error {
            link::QueryError::Refused(error) if error::is_unknown_command(&error) => {
                StateError { reason: "Redis 6.2 or later is needed; this one has no GETEX".to_owned() }
            }
            error => error.into(),
        })?;
        // Scripts, streams and publishing, which a restricted user may lack the right to.
        let group = GroupLimits { members: 1, bytes: 1_024 };
        let limits = LogLimits { max_events: 1, max_bytes: 1_024, ttl: CHECK_TTL, group };
        state.put_in_group(CHECK_KEY, "log", Bytes::new(), CHECK_TTL, group).await?;
        for _ in 0..2 {
            state.append(CHECK_KEY, "log", Bytes::new(), Some(Once { field: "check", value: &random_text() }), limits).await?;
        }
        Ok(state)
    }

    /// The same, with every operation counted.
    #[must_use]
    pub fn counted_by(mut self, operations: StateOperations) -> Self {
        self.link.count(operations);
        self
    }
}

impl fmt::Debug for RedisState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisState").field(self.link.url()).finish()
    }
}

impl SharedState for RedisState {
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()> {
        Box::pin(async move { Ok(self.link.query(&put(key, &value, ttl)).await?) })
    }

    fn get<'a>(&'a self, key: &'a str) -> StateFuture<'a, Option<Bytes>> {
        Box::pin(async move { Ok(self.link.query(redis::cmd("GET").arg(key)).await?) })
    }

    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        Box::pin(async move { Ok(self.link.query(&get_and_refresh(key, ttl)).await?) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(redis::cmd("DEL").arg(key)).await?) })
    }

    fn put_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(&scripts::put_if_absent(key, &value, ttl)).await?) })
    }

    fn replace<'a>(&'a self, key: &'a str, expected: &'a [u8], value: Bytes, ttl: Duration) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(&scripts::replace(key, expected, &value, ttl)).await?) })
    }

    fn delete_if<'a>(&'a self, key: &'a str, expected: &'a [u8]) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(&scripts::delete_if(key, expected)).await?) })
    }

    fn put_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, ()> {
        Box::pin(async move { Ok(self.link.query(&scripts::put_in_group(group, member, &value, ttl, limits)).await?) })
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
        Box::pin(
            async move { Ok(self.link.query(&scripts::replace_in_group(group, member, expected, &value, ttl, limits)).await?) },
        )
    }

    fn get_in_group<'a>(&'a self, group: &'a str, member: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        Box::pin(async move { Ok(self.link.query(&scripts::get_in_group(group, member, ttl)).await?) })
    }

    fn delete_in_group<'a>(&'a self, group: &'a str, member: &'a str) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(&scripts::delete_in_group(group, member)).await?) })
    }

    fn delete_all_in_group<'a>(&'a self, group: &'a str, beginning: &'a str) -> StateFuture<'a, ()> {
        Box::pin(async move { Ok(self.link.query(&scripts::delete_all_in_group(group, beginning)).await?) })
    }

    fn append<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        event: Bytes,
        once: Option<Once<'a>>,
        limits: LogLimits,
    ) -> StateFuture<'a, Option<EventId>> {
        Box::pin(async move {
            let id: Option<String> = self.link.query(&scripts::append(group, member, &event, once, limits)).await?;
            id.map(|id| id.parse().map_err(|_| foreign())).transpose()
        })
    }

    fn read_log<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        after: Option<EventId>,
        max: usize,
    ) -> StateFuture<'a, Vec<(EventId, Bytes)>> {
        Box::pin(async move {
            // Redis calls it an error to ask for what comes after the last id that there can be.
            if after == Some(EventId { ms: u64::MAX, seq: u64::MAX }) {
                return Ok(Vec::new());
            }
            let entries: Vec<(String, Vec<Bytes>)> = self.link.query(&scripts::read_log(group, member, after, max)).await?;
            entries.into_iter().map(|entry| scripts::event(entry).ok_or_else(foreign)).collect()
        })
    }

    fn publish<'a>(&'a self, topic: &'a str, message: Bytes) -> StateFuture<'a, ()> {
        Box::pin(async move { Ok(self.link.query(redis::cmd("PUBLISH").arg(topic).arg(&message[..])).await?) })
    }

    fn subscribe<'a>(&'a self, topic: &'a str) -> StateFuture<'a, Subscription> {
        Box::pin(self.subscriber.subscribe(topic))
    }

    fn check(&self) -> StateFuture<'_, ()> {
        self.put(CHECK_KEY, Bytes::from_static(b"1"), CHECK_TTL)
    }
}

fn put(key: &str, value: &[u8], ttl: Duration) -> Cmd {
    let mut command = redis::cmd("SET");
    command.arg(key).arg(value).arg("PX").arg(milliseconds(ttl));
    command
}

fn get_and_refresh(key: &str, ttl: Duration) -> Cmd {
    // Room for all of it at once: this is the command of every page.
    let mut command = Cmd::with_capacity(4, "GETEXPX".len() + key.len() + 20);
    command.arg("GETEX").arg(key).arg("PX").arg(milliseconds(ttl));
    command
}

/// Redis refuses a time to live of 0.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Another each time.
fn random_text() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Somebody else has written to a key of ours.
fn foreign() -> StateError {
    StateError { reason: "Redis holds something foreign in a key of ours".to_owned() }
}
