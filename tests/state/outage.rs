//! Redis goes away and comes back, moves, or falls silent.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::SharedState;
use tokio::time::sleep;

use super::support::process::{free_port, wait_until};
use super::support::redis::{RedisCluster, RedisServer, SentinelSet};
use super::{RECOVERY_LIMIT, TTL, connect, recovered, recovered_from_failover, within_limit};

#[tokio::test(flavor = "multi_thread")]
async fn redis_stopped_and_started_during_use_fails_fast_and_recovers() {
    let mut server = RedisServer::start();
    let state = connect(&server.url()).await;
    for _ in 0..2 {
        server.stop();
        let error = within_limit(state.get_and_refresh("key", TTL)).await.expect_err("Redis is away");
        assert_eq!(error.to_string(), "shared state is unavailable: Redis cannot be reached (connection refused)");
        within_limit(state.check()).await.expect_err("readiness notices");

        // Callers do not pile up: a thousand are told within the time that one may take.
        within_limit(join_all((0..1000).map(|_| state.get_and_refresh("key", TTL)))).await;
        server.restart();
        recovered(&state).await;
        state.check().await.expect("readiness notices");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_two_calls_is_not_noticed() {
    let mut server = RedisServer::start();
    let state = connect(&server.url()).await;
    for _ in 0..5 {
        server.restart();
        let together = join_all((0..64).map(|_| state.put("key", Bytes::from_static(b"1"), TTL)));
        for answer in within_limit(together).await {
            answer.expect("the call was repeated on a new connection");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_when_redis_dies_end_soon() {
    let mut server = RedisServer::start();
    let state = connect(&server.url()).await;
    let busy = (0..64).map(|task| {
        let state = &state;
        async move {
            let (key, start) = (format!("key-{task}"), Instant::now());
            while start.elapsed() < Duration::from_secs(1) {
                let _ = within_limit(state.put(&key, Bytes::from(vec![1; 10_000]), TTL)).await;
                tokio::task::yield_now().await;
            }
        }
    });
    let killer = async {
        sleep(Duration::from_millis(300)).await;
        server.stop();
    };
    tokio::join!(join_all(busy), killer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_redis_is_given_up_and_used_again() {
    let server = RedisServer::start();
    let state = connect(&server.url()).await;
    server.freeze();
    for _ in 0..3 {
        let error = within_limit(state.get_and_refresh("key", TTL)).await.expect_err("Redis is frozen");
        assert!(error.reason.contains("did not answer in time") || error.reason.contains("timed out"), "{error}");
    }
    server.resume();
    recovered(&state).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_notices_a_master_that_became_a_replica() {
    let server = RedisServer::start();
    let state = connect(&server.url()).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &free_port().to_string()]);
    let error = within_limit(state.check()).await.expect_err("a replica takes no writes");
    assert!(error.reason.contains("read-only replica"), "{error}");
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovered(&state).await;
    state.check().await.expect("a master takes writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_master_is_followed_by_the_one_that_sentinels_choose() {
    let mut set = SentinelSet::start();
    let state = connect(&set.url()).await;
    state.put("replicated", Bytes::from_static(b"kept"), TTL).await.expect("a write");
    wait_until(RECOVERY_LIMIT, "the replica has the record", || set.replica().cli(&["EXISTS", "replicated"]) == "1");
    let old = set.master().port();
    set.kill_master();
    let reasons = recovered_from_failover(&state).await;
    assert!(!reasons.is_empty(), "for a while there is no master");
    assert_ne!(set.master().port(), old);
    assert_eq!(state.get_and_refresh("replicated", TTL).await.expect("a read").as_deref(), Some(&b"kept"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_demoted_while_in_use_is_left_for_the_new_one() {
    let set = SentinelSet::start();
    let state = connect(&set.url()).await;
    let old = set.master().port();
    set.exchange();
    wait_until(Duration::from_secs(15), "the servers have changed places", || {
        set.masters().iter().all(|server| server.port() != old) && !set.masters().is_empty()
    });
    recovered_from_failover(&state).await;
    state.put("after", Bytes::from_static(b"1"), TTL).await.expect("a write");
    assert_eq!(set.master().cli(&["EXISTS", "after"]), "1");
}

async fn other_keys_stay(lose: fn(&mut RedisServer), restore: fn(&mut RedisServer)) {
    let mut cluster = RedisCluster::start();
    let state = connect(&cluster.url()).await;
    let keys: Vec<_> = (0..30).map(|number| format!("key-{number}")).collect();
    for key in &keys {
        state.put(key, Bytes::from_static(b"1"), TTL).await.expect("a write");
    }
    let (lost, kept): (Vec<_>, Vec<_>) = keys.iter().partition(|key| cluster.holder(key) == 1);
    lose(&mut cluster.nodes[1]);
    for _ in 0..3 {
        let error = within_limit(state.get_and_refresh(lost[0], TTL)).await.expect_err("its master is away");
        assert!(error.reason.contains("Redis") && !error.reason.contains("127.0.0.1"), "{error}");
        for key in &kept {
            let read = within_limit(state.get_and_refresh(key, TTL)).await.expect("its master is there");
            assert_eq!(read.as_deref(), Some(&b"1"[..]), "{key}");
        }
    }
    restore(&mut cluster.nodes[1]);
    let start = Instant::now();
    while let Err(error) = within_limit(state.get_and_refresh(lost[0], TTL)).await {
        assert!(start.elapsed() < Duration::from_secs(10), "not recovered: {error}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_lost_a_master_keeps_the_other_keys() {
    other_keys_stay(RedisServer::stop, RedisServer::restart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_with_a_frozen_master_keeps_the_other_keys() {
    other_keys_stay(|server| server.freeze(), |server| server.resume()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_cluster_stopped_and_started_is_used_again() {
    let mut cluster = RedisCluster::start();
    let state = connect(&cluster.url()).await;
    cluster.nodes.iter_mut().for_each(RedisServer::stop);
    for _ in 0..3 {
        within_limit(state.get_and_refresh("key", TTL)).await.expect_err("everything is away");
    }
    cluster.nodes.iter_mut().for_each(RedisServer::restart);
    let start = Instant::now();
    for key in ["a", "b", "c", "d", "e", "f"] {
        while let Err(error) = within_limit(state.put(key, Bytes::from_static(b"1"), TTL)).await {
            assert!(start.elapsed() < Duration::from_secs(15), "not recovered: {error}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}
