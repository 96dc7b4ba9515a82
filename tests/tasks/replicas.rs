//! Several replicas with one Redis, some of which die.

use std::time::{Duration, Instant};

use pressmark::config::Settings;
use serde_json::json;

use super::calls::{Replica, accept, cancel, eventually, get, method, start_id, until, update};
use super::limits::keys;
use super::listening::{detailed, listen, to_the_end};
use super::support::redis::RedisServer;
use super::tools::Counts;

async fn pair(redis: &RedisServer, counts: &Counts) -> (Replica, Replica) {
    let settings = || Settings { state: Some(redis.url()), ..Settings::default() };
    (Replica::start(settings(), counts).await, Replica::start(settings(), counts).await)
}

#[tokio::test]
async fn any_replica_answers_for_a_task() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let id = start_id(&one.client, "slow", json!({"milliseconds": 1_500})).await;
    assert_eq!(get(&other.client, &id).await["status"], "working", "at once");
    let (mut stream, _) = listen(&other.client, &[&id]).await;
    let told = to_the_end(&mut stream).await;
    assert!(told.len() >= 3, "progress is told on the other replica: {told:?}");
    assert_eq!(told.last(), Some(&detailed(&other.client, &id).await));
    assert_eq!((counts.started(), counts.finished()), (1, 1));

    let id = start_id(&one.client, "blocks", json!({})).await;
    eventually("started", || counts.started() == 2).await;
    cancel(&other.client, &id).await;
    assert_eq!(get(&one.client, &id).await["status"], "cancelled");
    let told = Instant::now();
    eventually("stopped", || counts.stopped() == 1).await;
    assert!(told.elapsed() < Duration::from_secs(1), "the replica hears of it, and does not find out");

    let id = start_id(&one.client, "both", json!({})).await;
    until(&other.client, &id, "input_required").await;
    let first = json!({"first": accept(json!({"name": "Ada"}))});
    let last = json!({"last": accept(json!({"name": "Lovelace"}))});
    tokio::join!(update(&one.client, &id, first), update(&other.client, &id, last));
    assert_eq!(until(&one.client, &id, "completed").await["result"]["content"][0]["text"], "Ada Lovelace");
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn what_may_be_repeated_is_taken_over_by_whoever_looks() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let id = start_id(&one.client, "slow", json!({"milliseconds": 2_000})).await;
    let followed = start_id(&one.client, "slow", json!({"milliseconds": 2_000})).await;
    let (mut stream, _) = listen(&other.client, &[&followed]).await;
    eventually("started", || counts.started() == 2).await;
    one.kill();
    // The stream looks without being asked; both look at once.
    let (done, told) = tokio::join!(until(&other.client, &id, "completed"), to_the_end(&mut stream));
    assert_eq!(done["result"]["content"][0]["text"], "waited 2000 ms");
    assert_eq!(told.last().expect("told")["status"], "completed");
    assert_eq!((counts.started(), counts.finished()), (4, 2), "each ran once more, and no more than that");
    other.stop().await;
}

#[tokio::test]
async fn what_must_not_be_repeated_fails_and_says_why() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let id = start_id(&one.client, "append", json!({"milliseconds": 60_000})).await;
    eventually("started", || counts.started() == 1).await;
    one.kill();
    let failed = until(&other.client, &id, "failed").await;
    assert_eq!(failed["error"]["code"], -32603);
    let message = failed["error"]["message"].as_str().expect("a message");
    assert!(message.contains("the replica that ran append ended in the middle"), "{message}");
    assert_eq!(failed["statusMessage"], *message);
    assert_eq!(counts.started(), 1);
    other.stop().await;
}

#[tokio::test]
async fn answers_wait_for_no_replica() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let id = start_id(&one.client, "confirm", json!({})).await;
    until(&one.client, &id, "input_required").await;
    one.kill();
    let start = Instant::now();
    update(&other.client, &id, json!({"sure": accept(json!({"yes": true}))})).await;
    let done = until(&other.client, &id, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "done", "it had not begun to work, so that it may go on");
    assert!(start.elapsed() < Duration::from_secs(3), "nobody held the lease");
    other.stop().await;
}

#[tokio::test]
async fn a_task_goes_on_for_those_alone_who_have_its_rights() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (wide, narrow) = (keys(&[("pm_ada", "files")]), keys(&[("pm_ada", "files:read")]));
    let settings = |keys: &tempfile::NamedTempFile| Settings {
        state: Some(redis.url()),
        api_keys: Some(keys.path().to_owned()),
        ..Settings::default()
    };
    let one = Replica::start_for(settings(&wide), &counts, "pm_ada").await;
    let other = Replica::start_for(settings(&narrow), &counts, "pm_ada").await;
    let id = start_id(&one.client, "append", json!({"milliseconds": 60_000})).await;
    eventually("started", || counts.started() == 1).await;
    one.kill();
    // Longer than the lease of the replica that died.
    for _ in 0..14 {
        assert_eq!(method(&other.client, "tasks/get", &id).await.error_code(), -32602);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let third = Replica::start_for(settings(&wide), &counts, "pm_ada").await;
    let failed = until(&third.client, &id, "failed").await;
    let text = failed["error"]["message"].as_str().expect("a text");
    assert!(text.contains("ended in the middle"), "nobody ended it for want of rights: {text}");
    other.stop().await;
    third.stop().await;
}

#[tokio::test]
async fn a_replica_that_stops_leaves_what_may_be_repeated_and_finishes_the_rest() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let left = start_id(&one.client, "slow", json!({"milliseconds": 3_000})).await;
    let finished = start_id(&one.client, "append", json!({"milliseconds": 2_000})).await;
    let (mut stream, _) = listen(&other.client, &[&left]).await;
    eventually("started", || counts.started() == 2).await;
    let stopping = tokio::spawn(one.stop());
    let start = Instant::now();
    eventually("taken over", || counts.started() == 3).await;
    assert!(start.elapsed() < Duration::from_millis(1_500), "at once, and not when the lease expires");
    assert_eq!(to_the_end(&mut stream).await.last().expect("told")["status"], "completed");
    let done = until(&other.client, &finished, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "waited 2000 ms");
    stopping.await.expect("it ends well");
    assert_eq!((counts.started(), counts.finished()), (3, 2));
    other.stop().await;
}

#[tokio::test]
async fn a_result_waits_for_a_redis_that_comes_back() {
    let (redis, counts) = (RedisServer::start(), Counts::default());
    let (one, other) = pair(&redis, &counts).await;
    let id = start_id(&one.client, "append", json!({"milliseconds": 1_000})).await;
    eventually("started", || counts.started() == 1).await;
    redis.freeze();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(counts.finished(), 1, "the work goes on meanwhile");
    redis.resume();
    let done = until(&other.client, &id, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "waited 1000 ms");
    one.stop().await;
    other.stop().await;
}
