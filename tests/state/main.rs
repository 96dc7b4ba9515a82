//! Shared state: one contract for every store, and what happens when Redis goes away and comes back.

mod contract;
mod groups;
mod leases;
mod logs;
mod outage;
mod records;
mod repeats;
mod start;
#[path = "../support/mod.rs"]
mod support;
mod topic_outages;
mod topics;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use pressmark::state::{RedisState, SharedState, StateError};
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(60);
/// No operation may take longer, whatever happens to Redis.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);
/// Redis is used again this soon after it is back.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);

async fn connect(url: &str) -> RedisState {
    try_connect(url).await.expect("Redis is there")
}

async fn try_connect(url: &str) -> Result<RedisState, StateError> {
    within_limit(RedisState::connect(&url.parse().expect("a right URL"))).await
}

async fn within_limit<T>(operation: impl Future<Output = T>) -> T {
    let start = Instant::now();
    let answer = operation.await;
    assert!(start.elapsed() < ANSWER_LIMIT, "an operation took {:?}", start.elapsed());
    answer
}

/// Waits until a write succeeds again; no attempt may take long. Gives the reasons of the failures before.
async fn recovered(state: &RedisState) -> Vec<String> {
    let start = Instant::now();
    let mut reasons = Vec::new();
    while let Err(error) = within_limit(state.put("recovery", Bytes::from_static(b"1"), TTL)).await {
        reasons.push(error.reason);
        assert!(start.elapsed() < RECOVERY_LIMIT, "not recovered: {:?}", reasons.last());
        sleep(Duration::from_millis(20)).await;
    }
    reasons
}

/// Waits until a write succeeds again; Sentinels take their time to agree. Gives the reasons of the failures before.
async fn recovered_from_failover(state: &RedisState) -> Vec<String> {
    let start = Instant::now();
    let mut reasons = Vec::new();
    while let Err(error) = within_limit(state.put("recovery", Bytes::from_static(b"1"), TTL)).await {
        reasons.push(error.reason);
        assert!(start.elapsed() < Duration::from_secs(20), "no failover: {:?}", reasons.last());
        sleep(Duration::from_millis(50)).await;
    }
    reasons
}
