//! One connection, byte by byte: what waits on it, and what follows; over TCP, over TLS and by a Unix socket.

mod client_addresses;
mod connection;
mod keep_alive;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tls_files;
mod unix_sockets;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connection::{Connection, Place};
use futures_util::future::join_all;
use pressmark::call::{CallContext, Interrupted, Lane};
use pressmark::config::Settings;
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use serde_json::json;
use support::client::McpClient;
use support::in_process::{Server, TOKEN};
use support::server::Pressmark;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;

/// Longer than a connection is left with hyper when nothing comes.
const IDLE: Duration = Duration::from_millis(2500);

/// Reports once and is done when told.
struct Reports(Arc<Notify>);

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl Tool for Reports {
    const SPEC: ToolSpec = ToolSpec {
        name: "reports",
        title: "reports",
        description: "For a test.",
        scopes: &[],
        effect: Effect::ReadOnly,
        lane: Lane::Io,
        ..ToolSpec::DEFAULT
    };
    type Args = Nothing;
    type Output = Nothing;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Nothing>, Interrupted> {
        cx.progress(1.0, None, None);
        self.0.notified().await;
        Ok(ToolOutput::text("done", Nothing {}))
    }
}

fn ping(client: &McpClient, id: u64) -> Vec<u8> {
    let mut message = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    message["id"] = id.into();
    client.raw(&message, "")
}

fn report(client: &McpClient, more_headers: &str) -> Vec<u8> {
    let params = json!({"name": "reports", "arguments": {}, "_meta": {"progressToken": 1}});
    client.raw(&client.message("tools/call", params), more_headers)
}

#[tokio::test]
async fn an_idle_connection_goes_on_where_it_was() {
    join_all(Place::all(|app| app).await.into_iter().map(async |place| {
        let client = place.server.client();
        let mut connection = place.connect().await;
        for id in [1, 2] {
            connection.send(ping(&client, id)).await;
            assert!(connection.answer().await.1.contains(&format!("\"id\":{id}")));
            tokio::time::sleep(IDLE).await;
        }

        // The client rests in the middle of a head, in the middle of a body, and then sends three at once.
        let request = ping(&client, 3);
        for part in [&request[..50], &request[50..request.len() - 9], &request[request.len() - 9..]] {
            connection.send(part).await;
            tokio::time::sleep(IDLE).await;
        }
        assert!(connection.answer().await.1.contains("\"id\":3"));
        connection.send([ping(&client, 4), ping(&client, 5), ping(&client, 6)].concat()).await;
        for id in [4, 5, 6] {
            assert!(connection.answer().await.1.contains(&format!("\"id\":{id}")));
        }
        place.server.stop().await;
        connection.closes().await;
    }))
    .await;
}

#[tokio::test]
async fn after_a_stream_the_connection_takes_the_next_request() {
    let go = Arc::new(Notify::new());
    for place in Place::all(|app| app.with(Reports(Arc::clone(&go)))).await {
        let client = place.server.client();
        let mut connection = place.connect().await;
        for round in [1, 2] {
            connection.send(report(&client, "")).await;
            let head = connection.head().await;
            assert!(head.contains("text/event-stream") && head.contains("transfer-encoding: chunked"), "{head}");
            assert!(connection.chunk().await.contains("notifications/progress"));
            // More than is read ahead: the rest waits in the socket.
            let ahead: Vec<u8> = (10..30).flat_map(|id| ping(&client, id)).collect();
            connection.send(&ahead).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            go.notify_one();
            assert!(connection.chunk().await.contains("done"), "round {round}");
            assert_eq!(connection.chunk().await, "");
            for id in 10..30 {
                assert!(connection.answer().await.1.contains(&format!("\"id\":{id}")));
            }
        }
        place.server.stop().await;
        connection.closes().await;
    }
}

#[tokio::test]
async fn who_asks_for_the_end_of_the_connection_gets_it_after_the_stream() {
    let go = Arc::new(Notify::new());
    let server = Server::start(Settings::default(), |app| app.with(Reports(Arc::clone(&go)))).await;
    let client = server.client();
    let mut connection = Connection::open(&server).await;
    connection.send(report(&client, "Connection: close\r\n")).await;
    connection.head().await;
    assert!(connection.chunk().await.contains("notifications/progress"));
    go.notify_one();
    assert!(connection.chunk().await.contains("done"));
    assert_eq!(connection.chunk().await, "");
    connection.closes().await;

    // HTTP/1.0 has no chunks: the body ends with the connection.
    let mut connection = Connection::open(&server).await;
    let request = String::from_utf8(report(&client, "")).expect("UTF-8").replacen("HTTP/1.1", "HTTP/1.0", 1);
    connection.send(request).await;
    let head = connection.head().await;
    assert!(head.starts_with("http/1.0 200") && !head.contains("chunked"), "{head}");
    go.notify_one();
    assert!(connection.until("\"done\"").await.starts_with("event: message"));
    server.stop().await;
}

