//! What an operator sees: start-up, settings, probes, logs, shutdown.

mod audit;
mod collector;
mod dashboard;
mod logs;
mod metrics;
mod mounts;
mod prometheus;
mod promql;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod traces;

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::client::McpClient;
use support::process::{Process, wait_until};
use support::server::Pressmark;

const TOKEN: &str = "a-secret-token-for-tests";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
    folder
}

fn path(folder: &tempfile::TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

#[tokio::test]
async fn the_first_run_prints_all_that_a_client_needs() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder)]);
    let banner = server.stdout();
    let url = format!("{}/mcp", server.url());
    assert!(banner.lines().count() < 20, "a few lines: {banner}");
    for told in [url.as_str(), path(&folder), "writable", "memory", "development token"] {
        assert!(banner.contains(told), "{told} is not in {banner}");
    }
    let configuration: Value = serde_json::from_str(&banner[banner.find('{').expect("JSON")..]).expect("JSON to paste");
    let entry = &configuration["mcpServers"]["pressmark"];
    assert_eq!(entry["url"], url);
    let token = entry["headers"]["Authorization"].as_str().and_then(|value| value.strip_prefix("Bearer ")).expect("a token");
    let reply = McpClient::modern(&server.url(), Some(token)).call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!(reply.content(0), "hello\n");
    assert_eq!(McpClient::modern(&server.url(), None).request("tools/list", json!({})).await.status, 401);
}

