//! What replicas stand on stumbles, and gets up again: meanwhile no answer is wrong and every error says to repeat the call;
//! soon afterwards everybody goes on, without hands.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::block_in_place;
use tokio::time::sleep;

use crate::agent::Trouble;
use crate::support::client::{LEGACY, McpClient};
use crate::support::process::wait_until;
use crate::support::redis::{RedisServer, SentinelSet};
use crate::support::server::Pressmark;
use crate::workload::{Failure, Workload};
use crate::world::{World, token};

/// How long a fault lasts that could as well last for ever.
const FAULT: Duration = Duration::from_secs(5);
/// Once a fault is over, every agent does whole rounds of work again within this time.
const RECOVERY: Duration = Duration::from_secs(10);
/// How long it may take until every agent has done some more, on a machine that is busy.
const GOES_ON: Duration = Duration::from_secs(40);

/// What a fault may cost beside calls that are to be repeated.
#[derive(Clone, Copy, PartialEq)]
enum Loss {
    Nothing,
    /// What Redis held: cursors, sessions, tasks. Who presents one is told so.
    Records,
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarts_with_its_data() {
    let mut redis = block_in_place(|| RedisServer::start_with(&["appendonly yes", "appendfsync always"]));
    let (world, work) = start(&redis.url()).await;
    let begun = Instant::now();
    redis.stop();
    sleep(FAULT).await;
    block_in_place(|| redis.restart());
    recovers("Redis restarted", &world, work, begun, Loss::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_restarts_empty() {
    let mut redis = block_in_place(RedisServer::start);
    let (world, work) = start(&redis.url()).await;
    let begun = Instant::now();
    block_in_place(|| redis.restart());
    recovers("Redis restarted empty", &world, work, begun, Loss::Records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_freezes() {
    let redis = block_in_place(RedisServer::start);
    let (world, work) = start(&redis.url()).await;
    let begun = Instant::now();
    redis.freeze();
    errors_say_what_to_do(&world).await;
    sleep(FAULT.saturating_sub(begun.elapsed())).await;
    redis.resume();
    recovers("Redis frozen", &world, work, begun, Loss::Nothing).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_choose_another_master() {
    let mut set = block_in_place(SentinelSet::start);
    let (world, work) = start(&set.url()).await;
    let old = set.master().port();
    let begun = Instant::now();
    block_in_place(|| {
        set.kill_master();
        wait_until(GOES_ON, "the Sentinels have chosen", || set.masters().first().is_some_and(|master| master.port() != old));
    });
    // What the master had acknowledged and not copied yet is lost.
    recovers("Sentinel failover", &world, work, begun, Loss::Records).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_freezes() {
    let redis = block_in_place(RedisServer::start);
    let (world, work) = start(&redis.url()).await;
    let begun = Instant::now();
    world.replicas[1].freeze();
    sleep(FAULT).await;
    world.replicas[1].resume();
    recovers("a replica frozen", &world, work, begun, Loss::Nothing).await;
}

/// Three replicas behind nginx, and agents that all have done some work.
async fn start(state: &str) -> (World, Workload) {
    let world = block_in_place(|| World::everything(state));
    let work = Workload::start(&world);
    work.all_go_on(2, GOES_ON).await;
    (world, work)
}

/// The fault that began then is over now. Answers have been compared with what they must be by those who asked.
async fn recovers(what: &str, world: &World, work: Workload, begun: Instant, loss: Loss) {
    let over = Instant::now();
    // The first of two rounds may have begun in the middle of the fault.
    work.all_go_on(2, RECOVERY).await;
    let recovered = over.elapsed();
    block_in_place(|| wait_until(RECOVERY, "every replica is ready", || world.replicas.iter().all(Pressmark::is_ready)));
    let failures = work.stop().await;
    let mut kinds = BTreeMap::<_, usize>::new();
    for Failure { at, what, why } in &failures {
        let (kind, allowed) = match why {
            Trouble::Away(said) => (said.clone(), true),
            Trouble::Lost(said) => (said.clone(), loss == Loss::Records),
            Trouble::Broken => ("no whole answer".to_owned(), false),
        };
        assert!(allowed, "{what}: {why:?}");
        assert!(*at >= begun, "before the fault: {what}: {why:?}");
        assert!(*at <= over + RECOVERY, "{:?} after the fault: {what}: {why:?}", *at - over);
        *kinds.entry((*what, kind)).or_default() += 1;
    }
    let last = failures.iter().map(|failure| failure.at.saturating_duration_since(over)).max().unwrap_or_default();
    println!(
        "{what}: a fault of {:?}; {} failures, the last {last:?} after it; everybody has gone on {recovered:?} after it",
        over - begun,
        failures.len()
    );
    for ((what, kind), count) in kinds {
        println!("  {count} × {what}: {kind}");
    }
}

/// While Redis answers nothing: who needs it is told in time, in the form of the protocol, and who does not is served.
async fn errors_say_what_to_do(world: &World) {
    let limit = Duration::from_secs(8);
    let caller = token(30);
    let client = McpClient::modern(&world.url(), Some(&caller));
    let page = client.call_tool("read_file", json!({"path": "/long.txt"}));
    let page = tokio::time::timeout(limit, page).await.expect("an answer in time");
    assert!(page.status == 200 && page.is_tool_error(), "{}", page.text);
    assert!(page.content(0).starts_with("unavailable:"), "{}", page.text);
    let short = client.call_tool("list_directory", json!({"path": "/", "depth": 1, "limit": 1000})).await;
    assert!(!short.is_tool_error(), "{}", short.text);
    let stream = reqwest::Client::builder().no_proxy().build().expect("a client").get(format!("{}/mcp", world.url()));
    let stream = stream.bearer_auth(&caller).header("accept", "text/event-stream");
    let stream = stream.header("mcp-session-id", "s".repeat(22)).header("mcp-protocol-version", LEGACY).send();
    let stream = tokio::time::timeout(limit, stream).await.expect("an answer in time").expect("an answer");
    assert_eq!((stream.status().as_u16(), stream.headers()["retry-after"].as_bytes()), (503, &b"1"[..]));
    let error: Value = serde_json::from_str(&stream.text().await.expect("a body")).expect("JSON");
    assert_eq!(error["error"]["code"], -32603, "{error}");
    assert!(error["error"]["message"].as_str().expect("a text").contains("repeat"), "{error}");
    block_in_place(|| assert!(world.replicas.iter().all(|replica| !replica.is_ready()), "readiness says so"));
}
