//! Sending the user to a page (URL mode), in both eras: that the user goes there does not mean that all is done there.

use std::sync::atomic::Ordering;

use pressmark::config::Settings;
use serde_json::{Value, json};

use crate::agent::Agent;
use crate::support::client::{McpClient, Reply};
use crate::support::in_process::TOKEN;
use crate::world::World;

fn pages() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

fn said(result: &Value) -> (bool, &str) {
    (result["isError"] == true, result["content"][0]["text"].as_str().expect("a text"))
}

#[tokio::test]
async fn a_call_waits_until_all_is_done_on_the_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("seal-keys");
    std::fs::write(&keys, "5f".repeat(32)).expect("a file can be written");
    let world = World::start_with(Settings { seal_keys: Some(keys), ..Settings::default() }).await;
    let client = |url: &str| McpClient::modern(url, Some(TOKEN)).declaring(pages());
    let retry = async |url: &str, state: &Value, visit: &str, answer: Value| -> Reply {
        let params = json!({"name": "connects", "arguments": {}, "requestState": state, "inputResponses": {visit: answer}});
        client(url).request("tools/call", params).await
    };
    let asked = client(world.one()).call_tool("connects", json!({})).await;
    let page = json!({"mode": "url", "message": "Connect your account", "url": "https://example.com/connect?step=1"});
    let question = json!({"method": "elicitation/create", "params": page});
    assert_eq!(asked.result()["resultType"], "input_required", "{}", asked.text);
    assert_eq!(asked.result()["inputRequests"], json!({"visit 0": question}));
    let first = &asked.result()["requestState"];

    for (action, expected) in [("decline", "does not want to connect"), ("cancel", "not decided yet")] {
        let reply = retry(world.two(), first, "visit 0", json!({"action": action})).await;
        let (failed, text) = said(reply.result());
        assert!(failed && text.contains(expected), "{action}: {text}");
    }
    let accepted = json!({"action": "accept", "content": {"password": "typed into the client"}});
    let again = retry(world.two(), first, "visit 0", accepted.clone()).await;
    assert_eq!(again.result()["inputRequests"], json!({"visit 1": question}), "the user went there, and did nothing");
    world.gate.connected.store(true, Ordering::SeqCst);
    let done = retry(world.one(), &again.result()["requestState"], "visit 1", accepted).await;
    assert_eq!(said(done.result()), (false, "connected, with 0 fields"), "a page is no form");
    world.stop().await;
}

#[tokio::test]
async fn only_who_declares_pages_is_sent_to_one() {
    let world = World::start().await;
    for declared in [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})] {
        let client = McpClient::modern(world.one(), Some(TOKEN)).declaring(declared.clone());
        let refused = client.call_tool("connects", json!({})).await;
        assert_eq!((refused.status.as_u16(), refused.error_code()), (400, -32021), "{declared}: {}", refused.text);
        assert_eq!(refused.error()["data"], json!({"requiredCapabilities": {"elicitation": {"url": {}}}}), "{declared}");

        let agent = Agent::connect(world.one(), "2025-11-25", declared.clone()).await;
        let refused = agent.ask(world.two(), "tools/call", json!({"name": "connects", "arguments": {}})).await;
        let (failed, text) = said(&refused["result"]);
        assert!(failed && text.contains("does not declare elicitation (url)"), "{declared}: {text}");
    }
    let pages_only = McpClient::modern(world.one(), Some(TOKEN)).declaring(json!({"elicitation": {"url": {}}}));
    let refused = pages_only.call_tool("asks_often", json!({})).await;
    assert_eq!(refused.error_code(), -32021, "{}", refused.text);
    assert_eq!(refused.error()["data"], json!({"requiredCapabilities": {"elicitation": {"form": {}}}}));
    world.stop().await;
}

#[tokio::test]
async fn a_session_sends_its_user_to_a_page() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", pages()).await;
    let call = agent.tool_call("connects", json!({}));
    let mut stream = agent.open(world.one(), &call).await;
    let mut ids = Vec::new();
    for visit in 0..2 {
        let question = stream.message().await.expect("a question");
        assert_eq!(question["method"], "elicitation/create");
        let id = question["params"]["elicitationId"].as_str().expect("an id of the elicitation").to_owned();
        let expected = json!({
            "mode": "url", "message": "Connect your account", "url": "https://example.com/connect?step=1", "elicitationId": id,
        });
        assert_eq!(question["params"], expected);
        assert!(!id.is_empty() && !ids.contains(&id), "unique: {id}");
        ids.push(id);
        world.gate.connected.store(visit == 1, Ordering::SeqCst);
        agent.answer(world.two(), &question["id"], json!({"action": "accept", "content": {"password": "typed"}})).await;
    }
    let last = stream.message().await.expect("the response");
    assert_eq!((&last["id"], said(&last["result"])), (&call["id"], (false, "connected, with 0 fields")));
    assert!(stream.next().await.is_none(), "the response ends the stream");

    for (action, expected) in [("decline", "does not want to connect"), ("cancel", "not decided yet")] {
        let mut stream = agent.open(world.one(), &agent.tool_call("connects", json!({}))).await;
        let question = stream.message().await.expect("a question");
        agent.answer(world.two(), &question["id"], json!({"action": action})).await;
        let last = stream.message().await.expect("the response");
        let (failed, text) = said(&last["result"]);
        assert!(failed && text.contains(expected), "{action}: {text}");
    }
    world.stop().await;
}

/// These revisions have forms without a name for them; a client of several may declare more than they know.
#[tokio::test]
async fn older_revisions_have_forms_only() {
    let world = World::start().await;
    for revision in ["2025-06-18", "2025-03-26"] {
        for declared in [pages(), json!({"elicitation": {"url": {}}})] {
            let agent = Agent::connect(world.one(), revision, declared).await;
            let refused = agent.ask(world.one(), "tools/call", json!({"name": "connects", "arguments": {}})).await;
            assert!(said(&refused["result"]).0, "{revision}: {refused}");
            let mut stream = agent.open(world.one(), &agent.tool_call("asks_often", json!({}))).await;
            let question = stream.message().await.expect("a question");
            assert_eq!(question["params"]["message"], "Step 0?", "{revision}: {question}");
            assert!(question["params"].get("mode").is_none(), "{revision}: {question}");
        }
    }
    world.stop().await;
}
