//! What shared state must be able to do.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

/// The future of one operation on shared state.
pub type StateFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StateError>> + Send + 'a>>;

/// A store of small records with a time to live, shared by all replicas. Each operation is one round trip.
/// Implementations pass the same contract tests (`tests/state.rs`).
pub trait SharedState: fmt::Debug + Send + Sync + 'static {
    /// Writes a record, replacing what the key held, to expire after `ttl`.
    fn put<'a>(&'a self, key: &'a str, value: Bytes, ttl: Duration) -> StateFuture<'a, ()>;

    /// Reads a record and sets its time to live anew. `None` when the key is unknown or has expired.
    fn get_and_refresh<'a>(&'a self, key: &'a str, ttl: Duration) -> StateFuture<'a, Option<Bytes>>;

    /// Removes a record; `true` when there was one.
    fn delete<'a>(&'a self, key: &'a str) -> StateFuture<'a, bool>;

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
