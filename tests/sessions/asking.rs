//! Requests to the client: sent on the stream, answered at any replica.

use serde_json::{Value, json};

use crate::agent::{Agent, Events};
use crate::world::World;

fn everything() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {"listChanged": true}})
}

fn answer_to(question: &Value) -> Value {
    match question["method"].as_str().expect("a method") {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ada"}}),
        "sampling/createMessage" => json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "hello"}}),
        "roots/list" => json!({"roots": [{"uri": "file:///a"}, {"uri": "file:///b"}]}),
        other => panic!("asked for {other}"),
    }
}

async fn questions(stream: &mut Events, count: usize) -> Vec<Value> {
    let mut questions = Vec::new();
    for _ in 0..count {
        questions.push(stream.message().await.expect("a question"));
    }
    questions
}

#[tokio::test]
async fn answers_may_come_at_any_replica() {
    let world = World::start().await;
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let agent = Agent::connect(world.one(), revision, everything()).await;
        let call = agent.tool_call("asks_all", json!({}));
        let mut stream = agent.open(world.one(), &call).await;
        let asked = questions(&mut stream, 3).await;
        let elicitation = asked.iter().find(|asked| asked["method"] == "elicitation/create").expect("the user is asked");
        assert_eq!(elicitation["params"]["message"], "Your name?");
        assert_eq!(elicitation["params"].get("mode").is_some(), revision == "2025-11-25", "{revision}");
        for (index, question) in asked.iter().enumerate() {
            assert!(question["id"].is_string() && question["jsonrpc"] == "2.0");
            stream.silent().await;
            let replica = if index % 2 == 0 { world.two() } else { world.one() };
            agent.answer(replica, &question["id"], answer_to(question)).await;
        }
        let log = stream.message().await.expect("a log message");
        assert_eq!(log["params"]["data"], "all answers are there", "{log}");
        let last = stream.message().await.expect("the response");
        assert_eq!((&last["id"], &last["result"]["content"][0]["text"]), (&call["id"], &json!("Ada / hello / 2")));
        assert!(stream.next().await.is_none(), "the response ends the stream");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_call_waits_in_no_replica() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", everything()).await;
    let call = agent.tool_call("asks_often", json!({}));
    let mut stream = agent.open(world.one(), &call).await;
    let first = stream.message().await.expect("a question");
    let place = stream.last.clone();
    drop(stream);
    let World { redis, one, two, gate } = world;
    one.stop().await;

    let mut stream = agent.listen(&two.url, Some(&place)).await;
    stream.silent_after_priming().await;
    agent.answer(&two.url, &first["id"], json!({"action": "accept", "content": {}})).await;
    agent.answer(&two.url, &first["id"], json!({"action": "decline"})).await;
    for action in ["decline", "accept"] {
        let next = stream.message().await.expect("the next question");
        assert_ne!(next["id"], first["id"]);
        agent.answer(&two.url, &next["id"], json!({"action": action, "content": {}})).await;
    }
    let last = stream.message().await.expect("the response");
    assert_eq!(last["result"]["content"][0]["text"], "2 accepted", "the first answer to a question counts");
    assert!(stream.next().await.is_none());
    two.stop().await;
    drop((redis, gate));
}

#[tokio::test]
async fn a_client_that_cannot_or_will_not_answer() {
    let world = World::start().await;
    let mute = Agent::connect(world.one(), "2025-11-25", json!({})).await;
    let reply = mute.ask(world.two(), "tools/call", json!({"name": "asks_often", "arguments": {}})).await;
    let text = reply["result"]["content"][0]["text"].as_str().expect("text");
    assert!(reply["result"]["isError"] == true && text.contains("elicitation"), "{reply}");

    let agent = Agent::connect(world.one(), "2025-11-25", everything()).await;
    let mut stream = agent.open(world.one(), &agent.tool_call("asks_often", json!({}))).await;
    let question = stream.message().await.expect("a question");
    let error = json!({"jsonrpc": "2.0", "id": question["id"], "error": {"code": -1, "message": "User rejected sampling"}});
    assert_eq!(agent.post(world.two(), &error).await.status(), 202);
    let last = stream.message().await.expect("the response");
    let text = last["result"]["content"][0]["text"].as_str().expect("text");
    assert!(last["result"]["isError"] == true && text.contains("User rejected sampling"), "{last}");
    assert!(stream.next().await.is_none());

    for id in [json!("nonsense"), json!(7), json!("get/1/x"), question["id"].clone()] {
        agent.answer(world.two(), &id, json!({})).await;
    }
    world.stop().await;
}

#[tokio::test]
async fn another_session_cannot_answer() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), "2025-11-25", everything()).await;
    let mut stream = agent.open(world.one(), &agent.tool_call("asks_often", json!({}))).await;
    let question = stream.message().await.expect("a question");
    let other = Agent::connect(world.two(), "2025-11-25", everything()).await;
    other.answer(world.two(), &question["id"], json!({"action": "accept", "content": {}})).await;
    stream.silent().await;
    assert_eq!(other.get(world.two(), Some(&stream.last)).await.status(), 400, "nor see the stream");
    world.stop().await;
}