#[test]
fn sigterm_finishes_what_is_under_way() {
    let folder = folder();
    let mut server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let message = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    let request = client.raw(&message, "Connection: close\r\n");
    let (begun, rest) = request.split_at(request.len() - 20);

    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    stream.write_all(begun).expect("the head and a part of the body are sent");
    // The server has to have seen the head before it is told to stop.
    std::thread::sleep(Duration::from_millis(300));
    server.terminate();
    wait_until(Duration::from_secs(5), "no connection is accepted any more", || {
        std::net::TcpStream::connect(("127.0.0.1", server.port())).is_err()
    });
    stream.write_all(rest).expect("the rest is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("hello\\n"), "{answer}");
    assert!(server.wait(Duration::from_secs(10)).success());
}

#[test]
fn sigterm_without_work_ends_at_once() {
    let folder = folder();
    let mut server = Pressmark::start(&[path(&folder)]);
    let idle = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
    let start = Instant::now();
    server.terminate();
    assert!(server.wait(Duration::from_secs(10)).success());
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection holds nothing up");
    drop(idle);
}

/// A balancer sends its next request on a connection that it kept, just as the server is told to stop.
#[test]
fn a_kept_connection_is_good_for_one_more_request_after_sigterm() {
    let folder = folder();
    let mut server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let message = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    // One that hyper holds, since its request was a moment ago, and one that has been idle for longer.
    for rest in [Duration::ZERO, Duration::from_secs(1)] {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        stream.write_all(&client.raw(&message, "")).expect("sent");
        let first = read_answer(&mut stream);
        assert!(first.contains("hello") && !first.to_lowercase().contains("connection: close"), "{first}");
        std::thread::sleep(rest);
        server.terminate();
        std::thread::sleep(Duration::from_millis(300));
        stream.write_all(&client.raw(&message, "")).expect("the connection is open");
        let last = read_answer(&mut stream);
        assert!(last.contains("hello") && last.to_lowercase().contains("connection: close"), "{last}");
        assert_eq!(stream.read(&mut [0; 16]).expect("an orderly end"), 0);
        assert!(server.wait(Duration::from_secs(10)).success());
        server.respawn();
        server.wait_until_alive();
    }
}

/// One worker is a runtime of another kind.
#[tokio::test]
async fn one_worker_does_all_that_many_do() {
    let folder = folder();
    std::fs::write(folder.path().join("long.txt"), "a line of text\n".repeat(50_000)).expect("a file can be written");
    let redis = support::redis::RedisServer::start();
    let mut server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--state", &redis.url(), "--workers", "1"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let mut stream =
        client.open("subscriptions/listen", json!({"notifications": {"resourceSubscriptions": ["file:///hello.txt"]}})).await;
    stream.next().await.expect("the acknowledgement");
    let calls = (0..16).map(|_| async {
        let first = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
        let cursor = first.structured()["next_cursor"].as_str().expect("there is more").to_owned();
        let (next, found) = tokio::join!(
            client.call_tool("read_file", json!({"cursor": cursor})),
            client.call_tool("search_text", json!({"pattern": "hello"})),
        );
        assert!(next.content(0).contains("a line of text") && found.content(0).contains("hello"), "{}", found.text);
    });
    futures_util::future::join_all(calls).await;
    let changed = client
        .call_tool("edit_file", json!({"path": "/hello.txt", "edits": [{"old_text": "hello", "new_text": "changed"}]}))
        .await;
    assert!(!changed.is_tool_error(), "{}", changed.text);
    let told = tokio::time::timeout(Duration::from_secs(10), stream.next()).await.expect("in time").expect("an event");
    assert_eq!(told["method"], "notifications/resources/updated", "{told}");
    server.terminate();
    assert!(server.wait(Duration::from_secs(10)).success());
}

/// An answer with its body, whose length its head says.
fn read_answer(stream: &mut std::net::TcpStream) -> String {
    let (mut answer, mut buffer) = (String::new(), [0; 65_536]);
    loop {
        let count = stream.read(&mut buffer).expect("an answer");
        assert!(count > 0, "the connection ended after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..count]).expect("UTF-8"));
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(usize::MAX) {
            return answer;
        }
    }
}

#[tokio::test]
async fn folders_are_mounted_by_name_from_paths_and_urls() {
    let (one, two) = (folder(), folder());
    let (by_path, by_url) = (format!("one={}", path(&one)), format!("two=file://{}", path(&two)));
    let server = Pressmark::start(&["--mount", &by_path, "--mount", &by_url, "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for file in ["/one/hello.txt", "/two/hello.txt"] {
        assert_eq!(client.call_tool("read_file", json!({"path": file})).await.content(0), "hello\n", "{file}");
    }
    let root = client.call_tool("list_directory", json!({})).await;
    assert!(root.content(0).contains("one/") && root.content(0).contains("two/"), "{}", root.text);
}

#[tokio::test]
async fn the_minimal_example_runs() {
    // A run of this test alone does not build the examples.
    let built =
        std::process::Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "minimal"]).status().expect("cargo");
    assert!(built.success());
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_pressmark")).with_file_name("examples").join("minimal");
    let folder = folder();
    let mut command = std::process::Command::new(&binary);
    command.args([path(&folder), "--listen", "127.0.0.1:0"]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut example = Process::spawn(&mut command, "nothing: cargo test builds the examples");
    let (stdout, _stderr) = example.take_output();
    let mut banner = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stdout));
    while serde_json::from_str::<Value>(&banner[banner.find('{').unwrap_or(banner.len())..]).is_err() {
        banner.push_str(&lines.next().expect("the example goes on").expect("UTF-8"));
        banner.push('\n');
    }
    let configuration: Value = serde_json::from_str(&banner[banner.find('{').expect("JSON")..]).expect("JSON");
    let entry = &configuration["mcpServers"]["pressmark"];
    let url = entry["url"].as_str().expect("a URL").trim_end_matches("/mcp").to_owned();
    let token = entry["headers"]["Authorization"].as_str().expect("a header").trim_start_matches("Bearer ").to_owned();
    let client = McpClient::modern(&url, Some(&token));
    std::fs::write(folder.path().join("ada.txt"), "Hello, Ada!\n").expect("a file");
    let reply = client.call_tool("count_words", json!({"path": "/ada.txt"})).await;
    assert_eq!((reply.content(0), &reply.structured()["words"]), ("2 words", &json!(2)));
    assert!(client.call_tool("count_words", json!({"path": "/missing.txt"})).await.is_tool_error());
    assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
}
