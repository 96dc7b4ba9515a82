//! From the call to its result, on one replica with state of its own.

use pressmark::config::Settings;
use serde_json::{Value, json};

use super::calls::{EXTENSION, cancel, client, eventually, get, id, method, server, start, start_id, until};
use super::support::client::McpClient;
use super::support::in_process::TOKEN;

fn is_time(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.len() == 24 && text.ends_with('Z') && text.as_bytes()[10] == b'T')
}

#[tokio::test]
async fn a_call_becomes_a_task_and_has_the_result_that_it_would_have_had() {
    let (server, counts) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let created = start(&client, "slow", json!({"milliseconds": 2_500})).await;
    assert_eq!(
        (&created["status"], &created["ttlMs"], &created["pollIntervalMs"]),
        (&json!("working"), &json!(3_600_000), &json!(1_000))
    );
    assert!(is_time(&created["createdAt"]) && is_time(&created["lastUpdatedAt"]), "{created}");
    for absent in ["result", "error", "inputRequests", "requestState", "task"] {
        assert_eq!(created.get(absent), None, "{created}");
    }
    let id = id(&created);
    assert_eq!(id.len(), 32, "128 bits");
    let working = get(&client, &id).await;
    assert_eq!((&working["taskId"], &working["status"]), (&created["taskId"], &json!("working")));

    tokio::time::sleep(std::time::Duration::from_millis(1_600)).await;
    let working = get(&client, &id).await;
    assert!(working["statusMessage"].as_str().is_some_and(|message| message.starts_with("step ")), "{working}");

    let done = until(&client, &id, "completed").await;
    let direct = McpClient::modern(&server.url, Some(TOKEN)).call_tool("slow", json!({"milliseconds": 2_500})).await;
    let mut direct = direct.result().clone();
    direct.as_object_mut().expect("an object").remove("_meta");
    assert_eq!(done["result"], direct);
    assert_eq!(done["result"]["structuredContent"], json!({"milliseconds": 2_500}));
    assert_eq!((done.get("error"), done.get("statusMessage")), (None, None), "{done}");
    assert!(done["lastUpdatedAt"].as_str() > done["createdAt"].as_str(), "{done}");
    cancel(&client, &id).await;
    assert_eq!(get(&client, &id).await, done, "what is over stays as it is");
    assert_eq!(counts.finished(), 2);
    server.stop().await;
}

#[tokio::test]
async fn an_error_of_the_tool_completes_it_and_an_error_of_the_server_fails_it() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let done = until(&client, &start_id(&client, "fails", json!({})).await, "completed").await;
    assert_eq!(done["result"]["isError"], true);
    assert_eq!(done["result"]["content"][0]["text"], "invalid_argument: `nothing`: is never right");
    let failed = until(&client, &start_id(&client, "panics", json!({})).await, "failed").await;
    assert_eq!((&failed["error"]["code"], failed.get("result")), (&json!(-32603), None));
    assert!(failed["statusMessage"].is_string() && !failed.to_string().contains("secret"), "{failed}");

    let wrong = client.call_tool("slow", json!({"seconds": 1})).await;
    assert!(wrong.is_tool_error() && wrong.result()["resultType"] == "complete", "told at once: {}", wrong.text);
    server.stop().await;
}

#[tokio::test]
async fn cancelling_stops_the_work() {
    let (server, counts) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "blocks", json!({})).await;
    eventually("started", || counts.started() == 1).await;
    cancel(&client, &id).await;
    let cancelled = get(&client, &id).await;
    assert_eq!((&cancelled["status"], cancelled.get("result")), (&json!("cancelled"), None));
    eventually("stopped", || counts.stopped() == 1).await;
    cancel(&client, &id).await;
    server.stop().await;
}

