//! Subscriptions outlive the connection: there is a gap, and then messages again.

use std::time::{Duration, Instant};

use pressmark::state::{RedisState, SharedState, Signal, Subscription};
use tokio::time::{sleep, timeout};

use super::support::process::wait_until;
use super::support::redis::{RedisCluster, RedisServer, SentinelSet};
use super::topics::{message, publish};
use super::{RECOVERY_LIMIT, connect, recovered, recovered_from_failover, within_limit};

async fn gap(subscription: &mut Subscription) {
    let signal = timeout(Duration::from_secs(20), subscription.next()).await.expect("a signal");
    assert_eq!(signal, Signal::Gap);
}

async fn arrives(state: &RedisState, topic: &str, subscription: &mut Subscription) {
    publish(state, topic, "news").await;
    let signal = timeout(Duration::from_secs(5), subscription.next()).await.expect("a signal");
    assert_eq!(signal, message("news"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subscription_gets_a_gap_when_redis_was_away() {
    let mut server = RedisServer::start();
    let state = connect(&server.url()).await;
    let topics: Vec<_> = (0..1_200).map(|number| format!("pressmark:topic:{number}")).collect();
    let mut subscriptions = Vec::new();
    for topic in &topics {
        subscriptions.push(state.subscribe(topic).await.expect("a subscription"));
    }
    for _ in 0..2 {
        server.stop();
        sleep(Duration::from_millis(300)).await;
        let error = within_limit(state.subscribe("pressmark:topic:new")).await.expect_err("Redis is away");
        assert!(error.reason.contains("cannot be reached"), "{error}");
        server.restart();
        recovered(&state).await;
        for (topic, subscription) in topics.iter().zip(&mut subscriptions) {
            gap(subscription).await;
            arrives(&state, topic, subscription).await;
        }
    }
    let start = Instant::now();
    while within_limit(state.subscribe("pressmark:topic:new")).await.is_err() {
        assert!(start.elapsed() < RECOVERY_LIMIT);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_two_subscriptions_is_not_noticed() {
    let mut server = RedisServer::start();
    let state = connect(&server.url()).await;
    let mut first = state.subscribe("pressmark:topic:first").await.expect("a subscription");
    sleep(Duration::from_millis(1_200)).await;
    server.restart();
    let mut second = within_limit(state.subscribe("pressmark:topic:second")).await.expect("made on a new connection");
    gap(&mut first).await;
    arrives(&state, "pressmark:topic:second", &mut second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_fell_silent_is_given_up() {
    let server = RedisServer::start();
    let (state, topic) = (connect(&server.url()).await, "pressmark:topic:frozen");
    let mut subscription = state.subscribe(topic).await.expect("a subscription");
    server.freeze();
    // Longer than between two checks, and what the answer to one may take.
    sleep(Duration::from_millis(6_500)).await;
    server.resume();
    recovered(&state).await;
    gap(&mut subscription).await;
    arrives(&state, topic, &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_that_sentinels_choose_is_followed() {
    let mut set = SentinelSet::start();
    let (state, topic) = (connect(&set.url()).await, "pressmark:topic:failover");
    let mut subscription = state.subscribe(topic).await.expect("a subscription");
    set.kill_master();
    recovered_from_failover(&state).await;
    gap(&mut subscription).await;
    arrives(&state, topic, &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demoted_master_is_left_for_the_new_one() {
    let set = SentinelSet::start();
    let (state, topic) = (connect(&set.url()).await, "pressmark:topic:demoted");
    let mut subscription = state.subscribe(topic).await.expect("a subscription");
    let old = set.master().port();
    set.exchange();
    wait_until(Duration::from_secs(15), "the servers have changed places", || {
        set.masters().iter().all(|server| server.port() != old) && !set.masters().is_empty()
    });
    recovered_from_failover(&state).await;
    gap(&mut subscription).await;
    arrives(&state, topic, &mut subscription).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_of_the_cluster_takes_over() {
    let mut cluster = RedisCluster::start();
    let (state, topics) = (connect(&cluster.url()).await, (0..30).map(|number| format!("pressmark:topic:{number}")));
    let topics: Vec<_> = topics.collect();
    let mut subscriptions = Vec::new();
    for topic in &topics {
        subscriptions.push(state.subscribe(topic).await.expect("a subscription"));
    }
    let hears = |node: &RedisServer| node.cli(&["PUBSUB", "NUMSUB", &topics[0]]).ends_with('1');
    let lost = cluster.nodes.iter().position(hears).expect("some node has the subscriptions");
    let kept: Vec<_> = topics.iter().map(|topic| cluster.holder(topic) != lost).collect();
    cluster.nodes[lost].stop();
    for subscription in &mut subscriptions {
        gap(subscription).await;
    }
    for ((topic, subscription), _) in topics.iter().zip(&mut subscriptions).zip(kept).filter(|(_, kept)| *kept) {
        arrives(&state, topic, subscription).await;
    }
}
