//! `delete_file` on a folder with content: the user is asked, and any replica takes the answer.

use std::fs;

use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::world::{ADA, BOB, World};

fn form() -> Value {
    json!({"elicitation": {"form": {}}})
}

/// Two replicas with a key in common, and a folder with content.
fn replicas() -> World {
    let mut world = World::folder();
    let keys = world.beside("seal.keys");
    fs::write(&keys, key(1)).expect("written");
    for _ in 0..2 {
        world.add_replica(&["--seal-keys", keys.to_str().expect("UTF-8")]);
    }
    world.plant(&[("/full/a.md", "a"), ("/full/sub/b.md", "b"), ("/other/c.md", "c")]);
    world
}

/// A key file's line.
pub(crate) fn key(byte: u8) -> String {
    format!("{byte:02x}").repeat(32) + "\n"
}

pub(crate) fn asker(world: &World, replica: usize, key: &str) -> McpClient {
    world.caller_at(replica, key).declaring(form())
}

/// A question's key, and the state to answer it with.
#[derive(Clone)]
pub(crate) struct Asked {
    key: String,
    state: String,
}

impl Asked {
    fn with_state(&self, state: &str) -> Self {
        Self { state: state.to_owned(), ..self.clone() }
    }
}

/// Asks for the folder's end.
pub(crate) async fn ask(client: &McpClient) -> Asked {
    let reply = client.call_tool("delete_file", json!({"path": "/full"})).await;
    let result = reply.result();
    assert_eq!(result["resultType"], "input_required", "{}", reply.text);
    let questions = result["inputRequests"].as_object().expect("questions");
    let (key, question) = questions.iter().next().expect("a question");
    assert_eq!((&question["method"], &question["params"]["mode"]), (&json!("elicitation/create"), &json!("form")), "{question}");
    assert!(question["params"]["message"].as_str().expect("a question").contains("/full"), "{question}");
    assert_eq!(question["params"]["requestedSchema"]["properties"]["delete"]["type"], "boolean", "{question}");
    assert!(result.get("content").is_none(), "{}", reply.text);
    Asked { key: key.clone(), state: result["requestState"].as_str().expect("a state").to_owned() }
}

pub(crate) async fn answer(client: &McpClient, path: &str, Asked { key, state }: &Asked, answer: Value) -> Reply {
    let params = json!({
        "name": "delete_file", "arguments": {"path": path}, "requestState": state,
        "inputResponses": {key: answer},
    });
    client.request("tools/call", params).await
}

pub(crate) fn yes() -> Value {
    json!({"action": "accept", "content": {"delete": true}})
}

#[tokio::test]
async fn an_answer_is_taken_by_another_replica() {
    let world = replicas();
    let asked = ask(&asker(&world, 0, ADA)).await;
    assert!(world.at("/full/sub/b.md").exists(), "nothing happens before the answer");
    let reply = answer(&asker(&world, 1, ADA), "/full", &asked, yes()).await;
    assert!(!reply.is_tool_error() && reply.result()["resultType"] == "complete", "{}", reply.text);
    assert_eq!(reply.structured(), &json!({"path": "/full", "files": 2, "folders": 2}));
    assert!(!world.at("/full").exists() && world.at("/other/c.md").exists());
}

#[tokio::test]
async fn a_state_is_good_for_its_caller_and_call_alone() {
    let world = replicas();
    let (here, there) = (asker(&world, 0, ADA), asker(&world, 1, ADA));
    let asked = ask(&here).await;
    let bob = answer(&asker(&world, 1, BOB), "/full", &asked, yes()).await;
    let elsewhere = answer(&there, "/other", &asked, yes()).await;
    let mut replies = vec![("another caller", bob), ("another path", elsewhere)];
    let state = &asked.state;
    for at in [0, 10, state.len() / 2, state.len() - 1] {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let tampered = String::from_utf8(bytes).expect("ASCII");
        replies.push(("a changed letter", answer(&there, "/full", &asked.with_state(&tampered), yes()).await));
    }
    for (what, text) in [("empty", ""), ("no base64", "!!"), ("cut off", &state[..20]), ("longer", &format!("{state}AAAA"))] {
        replies.push((what, answer(&there, "/full", &asked.with_state(text), yes()).await));
    }
    for (what, reply) in &replies {
        assert_eq!((reply.status.as_u16(), reply.error_code()), (200, -32602), "{what}: {}", reply.text);
        assert_eq!(reply.error()["message"], replies[0].1.error()["message"], "{what}: no hint at what was wrong");
    }
    assert!(world.at("/full/a.md").exists() && world.at("/other/c.md").exists());
    let reply = answer(&there, "/full", &asked, yes()).await;
    assert!(!reply.is_tool_error(), "the state itself is still good: {}", reply.text);
}

