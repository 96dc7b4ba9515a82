//! Topics: messages reach every subscriber on every replica.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use pressmark::state::{SharedState, Signal, Subscription};
use tokio::time::{sleep, timeout};

use super::connect;
use super::support::process::wait_until;
use super::support::redis::RedisServer;

pub(crate) async fn hold(first: &dyn SharedState, second: &dyn SharedState) {
    tokio::join!(
        messages_reach_all_in_order(first, second),
        thousands_of_topics_at_once(first, second),
        who_is_slow_gets_a_gap(first, second),
    );
}

pub(crate) fn message(text: impl Into<String>) -> Signal {
    Signal::Message(Bytes::from(text.into()))
}

pub(crate) async fn publish(state: &dyn SharedState, topic: &str, text: impl Into<String>) {
    state.publish(topic, Bytes::from(text.into())).await.expect("a message");
}

async fn next(subscription: &mut Subscription) -> Signal {
    timeout(Duration::from_secs(10), subscription.next()).await.expect("a signal")
}

async fn messages_reach_all_in_order(first: &dyn SharedState, second: &dyn SharedState) {
    let topic = "pressmark:topic:order";
    let subscribe = async |state: &dyn SharedState| state.subscribe(topic).await.expect("a subscription");
    let mut all = [subscribe(first).await, subscribe(second).await, subscribe(second).await];
    let gone = subscribe(second).await;
    let mut other = second.subscribe("pressmark:topic:other").await.expect("a subscription");
    drop(gone);
    for number in 0..20 {
        publish(first, topic, number.to_string()).await;
    }
    first.publish(topic, Bytes::from_iter(0..=u8::MAX)).await.expect("a message");
    for subscription in &mut all {
        for number in 0..20 {
            assert_eq!(next(subscription).await, message(number.to_string()));
        }
        assert_eq!(next(subscription).await, Signal::Message(Bytes::from_iter(0..=u8::MAX)));
    }
    publish(first, "pressmark:topic:other", "of its own").await;
    assert_eq!(next(&mut other).await, message("of its own"));

    // Waiting may be given up at any time.
    assert!(timeout(Duration::from_millis(50), all[0].next()).await.is_err(), "nothing more comes");
    publish(second, topic, "last").await;
    assert_eq!(next(&mut all[0]).await, message("last"));
}

async fn thousands_of_topics_at_once(first: &dyn SharedState, second: &dyn SharedState) {
    let names: Vec<_> = (0..2_000).map(|number| format!("pressmark:topic:{number}")).collect();
    let subscriptions = join_all(names.iter().map(|name| second.subscribe(name))).await;
    join_all(names.iter().map(|name| publish(first, name, name.clone()))).await;
    for (name, subscription) in names.iter().zip(subscriptions) {
        assert_eq!(next(&mut subscription.expect("a subscription")).await, message(name));
    }
}

async fn who_is_slow_gets_a_gap(first: &dyn SharedState, second: &dyn SharedState) {
    let topic = "pressmark:topic:slow";
    let (mut slow, mut fast) = tokio::join!(second.subscribe(topic), second.subscribe("pressmark:topic:fast"));
    let (slow, fast) = (slow.as_mut().expect("a subscription"), fast.as_mut().expect("a subscription"));
    for number in 0..200 {
        publish(first, topic, number.to_string()).await;
    }
    publish(first, topic, "last").await;
    publish(first, "pressmark:topic:fast", "not held up").await;
    assert_eq!(next(fast).await, message("not held up"));
    sleep(Duration::from_millis(200)).await;
    assert_eq!(next(slow).await, Signal::Gap);
    while next(slow).await != message("last") {}
}

fn subscribers(server: &RedisServer, topic: &str) -> String {
    server.cli(&["PUBSUB", "NUMSUB", topic]).lines().last().expect("a number").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_asked_once_for_a_topic_and_told_when_nobody_wants_it_any_more() {
    let server = RedisServer::start();
    let (state, topic) = (connect(&server.url()).await, "pressmark:topic:counted");
    for _ in 0..3 {
        let (first, second) = tokio::join!(state.subscribe(topic), state.subscribe(topic));
        assert_eq!(subscribers(&server, topic), "1");
        drop(first);
        sleep(Duration::from_millis(50)).await;
        assert_eq!(subscribers(&server, topic), "1");
        publish(&state, topic, "still").await;
        assert_eq!(next(&mut second.expect("a subscription")).await, message("still"));
        wait_until(Duration::from_secs(5), "nobody subscribes", || subscribers(&server, topic) == "0");
    }
    // Given up before it is live, dropped and taken again: what is wanted in the end counts.
    for _ in 0..100 {
        let _ = timeout(Duration::from_micros(200), state.subscribe(topic)).await;
    }
    let mut last = state.subscribe(topic).await.expect("a subscription");
    publish(&state, topic, "last").await;
    assert_eq!(next(&mut last).await, message("last"));
    drop(last);
    wait_until(Duration::from_secs(5), "nobody subscribes", || subscribers(&server, topic) == "0");
    assert_eq!(server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connection_goes_with_the_state() {
    let server = RedisServer::start();
    let (state, topic) = (connect(&server.url()).await, "pressmark:topic:left");
    let mut held = state.subscribe(topic).await.expect("a subscription");
    assert_eq!(subscribers(&server, topic), "1");
    drop(state);
    wait_until(Duration::from_secs(5), "nobody subscribes", || subscribers(&server, topic) == "0");
    assert!(timeout(Duration::from_millis(100), held.next()).await.is_err(), "silence, and no busy loop of gaps");
}
