//! Replicas are interchangeable and may die at any moment: nothing is skipped, repeated or lost.

mod support;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use support::client::McpClient;
use support::nginx::Nginx;
use support::redis::RedisServer;
use support::server::Pressmark;

const TOKEN: &str = "a-token-for-tests";
const AGENTS: usize = 50;
const FILES: usize = 5;
const FILE_BYTES: usize = 6 << 20;
/// How long the replicas are killed for at the least; every agent reads at least one file to its end.
const AT_LEAST: Duration = Duration::from_secs(12);

fn text(seed: usize) -> String {
    let mut text = String::with_capacity(FILE_BYTES + 100);
    let mut line = 0_usize;
    while text.len() < FILE_BYTES {
        line += 1;
        let number = line.wrapping_mul(2_654_435_761).wrapping_add(seed);
        text.push_str(&format!("{seed}:{line}\tπ≈3.14159 “{number:x}” 日本語 \u{1f980}{}\n", "-".repeat(number % 90)));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_agents_read_on_while_replicas_are_killed_every_second() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts: Arc<HashMap<String, String>> = Arc::new((0..FILES).map(|seed| (format!("/{seed}.txt"), text(seed))).collect());
    for (path, text) in texts.iter() {
        std::fs::write(folder.path().join(&path[1..]), text).expect("a file can be written");
    }
    let mount = folder.path().to_str().expect("UTF-8");
    let arguments = [mount, "--dev-token", TOKEN, "--state", &redis.url()];
    let mut replicas: Vec<Pressmark> = (0..3).map(|_| Pressmark::start(&arguments)).collect();
    let nginx = Nginx::start(&replicas.iter().map(Pressmark::port).collect::<Vec<_>>());

    let (stop, pages, retries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let agents: Vec<_> = (0..AGENTS)
        .map(|agent| {
            let client = McpClient::modern(&nginx.url(), Some(TOKEN));
            let (texts, stop, pages, retries) = (Arc::clone(&texts), Arc::clone(&stop), Arc::clone(&pages), Arc::clone(&retries));
            tokio::spawn(async move {
                let mut read = 0;
                while read == 0 || !stop.load(Ordering::Relaxed) {
                    let path = format!("/{}.txt", (agent + read) % FILES);
                    let whole = read_whole(&client, &path, &pages, &retries).await;
                    assert!(whole == texts[&path], "agent {agent} read {path} differently: {} bytes", whole.len());
                    read += 1;
                }
                read
            })
        })
        .collect();

    let start = Instant::now();
    let mut kills = 0;
    while start.elapsed() < AT_LEAST || agents.iter().any(|agent| !agent.is_finished() && !stop.load(Ordering::Relaxed)) {
        let replica = &mut replicas[kills % 3];
        tokio::task::block_in_place(|| replica.restart());
        kills += 1;
        if start.elapsed() >= AT_LEAST {
            stop.store(true, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let mut files = 0;
    for agent in agents {
        files += agent.await.expect("the agent found nothing wrong");
    }
    let (pages, retries) = (pages.load(Ordering::Relaxed), retries.load(Ordering::Relaxed));
    // A read that broke on the way was sent to another replica by nginx; agents see only what broke in the middle of an answer.
    let broken = nginx.log().lines().filter(|line| line.contains("prematurely closed") || line.contains("reset by peer")).count();
    println!(
        "{AGENTS} agents read {files} files in {pages} pages while replicas were killed {kills} times; {broken} calls broke, and agents \
         repeated {retries} of them"
    );
    assert!(kills >= 8, "{kills} kills are too few to show anything");
    assert!(broken > 0, "no call was in flight at any of {kills} kills: the test shows nothing");
    // At one kill in two there may be one answer that was half on its way.
    assert!(retries <= kills as u64 / 2, "{retries} calls failed at {kills} kills");
}

/// Reads a file as an agent does: a call that got no answer is made again, anything else is an error.
async fn read_whole(client: &McpClient, path: &str, pages: &AtomicU64, retries: &AtomicU64) -> String {
    let (mut whole, mut arguments) = (String::new(), json!({"path": path}));
    loop {
        let message = client.message("tools/call", json!({"name": "read_file", "arguments": arguments}));
        let reply = match client.try_post(&client.headers(&message), message.to_string()).await {
            Ok(reply) if reply.status != 502 => reply,
            // The balancer lost the replica in the middle of the call.
            Ok(_) | Err(_) => {
                retries.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        };
        assert!(reply.status == 200 && !reply.is_tool_error(), "{path} at {}: {}", whole.len(), reply.text);
        whole.push_str(reply.content(0));
        pages.fetch_add(1, Ordering::Relaxed);
        match reply.structured()["next_cursor"].as_str() {
            Some(cursor) => arguments = json!({"cursor": cursor}),
            None => return whole,
        }
    }
}

/// A cursor of one replica is good on every other, costs one command a page, and is nobody else's.
#[tokio::test]
async fn a_cursor_is_good_everywhere_and_costs_one_round_trip() {
    let redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("a.txt"), text(1)).expect("a file can be written");
    let beside = tempfile::tempdir().expect("a temporary folder");
    let keys = beside.path().join("keys.toml");
    let key = |name: &str, key: &str| {
        use sha2::Digest as _;
        let hash: String = sha2::Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect();
        format!("[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nscopes = [\"files:read\"]\n")
    };
    std::fs::write(&keys, format!("{}{}", key("ada", "pm_ada"), key("bob", "pm_bob"))).expect("a file can be written");
    let arguments =
        [folder.path().to_str().expect("UTF-8"), "--api-keys", keys.to_str().expect("UTF-8"), "--state", &redis.url()];
    let (one, two) = (Pressmark::start(&arguments), Pressmark::start(&arguments));
    let (ada, ada_elsewhere) = (McpClient::modern(&one.url(), Some("pm_ada")), McpClient::modern(&two.url(), Some("pm_ada")));

    let first = ada.call_tool("read_file", json!({"path": "/a.txt"})).await;
    let cursor = first.structured()["next_cursor"].as_str().expect("there is more").to_owned();
    let (all_before, getex_before) = (redis.all_calls(), redis.calls("getex"));
    let here = ada.call_tool("read_file", json!({"cursor": cursor})).await;
    let there = ada_elsewhere.call_tool("read_file", json!({"cursor": cursor})).await;
    assert_eq!(here.result(), there.result(), "a handle names one position, wherever it is presented");
    let again = ada.call_tool("read_file", json!({"cursor": cursor})).await;
    assert_eq!(here.result(), again.result(), "and for good");
    // Asking twice counted as two commands more.
    let commands = redis.all_calls() - all_before - 2;
    assert_eq!((commands, redis.calls("getex") - getex_before), (3, 3), "one command a page");

    let bob = McpClient::modern(&two.url(), Some("pm_bob"));
    let foreign = bob.call_tool("read_file", json!({"cursor": cursor})).await;
    let mut unknown = cursor.clone().into_bytes();
    unknown[5] = if unknown[5] == b'x' { b'y' } else { b'x' };
    let unknown = bob.call_tool("read_file", json!({"cursor": String::from_utf8(unknown).expect("ASCII")})).await;
    assert!(foreign.is_tool_error() && unknown.is_tool_error());
    assert_eq!(foreign.content(0), unknown.content(0), "whose cursor it is, nobody learns");
}

#[tokio::test]
async fn redis_may_go_and_come_back() {
    let mut redis = RedisServer::start();
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("long.txt"), text(1)).expect("a file can be written");
    std::fs::write(folder.path().join("short.txt"), "short").expect("a file can be written");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN, "--state", &redis.url()]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let http = reqwest::Client::new();
    let probe = async |path: &str| http.get(format!("{}{path}", server.url())).send().await.expect("an answer").status().as_u16();
    assert_eq!((probe("/healthz").await, probe("/readyz").await), (200, 200));

    redis.stop();
    let start = Instant::now();
    let long = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
    assert!(long.is_tool_error() && long.content(0).starts_with("unavailable:"), "{}", long.text);
    assert!(start.elapsed() < Duration::from_secs(5), "it fails fast: {:?}", start.elapsed());
    let short = client.call_tool("read_file", json!({"path": "/short.txt"})).await;
    assert_eq!(short.content(0), "short", "what needs no cursor still works");
    assert_eq!((probe("/healthz").await, probe("/readyz").await), (200, 503), "alive, and not ready");

    redis.restart();
    let start = Instant::now();
    while client.call_tool("read_file", json!({"path": "/long.txt"})).await.is_tool_error() {
        assert!(start.elapsed() < Duration::from_secs(10), "it recovers without a restart");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(probe("/readyz").await, 200);
}
