//! Ten thousand `subscriptions/listen` streams on one replica: what each costs, and how long a change takes to reach all.

mod support;

use std::time::{Duration, Instant};

use serde_json::json;
use support::client::McpClient;
use support::open_files::allow_open_files;
use support::server::Pressmark;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const STREAMS: usize = 10_000;
/// What one idle stream may cost the server, in bytes of resident memory.
const MAX_BYTES: u64 = 15 * 1024;
const TOKEN: &str = "a-secret-token-for-tests";
/// A change reaches all listeners well within a second on a quiet machine; a busy one gets more.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// One stream, read no further than its acknowledgement.
async fn listen(port: u16, request: &[u8]) -> TcpStream {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    connection.write_all(request).await.expect("the request is sent");
    read_until(&mut connection, "notifications/subscriptions/acknowledged").await;
    connection
}

async fn read_until(connection: &mut TcpStream, wanted: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(wanted) {
        let mut chunk = [0; 2048];
        let read = connection.read(&mut chunk).await.expect("the stream goes on");
        assert!(read > 0, "the stream ended after {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&chunk[..read]);
    }
}

/// The bytes of a request as they go over the wire.
fn request(port: u16) -> Vec<u8> {
    let client = McpClient::modern(&format!("http://127.0.0.1:{port}"), Some(TOKEN));
    let filter = json!({"resourceSubscriptions": ["file:///watched.txt"], "toolsListChanged": true});
    client.raw(&client.message("subscriptions/listen", json!({ "notifications": filter })), "")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_streams_are_cheap_and_hear_of_a_change_in_time() {
    allow_open_files(2 * STREAMS as u64);
    let folder = tempfile::tempdir().expect("a folder");
    let watched = folder.path().join("watched.txt");
    std::fs::write(&watched, "one").expect("written");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN]);
    let (port, request) = (server.port(), request(server.port()));

    // The first streams bring what all share: threads, caches, the watcher.
    let mut streams = Vec::with_capacity(STREAMS);
    for _ in 0..100 {
        streams.push(listen(port, &request).await);
    }
    let before = server.resident_bytes();
    while streams.len() < STREAMS {
        let mut opening = JoinSet::new();
        for _ in 0..100 {
            let request = request.clone();
            opening.spawn(async move { listen(port, &request).await });
        }
        streams.extend(opening.join_all().await);
    }
    let each = server.resident_bytes().saturating_sub(before) / (STREAMS as u64 - 100);

    let told: JoinSet<Instant> = streams
        .into_iter()
        .map(|mut stream| async move {
            read_until(&mut stream, "notifications/resources/updated").await;
            Instant::now()
        })
        .collect();
    let changed = Instant::now();
    std::fs::write(&watched, "two").expect("written");
    let told = tokio::time::timeout(MAX_DELAY, told.join_all()).await.expect("all are told in time");
    let mut delays: Vec<_> = told.into_iter().map(|at| at - changed).collect();
    delays.sort_unstable();
    println!(
        "{STREAMS} streams: {each} bytes of resident memory each; told of a change after {:?} (median), {:?} (last)",
        delays[STREAMS / 2],
        delays[STREAMS - 1]
    );
    assert!(each <= MAX_BYTES, "{each} bytes for each stream");
}
