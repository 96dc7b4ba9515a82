//! Cursors over every store: they open again and again for their owner, and for nobody and nothing else.

mod support;

use std::sync::Arc;
use std::time::Duration;

use pressmark::auth::{Principal, ScopeSet};
use pressmark::state::{CursorError, CursorKind, Cursors, MemoryState, RedisState, SharedState};
use serde::{Deserialize, Serialize};
use support::redis::{RedisCluster, RedisServer, SentinelSet};

const TTL: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    path: String,
    version: String,
}

fn record() -> Record {
    Record { path: "/docs/größe \"1\".md".to_owned(), version: "v1".to_owned() }
}

fn principal(issuer: &str, subject: &str) -> Principal {
    Principal::new(issuer, subject, ScopeSet::full())
}

async fn connect(url: &str) -> Arc<RedisState> {
    Arc::new(RedisState::connect(&url.parse().expect("a right URL")).await.expect("Redis is there"))
}

async fn assert_invalid(cursors: &Cursors, kind: CursorKind, caller: &Principal, handle: &str) {
    let error = cursors.open::<Record>(kind, caller, handle).await.expect_err(handle);
    assert!(matches!(error, CursorError::Invalid), "{handle}: {error}");
    // One and the same text, so that a handle cannot be probed.
    assert_eq!(error.to_string(), "this cursor is unknown or has expired; start again without a cursor");
}

async fn hold(state: Arc<dyn SharedState>, on_other_replica: Arc<dyn SharedState>) {
    let (cursors, elsewhere) = (Cursors::new(state, TTL), Cursors::new(on_other_replica, TTL));
    let owner = principal("https://issuer.example", "ada");
    let handle = cursors.create(CursorKind::Read, &owner, &record(), &[0, 1]).await.expect("a cursor");
    assert!(handle.len() <= 40 && handle.is_ascii(), "a model copies it: {handle}");

    // Any replica opens it, twice the same, and goes on to positions that any replica opens.
    for cursors in [&cursors, &elsewhere, &cursors] {
        let cursor = cursors.open::<Record>(CursorKind::Read, &owner, &handle).await.expect("its owner's");
        assert_eq!((cursor.record.clone(), &cursor.position[..]), (record(), &[0, 1][..]));
        let next = cursor.handles.at(&[u64::MAX, 7, 0]);
        let cursor = elsewhere.open::<Record>(CursorKind::Read, &owner, &next).await.expect("its owner's");
        assert_eq!((cursor.record.clone(), &cursor.position[..]), (record(), &[u64::MAX, 7, 0][..]));
    }

    // Another caller, in any of the ways to be another; other scopes alone make nobody another.
    for (issuer, subject) in [
        ("https://issuer.example", "eve"),
        ("https://other.example", "ada"),
        ("https://issuer.example", ""),
        ("https://issuer.examplea", "da"),
    ] {
        assert_invalid(&elsewhere, CursorKind::Read, &principal(issuer, subject), &handle).await;
    }
    let narrower = Principal { scopes: ScopeSet::parse(["files:read:/docs/**"]), ..owner.clone() };
    elsewhere.open::<Record>(CursorKind::Read, &narrower, &handle).await.expect("the same caller");

    // Another tool, a handle of nobody, and every way to copy one wrongly.
    for kind in [CursorKind::List, CursorKind::Find, CursorKind::Search] {
        assert_invalid(&cursors, kind, &owner, &handle).await;
    }
    let unknown = Cursors::new(Arc::new(MemoryState::new()), TTL);
    let unknown = unknown.create(CursorKind::Read, &owner, &record(), &[0, 1]).await.expect("a cursor");
    assert_invalid(&cursors, CursorKind::Read, &owner, &unknown).await;
    for at in 0..handle.len() {
        let mut swapped = handle.clone().into_bytes();
        swapped.swap(at, (at + 1) % handle.len());
        let swapped = String::from_utf8(swapped).expect("ASCII");
        if swapped != handle {
            assert_invalid(&cursors, CursorKind::Read, &owner, &swapped).await;
        }
        assert_invalid(&cursors, CursorKind::Read, &owner, &format!("{}{}", &handle[..at], &handle[at + 1..])).await;
        assert_invalid(&cursors, CursorKind::Read, &owner, &handle[..at]).await;
    }
    for text in ["", "-", "r", "r-", &format!("{handle} "), &format!(" {handle}"), &"r".repeat(100_000), "r\0", "ключ", "*"] {
        assert_invalid(&cursors, CursorKind::Read, &owner, text).await;
    }
}

