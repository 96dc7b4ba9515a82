//! The stream of what belongs to no call: changes, told once, to the connection that has it.

use std::time::Duration;

use pressmark::changes::List;
use serde_json::{Value, json};

use crate::agent::{Agent, Events};
use crate::world::World;

async fn update(stream: &mut Events) -> String {
    let message = stream.message().await.expect("a message");
    assert_eq!(message["method"], "notifications/resources/updated", "{message}");
    message["params"]["uri"].as_str().expect("a URI").to_owned()
}

async fn subscribe(agent: &Agent, url: &str, uri: &str) -> Value {
    agent.ask(url, "resources/subscribe", json!({"uri": uri})).await
}

#[tokio::test]
async fn a_change_is_told_once_whichever_replica_has_the_stream() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    assert_eq!(subscribe(&agent, world.two(), "test://watched/a").await["result"], json!({}));
    let mut stream = agent.listen(world.one(), None).await;
    stream.silent_after_priming().await;
    world.gate.change();
    assert_eq!(update(&mut stream).await, "test://watched/a");
    stream.silent().await;

    // Subscribed while the stream is open, at the other replica.
    assert_eq!(subscribe(&agent, world.two(), "test://watched/b").await["result"], json!({}));
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.gate.change();
    let mut told = [update(&mut stream).await, update(&mut stream).await];
    told.sort();
    assert_eq!(told, ["test://watched/a", "test://watched/b"]);

    let gone = agent.ask(world.two(), "resources/unsubscribe", json!({"uri": "test://watched/a"})).await;
    assert_eq!(gone["result"], json!({}));
    tokio::time::sleep(Duration::from_millis(300)).await;
    world.gate.change();
    assert_eq!(update(&mut stream).await, "test://watched/b");
    stream.silent().await;
    world.stop().await;
}

#[tokio::test]
async fn what_changes_while_nobody_listens_is_told_afterwards() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    subscribe(&agent, world.one(), "test://watched/a").await;
    world.gate.change();
    let mut stream = agent.listen(world.two(), None).await;
    assert_eq!(update(&mut stream).await, "test://watched/a", "it changed after the subscription");
    let before = stream.last.clone();
    world.gate.change();
    assert_eq!(update(&mut stream).await, "test://watched/a");
    drop(stream);
    world.gate.change();
    let mut stream = agent.listen(world.one(), Some(&before)).await;
    assert_eq!(update(&mut stream).await, "test://watched/a", "what came after the last event");
    assert_eq!(update(&mut stream).await, "test://watched/a", "and what changed since");
    stream.silent().await;
    drop(stream);
    let mut stream = agent.listen(world.two(), None).await;
    stream.silent_after_priming().await;
    world.stop().await;
}

#[tokio::test]
async fn the_newest_connection_has_the_stream() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    subscribe(&agent, world.one(), "test://watched/a").await;
    let mut first = agent.listen(world.one(), None).await;
    first.silent_after_priming().await;
    let mut second = agent.listen(world.two(), None).await;
    second.silent_after_priming().await;
    assert!(first.next().await.is_none(), "each message goes to one connection only");
    world.gate.change();
    assert_eq!(update(&mut second).await, "test://watched/a");
    second.silent().await;
    world.stop().await;
}

#[tokio::test]
async fn lists_that_change_are_told_of() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let mut stream = agent.listen(world.two(), None).await;
    stream.silent_after_priming().await;
    let notifier = world.gate.notifier();
    for (list, name) in [(List::Tools, "tools"), (List::Prompts, "prompts"), (List::Resources, "resources")] {
        notifier.list_changed(list);
        let message = stream.message().await.expect("a message");
        assert_eq!(message["method"], format!("notifications/{name}/list_changed"));
    }
    stream.silent().await;
    world.stop().await;
}

#[tokio::test]
async fn what_cannot_be_subscribed_to() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for (uri, code) in [("test://still/a", -32602), ("test://other", -32002), ("nothing://here", -32002), ("", -32002)] {
        let refused = subscribe(&agent, world.one(), uri).await;
        assert_eq!(refused["error"]["code"], code, "{uri}: {refused}");
    }
    let unknown = agent.ask(world.one(), "resources/unsubscribe", json!({"uri": "test://never"})).await;
    assert_eq!(unknown["result"], json!({}));
    world.stop().await;
}
