//! `notifications/cancelled`: at any replica, whether the call runs or waits.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::{Agent, LIMIT};
use crate::world::World;

async fn cancel(agent: &Agent, url: &str, id: &Value) {
    let params = json!({"requestId": id, "reason": "changed my mind"});
    let told = agent.post(url, &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params})).await;
    assert_eq!(told.status(), 202);
}

async fn wait_for_drops(world: &World, count: usize) {
    let dropped = async {
        while world.gate.dropped.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, dropped).await.expect("the work stops");
}

#[tokio::test]
async fn a_running_call_is_cancelled_from_any_replica() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for (count, url) in [(1, world.one()), (2, world.two())] {
        let call = agent.tool_call("waits", json!({}));
        let mut stream = agent.open(world.one(), &call).await;
        stream.message().await.expect("it runs");
        cancel(&agent, url, &call["id"]).await;
        assert!(stream.message().await.is_none(), "no response is sent");
        wait_for_drops(&world, count).await;
        let place = stream.last.clone();
        let mut again = agent.listen(world.two(), Some(&place)).await;
        assert!(again.message().await.is_none(), "and none later");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_call_that_has_said_nothing_is_cancelled_too() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    agent.ask(world.one(), "logging/setLevel", json!({"level": "emergency"})).await;
    for (count, url) in [(1, world.one()), (2, world.two())] {
        let call = agent.tool_call("waits", json!({}));
        let (mut stream, ()) = tokio::join!(agent.open(world.one(), &call), async {
            while world.gate.begun.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            cancel(&agent, url, &call["id"]).await;
        });
        assert!(stream.message().await.is_none());
        wait_for_drops(&world, count).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn a_waiting_call_is_cancelled() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({"elicitation": {}})).await;
    let call = agent.tool_call("asks_often", json!({}));
    let mut stream = agent.open(world.one(), &call).await;
    let question = stream.message().await.expect("a question");
    cancel(&agent, world.two(), &call["id"]).await;
    assert!(stream.message().await.is_none());
    agent.answer(world.two(), &question["id"], json!({"action": "accept", "content": {}})).await;
    let mut again = agent.listen(world.one(), Some(&stream.last)).await;
    assert!(again.message().await.is_none(), "a late answer brings nothing back");
    for id in [json!(999), json!("x"), json!(null), json!({})] {
        cancel(&agent, world.one(), &id).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn the_end_of_a_session_ends_what_runs_in_it() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let mut stream = agent.open(world.one(), &agent.tool_call("waits", json!({}))).await;
    stream.message().await.expect("it runs");
    let deleted = agent.builder(Method::DELETE, world.two()).send().await.expect("an answer");
    assert_eq!(deleted.status(), 204);
    assert!(stream.message().await.is_none());
    wait_for_drops(&world, 1).await;
    world.stop().await;
}
