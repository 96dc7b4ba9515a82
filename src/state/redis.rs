//! Shared state in Redis, for any number of replicas. The only place that speaks to Redis.
//!
//! Redis 6.2 or later, alone, behind Sentinel, or as a cluster. The store may lose everything at any time at the cost of
//! repeated calls; it should run with an eviction policy that prefers keys close to expiry (`volatile-ttl`).

mod connect;
mod error;
mod link;
mod url;

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use redis::Cmd;

use super::{SharedState, StateError, StateFuture};
use link::Link;
pub use url::{RedisUrl, RedisUrlError};

/// What readiness writes, to notice a Redis that answers but takes no writes.
const CHECK_KEY: &str = "pressmark:check";
const CHECK_TTL: Duration = Duration::from_secs(1);

/// State in Redis, over one connection that many calls share and that is made anew when it breaks.
///
/// Every operation is one command, and is answered or fails within 2.5 seconds; while Redis is away operations fail at
/// once, and the first one after it is back succeeds.
pub struct RedisState {
    link: Link,
}

impl RedisState {
    /// Connects, and makes sure that records can be written and refreshed there.
    ///
    /// # Errors
    /// [`StateError`] within seconds, when Redis cannot be reached, refuses the credentials, takes no writes, or is
    /// too old.
    pub async fn connect(url: &RedisUrl) -> Result<Self, StateError> {
        let state = Self { link: Link::new(url.clone()) };
        state.check().await?;
        state.link.query::<Option<Bytes>>(&get_and_refresh(CHECK_KEY, CHECK_TTL)).await.map_err(|error| match error {
            link::QueryError::Refused(error) if error::is_unknown_command(&error) => {
                StateError { reason: "Redis 6.2 or later is needed; this one has no GETEX".to_owned() }
            }
            error => error.into(),
        })?;
        Ok(state)
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

    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>> {
        Box::pin(async move { Ok(self.link.query(&get_and_refresh(key, ttl)).await?) })
    }

    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool> {
        Box::pin(async move { Ok(self.link.query(redis::cmd("DEL").arg(key)).await?) })
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
    let mut command = redis::cmd("GETEX");
    command.arg(key).arg("PX").arg(milliseconds(ttl));
    command
}

/// Redis refuses a time to live of 0.
fn milliseconds(ttl: Duration) -> u64 {
    u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1)
}
