//! Whose a task is, how long it lives, and how many there are.

use std::io::Write as _;
use std::time::Duration;

use pressmark::config::Settings;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::calls::{cancel, client, eventually, get, method, server, start, start_id, until};
use super::support::in_process::TOKEN;
use super::support::redis::RedisServer;

/// A file of API keys: names that are keys, too, with their scopes.
pub(crate) fn keys(of: &[(&str, &str)]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    for (name, scopes) in of {
        let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nscopes = [\"{scopes}\"]").expect("written");
    }
    file
}

#[tokio::test]
async fn another_callers_task_is_unknown() {
    let file = keys(&[("pm_ada", "files:read"), ("pm_bob", "files:read")]);
    let (server, counts) = server(Settings { api_keys: Some(file.path().to_owned()), ..Settings::default() }).await;
    let (ada, bob) = (client(&server.url, "pm_ada"), client(&server.url, "pm_bob"));
    let id = start_id(&ada, "blocks", json!({})).await;
    let (nobodys, nonsense) = ("0".repeat(32), "../../x");
    for (id, whose) in [(id.as_str(), &bob), (&nobodys, &ada), (nonsense, &ada), ("", &ada), ("{}:*", &ada)] {
        let mut texts = Vec::new();
        for name in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let refused = whose.request(name, json!({"taskId": id, "inputResponses": {"sure": {}}})).await;
            assert_eq!(refused.error_code(), -32602, "{name} {id:?}: {}", refused.text);
            texts.push(refused.error()["message"].clone());
        }
        assert!(texts.iter().all(|text| text == &texts[0] && text.as_str().is_some_and(|text| text.contains("unknown"))));
    }
    eventually("started", || counts.started() == 1).await;
    assert_eq!((get(&ada, &id).await["status"].as_str(), counts.stopped()), (Some("working"), 0));
    cancel(&ada, &id).await;
    server.stop().await;
}

#[tokio::test]
async fn to_who_has_fewer_rights_than_a_task_it_is_unknown() {
    let redis = RedisServer::start();
    let (wide, narrow) = (keys(&[("pm_ada", "files")]), keys(&[("pm_ada", "files:read:/team/**")]));
    let settings = |keys: &NamedTempFile| Settings {
        state: Some(redis.url()),
        api_keys: Some(keys.path().to_owned()),
        ..Settings::default()
    };
    let ((one, _), (two, _)) = (server(settings(&wide)).await, server(settings(&narrow)).await);
    let (more, less) = (client(&one.url, "pm_ada"), client(&two.url, "pm_ada"));
    let (done, asking) =
        (start_id(&more, "slow", json!({"milliseconds": 10})).await, start_id(&more, "confirm", json!({})).await);
    until(&more, &done, "completed").await;
    until(&more, &asking, "input_required").await;
    for (name, id) in [("tasks/get", &done), ("tasks/get", &asking), ("tasks/update", &asking), ("tasks/cancel", &asking)] {
        let refused = less.request(name, json!({"taskId": id, "inputResponses": {"sure": {"action": "decline"}}})).await;
        assert_eq!(refused.error_code(), -32602, "{name}: {}", refused.text);
    }
    until(&more, &asking, "input_required").await;
    let own = start_id(&less, "slow", json!({"milliseconds": 10})).await;
    until(&more, &own, "completed").await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn answers_that_nobody_asked_for_are_not_kept_with_a_task() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let params = json!({
        "name": "slow", "arguments": {"milliseconds": 10},
        "inputResponses": {"junk": {"action": "accept", "content": {"x": "x".repeat(1_000_000)}}},
    });
    let reply = client.request("tools/call", params).await;
    assert_eq!((reply.content(0), &reply.result()["resultType"]), ("waited 10 ms", &json!("complete")), "answered when done");
    server.stop().await;
}

