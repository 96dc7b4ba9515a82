//! What a call asks: before it becomes a task, and while it is one.

use pressmark::config::Settings;
use serde_json::json;

use super::calls::server;
use super::calls::{accept, client, get, start_id, until, update};
use super::support::in_process::TOKEN;

#[tokio::test]
async fn what_is_asked_before_the_task_is_asked_in_rounds() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let first = client.call_tool("ask_first", json!({})).await;
    assert_eq!((&first.result()["resultType"], first.result().get("taskId")), (&json!("input_required"), None));
    let params = json!({
        "name": "ask_first", "arguments": {},
        "inputResponses": {"name": accept(json!({"name": "Alice"}))}, "requestState": first.result()["requestState"],
    });
    let second = client.request("tools/call", params).await;
    let task = second.result();
    assert_eq!(task["resultType"], "task");
    assert!(task.get("requestState").is_none() && task.get("inputRequests").is_none(), "{task}");
    let done = until(&client, task["taskId"].as_str().expect("an id"), "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "Hello, Alice!");
    server.stop().await;
}

#[tokio::test]
async fn what_is_asked_by_the_task_is_answered_by_updates() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    for (answer, text) in [(accept(json!({"yes": true})), "done"), (json!({"action": "decline"}), "left alone")] {
        let id = start_id(&client, "confirm", json!({})).await;
        let asks = until(&client, &id, "input_required").await;
        assert_eq!(asks["inputRequests"]["sure"]["method"], "elicitation/create");
        assert_eq!(asks["inputRequests"]["sure"]["params"]["message"], "Are you sure?");
        assert_eq!(asks["inputRequests"].as_object().map(serde_json::Map::len), Some(1), "{asks}");
        update(&client, &id, json!({"another": answer})).await;
        assert_eq!(get(&client, &id).await, asks, "an unknown key changes nothing");
        update(&client, &id, json!({"sure": answer})).await;
        let done = until(&client, &id, "completed").await;
        assert_eq!(done["result"]["content"][0]["text"], text);
        update(&client, &id, json!({"sure": accept(json!({"yes": true}))})).await;
        assert_eq!(get(&client, &id).await, done);
    }
    server.stop().await;
}

#[tokio::test]
async fn answers_come_one_by_one_in_any_order() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "both", json!({})).await;
    let asks = until(&client, &id, "input_required").await;
    assert_eq!(asks["inputRequests"].as_object().map(serde_json::Map::len), Some(2), "{asks}");
    update(&client, &id, json!({"last": accept(json!({"name": "Lovelace"}))})).await;
    let asks = get(&client, &id).await;
    assert_eq!(asks["status"], "input_required");
    assert_eq!(asks["inputRequests"].as_object().expect("requests").keys().collect::<Vec<_>>(), ["first"]);
    let second = json!({"first": accept(json!({"name": "Ada"})), "last": accept(json!({"name": "Nobody"}))});
    update(&client, &id, second).await;
    let done = until(&client, &id, "completed").await;
    assert_eq!(done["result"]["content"][0]["text"], "Ada Lovelace", "an answered key is answered");
    server.stop().await;
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_asked_for_again_under_another_key() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "confirm", json!({})).await;
    until(&client, &id, "input_required").await;
    update(&client, &id, json!({"sure": accept(json!({"yes": "perhaps"}))})).await;
    let asks = until(&client, &id, "input_required").await;
    assert_eq!(asks["inputRequests"].as_object().expect("requests").keys().collect::<Vec<_>>(), ["sure-2"]);
    update(&client, &id, json!({"sure-2": accept(json!({"yes": true}))})).await;
    assert_eq!(until(&client, &id, "completed").await["result"]["content"][0]["text"], "done");

    for params in [json!({"taskId": id}), json!({"taskId": id, "inputResponses": []}), json!({"inputResponses": {}})] {
        let message = client.message("tasks/update", params.clone());
        let refused = client.post(&client.headers(&message), message.to_string()).await;
        assert_eq!((refused.status.as_u16(), refused.error_code()), (400, -32602), "{params}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_cannot_be_asked_is_told_what_is_missing() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN).declaring(json!({"extensions": {super::calls::EXTENSION: {}}}));
    let failed = until(&client, &start_id(&client, "confirm", json!({})).await, "failed").await;
    assert_eq!(failed["error"]["code"], -32021);
    assert_eq!(failed["error"]["data"], json!({"requiredCapabilities": {"elicitation": {"form": {}}}}));
    server.stop().await;
}
