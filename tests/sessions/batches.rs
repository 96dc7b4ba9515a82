//! Batches (2025-03-26): whatever stands in one counts as if it had come alone.

use std::sync::atomic::Ordering;
use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};

use crate::agent::{Agent, LIMIT, json_of};
use crate::world::World;

const REVISION: &str = "2025-03-26";

fn everything() -> Value {
    json!({"elicitation": {}, "sampling": {}, "roots": {}})
}

fn answer(question: &Value) -> Value {
    let result = match question["method"].as_str().expect("a method") {
        "elicitation/create" => json!({"action": "accept", "content": {"name": "Ada"}}),
        "sampling/createMessage" => json!({"role": "assistant", "model": "m", "content": {"type": "text", "text": "hello"}}),
        _ => json!({"roots": []}),
    };
    json!({"jsonrpc": "2.0", "id": question["id"], "result": result})
}

fn cancelled(call: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call["id"]}})
}

/// The answers of a batch, by the ids of its requests, which must be these in this order.
async fn answers(response: Response, requests: &[&Value]) -> Vec<Value> {
    assert_eq!(response.status(), 200);
    let answers = json_of(response).await;
    let answers = answers.as_array().expect("one array").clone();
    let ids = |messages: &[&Value]| messages.iter().map(|message| message["id"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&answers.iter().collect::<Vec<_>>()), ids(requests), "{answers:?}");
    answers
}

#[tokio::test]
async fn answers_and_cancellations_may_come_in_a_batch() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), REVISION, everything()).await;
    for with_requests in [true, false] {
        let (asking, waiting) = (agent.tool_call("asks_all", json!({})), agent.tool_call("waits", json!({})));
        let mut asks = agent.open(world.one(), &asking).await;
        let mut waits = agent.open(world.one(), &waiting).await;
        waits.message().await.expect("it runs");
        let dropped = world.gate.dropped.load(Ordering::SeqCst);
        let mut batch = Vec::new();
        for _ in 0..3 {
            batch.push(answer(&asks.message().await.expect("a question")));
        }
        let (ping, read) = (agent.request("ping", json!({})), agent.tool_call("read_file", json!({"path": "/hello.txt"})));
        batch.insert(1, cancelled(&waiting));
        if with_requests {
            batch.insert(0, ping.clone());
            batch.insert(3, read.clone());
            batch.push(json!({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}));
            let answers = answers(agent.post(world.two(), &Value::Array(batch)).await, &[&ping, &read]).await;
            assert_eq!((&answers[0]["result"], &answers[1]["result"]["content"][0]["text"]), (&json!({}), &json!("hello\n")));
        } else {
            let response = agent.post(world.two(), &Value::Array(batch)).await;
            assert_eq!((response.status().as_u16(), response.text().await.expect("a body").as_str()), (202, ""));
        }
        let last = loop {
            let message = asks.message().await.expect("the response");
            if message["id"] == asking["id"] {
                break message;
            }
        };
        assert_eq!(last["result"]["content"][0]["text"], "Ada / hello / 0");
        assert!(waits.message().await.is_none(), "what was cancelled gets no response");
        let stopped = async {
            while world.gate.dropped.load(Ordering::SeqCst) == dropped {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, stopped).await.expect("the work stops");
    }
    world.stop().await;
}

#[tokio::test]
async fn requests_of_a_batch_are_those_of_their_session() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), REVISION, everything()).await;
    let requests = [
        agent.request("resources/subscribe", json!({"uri": "test://watched/a"})),
        agent.request("logging/setLevel", json!({"level": "error"})),
        agent.tool_call("asks_often", json!({})),
    ];
    let all = requests.each_ref();
    let done = answers(agent.post(world.two(), &json!(requests)).await, &all).await;
    assert_eq!((&done[0]["result"], &done[1]["result"]), (&json!({}), &json!({})), "{done:?}");
    let said = done[2]["error"]["message"].as_str().expect("an error");
    assert!(done[2]["error"]["code"] == -32600 && said.contains("outside of a batch"), "{said}");

    let mut listening = agent.listen(world.one(), None).await;
    listening.silent().await;
    world.gate.change();
    let told = listening.message().await.expect("a notification");
    assert_eq!(
        (&told["method"], &told["params"]["uri"]),
        (&json!("notifications/resources/updated"), &json!("test://watched/a"))
    );
    let mut reports = agent.open(world.one(), &agent.tool_call("reports", json!({}))).await;
    assert_eq!(reports.message().await.expect("a log message")["params"]["level"], "error", "none below the level");
    world.gate.open.notify_one();

    let mute = Agent::connect(world.one(), REVISION, json!({})).await;
    let asking = mute.tool_call("asks_often", json!({}));
    let done = answers(mute.post(world.one(), &json!([asking])).await, &[&asking]).await;
    assert_eq!(done[0]["result"]["isError"], true, "a client that cannot be asked is told so: {done:?}");
    world.stop().await;
}

#[tokio::test]
async fn a_request_of_a_batch_is_cancelled() {
    let world = World::start().await;
    let agent = Agent::connect(world.one(), REVISION, json!({})).await;
    for (count, beside) in [(1, Some(agent.request("ping", json!({})))), (2, None)] {
        let call = agent.tool_call("waits", json!({}));
        let batch = Value::Array([Some(call.clone()), beside.clone()].into_iter().flatten().collect());
        let (response, told) = tokio::join!(agent.post(world.one(), &batch), async {
            while world.gate.begun.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            agent.post(world.two(), &json!([cancelled(&call)])).await
        });
        assert_eq!(told.status(), 202);
        match &beside {
            Some(ping) => drop(answers(response, &[ping]).await),
            None => assert_eq!(response.status(), 202, "there is nothing to answer"),
        }
        assert_eq!(world.gate.dropped.load(Ordering::SeqCst), count, "the work stops");
    }
    world.stop().await;
}

#[tokio::test]
async fn a_batch_while_the_shared_state_is_away() {
    let mut world = World::start().await;
    let agent = Agent::connect(world.one(), REVISION, everything()).await;
    world.redis.stop();
    let requests = [
        agent.tool_call("read_file", json!({"path": "/hello.txt"})),
        agent.tool_call("asks_often", json!({})),
        agent.request("resources/subscribe", json!({"uri": "test://watched/a"})),
    ];
    let done = answers(agent.post(world.one(), &json!(requests)).await, &requests.each_ref()).await;
    assert_eq!(done[0]["result"]["content"][0]["text"], "hello\n");
    for refused in &done[1..] {
        let said = refused["error"]["message"].as_str().expect("an error");
        assert!(refused["error"]["code"] == -32603 && said.contains("repeat"), "nobody goes on without asking: {said}");
    }
    let answer = json!({"jsonrpc": "2.0", "id": "0/1/x", "result": {}});
    let response = agent.post(world.one(), &json!([requests[0], answer])).await;
    assert_eq!(response.status(), 503, "an answer that is not taken must not look as if it were");
    world.stop().await;
}