#[tokio::test]
async fn a_task_outlives_the_connection_and_the_request_timeout() {
    let (server, _) = server(Settings { request_timeout: Some("300ms".to_owned()), ..Settings::default() }).await;
    let id = start_id(&client(&server.url, TOKEN), "slow", json!({"milliseconds": 1_000})).await;
    let done = until(&client(&server.url, TOKEN), &id, "completed").await;
    assert_eq!(done["result"]["isError"], false, "{done}");
    let direct = McpClient::modern(&server.url, Some(TOKEN)).call_tool("slow", json!({"milliseconds": 1_000})).await;
    assert!(direct.is_tool_error(), "a call is answered in time: {}", direct.text);
    server.stop().await;
}

#[tokio::test]
async fn clients_that_know_nothing_of_tasks_get_the_answer_when_it_is_there() {
    let (server, _) = server(Settings::default()).await;
    let plain = McpClient::modern(&server.url, Some(TOKEN)).declaring(json!({"extensions": {"com.example/other": {}}}));
    let reply = plain.call_tool("slow", json!({"milliseconds": 50})).await;
    assert_eq!((&reply.result()["resultType"], reply.content(0)), (&json!("complete"), "waited 50 ms"));
    let refused = plain.call_tool("ask_first", json!({})).await;
    let needed = json!({"requiredCapabilities": {"extensions": {EXTENSION: {}}}});
    assert_eq!((refused.status.as_u16(), refused.error_code(), &refused.error()["data"]), (400, -32021, &needed));
    for name in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let refused = plain.request(name, json!({"taskId": "0".repeat(32), "inputResponses": {}})).await;
        assert_eq!((refused.error_code(), &refused.error()["data"]), (-32021, &needed), "{name}");
    }
    let refused = plain.request("subscriptions/listen", json!({"notifications": {"taskIds": ["0".repeat(32)]}})).await;
    assert_eq!((refused.error_code(), &refused.error()["data"]), (-32021, &needed));

    let legacy = McpClient::legacy(&server.url, Some(TOKEN), "2025-11-25").await;
    assert_eq!(legacy.call_tool("slow", json!({"milliseconds": 50})).await.content(0), "waited 50 ms");
    let refused = legacy.call_tool("ask_first", json!({})).await;
    assert!(refused.is_tool_error() && refused.content(0).contains("2026-07-28"), "{}", refused.text);
    assert_eq!(method(&legacy, "tasks/get", "x").await.error_code(), -32601);
    server.stop().await;
}

#[tokio::test]
async fn the_extension_is_declared_where_a_tool_has_tasks() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let discovered = client.request("server/discover", json!({})).await;
    assert_eq!(discovered.result()["capabilities"]["extensions"], json!({EXTENSION: {}}));
    let greeted = client.call_tool("greet", json!({})).await;
    assert_eq!(greeted.result()["resultType"], "complete");
    for gone in ["tasks/result", "tasks/list"] {
        assert_eq!(method(&client, gone, "x").await.error_code(), -32601);
    }
    server.stop().await;

    let without = super::support::in_process::Server::start(Settings::default(), |app| app).await;
    let discovered = without.client().request("server/discover", json!({})).await;
    assert_eq!(discovered.result()["capabilities"].get("extensions"), None);
    without.stop().await;
}

#[tokio::test]
async fn the_name_header_is_the_id() {
    let (server, _) = server(Settings::default()).await;
    let client = client(&server.url, TOKEN);
    let id = start_id(&client, "slow", json!({"milliseconds": 10})).await;
    for name in ["tasks/get", "tasks/update", "tasks/cancel"] {
        let message = client.message(name, json!({"taskId": id, "inputResponses": {}}));
        for wrong in [None, Some("another")] {
            let mut headers = client.headers(&message);
            match wrong {
                None => drop(headers.remove("mcp-name")),
                Some(wrong) => drop(headers.insert("mcp-name", wrong.parse().expect("a value"))),
            }
            let refused = client.post(&headers, message.to_string()).await;
            assert_eq!((refused.status.as_u16(), refused.error_code()), (400, -32020), "{name} {wrong:?}");
        }
    }
    server.stop().await;
}
