//! Sessions that were opened and abandoned leave nothing behind.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::agent::{Agent, LIMIT, Next, Stream};
use crate::support::redis::RedisServer;
use crate::support::server::Pressmark;
use crate::world::fill;

const SESSIONS: usize = 1_000;
const AT_ONCE: usize = 20;
const TTL: &str = "2s";
const TOKEN: &str = "a-token-for-tests";
/// Redis looks for what has expired ten times a second, at a part of the keys each time; some markers live for 10 s.
const EMPTY_WITHIN: Duration = Duration::from_secs(40);

/// Opens sessions and goes away: from some right after the handshake, from some with a subscription, an open stream, or a
/// question that nobody has answered.
async fn abandon_sessions(url: &str) {
    let mut agents = Vec::new();
    for first in 0..AT_ONCE {
        let url = url.to_owned();
        agents.push(tokio::spawn(async move {
            for number in (first..SESSIONS).step_by(AT_ONCE) {
                abandon_session(&url, number / AT_ONCE).await;
            }
        }));
    }
    for agent in agents {
        agent.await.expect("opened");
    }
}

async fn abandon_session(url: &str, number: usize) {
    let agent = Agent::connect(url, TOKEN).await.expect("a session");
    if number % 5 == 1 || number % 5 == 2 {
        let uri = "file:///folder/sub/b.txt";
        agent.ask("resources/subscribe", json!({ "uri": uri })).await.expect("subscribed");
    }
    if number % 5 == 2 || number % 5 == 3 {
        drop(agent.listen().await.expect("a stream"));
    }
    if number % 5 == 4 {
        let call = agent.request("tools/call", json!({"name": "delete_file", "arguments": {"path": "/folder"}}));
        let mut stream = Stream::new(agent.post(&call).await.expect("a stream"));
        while !matches!(stream.next(LIMIT).await.expect("in time"), Next::Message(question) if question["method"] == "elicitation/create")
        {
        }
    }
}

fn start(state: &str) -> (Pressmark, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill(&folder.path().join("folder"));
    let arguments = [folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN, "--state", state, "--session-ttl", TTL];
    (Pressmark::start(&arguments), folder)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sessions_leave_nothing_in_redis() {
    let redis = RedisServer::start();
    let (server, _folder) = start(&redis.url());
    abandon_sessions(&server.url()).await;
    let most = redis.cli(&["DBSIZE"]);
    let abandoned = Instant::now();
    while redis.cli(&["DBSIZE"]) != "0" {
        let left = || redis.cli(&["--scan"]).lines().take(5).collect::<Vec<_>>().join(" ");
        assert!(abandoned.elapsed() < EMPTY_WITHIN, "{} keys are left: {}", redis.cli(&["DBSIZE"]), left());
        sleep(Duration::from_millis(100)).await;
    }
    println!("{SESSIONS} sessions: {most} keys when the last one was opened, none {:?} later", abandoned.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sessions_leave_nothing_in_memory() {
    let (server, _folder) = start("memory");
    let mut resident = Vec::new();
    for _ in 0..3 {
        abandon_sessions(&server.url()).await;
        // Longer than they live, with the sweep after it.
        sleep(Duration::from_millis(3_500)).await;
        resident.push(server.resident_bytes() / 1024);
    }
    println!("{SESSIONS} sessions: KiB resident after each round: {resident:?}");
    // The first round brings what all share: threads, buffers, caches.
    let grown = resident[2].saturating_sub(resident[0]);
    assert!(grown < 2 * 1_024, "{grown} KiB more after {} sessions", 2 * SESSIONS);
}
