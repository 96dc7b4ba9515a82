//! Sessions: begun by the handshake, good at any replica, for one principal, for a while.

use std::time::Duration;

use pressmark::config::Settings;
use reqwest::Method;
use serde_json::json;

use crate::agent::{Agent, LIMIT, json_of};
use crate::support::client::McpClient;
use crate::support::in_process::TOKEN;
use crate::support::redis::RedisServer;
use crate::tools::Gate;
use crate::world::{World, replica};

async fn ping(agent: &Agent, url: &str) -> u16 {
    agent.post(url, &agent.request("ping", json!({}))).await.status().as_u16()
}

#[tokio::test]
async fn a_session_is_good_at_any_replica_until_it_is_deleted() {
    let world = World::start().await;
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let agent = Agent::connect(world.one(), revision, json!({})).await;
        assert!(agent.session().len() >= 22 && agent.session().bytes().all(|byte| byte.is_ascii_graphic()));
        for url in [world.one(), world.two()] {
            let files = agent.ask(url, "tools/call", json!({"name": "list_directory", "arguments": {"path": "/"}})).await;
            assert_eq!(files["result"]["isError"], false, "{files}");
        }
        let mut stream = agent.listen(world.one(), None).await;
        let deleted = agent.builder(Method::DELETE, world.two()).send().await.expect("an answer");
        assert_eq!(deleted.status(), 204);
        while stream.next().await.is_some() {}
        for url in [world.one(), world.two()] {
            let gone = agent.post(url, &agent.request("ping", json!({}))).await;
            assert_eq!(gone.status(), 404);
            let error = json_of(gone).await;
            assert_eq!((&error["error"]["code"], error["id"].is_number()), (&json!(404), true));
            let told = agent.post(url, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
            assert_eq!(told.status(), 404);
            assert_eq!(agent.get(url, None).await.status(), 404);
            let again = agent.builder(Method::DELETE, url).send().await.expect("an answer");
            assert_eq!(again.status(), 404);
        }
    }
    world.stop().await;
}

/// A principal is who vouches for it and its name: two API keys are two.
#[tokio::test]
async fn another_principals_session_is_unknown() {
    let keys = tempfile::NamedTempFile::new().expect("a file");
    let digest = |key: &str| aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let hex = |key: &str| digest(key).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let entry = |key: &str| format!("[[key]]\nname = \"{key}\"\nsha256 = \"{}\"\nscopes = \"files\"\n", hex(key));
    std::fs::write(keys.path(), entry("pm_alice") + &entry("pm_bob")).expect("keys are written");
    let world = World::start_with(Settings { api_keys: Some(keys.path().to_owned()), ..Settings::default() }).await;
    let mut alice = Agent::connect_as(world.one(), "2025-11-25", json!({}), "pm_alice").await;
    assert_eq!(ping(&alice, world.two()).await, 200);
    for token in ["pm_bob", TOKEN] {
        alice.token = token.to_owned();
        assert_eq!(ping(&alice, world.two()).await, 404, "{token}");
        assert_eq!(alice.get(world.two(), None).await.status(), 404, "{token}");
        let deleted = alice.builder(Method::DELETE, world.two()).send().await.expect("an answer");
        assert_eq!(deleted.status(), 404, "{token}");
    }
    alice.token = "pm_alice".to_owned();
    assert_eq!(ping(&alice, world.two()).await, 200, "nobody else could end it");
    world.stop().await;
}

#[tokio::test]
async fn a_session_lives_as_long_as_it_is_used() {
    let settings = Settings { session_ttl: Some("1s".to_owned()), ..Settings::default() };
    let world = World::start_with(settings).await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(ping(&agent, world.two()).await, 200);
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(ping(&agent, world.one()).await, 404);
    world.stop().await;
}

