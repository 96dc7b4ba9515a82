//! Streams of calls: followed, broken off, closed, resumed at any replica, and taken over from one that died.

use std::sync::atomic::Ordering;
use std::time::Duration;

use pressmark::config::Settings;
use serde_json::{Value, json};

use crate::agent::{Agent, Events};
use crate::world::World;

fn data(message: &Value) -> &str {
    message["params"]["data"].as_str().unwrap_or_else(|| panic!("no log message: {message}"))
}

#[tokio::test]
async fn a_call_goes_on_without_its_client_and_is_resumed_at_any_replica() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let call = agent.tool_call("reports", json!({}));
    let mut stream = agent.open(world.one(), &call).await;
    let first = stream.next().await.expect("an event");
    assert!(first.message.is_none() && first.retry.is_some(), "the first event primes the client: {first:?}");
    let start = first.id.expect("an id");
    assert_eq!(data(&stream.message().await.expect("a message")), "info", "the level is info until it is set");
    let middle = stream.last.clone();
    assert_eq!(data(&stream.message().await.expect("a message")), "error");
    drop(stream);
    world.gate.open.notify_one();

    for (url, place, expected) in [
        (world.two(), &start, &["info", "error", "late"][..]),
        (world.one(), &middle, &["error", "late"]),
        (world.two(), &start, &["info", "error", "late"]),
    ] {
        let mut stream = agent.listen(url, Some(place)).await;
        for expected in expected {
            assert_eq!(data(&stream.message().await.expect("a message")), *expected);
        }
        let last = stream.message().await.expect("the response");
        assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&call["id"], &json!("done")));
        assert!(stream.next().await.is_none());
        let mut after = agent.listen(url, Some(&stream.last)).await;
        assert!(after.message().await.is_none(), "nothing comes after the response");
    }
    assert_eq!(world.gate.begun.load(Ordering::SeqCst), 1, "it ran once");
    world.stop().await;
}

