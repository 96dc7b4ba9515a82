//! Shared state: one contract for every store, and what happens when Redis goes away and comes back.

mod support;

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::{MemoryState, RedisState, SharedState, StateError};
use support::process::{free_port, wait_until};
use support::redis::{RedisCluster, RedisServer, SentinelSet};
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

mod contract {
    use super::*;

    async fn hold(state: &dyn SharedState) {
        state.check().await.expect("the store is there");
        tokio::join!(reads_back(state), expires(state), is_refreshed_by_reading(state), bears_concurrency(state));
    }

    async fn reads_back(state: &dyn SharedState) {
        let every_byte = Bytes::from_iter(0..=u8::MAX);
        let large: Vec<u8> = (0..4_u32 << 20).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let values =
            [Bytes::from_static(b"plain"), Bytes::new(), Bytes::from_static(b"a\r\n\0$-1\r\n"), every_byte, large.into()];
        for key in ["pressmark:contract", "with spaces\r\n and lines", "ключ-鍵", &"long".repeat(1000), "{tag}other"] {
            assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key:?} is unknown");
            assert!(!state.delete(key).await.expect("a deletion"), "{key:?} is unknown");
            for value in &values {
                state.put(key, value.clone(), TTL).await.expect("a write");
                for _ in 0..2 {
                    let read = state.get_and_refresh(key, TTL).await.expect("a read").expect("just written");
                    assert!(read == value, "{key:?}: {} bytes came back as {}", value.len(), read.len());
                }
            }
            assert!(state.delete(key).await.expect("a deletion"), "{key:?} was there");
            assert!(!state.delete(key).await.expect("a deletion"), "{key:?} is gone");
            assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key:?} is gone");
        }
    }

    async fn expires(state: &dyn SharedState) {
        let (soon, value) = (Duration::from_millis(200), Bytes::from_static(b"short-lived"));
        state.put("expires", value.clone(), soon).await.expect("a write");
        state.put("expires-for-delete", value.clone(), soon).await.expect("a write");
        state.put("overwritten-to-live-longer", value.clone(), soon).await.expect("a write");
        state.put("overwritten-to-live-longer", value.clone(), TTL).await.expect("a write");
        state.put("overwritten-to-expire", value.clone(), TTL).await.expect("a write");
        state.put("overwritten-to-expire", value.clone(), soon).await.expect("a write");
        state.put("read-to-expire", value.clone(), TTL).await.expect("a write");
        assert_eq!(state.get_and_refresh("read-to-expire", soon).await.expect("a read"), Some(value.clone()));
        state.put("no-time-at-all", value.clone(), Duration::ZERO).await.expect("a write");
        sleep(Duration::from_millis(500)).await;
        for key in ["expires", "overwritten-to-expire", "read-to-expire", "no-time-at-all"] {
            assert_eq!(state.get_and_refresh(key, TTL).await.expect("a read"), None, "{key} has expired");
        }
        assert!(!state.delete("expires-for-delete").await.expect("a deletion"), "an expired record is not there to delete");
        assert_eq!(state.get_and_refresh("overwritten-to-live-longer", TTL).await.expect("a read"), Some(value));
    }

    async fn is_refreshed_by_reading(state: &dyn SharedState) {
        let (ttl, value) = (Duration::from_millis(1_500), Bytes::from_static(b"kept"));
        state.put("refreshed", value.clone(), ttl).await.expect("a write");
        for _ in 0..3 {
            sleep(Duration::from_millis(900)).await;
            assert_eq!(state.get_and_refresh("refreshed", ttl).await.expect("a read"), Some(value.clone()));
        }
        sleep(Duration::from_millis(2_000)).await;
        assert_eq!(state.get_and_refresh("refreshed", ttl).await.expect("a read"), None, "nobody read it in time");
    }

    async fn bears_concurrency(state: &dyn SharedState) {
        let own_and_shared = |task: u8| async move {
            let (key, value) = (format!("task-{task}"), Bytes::from(vec![task; 1 + usize::from(task) * 100]));
            for _ in 0..20 {
                state.put(&key, value.clone(), TTL).await.expect("a write");
                state.put("shared-by-tasks", value.clone(), TTL).await.expect("a write");
                assert_eq!(state.get_and_refresh(&key, TTL).await.expect("a read"), Some(value.clone()));
                let shared = state.get_and_refresh("shared-by-tasks", TTL).await.expect("a read").expect("always there");
                assert!(shared.len() == 1 + usize::from(shared[0]) * 100, "a value of two writers");
                assert!(shared.iter().all(|byte| *byte == shared[0]), "a value of two writers");
            }
            assert!(state.delete(&key).await.expect("a deletion"));
        };
        join_all((0..64).map(own_and_shared)).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn memory_holds_it() {
        hold(&MemoryState::new()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn redis_holds_it() {
        let server = RedisServer::start();
        hold(&connect(&server.url()).await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_cluster_holds_it() {
        let cluster = RedisCluster::start();
        hold(&connect(&cluster.url()).await).await;
        let sizes: Vec<_> = cluster.nodes.iter().map(|node| node.calls("set")).collect();
        assert!(sizes.iter().all(|calls| *calls > 0), "every node has a share of the keys: {sizes:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sentinel_holds_it() {
        let set = SentinelSet::start();
        hold(&connect(&set.url()).await).await;
    }
}

mod start {
    use super::*;

    async fn refused(url: &str) -> String {
        let error = try_connect(url).await.expect_err("no state to be had there").to_string();
        assert!(!error.contains("hunter2") && !error.contains("127.0.0.1") && !error.contains('\n'), "{error}");
        error
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_listening_or_nobody_answering_is_said_soon() {
        let port = free_port();
        for scheme in ["redis", "rediss", "redis+cluster"] {
            let error = refused(&format!("{scheme}://:hunter2@127.0.0.1:{port}")).await;
            assert!(error.starts_with("shared state is unavailable: "), "{error}");
        }
        let mute = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let mute = mute.local_addr().expect("bound").port();
        for url in [
            format!("redis://127.0.0.1:{mute}"),
            format!("rediss://127.0.0.1:{mute}"),
            format!("redis+cluster://127.0.0.1:{mute}"),
            format!("redis+sentinel://127.0.0.1:{mute},127.0.0.1:{port}/main"),
        ] {
            refused(&url).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn credentials_and_the_database_are_used() {
        let server = RedisServer::start_with(&["requirepass hun@ter2/"]);
        let address = format!("127.0.0.1:{}", server.port());
        let state = connect(&format!("redis://:hun%40ter2%2F@{address}/3")).await;
        state.put("numbered", Bytes::from_static(b"1"), TTL).await.expect("a write");
        assert_eq!(server.cli(&["-n", "3", "GET", "numbered"]), "1");
        for url in [format!("redis://{address}"), format!("redis://:hunter2@{address}"), format!("redis://me:hunter2@{address}")]
        {
            assert!(refused(&url).await.contains("refuses the credentials"));
        }
    }

    /// The system's certificate authorities are read from the environment, which a test may not change in its own process:
    /// it runs itself in another.
    #[tokio::test(flavor = "multi_thread")]
    async fn tls_trusts_the_certificate_authorities_of_the_system_and_no_others() {
        const URL: &str = "TLS_TEST_URL";
        if let Ok(url) = std::env::var(URL) {
            let state = connect(&url).await;
            state.put("over-tls", Bytes::from_static(b"1"), TTL).await.expect("a write");
            return;
        }
        let server = RedisServer::start_with_tls();
        let url = format!("rediss://127.0.0.1:{}", server.port());
        let error = refused(&url).await;
        assert!(error.contains("the TLS handshake with Redis failed"), "{error}");
        let name = "start::tls_trusts_the_certificate_authorities_of_the_system_and_no_others";
        let ran = std::process::Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", name])
            .envs([(URL, url.as_str()), ("SSL_CERT_FILE", server.certificate().to_str().expect("UTF-8"))])
            .output()
            .expect("this test runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        assert_eq!(server.calls("getex"), 1, "the other process was there");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_redis_that_cannot_do_what_is_needed_is_refused() {
        let old = RedisServer::start_with(&["rename-command GETEX \"\""]);
        assert!(refused(&old.url()).await.contains("Redis 6.2 or later is needed"));

        let replica = RedisServer::start_with(&[&format!("replicaof 127.0.0.1 {}", free_port())]);
        assert!(refused(&replica.url()).await.contains("read-only replica"));

        let full = RedisServer::start_with(&["maxmemory 1", "maxmemory-policy noeviction"]);
        assert!(refused(&full.url()).await.contains("out of memory"));

        let user = "user reader on >hunter2 ~* +get +set";
        let restricted = RedisServer::start_with(&[user]);
        let error = refused(&format!("redis://reader:hunter2@127.0.0.1:{}", restricted.port())).await;
        assert!(error.contains("lacks permission"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sentinel_is_asked_for_the_right_service_by_whichever_is_left() {
        let mut set = SentinelSet::start();
        let error = refused(&set.url().replace("/main", "/other")).await;
        assert!(error.contains("knows no service of this name"), "{error}");
        set.kill_sentinel(0);
        set.kill_sentinel(2);
        connect(&set.url()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sentinels_that_ask_for_a_password_get_the_one_of_the_servers() {
        let set = SentinelSet::start_with_password("hunter2");
        connect(&set.url().replace("://", "://:hunter2@")).await;
        assert!(refused(&set.url()).await.contains("refuses the credentials"));
    }
}

mod outage {
    use super::*;

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

    /// Sentinels take their time to agree.
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
}
