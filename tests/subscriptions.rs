//! `subscriptions/listen`: what changes on one replica is told on all, once, and only to those who asked for it.

mod support;

use std::time::Duration;

use pressmark::changes::{List, Notifier};
use pressmark::config::Settings;
use serde_json::{Value, json};
use support::client::{EventStream, McpClient};
use support::in_process::{Server, TOKEN};
use support::redis::RedisServer;

const ID: &str = "io.modelcontextprotocol/subscriptionId";

async fn listen(client: &McpClient, filter: Value) -> (EventStream, Value) {
    let mut stream = client.open("subscriptions/listen", json!({ "notifications": filter })).await;
    assert_eq!(stream.status(), 200);
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert_eq!(stream.headers()["x-accel-buffering"], "no");
    let first = stream.next().await.expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged");
    (stream, first["params"].clone())
}

async fn next(stream: &mut EventStream) -> Value {
    tokio::time::timeout(Duration::from_secs(5), stream.next()).await.expect("told in time").expect("the stream goes on")
}

async fn silent(stream: &mut EventStream) {
    let more = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(more.is_err(), "{more:?}");
}

async fn replica(state: Option<String>) -> (Server, Notifier) {
    let mut notifier = None;
    let server = Server::start(Settings { state, ..Settings::default() }, |app| {
        notifier = Some(app.notifier());
        app
    })
    .await;
    (server, notifier.expect("an app has one"))
}

#[tokio::test]
async fn a_stream_begins_with_what_was_agreed_to_and_ends_with_an_answer() {
    let (server, notifier) = replica(None).await;
    let client = server.client();
    let wanted = json!({"toolsListChanged": true, "promptsListChanged": false, "resourceSubscriptions": ["nothing://here"]});
    let (mut stream, agreed) = listen(&client, wanted).await;
    assert_eq!(agreed["notifications"], json!({"toolsListChanged": true}), "what cannot be had is not agreed to");
    let id = agreed["_meta"][ID].clone();
    assert!(id.is_number(), "{id}");

    notifier.list_changed(List::Prompts);
    notifier.list_changed(List::Tools);
    let told = next(&mut stream).await;
    let expected = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": {ID: id}}});
    assert_eq!(told, expected, "the other list was not asked for");
    silent(&mut stream).await;

    server.stop().await;
    let last = stream.next().await.expect("the end is told");
    assert_eq!(last, json!({"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": {ID: id}}}));
    assert_eq!(stream.next().await, None);
}

#[tokio::test]
async fn a_stream_is_closed_when_it_is_old_enough() {
    let age = Some("1s".to_owned());
    let server = Server::start(Settings { max_stream_age: age, ..Settings::default() }, |app| app).await;
    let (mut stream, agreed) = listen(&server.client(), json!({"toolsListChanged": true})).await;
    silent(&mut stream).await;
    let last = next(&mut stream).await;
    assert_eq!(last["result"], json!({"resultType": "complete", "_meta": {ID: agreed["_meta"][ID]}}));
    assert_eq!(stream.next().await, None);
    server.stop().await;
}

#[tokio::test]
async fn a_resource_named_several_times_is_told_of_once() {
    let (server, _) = replica(None).await;
    let client = server.client();
    let uris = ["file:///hello.txt", "file:///hello.txt", "FILE:///%68ello.txt", "file:///hello.txt/", "file:///later.txt"];
    let (mut stream, agreed) = listen(&client, json!({"resourceSubscriptions": uris})).await;
    let once = json!({"resourceSubscriptions": ["file:///hello.txt", "file:///later.txt"]});
    assert_eq!(agreed["notifications"], once);
    let write = json!({"path": "/hello.txt", "content": "new", "overwrite": true});
    assert!(!client.call_tool("write_file", write).await.is_tool_error());
    assert_eq!(next(&mut stream).await["params"]["uri"], "file:///hello.txt");
    silent(&mut stream).await;
    server.stop().await;
}

#[tokio::test]
async fn a_filter_must_be_there_and_must_be_one() {
    let (server, _) = replica(None).await;
    let client = server.client();
    for params in [json!({}), json!({"notifications": []}), json!({"notifications": {"toolsListChanged": "yes"}})] {
        let reply = client.request("subscriptions/listen", params.clone()).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32602), "{params}");
    }
    let many: Vec<_> = (0..1_001).map(|n| format!("nothing://{n}")).collect();
    let reply = client.request("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": many}})).await;
    assert_eq!(reply.error_code(), -32602, "{}", reply.text);
    let legacy = McpClient::legacy(&server.url, Some(TOKEN), "2025-11-25").await;
    assert_eq!(legacy.request("subscriptions/listen", json!({"notifications": {}})).await.error_code(), -32601);
    server.stop().await;
}

#[tokio::test]
async fn a_change_on_one_replica_is_told_on_all_once() {
    let redis = RedisServer::start();
    let (one, notifier) = replica(Some(redis.url())).await;
    let (other, _) = replica(Some(redis.url())).await;
    let filter = json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    let (mut here, _) = listen(&one.client(), filter.clone()).await;
    let (mut there, _) = listen(&other.client(), filter).await;
    for (list, name) in [(List::Tools, "tools"), (List::Prompts, "prompts"), (List::Resources, "resources")] {
        notifier.list_changed(list);
        for stream in [&mut here, &mut there] {
            assert_eq!(next(stream).await["method"], format!("notifications/{name}/list_changed"));
        }
    }
    silent(&mut here).await;
    silent(&mut there).await;
    one.stop().await;
    other.stop().await;
}
