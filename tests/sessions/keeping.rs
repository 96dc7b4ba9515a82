//! What the shared state keeps for sessions: how much, how long, and for whose eyes.

use std::io::Write as _;
use std::time::Duration;

use pressmark::config::Settings;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::agent::{Agent, json_of};
use crate::support::redis::RedisServer;
use crate::tools::Gate;
use crate::world::{World, replica};

const ADA: &str = "pm_ada";

/// A file of API keys, each of which is its own name, with the scopes of Ada's.
fn keys(scopes: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    for (name, scopes) in [(ADA, scopes), ("pm_bob", "files")] {
        let hash: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(file, "[[key]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nscopes = [\"{scopes}\"]").expect("written");
    }
    file
}

/// Two replicas over one Redis, for the second of which Ada's rights are fewer.
async fn narrowing() -> World {
    let (redis, gate) = (RedisServer::start(), Gate::default());
    let (wide, narrow) = (keys("files"), keys("files:read:/team/**"));
    let settings = |keys: &NamedTempFile| Settings {
        state: Some(redis.url()),
        api_keys: Some(keys.path().to_owned()),
        ..Settings::default()
    };
    let (one, two) = (replica(settings(&wide), &gate).await, replica(settings(&narrow), &gate).await);
    World { redis, one, two, gate }
}

fn forms() -> Value {
    json!({"elicitation": {}})
}

/// The keys in which this text is.
fn keys_with(redis: &RedisServer, text: &str) -> Vec<String> {
    redis.cli(&["--scan"]).lines().filter(|key| key.contains(text)).map(str::to_owned).collect()
}

/// The bytes of all records of which the key has this text in it.
fn bytes_with(redis: &RedisServer, text: &str) -> usize {
    let script = "local bytes = 0 \
                  for _, key in ipairs(redis.call('KEYS', '*')) do \
                      if string.find(key, ARGV[1], 1, true) and redis.call('TYPE', key).ok == 'string' then \
                          bytes = bytes + redis.call('STRLEN', key) end end return tostring(bytes)";
    redis.cli(&["EVAL", script, "0", text]).trim().trim_matches('"').parse().expect("a number")
}

#[tokio::test]
async fn nothing_is_left_of_a_session_that_has_ended() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", forms()).await;
    for _ in 0..20 {
        let mut stream = agent.open(world.one(), &agent.tool_call("asks_often", json!({}))).await;
        stream.message().await.expect("a question");
    }
    agent.ask(world.two(), "resources/subscribe", json!({"uri": "test://watched/a"})).await;
    let mut stream = agent.listen(world.two(), None).await;
    stream.silent_after_priming().await;
    let kept = keys_with(&world.redis, agent.session()).len();
    assert!(kept > 60, "each call has a record, a log and what was told: {kept}");

    let ended = agent.builder(reqwest::Method::DELETE, world.one()).send().await.expect("an answer");
    assert_eq!(ended.status(), 204);
    for _ in 0..100 {
        if keys_with(&world.redis, agent.session()).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(keys_with(&world.redis, agent.session()), Vec::<String>::new());
    world.stop().await;
}

#[tokio::test]
async fn what_a_client_declares_is_kept_without_its_settings() {
    let world = World::start().await;
    let large = "x".repeat(500_000);
    let capabilities = json!({
        "elicitation": {"form": {"x": large}}, "sampling": {"x": large}, "roots": {"x": large},
        "extensions": {"io.example/known": {"x": large}, large.clone(): {}}, "other": {"x": large},
    });
    let agent = Agent::connect(world.one(), "2025-11-25", capabilities).await;
    let bytes = bytes_with(&world.redis, agent.session());
    assert!(bytes > 0 && bytes < 1_000, "{bytes}");
    let mut stream = agent.open(world.two(), &agent.tool_call("asks_all", json!({}))).await;
    for _ in 0..3 {
        stream.message().await.expect("it can be asked everything");
    }
    world.stop().await;
}

#[tokio::test]
async fn of_a_call_what_is_asked_is_kept() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", forms()).await;
    let mut call = agent.tool_call("asks_often", json!({}));
    call["params"]["_meta"] = json!({"progressToken": "p", "junk": "x".repeat(1_000_000)});
    call["params"]["more"] = "x".repeat(1_000_000).into();
    let mut stream = agent.open(world.one(), &call).await;
    let question = stream.message().await.expect("a question");
    let bytes = bytes_with(&world.redis, agent.session());
    assert!(bytes > 0 && bytes < 5_000, "{bytes}");
    agent.answer(world.two(), &question["id"], json!({"action": "accept", "content": {}})).await;
    let progress = stream.message().await.expect("a report");
    assert_eq!(progress["params"]["progressToken"], "p", "{progress}");

    // What is larger cannot wait for an answer; a call without questions does not mind.
    for (tool, expected) in [("asks_often", "too_large: "), ("reconnects", "reconnected")] {
        let mut large = agent.tool_call(tool, json!({}));
        large["id"] = "x".repeat(70_000).into();
        let answer = json_of(agent.post(world.one(), &large).await).await;
        let text = answer["result"]["content"][0]["text"].as_str().expect("a text");
        assert!(text.starts_with(expected), "{tool}: {text}");
    }
    world.stop().await;
}

