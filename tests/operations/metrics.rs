//! What Prometheus reads.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::json;

use super::support::client::{LEGACY, McpClient};
use super::support::issuer::{AUDIENCE, Issuer, Mood};
use super::support::process::free_port;
use super::support::redis::RedisServer;
use super::support::server::Pressmark;
use super::support::tokens::{P256, jwks, now};
use super::{TOKEN, folder, path};

const LIMIT: Duration = Duration::from_secs(5);

/// A server whose metrics are read, and where.
fn start(arguments: &[&str]) -> (Pressmark, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let server = Pressmark::start(&[arguments, &["--metrics-listen", &address]].concat());
    (server, format!("http://{address}/metrics"))
}

/// Each series with its value.
async fn scrape(url: &str) -> HashMap<String, f64> {
    let response = reqwest::get(url).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let media_type = response.headers()["content-type"].to_str().expect("ASCII").to_owned();
    assert_eq!(media_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let text = response.text().await.expect("a body");
    assert!(text.ends_with("# EOF\n"), "{text}");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| line.rsplit_once(' ').expect("a name and a value"));
    series.map(|(name, value)| (name.to_owned(), value.parse().expect("a number"))).collect()
}

fn requests(method: &str, tool: &str, outcome: &str) -> String {
    format!("pressmark_requests_total{{method=\"{method}\",tool=\"{tool}\",outcome=\"{outcome}\"}}")
}