async fn expire(state: Arc<dyn SharedState>) {
    let ttl = Duration::from_millis(1_000);
    let (cursors, owner) = (Cursors::new(state, ttl), principal("issuer", "ada"));
    let used = cursors.create(CursorKind::Find, &owner, &record(), &[1]).await.expect("a cursor");
    let unused = cursors.create(CursorKind::Find, &owner, &record(), &[1]).await.expect("a cursor");
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        cursors.open::<Record>(CursorKind::Find, &owner, &used).await.expect("used often enough");
    }
    assert_invalid(&cursors, CursorKind::Find, &owner, &unused).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_invalid(&cursors, CursorKind::Find, &owner, &used).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_memory() {
    let state = Arc::new(MemoryState::new());
    tokio::join!(hold(state.clone(), state.clone()), expire(state.clone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_redis() {
    let server = RedisServer::start();
    let (one, other) = (connect(&server.url()).await, connect(&server.url()).await);
    tokio::join!(hold(one.clone(), other), expire(one));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster() {
    let cluster = RedisCluster::start();
    let (one, other) = (connect(&cluster.url()).await, connect(&cluster.url()).await);
    tokio::join!(hold(one.clone(), other), expire(one));
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_sentinel() {
    let set = SentinelSet::start();
    let (one, other) = (connect(&set.url()).await, connect(&set.url()).await);
    tokio::join!(hold(one.clone(), other), expire(one));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_page_after_the_first_costs_one_command() {
    let server = RedisServer::start();
    let cursors = Cursors::new(connect(&server.url()).await, TTL);
    let owner = principal("issuer", "ada");
    // What asking costs: the command itself and what redis-cli says in greeting.
    let (first, second) = (server.all_calls(), server.all_calls());
    let (asking, sets, refreshes) = (second - first, server.calls("set"), server.calls("getex"));

    let before = server.all_calls();
    let mut handle = cursors.create(CursorKind::Read, &owner, &record(), &[0]).await.expect("a cursor");
    for page in 1..=100 {
        let cursor = cursors.open::<Record>(CursorKind::Read, &owner, &handle).await.expect("its owner's");
        handle = cursor.handles.at(&[page * 65_536]);
    }
    assert_eq!(server.all_calls() - before - asking, 1 + 100);
    assert_eq!((server.calls("set") - sets, server.calls("getex") - refreshes), (1, 100));

    // What cannot be one of our handles is not even asked for.
    let before = server.all_calls();
    for text in ["", "r-1", &handle[1..], &"x".repeat(200)] {
        assert_invalid(&cursors, CursorKind::Read, &owner, text).await;
    }
    assert_eq!(server.all_calls() - before, asking);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_not_taken_for_an_unknown_cursor() {
    let mut server = RedisServer::start();
    let cursors = Cursors::new(connect(&server.url()).await, TTL);
    let owner = principal("issuer", "ada");
    let handle = cursors.create(CursorKind::Read, &owner, &record(), &[0]).await.expect("a cursor");
    server.stop();
    let error = cursors.open::<Record>(CursorKind::Read, &owner, &handle).await.expect_err("Redis is away");
    assert!(matches!(error, CursorError::State(_)), "{error}");
    assert!(cursors.create(CursorKind::Read, &owner, &record(), &[0]).await.is_err(), "Redis is away");
}