#[tokio::test]
async fn one_callers_calls_have_a_limit_of_bytes_and_harm_nobody_else() {
    let keys = keys("files");
    let world = World::start_with(Settings { api_keys: Some(keys.path().to_owned()), ..Settings::default() }).await;
    let ask = async |agent: &Agent, id: Value| {
        let mut call = agent.tool_call("asks_often", json!({}));
        call["id"] = id;
        let mut stream = agent.open(world.one(), &call).await;
        let question = stream.message().await.expect("a question");
        (question["id"].clone(), stream.last)
    };
    let bob = Agent::connect_as(world.one(), "2025-11-25", forms(), "pm_bob").await;
    let (bobs_question, _) = ask(&bob, json!(1)).await;
    let mut asked = Vec::new();
    let mut agents = Vec::new();
    for session in 0..6 {
        let agent = Agent::connect_as(world.one(), "2025-11-25", forms(), ADA).await;
        for call in 0..75 {
            // The id is in the record twice, as the call's and in its message.
            asked.push(ask(&agent, format!("{session}-{call}-{}", "x".repeat(25_000)).into()).await);
        }
        agents.push(agent);
    }
    let kept = bytes_with(&world.redis, "kept:");
    assert!(kept > 8 * 1024 * 1024 && kept <= 17 * 1024 * 1024, "{kept}");
    assert_eq!(agents[0].get(world.two(), Some(&asked[0].1)).await.status(), 400, "the oldest is forgotten");
    let (question, place) = asked.last().expect("many");
    let mut stream = agents[5].listen(world.two(), Some(place)).await;
    stream.silent_after_priming().await;
    agents[5].answer(world.two(), question, json!({"action": "accept", "content": {}})).await;
    assert_eq!(stream.message().await.expect("the next question")["method"], "elicitation/create");
    let before = bytes_with(&world.redis, bob.session());
    bob.answer(world.two(), &bobs_question, json!({"action": "accept", "content": {}})).await;
    assert!(bytes_with(&world.redis, bob.session()) > before, "another's call is still there, and takes its answer");
    world.stop().await;
}

#[tokio::test]
async fn the_uris_of_subscriptions_have_a_limit_of_bytes() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let mut refused = None;
    for number in 0..60 {
        let uri = format!("test://watched/{number}/{}", "x".repeat(2_000));
        let answer = agent.ask(world.one(), "resources/subscribe", json!({"uri": uri})).await;
        if answer.get("error").is_some() {
            refused = Some((number, answer));
            break;
        }
    }
    let (number, answer) = refused.expect("too many");
    assert!(number > 5 && answer["error"]["message"].as_str().expect("a text").contains("unsubscribe"), "{number}: {answer}");
    assert!(bytes_with(&world.redis, agent.session()) < 70_000);
    world.stop().await;
}

#[tokio::test]
async fn who_has_fewer_rights_than_a_call_neither_sees_nor_answers_it() {
    let world = narrowing().await;
    let agent = Agent::connect_as(world.one(), "2025-11-25", forms(), ADA).await;
    let call = agent.tool_call("asks_often", json!({}));
    let mut stream = agent.open(world.one(), &call).await;
    let question = stream.message().await.expect("a question");
    let place = stream.last.clone();
    let beginning = place.split_once('_').map(|(stream, _)| format!("{stream}_0-0")).expect("an id");
    for place in [&place, &beginning] {
        assert_eq!(agent.get(world.two(), Some(place)).await.status(), 400, "{place}");
    }
    agent.answer(world.two(), &question["id"], json!({"action": "decline"})).await;
    stream.silent().await;
    agent.answer(world.one(), &question["id"], json!({"action": "accept", "content": {}})).await;
    assert_eq!(stream.message().await.expect("the next question")["method"], "elicitation/create");
    // A call that was begun with few rights can be followed with more.
    let mut stream = agent.open(world.two(), &agent.tool_call("asks_often", json!({}))).await;
    stream.message().await.expect("a question");
    let mut again = agent.listen(world.one(), Some(&stream.last)).await;
    again.silent_after_priming().await;
    world.stop().await;
}

#[tokio::test]
async fn who_has_fewer_rights_is_not_told_again_of_what_was_told_with_more() {
    let world = narrowing().await;
    let agent = Agent::connect_as(world.one(), "2025-11-25", json!({}), ADA).await;
    agent.ask(world.one(), "resources/subscribe", json!({"uri": "file:///hello.txt"})).await;
    agent.ask(world.one(), "resources/subscribe", json!({"uri": "test://watched/a"})).await;
    let mut stream = agent.listen(world.one(), None).await;
    stream.silent_after_priming().await;
    let write = json!({"name": "write_file", "arguments": {"path": "/hello.txt", "content": "new", "overwrite": true}});
    let written = agent.ask(world.one(), "tools/call", write).await;
    assert_ne!(written["result"]["isError"], true, "{written}");
    assert_eq!(stream.message().await.expect("a change")["params"]["uri"], "file:///hello.txt");
    world.gate.change();
    assert_eq!(stream.message().await.expect("a change")["params"]["uri"], "test://watched/a");

    let mut narrow = agent.listen(world.two(), Some("get_1-1")).await;
    assert_eq!(narrow.message().await.expect("a change")["params"]["uri"], "test://watched/a", "what it may see it is told");
    narrow.silent().await;
    world.stop().await;
}

#[tokio::test]
async fn a_resource_is_subscribed_to_once_however_it_is_spelled() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    for uri in ["file:///hello.txt", "FILE:///%68ello.txt", "file:///hello.txt"] {
        assert_eq!(agent.ask(world.one(), "resources/subscribe", json!({"uri": uri})).await["result"], json!({}), "{uri}");
    }
    let mut stream = agent.listen(world.one(), None).await;
    stream.silent_after_priming().await;
    let write = json!({"name": "write_file", "arguments": {"path": "/hello.txt", "content": "new", "overwrite": true}});
    assert_ne!(agent.ask(world.one(), "tools/call", write).await["result"]["isError"], true);
    assert_eq!(stream.message().await.expect("a change")["params"]["uri"], "file:///hello.txt", "as it was named first");
    stream.silent().await;
    world.stop().await;
}