/// Waits until a series has this value: requests are counted when they have ended, and that may be after their answer was read.
async fn wait_for(url: &str, series: &str, value: f64) -> HashMap<String, f64> {
    let end = std::time::Instant::now() + LIMIT;
    loop {
        let all = scrape(url).await;
        if all.get(series) == Some(&value) {
            return all;
        }
        assert!(std::time::Instant::now() < end, "{series} is {:?} in place of {value}: {all:#?}", all.get(series));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn requests_are_counted_by_method_tool_and_outcome() {
    let folder = folder();
    let (server, url) = start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    // Somebody has asked already whether the server is there.
    let before = scrape(&url).await["pressmark_sent_bytes_total"];
    let mut sent = 0;
    for file in ["/hello.txt", "/hello.txt", "/none.txt"] {
        sent += client.call_tool("read_file", json!({"path": file})).await.text.len();
    }
    sent += client.request("tools/list", json!({})).await.text.len();
    sent += client.request("prompts/get", json!({"name": "none"})).await.text.len();
    sent += McpClient::modern(&server.url(), Some("a-wrong-one")).request("tools/list", json!({})).await.text.len();
    let all = wait_for(&url, "pressmark_sent_bytes_total", before + sent as f64).await;
    for (series, value) in [
        (requests("tools/call", "read_file", "ok"), 2.0),
        (requests("tools/call", "read_file", "tool_error"), 1.0),
        (requests("tools/list", "", "ok"), 1.0),
        (requests("prompts/get", "", "rpc_error"), 1.0),
        (requests("", "", "refused"), 1.0),
        ("pressmark_request_duration_seconds_count{method=\"tools/call\",tool=\"read_file\"}".to_owned(), 3.0),
        ("pressmark_request_errors_total{outcome=\"tool_error\",error=\"not_found\"}".to_owned(), 1.0),
        ("pressmark_auth_failures_total{reason=\"unknown_token\"}".to_owned(), 1.0),
        ("pressmark_requests_in_flight".to_owned(), 0.0),
    ] {
        assert_eq!(all.get(&series), Some(&value), "{series} in {all:#?}");
    }
    let received = all["pressmark_received_bytes_total"];
    assert!(received > 500.0 && received < 5_000.0, "five bodies of about 300 bytes: {received}");
    assert!(all["process_resident_memory_bytes"] > 1e6 && all["process_open_fds"] > 5.0);
    assert!(all.contains_key(&format!("pressmark_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))));
    let elsewhere = url.replace("/metrics", "/");
    assert_eq!(reqwest::get(elsewhere).await.expect("an answer").status(), 404);
    let public = reqwest::get(format!("{}/metrics", server.url())).await.expect("an answer");
    assert_eq!(public.status(), 404, "clients do not see metrics");
}

#[tokio::test]
async fn open_streams_are_in_flight_and_counted_at_their_end() {
    let folder = folder();
    let (server, url) = start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let mut stream = client.open("subscriptions/listen", json!({"notifications": {"toolsListChanged": true}})).await;
    stream.next().await.expect("the acknowledgement");
    let all = wait_for(&url, "pressmark_requests_in_flight", 1.0).await;
    assert_eq!(all["pressmark_connections"], 1.0);
    drop(stream);
    wait_for(&url, &requests("subscriptions/listen", "", "closed"), 1.0).await;
    wait_for(&url, "pressmark_requests_in_flight", 0.0).await;
    wait_for(&url, "pressmark_connections", 0.0).await;
    let legacy = McpClient::legacy(&server.url(), Some(TOKEN), LEGACY).await;
    legacy.call_tool("read_file", json!({"path": "/none.txt"})).await;
    wait_for(&url, &requests("tools/call", "read_file", "tool_error"), 1.0).await;
    let all = scrape(&url).await;
    assert_eq!((all[&requests("initialize", "", "ok")], all[&requests("notification", "", "ok")]), (1.0, 1.0));
}

#[tokio::test]
async fn names_that_callers_make_up_are_no_labels() {
    let folder = folder();
    let (server, url) = start(&[path(&folder), "--dev-token", TOKEN]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for number in 0..20 {
        client.request("tools/call", json!({"name": format!("made_up_{number}"), "arguments": {}})).await;
        client.request(&format!("made/up{number}"), json!({})).await;
    }
    let all = wait_for(&url, &requests("tools/call", "", "rpc_error"), 20.0).await;
    let made_up: Vec<_> = all.keys().filter(|series| series.contains("made")).collect();
    assert!(made_up.is_empty(), "{made_up:?}");
    assert_eq!(all[&requests("", "", "rpc_error")], 20.0);
}

#[tokio::test]
async fn tokens_that_are_known_are_told_from_those_that_are_checked() {
    let folder = folder();
    let keys = tempfile::tempdir().expect("a temporary folder");
    let (key, file) = (&*P256, keys.path().join("keys.json"));
    std::fs::write(&file, jwks(&[key]).to_string()).expect("a file can be written");
    let (audience, issuer) = ("https://files.example.com/mcp", "https://issuer.example.com");
    let claims = json!({"iss": issuer, "aud": audience, "sub": "a", "exp": now() + 600, "scope": "files:read"});
    let options = ["--jwks-file", file.to_str().expect("UTF-8"), "--jwt-issuer", issuer, "--jwt-audience", audience];
    let (server, url) = start(&[&[path(&folder)], &options[..]].concat());
    let client = McpClient::modern(&server.url(), Some(&key.sign(&claims)));
    for _ in 0..5 {
        assert_eq!(client.request("tools/list", json!({})).await.status, 200);
    }
    let all = scrape(&url).await;
    assert_eq!((all["pressmark_tokens_total{cache=\"hit\"}"], all["pressmark_tokens_total{cache=\"miss\"}"]), (4.0, 1.0));
    let expired = super::support::tokens::with(claims, json!({"exp": now() - 600}));
    McpClient::modern(&server.url(), Some(&key.sign(&expired))).request("tools/list", json!({})).await;
    wait_for(&url, "pressmark_auth_failures_total{reason=\"expired\"}", 1.0).await;
}

#[tokio::test]
async fn operations_on_shared_state_are_counted_and_a_page_costs_one() {
    let folder = folder();
    std::fs::write(folder.path().join("long.txt"), "a line of text\n".repeat(20_000)).expect("a file can be written");
    let mut redis = RedisServer::start();
    let (server, url) = start(&[path(&folder), "--dev-token", TOKEN, "--state", &redis.url()]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let first = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
    let cursor = first.structured()["next_cursor"].as_str().expect("there is more").to_owned();
    let ok = "pressmark_state_operations_total{outcome=\"ok\"}";
    let before = scrape(&url).await[ok];
    client.call_tool("read_file", json!({"cursor": cursor})).await;
    let after = scrape(&url).await;
    assert_eq!(after[ok] - before, 1.0, "one round trip");
    assert_eq!(after["pressmark_state_operation_duration_seconds_count"], after[ok]);
    redis.stop();
    assert!(client.call_tool("read_file", json!({"cursor": cursor})).await.is_tool_error());
    assert!(scrape(&url).await["pressmark_state_operations_total{outcome=\"error\"}"] >= 1.0);
}

#[tokio::test]
async fn lanes_tell_how_full_they_are_and_how_long_calls_wait() {
    let folder = folder();
    let (server, url) = start(&[path(&folder), "--dev-token", TOKEN]);
    let all = scrape(&url).await;
    for lane in ["io", "cpu"] {
        for name in ["lane_running", "lane_queued", "lane_turned_away_total", "lane_wait_seconds_count"] {
            assert_eq!(all[&format!("pressmark_{name}{{lane=\"{lane}\"}}")], 0.0, "{name} of {lane}");
        }
        assert!(all[&format!("pressmark_lane_width{{lane=\"{lane}\"}}")] >= 1.0, "{lane}");
    }
    McpClient::modern(&server.url(), Some(TOKEN)).call_tool("search_text", json!({"pattern": "hello"})).await;
    let all = scrape(&url).await;
    assert_eq!(all["pressmark_lane_wait_seconds_count{lane=\"cpu\"}"], 1.0);
    assert_eq!(all["pressmark_lane_wait_seconds_bucket{le=\"20.0\",lane=\"cpu\"}"], 1.0, "nobody was before it");
}

// The issuer answers on another thread while the start of the server is waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keys_of_the_identity_provider_have_an_age() {
    let (folder, issuer) = (folder(), Issuer::start(jwks(&[&P256])).await);
    let keys = format!("{}/keys", issuer.url);
    let (server, url) = start(&[path(&folder), "--jwt-issuer", &issuer.url, "--jwks-url", &keys, "--jwt-audience", AUDIENCE]);
    let (ok, failed) = ("pressmark_key_set_fetches_total{outcome=\"ok\"}", "pressmark_key_set_fetches_total{outcome=\"error\"}");
    let all = scrape(&url).await;
    assert_eq!((all[ok], all[failed]), (1.0, 0.0));
    let age = now() as f64 - all["pressmark_key_set_timestamp_seconds"];
    assert!((-1.0..60.0).contains(&age), "{age}");
    issuer.set_mood(Mood::Failing);
    // A key that is not known is looked for, and its token may be good for all that is known.
    let token = P256.named("another").sign(&issuer.claims());
    assert_eq!(McpClient::modern(&server.url(), Some(&token)).request("tools/list", json!({})).await.status, 503);
    let all = scrape(&url).await;
    assert_eq!((all[ok], all[failed]), (1.0, 1.0));
    let without = start(&[path(&folder), "--dev-token", TOKEN]);
    assert!(!scrape(&without.1).await.contains_key(ok), "there are no keys to fetch");
}