#[tokio::test]
async fn a_task_ends_with_its_time_and_leaves_nothing_behind() {
    let redis = RedisServer::start();
    let settings = Settings { state: Some(redis.url()), task_ttl: Some("1500ms".to_owned()), ..Settings::default() };
    let (server, counts) = server(settings).await;
    let client = client(&server.url, TOKEN);
    let endless = start(&client, "blocks", json!({})).await;
    assert_eq!(endless["ttlMs"], 1_500);
    let asking = start_id(&client, "confirm", json!({})).await;
    let id = super::calls::id(&endless);
    let done = until(&client, &id, "completed").await;
    assert_eq!(done["result"]["isError"], true);
    let text = done["result"]["content"][0]["text"].as_str().expect("text");
    assert!(text.starts_with("timed_out: blocks took longer than 1s"), "{text}");
    eventually("stopped", || counts.stopped() == 1).await;
    assert!(redis.cli(&["--scan"]).contains("task"), "the records are there");
    eventually("all keys expired", || !redis.cli(&["--scan"]).contains("task")).await;
    for gone in [&id, &asking] {
        assert_eq!(method(&client, "tasks/get", gone).await.error_code(), -32602);
    }
    server.stop().await;
}

#[tokio::test]
async fn the_oldest_tasks_of_a_caller_make_room_for_new_ones() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let oldest = start_id(&client, "confirm", json!({})).await;
    until(&client, &oldest, "input_required").await;
    let mut newest = String::new();
    for _ in 0..500 {
        newest = start_id(&client, "confirm", json!({})).await;
    }
    assert_eq!(method(&client, "tasks/get", &oldest).await.error_code(), -32602);
    until(&client, &newest, "input_required").await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_too_long_to_keep_is_not_kept() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let long = "x".repeat(300_000);
    start(&client, "slow", json!({"milliseconds": 10, "note": "x".repeat(200_000)})).await;
    let reply = client.call_tool("slow", json!({"milliseconds": 10, "note": long})).await;
    assert_eq!((reply.content(0), &reply.result()["resultType"]), ("waited 10 ms", &json!("complete")), "answered when done");
    let refused = client.call_tool("ask_first", json!({"x": long})).await;
    assert!(refused.is_tool_error() && refused.content(0).starts_with("too_large:"), "{}", refused.text);
    let id = start_id(&client, "confirm", json!({})).await;
    until(&client, &id, "input_required").await;
    let answers = json!({"taskId": id, "inputResponses": {"sure": {"action": "accept", "content": {"yes": long}}}});
    assert_eq!(client.request("tasks/update", answers).await.error_code(), -32602);
    server.stop().await;
}

#[tokio::test]
async fn a_task_that_cannot_be_written_is_not_promised() {
    let mut redis = RedisServer::start();
    let (server, counts) = server(Settings { state: Some(redis.url()), ..Settings::default() }).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "slow", json!({"milliseconds": 100})).await;
    until(&client, &id, "completed").await;
    redis.stop();
    let refused = client.call_tool("slow", json!({"milliseconds": 100})).await;
    assert!(refused.is_tool_error() && refused.content(0).starts_with("unavailable:"), "{}", refused.text);
    let refused = method(&client, "tasks/get", &id).await;
    assert_eq!(refused.error_code(), -32603, "it may be there: {}", refused.text);
    assert_eq!(counts.started(), 1);
    redis.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    until(&client, &start_id(&client, "slow", json!({"milliseconds": 100})).await, "completed").await;
    server.stop().await;
}

#[tokio::test]
async fn one_caller_does_not_take_all_of_a_replica() {
    let file = keys(&[("pm_ada", "files:read"), ("pm_bob", "files:read")]);
    let (server, _) = server(Settings { api_keys: Some(file.path().to_owned()), ..Settings::default() }).await;
    let (ada, bob) = (client(&server.url, "pm_ada"), client(&server.url, "pm_bob"));
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(start_id(&ada, "slow", json!({"milliseconds": 60_000})).await);
    }
    let refused = ada.call_tool("slow", json!({"milliseconds": 10})).await;
    assert!(refused.is_tool_error() && refused.content(0).starts_with("unavailable: 32 of your tasks"), "{}", refused.text);
    until(&bob, &start_id(&bob, "slow", json!({"milliseconds": 10})).await, "completed").await;
    cancel(&ada, &ids[0]).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    until(&ada, &start_id(&ada, "slow", json!({"milliseconds": 10})).await, "completed").await;
    server.stop().await;
}