#[tokio::test]
async fn the_level_of_log_messages_is_the_sessions() {
    let world = World::start().await;
    for (level, expected) in [("debug", &["debug", "info", "error"][..]), ("error", &["error"])] {
        let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
        let set = agent.ask(world.one(), "logging/setLevel", json!({"level": level})).await;
        assert_eq!(set["result"], json!({}));
        let mut stream = agent.open(world.two(), &agent.tool_call("reports", json!({}))).await;
        for expected in expected {
            assert_eq!(data(&stream.message().await.expect("a message")), *expected);
        }
        world.gate.open.notify_one();
        assert_eq!(data(&stream.message().await.expect("a message")), "late");
        assert!(stream.message().await.expect("the response")["result"].is_object());
    }
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for params in [json!({"level": "loud"}), json!({}), json!({"level": 5})] {
        assert_eq!(agent.ask(world.one(), "logging/setLevel", params).await["error"]["code"], -32602);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_tool_closes_its_stream_and_the_client_comes_back() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let mut stream = agent.open(world.one(), &agent.tool_call("reconnects", json!({}))).await;
    let events = [stream.next().await.expect("one primes"), stream.next().await.expect("one closes")];
    assert!(events.iter().all(|event| event.message.is_none() && event.id.is_some()), "{events:?}");
    assert_eq!(events[1].retry, Some(321));
    assert!(stream.next().await.is_none(), "the connection is closed");
    for place in events.iter().map(|event| event.id.as_deref()) {
        let mut stream = agent.listen(world.two(), place).await;
        let last = stream.message().await.expect("the response");
        assert_eq!(last["result"]["content"][0]["text"], "reconnected");
    }
    // A client of before would not come back.
    let old = Agent::connect(world.one(), "2025-06-18", json!({})).await;
    let mut stream = old.open(world.one(), &old.tool_call("reconnects", json!({}))).await;
    let only = stream.next().await.expect("the response");
    assert_eq!(only.message.expect("a message")["result"]["content"][0]["text"], "reconnected");
    world.stop().await;
}

#[tokio::test]
async fn connections_are_closed_in_time_and_when_the_server_stops() {
    let world = World::start_with(Settings { max_stream_age: Some("500ms".to_owned()), ..Settings::default() }).await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let mut call = agent.open(world.one(), &agent.tool_call("waits", json!({}))).await;
    let mut listening = agent.listen(world.one(), None).await;
    assert_eq!(data(&call.message().await.expect("a message")), "run 1");
    for stream in [&mut call, &mut listening] {
        let mut last = None;
        while let Some(event) = stream.next().await {
            last = Some(event);
        }
        let last = last.expect("an event");
        assert!(last.message.is_none() && last.retry.is_some() && last.id.is_some(), "{last:?}");
    }
    let mut resumed = agent.listen(world.two(), Some(&call.last)).await;
    world.gate.open.notify_one();
    assert_eq!(resumed.message().await.expect("the response")["result"]["content"][0]["text"], "done by run 1");
    world.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_sends_its_clients_elsewhere() {
    let World { redis, one, two, gate } = World::start().await;
    let agent = Agent::connect(&one.url, "2025-11-25", json!({"elicitation": {}})).await;
    let mut stream = agent.open(&one.url, &agent.tool_call("asks_often", json!({}))).await;
    let question = stream.message().await.expect("a question");
    let stopping = tokio::spawn(one.stop());
    let last = stream.next().await.expect("an event");
    assert!(last.message.is_none() && last.retry.is_some(), "{last:?}");
    assert!(stream.next().await.is_none());
    stopping.await.expect("it stops although a call waits");
    let mut stream = agent.listen(&two.url, Some(&stream.last)).await;
    agent.answer(&two.url, &question["id"], json!({"action": "accept", "content": {}})).await;
    assert_eq!(stream.message().await.expect("the next question")["method"], "elicitation/create");
    two.stop().await;
    drop((redis, gate));
}

/// A lease that runs out is all that other replicas see of one that has died. Here another one takes it for long enough that
/// the run which held it gives up, and then dies.
#[tokio::test]
async fn a_call_whose_replica_died_is_taken_over_if_that_does_no_harm() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for (tool, repeatable) in [("waits", true), ("waits_once", false)] {
        let before = world.gate.begun.load(Ordering::SeqCst);
        let mut stream = agent.open(world.one(), &agent.tool_call(tool, json!({}))).await;
        assert_eq!(data(&stream.message().await.expect("it runs")), format!("run {}", before + 1));
        take_lease_away(&world, &stream).await;
        let mut elsewhere = agent.listen(world.two(), Some(&stream.last)).await;
        if repeatable {
            assert_eq!(data(&elsewhere.message().await.expect("it runs again")), format!("run {}", before + 2));
            world.gate.open.notify_waiters();
        }
        let last = elsewhere.message().await.expect("the response");
        let text = last["result"]["content"][0]["text"].as_str().expect("text");
        assert_eq!(last["result"]["isError"], !repeatable, "{last}");
        let expected = if repeatable { "done by run" } else { "stopped in the middle" };
        assert!(text.contains(expected), "{text}");
        assert!(elsewhere.next().await.is_none());
        loop {
            let message = stream.message().await.expect("the response comes here, too");
            if message["id"] == last["id"] {
                assert_eq!(message, last, "there is one response");
                break;
            }
        }
        world.gate.open.notify_waiters();
    }
    world.stop().await;
}

/// Replaces the lease of the only call that runs by one of nobody's.
async fn take_lease_away(world: &World, stream: &Events) {
    let name = stream.last.split('_').next().expect("a stream").to_owned();
    let key = world.redis.cli(&["--raw", "KEYS", &format!("*lease*{name}*")]);
    assert_eq!(key.trim().lines().count(), 1, "one lease: {key}");
    world.redis.cli(&["SET", key.trim(), "dead", "PX", "2500"]);
    tokio::time::sleep(Duration::from_millis(100)).await;
}
