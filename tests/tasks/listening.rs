//! `notifications/tasks` on `subscriptions/listen`.

use std::time::Duration;

use pressmark::config::Settings;
use serde_json::{Value, json};

use super::calls::{accept, cancel, client, get, server, start_id, until, update};
use super::support::client::{EventStream, McpClient};
use super::support::in_process::TOKEN;

const ID: &str = "io.modelcontextprotocol/subscriptionId";

/// A stream that follows these tasks, and those of them that were agreed to.
pub(crate) async fn listen(client: &McpClient, ids: &[&str]) -> (EventStream, Value) {
    let mut stream = client.open("subscriptions/listen", json!({"notifications": {"taskIds": ids}})).await;
    let first = next(&mut stream).await;
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    (stream, first["params"]["notifications"].clone())
}

async fn next(stream: &mut EventStream) -> Value {
    tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("told in time").expect("the stream goes on")
}

/// What is told of a task until it ends.
pub(crate) async fn to_the_end(stream: &mut EventStream) -> Vec<Value> {
    let mut told = Vec::new();
    loop {
        let message = next(stream).await;
        assert_eq!(message["method"], "notifications/tasks", "neither progress nor log messages belong here");
        let mut task = message["params"].clone();
        let meta = task.as_object_mut().expect("an object").remove("_meta").expect("every notification says which stream");
        assert!(meta[ID].is_number(), "{meta}");
        let over = ["completed", "failed", "cancelled"].contains(&task["status"].as_str().expect("a status"));
        told.push(task);
        if over {
            return told;
        }
    }
}

/// What `tasks/get` says, without what belongs to every result.
pub(crate) async fn detailed(client: &McpClient, id: &str) -> Value {
    let mut task = get(client, id).await;
    task.as_object_mut().expect("an object").retain(|key, _| key != "_meta" && key != "resultType");
    task
}

#[tokio::test]
async fn every_state_is_told_to_the_end() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "confirm", json!({})).await;
    let unknown = "0".repeat(32);
    let (mut stream, agreed) = listen(&client, &[&unknown, &id, "nonsense"]).await;
    assert_eq!(agreed, json!({"taskIds": [id]}));
    until(&client, &id, "input_required").await;
    update(&client, &id, json!({"sure": accept(json!({"yes": true}))})).await;
    let told = to_the_end(&mut stream).await;
    assert_eq!(told.last(), Some(&detailed(&client, &id).await));
    assert!(told.iter().any(|task| task["status"] == "input_required" && task["inputRequests"]["sure"].is_object()), "{told:?}");

    let (mut late, agreed) = listen(&client, &[&id]).await;
    assert_eq!(agreed, json!({"taskIds": [id]}));
    assert_eq!(to_the_end(&mut late).await, [detailed(&client, &id).await], "who comes late is told how it ended");
    server.stop().await;
}

#[tokio::test]
async fn progress_is_told_about_once_a_second() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "slow", json!({"milliseconds": 3_500})).await;
    let (mut stream, _) = listen(&client, &[&id]).await;
    let told = to_the_end(&mut stream).await;
    assert!((4..=6).contains(&told.len()), "{} for 70 reports", told.len());
    assert!(told[1]["statusMessage"].as_str().is_some_and(|message| message.starts_with("step ")), "{told:?}");
    server.stop().await;
}

#[tokio::test]
async fn cancelling_is_told() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "blocks", json!({})).await;
    let (mut stream, _) = listen(&client, &[&id]).await;
    cancel(&client, &id).await;
    assert_eq!(to_the_end(&mut stream).await.last().expect("told")["status"], "cancelled");
    let many: Vec<_> = (0..101).map(|_| id.clone()).collect();
    let refused = client.request("subscriptions/listen", json!({"notifications": {"taskIds": many}})).await;
    assert_eq!(refused.error_code(), -32602, "{}", refused.text);
    server.stop().await;
}
