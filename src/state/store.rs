//! What shared state must be able to do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::{EventId, GroupLimits, LogLimits, Once, Subscription};

/// The future of one operation on shared state.
pub type StateFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;

/// A store of small things with a time to live, shared by all replicas. Each operation is one round trip and one atomic
/// step. Implementations pass the same contract tests (`tests/state`).
///
/// An operation may be sent twice when a connection breaks. That is why [`put_if_absent`](Self::put_if_absent) and
/// [`replace`](Self::replace) count a key that already holds the new value as won: values that race carry something
/// random, so that nobody takes another's for its own.
pub trait SharedState: fmt::Debug + Send + Sync + 'static {
    /// Writes a record, replacing what the key held, to expire after `ttl`.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()>;

    /// Reads a record and leaves its time to live as it is. `None` when the key is unknown or has expired.
    fn get<'a>(&'a self, key: &'a str) -> StateFuture<'a, Option<Bytes>>;

    /// Reads a record and sets its time to live anew. `None` when the key is unknown or has expired.
    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>>;

    /// Removes a record; `true` when there was one.
    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool>;

    /// Writes a record if the key holds none. `true` when the key now holds `value`, to expire after `ttl`: it was free, or
    /// held just that already. For leases.
    fn put_if_absent<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, bool>;

    /// Replaces `expected` by `value`. `true` when the key now holds `value`, to expire after `ttl`: it held `expected`, or
    /// just `value` already. `false` and nothing changed when it holds something else or nothing.
    fn replace<'a>(&'a self, key: &'a str, expected: &'a [u8], value: Bytes, ttl: Duration) -> StateFuture<'a, bool>;

    /// Removes a record if it is `expected`, as to give a lease back; `true` when it was. A connection that breaks
    /// meanwhile can make it `false` although this call removed it.
    fn delete_if<'a>(&'a self, key: &'a str, expected: &'a [u8]) -> StateFuture<'a, bool>;

    /// Writes the record of a member of a group, to expire after `ttl`, and empties the member's log. When the group is
    /// then beyond its limits, the members unused for longest are removed with their logs; whatever names a member, but for
    /// [`get`](Self::get) and [`read_log`](Self::read_log), is a use of it. A full group costs time in proportion to its
    /// members: a few thousand are fine. All members of a group should have the same `ttl`: one that outlives the last use
    /// of all others is no longer counted.
    fn put_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, ()>;

    /// Replaces the record `expected` of a member by `value`, or makes the member when none is expected. `true` when its
    /// record now is `value`, to expire after `ttl`: it was as expected, or just `value` already. `false` and nothing
    /// changed when it is something else. The limits hold as in [`put_in_group`](Self::put_in_group).
    fn replace_in_group<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        expected: Option<&'a [u8]>,
        value: Bytes,
        ttl: Duration,
        limits: GroupLimits,
    ) -> StateFuture<'a, bool>;

    /// Reads the record of a member, sets its time to live anew, and counts as a use of it.
    fn get_in_group<'a>(&'a self, group: &'a str, member: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>>;

    /// Removes a member with its record and its log; `true` when there was one.
    fn delete_in_group<'a>(&'a self, group: &'a str, member: &'a str) -> StateFuture<'a, bool>;

    /// Removes all members whose names begin like this, with their records and logs.
    fn delete_all_in_group<'a>(&'a self, group: &'a str, beginning: &'a str) -> StateFuture<'a, ()>;

    /// Appends an event to the log of a member, within its limits and the group's, and publishes an empty message on the
    /// topic [`log_topic`](super::log_topic). `None`, and nothing appended nor published, when the log has had it already as
    /// `once` tells, or when there is no such member.
    fn append<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        event: Bytes,
        once: Option<Once<'a>>,
        limits: LogLimits,
    ) -> StateFuture<'a, Option<EventId>>;

    /// Reads the oldest events of a member's log that come after `after`, `max` of them at most. An unknown or expired log
    /// has none.
    fn read_log<'a>(
        &'a self,
        group: &'a str,
        member: &'a str,
        after: Option<EventId>,
        max: usize,
    ) -> StateFuture<'a, Vec<(EventId, Bytes)>>;

    /// Sends a message to all who subscribe to a topic now, on any replica. Nobody learns whether it arrives, and when a
    /// connection breaks it may arrive twice.
    fn publish<'a>(&'a self, topic: &'a str, message: Bytes) -> StateFuture<'a, ()>;

    /// Subscribes to a topic: every message published after this is done is received, or a
    /// [`Gap`](super::Signal::Gap) in its place.
    fn subscribe<'a>(&'a self, topic: &'a str) -> StateFuture<'a, Subscription>;

    /// Can the store be reached and written to now? For readiness.
    fn check(&self) -> StateFuture<'_, ()>;
}

/// The store could not do what was asked; the same call may succeed later.
#[derive(Clone, Debug, thiserror::Error)]
#[error("shared state is unavailable: {reason}")]
pub struct StateError {
    /// Why, without addresses or credentials.
    pub reason: String,
}