#[tokio::test]
async fn an_unread_body_is_never_taken_for_a_request() {
    let age = Some("1s".to_owned());
    let server = Server::start(Settings { max_stream_age: age, ..Settings::default() }, |app| app).await;
    let client = McpClient::legacy(&server.url, Some(TOKEN), "2025-11-25").await;
    let session = client.session().expect("a session");
    let hidden = String::from_utf8(ping(&server.client(), 7)).expect("UTF-8");
    let head = format!(
        "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nAccept: text/event-stream\r\n\
         Mcp-Session-Id: {session}\r\nContent-Length: {}\r\n\r\n",
        hidden.len()
    );
    let mut connection = Connection::open(&server).await;
    connection.send(format!("{head}{hidden}")).await;
    assert!(connection.head().await.starts_with("http/1.1 200"));
    while !connection.chunk().await.is_empty() {}
    // hyper may drop the body and go on, or close; the body itself is never answered.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let _ = connection.socket.write_all(&ping(&server.client(), 8)).await;
    while !String::from_utf8_lossy(&connection.read).contains("\"id\":8") && connection.fill().await {}
    assert!(!String::from_utf8_lossy(&connection.read).contains("\"id\":7"));
    server.stop().await;
}

#[tokio::test]
async fn who_is_refused_early_gets_the_answer_while_still_sending() {
    let server = Server::start(Settings::default(), |app| app).await;
    let stranger = McpClient::modern(&server.url, None);
    let text = "x".repeat(3 << 20);
    let mut message = stranger.message("tools/call", json!({"name": "write_file", "arguments": {"path": "/x", "text": text}}));
    let mut connection = Connection::open(&server).await;
    for more_headers in ["", "Origin: https://evil.test\r\n", "Expect: 100-continue\r\n"] {
        let request = stranger.raw(&message, more_headers);
        // In one piece: the answer is there before the last of it has been sent.
        connection.send(&request).await;
        let (head, _) = connection.answer().await;
        let expected = if more_headers.starts_with("Origin") { "http/1.1 403" } else { "http/1.1 401" };
        assert!(head.starts_with(expected), "{head}");
        if more_headers.starts_with("Expect") {
            // This client had to wait: the connection cannot go on.
            return server.stop().await;
        }
        // Nothing of the body is taken for the next request.
        message["id"] = json!(message["id"].as_u64().expect("a number") + 1);
        connection.send(ping(&server.client(), 7)).await;
        assert!(connection.answer().await.1.contains("\"id\":7"));
    }
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_given_up() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.txt"), "large\n".repeat(150_000)).expect("written");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let open = || TcpStream::connect(("127.0.0.1", server.port()));

    // Far more than the sockets between us hold.
    let mut one = open().await.expect("a connection");
    let request = client.raw(&client.message("resources/read", json!({"uri": "file:///large.txt"})), "");
    one.write_all(&request.repeat(40)).await.expect("sent");

    // HTTP/2 with no room for any answer: the preface, a window of 0, and GET /healthz (RFC 9113, RFC 7541).
    let mut two = open().await.expect("a connection");
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0][..], &[0, 4, 0, 0, 0, 0]].concat();
    let fields = [&[0x82, 0x86, 0x04, 8][..], b"/healthz", &[0x01, 4], b"test"].concat();
    let headers = [&[0, 0, u8::try_from(fields.len()).expect("short"), 1, 5, 0, 0, 0, 1][..], &fields].concat();
    let request = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", settings.as_slice(), &headers].concat();
    two.write_all(&request).await.expect("sent");

    let begun = Instant::now();
    let ended = tokio::spawn(async move {
        let mut answer = Vec::new();
        let _ = two.read_to_end(&mut answer).await;
        Instant::now()
    });
    let two_ended = tokio::time::timeout(Duration::from_secs(45), ended).await.expect("closed in time").expect("read");
    assert!(two_ended - begun > Duration::from_secs(20), "slow clients get their time");

    tokio::time::sleep_until((begun + Duration::from_secs(40)).into()).await;
    let wanted = 40 * 900_000;
    let mut read = 0;
    let mut chunk = vec![0; 1 << 20];
    while read < wanted {
        match one.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(more) => read += more,
        }
    }
    panic!("all answers were kept for a client that read nothing");
}

#[tokio::test]
async fn the_answers_of_a_batch_share_a_budget() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("large.txt"), "large\n".repeat(150_000)).expect("written");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN]);
    let client = McpClient::legacy(&server.url(), Some(TOKEN), "2025-03-26").await;
    let messages: Vec<_> = (0..12).map(|_| client.message("resources/read", json!({"uri": "file:///large.txt"}))).collect();
    let reply = client.post(&client.headers(&messages[0]), json!(messages).to_string()).await;
    let answers = reply.messages[0].as_array().expect("an array").clone();
    assert_eq!(answers.len(), 12, "each request is answered");
    assert!(answers[0]["result"].is_object());
    assert!(answers[11]["error"]["message"].as_str().expect("an error").contains("a message of its own"));
    assert!(reply.text.len() < 6 << 20, "{} bytes", reply.text.len());
}
