//! What the other tests rely on: the balancer takes turns and hides no failure, the client sends what it should, and the
//! other clients are there.

mod support;

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use support::client::{LEGACY, MODERN, McpClient};
use support::nginx::Nginx;
use support::node::{node, package_command};
use support::process::wait_until;

/// A server that answers every request with its own name and with what it was sent; as a stream when asked to.
struct Echo {
    port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Echo {
    async fn start(name: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let app = Router::new().route("/mcp", post(move |headers, body| async move { echo(name, &headers, &body) }));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Self { port, task }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn echo(name: &str, headers: &HeaderMap, body: &Bytes) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(body) else {
        return (axum::http::StatusCode::BAD_REQUEST, json!({"bytes": body.len()}).to_string()).into_response();
    };
    if message.get("id").is_none() {
        return axum::http::StatusCode::ACCEPTED.into_response();
    }
    let headers: Value = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
    let result = json!({"server": name, "headers": headers, "message": message, "protocolVersion": LEGACY});
    let reply = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
    if message["params"]["stream"] != true {
        let session = [("content-type", "application/json"), ("mcp-session-id", "session-1")];
        return (session, reply.to_string()).into_response();
    }
    let note = json!({"jsonrpc": "2.0", "method": "notifications/größe"});
    let events = [format!(": welcome\n\nevent: message\ndata: {note}\n\n"), format!("id: 1\ndata: {reply}\n\n")];
    // The end never comes: what a client reads of it must have come through while the stream is open.
    let events = futures_util::stream::iter(events.map(Ok::<_, std::io::Error>)).chain(futures_util::stream::pending());
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}

/// Has any program of this machine an open connection to this port, or one that only the other side has closed?
fn is_connected_to(port: u16) -> bool {
    let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
    connections.lines().skip(1).any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        fields[2].ends_with(&format!(":{port:04X}")) && matches!(fields[3], "01" | "08")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nginx_takes_turns_streams_and_passes_over_a_dead_server() {
    let (a, b) = (Echo::start("a").await, Echo::start("b").await);
    let nginx = Nginx::start(&[a.port, b.port]);
    let client = McpClient::modern(&nginx.url(), None);
    let mut seen = Vec::new();
    for _ in 0..6 {
        seen.push(client.request("ping", json!({})).await.result()["server"].as_str().expect("a name").to_owned());
    }
    assert!(seen == ["a", "b", "a", "b", "a", "b"] || seen == ["b", "a", "b", "a", "b", "a"], "{seen:?}");

    let mut stream = client.open("tools/call", json!({"name": "x", "stream": true})).await;
    assert_eq!(stream.next().await.expect("a notification")["method"], "notifications/größe");
    assert!(stream.next().await.expect("the result")["result"]["server"].is_string());
    drop(stream);

    // More than nginx keeps in memory: it needs its temporary folder.
    let large = client.post(&HeaderMap::new(), "x".repeat(2 << 20)).await;
    assert_eq!((large.status.as_u16(), &large.messages[0]), (400, &json!({"bytes": 2 << 20})), "{}", nginx.log());

    // With one server gone, a call that it refuses goes to the other.
    let gone = b.port;
    drop(b);
    // A call that is sent on a connection at the moment of its end is lost: nobody knows whether it was done.
    wait_until(Duration::from_secs(10), "nginx has closed its connections to it", || !is_connected_to(gone));
    for _ in 0..8 {
        assert_eq!(client.request("ping", json!({})).await.result()["server"], "a", "{}", nginx.log());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_sends_what_each_era_demands() {
    let server = Echo::start("a").await;
    let url = format!("http://127.0.0.1:{}", server.port);

    let client = McpClient::modern(&url, Some("secret"));
    let reply = client.call_tool("read_file", json!({"path": "/größe"})).await;
    let (headers, message) = (&reply.result()["headers"], &reply.result()["message"]);
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("authorization", "Bearer secret"),
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "read_file"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    assert_eq!(message["params"]["arguments"], json!({"path": "/größe"}));
    assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], MODERN);
    assert_eq!(message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({}));

    let client = McpClient::legacy(&url, None, LEGACY).await;
    assert_eq!(client.session(), Some("session-1"));
    let reply = client.call_tool("read_file", json!({})).await;
    let (headers, message) = (&reply.result()["headers"], &reply.result()["message"]);
    assert_eq!((&headers["mcp-protocol-version"], &headers["mcp-session-id"]), (&json!(LEGACY), &json!("session-1")));
    assert!(headers.get("mcp-method").is_none() && headers.get("mcp-name").is_none() && headers.get("authorization").is_none());
    assert!(message["params"].get("_meta").is_none());
}

#[test]
fn node_finds_the_clients() {
    for package in ["client", "sdk/client/index.js"] {
        let script = format!("const {{ Client }} = await import('@modelcontextprotocol/{package}'); console.log(typeof Client)");
        let output = node(&["--input-type=module", "--eval", &script]).output().expect("node runs");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "function", "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = node(&[&package_command("conformance"), "list"]).output().expect("node runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains("server-stateless"), "the conformance suite lists its scenarios");
}