#[tokio::test]
async fn a_yes_is_about_the_folder_as_it_was() {
    let world = replicas();
    let (here, there) = (asker(&world, 0, ADA), asker(&world, 1, ADA));
    let asked = ask(&here).await;
    assert!(!answer(&here, "/full", &asked, yes()).await.is_tool_error() && !world.at("/full").exists());
    world.plant(&[("/full/new.md", "new")]);
    for client in [&here, &there] {
        let reply = answer(client, "/full", &asked, yes()).await;
        assert_eq!(reply.result()["resultType"], "input_required", "another folder of the name: {}", reply.text);
    }
    let asked = ask(&here).await;
    world.plant(&[("/full/newer.md", "newer")]);
    let reply = answer(&there, "/full", &asked, yes()).await;
    assert_eq!(reply.result()["resultType"], "input_required", "something has come into it: {}", reply.text);
    assert!(world.at("/full/new.md").exists());
    let asked = ask(&there).await;
    assert!(!answer(&here, "/full", &asked, yes()).await.is_tool_error() && !world.at("/full").exists());
}

#[tokio::test]
async fn answers_that_nobody_asked_for_are_not_sealed() {
    let world = replicas();
    let client = asker(&world, 0, ADA);
    let junk = json!({
        "name": "delete_file", "arguments": {"path": "/full"},
        "inputResponses": {"junk": {"action": "accept", "content": {"x": "x".repeat(3_000_000)}}},
    });
    let reply = client.request("tools/call", junk).await;
    let state = reply.result()["requestState"].as_str().expect("a state");
    assert!(state.len() < 1_000, "{}", state.len());
    let asked = ask(&client).await.with_state(state);
    let reply = answer(&asker(&world, 1, ADA), "/full", &asked, yes()).await;
    assert!(!reply.is_tool_error() && !world.at("/full").exists(), "{}", reply.text);
}

#[tokio::test]
async fn only_a_yes_deletes() {
    let world = replicas();
    let client = asker(&world, 0, ADA);
    let asked = ask(&client).await;
    for no in [
        json!({"action": "decline"}),
        json!({"action": "cancel"}),
        json!({"action": "decline", "content": {"delete": true}}),
        json!({"action": "accept", "content": {"delete": false}}),
    ] {
        let reply = answer(&client, "/full", &asked, no.clone()).await;
        assert!(reply.is_tool_error() && reply.content(0).contains("did not agree"), "{no}: {}", reply.text);
    }
    for nonsense in [
        json!({"action": "accept"}),
        json!({"action": "accept", "content": {"delete": "true"}}),
        json!({"action": "perhaps"}),
        json!("accept"),
        json!(["accept", {"delete": true}]),
        json!(null),
    ] {
        let reply = answer(&client, "/full", &asked, nonsense.clone()).await;
        assert_eq!(
            reply.result()["resultType"],
            "input_required",
            "what is no answer is asked again: {nonsense}: {}",
            reply.text
        );
    }
    for malformed in [json!([]), json!("yes"), json!(1)] {
        let params = json!({
            "name": "delete_file", "arguments": {"path": "/full"}, "requestState": asked.state, "inputResponses": malformed,
        });
        let reply = client.request("tools/call", params).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32602), "{malformed}: {}", reply.text);
    }
    assert!(world.at("/full/sub/b.md").exists());
}

#[tokio::test]
async fn a_client_that_cannot_ask_learns_which_argument_confirms() {
    let world = replicas();
    for (revision, client) in world.callers(ADA).await {
        let reply = client.call_tool("delete_file", json!({"path": "/full"})).await;
        assert!(reply.is_tool_error() && reply.content(0).contains("`recursive: true`"), "{revision}: {}", reply.text);
    }
    let pages_only = world.caller(ADA).declaring(json!({"elicitation": {"url": {}}}));
    let reply = pages_only.call_tool("delete_file", json!({"path": "/full"})).await;
    assert!(reply.is_tool_error() && reply.content(0).contains("`recursive: true`"), "{}", reply.text);
    assert!(world.at("/full/sub/b.md").exists());
    let reply = asker(&world, 0, ADA).call_tool("delete_file", json!({"path": "/full", "recursive": true})).await;
    assert!(!reply.is_tool_error() && !world.at("/full").exists(), "who confirms by argument is not asked: {}", reply.text);
}