#[tokio::test]
async fn a_principal_has_a_bounded_number_of_sessions() {
    let world = World::start_with(Settings { max_sessions: Some(2), ..Settings::default() }).await;
    let first = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let second = Agent::connect(world.two(), "2025-11-25", json!({})).await;
    assert_eq!(ping(&first, world.two()).await, 200);
    let third = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    assert_eq!(ping(&second, world.one()).await, 404, "it was unused for longest");
    assert_eq!((ping(&first, world.one()).await, ping(&third, world.two()).await), (200, 200));
    world.stop().await;
}

#[tokio::test]
async fn the_revision_is_the_sessions() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-06-18", json!({})).await;
    let client = McpClient::legacy(world.one(), Some(TOKEN), "2025-06-18").await;
    let message = client.message("tools/list", json!({}));
    let mut headers = client.headers(&message);
    headers.insert("mcp-session-id", agent.session().parse().expect("a value"));
    headers.insert("mcp-protocol-version", "2025-11-25".parse().expect("a value"));
    let other = client.post(&headers, message.to_string()).await;
    assert_eq!((other.status.as_u16(), other.error_code()), (400, -32600), "{}", other.text);
    headers.remove("mcp-protocol-version");
    let without = client.post(&headers, message.to_string()).await;
    assert!(without.result()["tools"][0].get("outputSchema").is_some(), "2025-03-26 has none: {}", without.text);
    for id in ["", "0", "x y", &"x".repeat(10_000)] {
        headers.insert("mcp-session-id", id.parse().expect("a value"));
        assert_eq!(client.post(&headers, message.to_string()).await.status.as_u16(), 404, "{id:.10}");
    }
    world.stop().await;
}

#[tokio::test]
async fn get_and_delete_need_a_session_and_their_headers() {
    let world = World::start().await;
    let mut agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let plain = agent.builder(Method::GET, world.one()).header("accept", "application/json").send().await.expect("an answer");
    assert_eq!(plain.status(), 406);
    let head = agent.builder(Method::HEAD, world.one()).header("accept", "*/*").send().await.expect("an answer");
    assert_eq!(head.status(), 405);
    for last in ["", "x", "get_", "get_0-0-0", "0_0", "0123456789abcdef01234567_0-0", &"9".repeat(10_000)] {
        assert_eq!(agent.get(world.one(), Some(last)).await.status(), 400, "{last:.20}");
    }
    agent.session = None;
    assert_eq!(agent.get(world.one(), None).await.status(), 405);
    let deleted = agent.builder(Method::DELETE, world.one()).send().await.expect("an answer");
    assert_eq!(deleted.status(), 405);
    world.stop().await;
}

#[tokio::test]
async fn files_stay_readable_while_the_shared_state_is_away() {
    let mut redis = RedisServer::start();
    let server = replica(Settings { state: Some(redis.url()), ..Settings::default() }, &Gate::default()).await;
    let agent = Agent::connect(&server.url, "2025-11-25", json!({"elicitation": {}})).await;
    redis.stop();
    let read = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}});
    let file = agent.ask(&server.url, "tools/call", read.clone()).await;
    assert_eq!(file["result"]["content"][0]["text"], "hello\n", "{file}");
    let asking = agent.ask(&server.url, "tools/call", json!({"name": "asks_often", "arguments": {}})).await;
    assert_eq!(asking["error"]["code"], -32603, "nobody knows whether the client can be asked: {asking}");
    let level = agent.ask(&server.url, "logging/setLevel", json!({"level": "error"})).await;
    assert_eq!(level["error"]["code"], -32603, "{level}");
    assert_eq!(agent.get(&server.url, None).await.status(), 503);
    let answer = agent.post(&server.url, &json!({"jsonrpc": "2.0", "id": "x", "result": {}})).await;
    assert_eq!(answer.status(), 503, "an answer that is not taken is not said to be");
    let without = Agent::connect(&server.url, "2025-11-25", json!({})).await;
    assert_eq!(without.session, None);
    assert_eq!(without.ask(&server.url, "tools/call", read).await["result"]["isError"], false);
    redis.restart();
    let back = async {
        while ping(&agent, &server.url).await != 404 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(LIMIT, back).await.expect("a Redis that restarts empty knows no session");
    server.stop().await;
}
