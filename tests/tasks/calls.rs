//! Clients that know of tasks, and replicas that can die.

use std::time::{Duration, Instant};

use pressmark::config::Settings;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::support::client::{McpClient, Reply};
use super::support::in_process::{Server, TOKEN};
use super::tools::{Counts, with_tools};

pub(crate) const EXTENSION: &str = "io.modelcontextprotocol/tasks";
const LIMIT: Duration = Duration::from_secs(20);

/// A server with the tools, and what they count.
pub(crate) async fn server(settings: Settings) -> (Server, Counts) {
    let counts = Counts::default();
    (Server::start(settings, with_tools(&counts)).await, counts)
}

/// A client that declares the extension, and forms.
pub(crate) fn client(url: &str, token: &str) -> McpClient {
    McpClient::modern(url, Some(token)).declaring(json!({"elicitation": {"form": {}}, "extensions": {EXTENSION: {}}}))
}

/// Calls a tool, which has to become a task; gives what the server says of it.
pub(crate) async fn start(client: &McpClient, tool: &str, arguments: Value) -> Value {
    let reply = client.call_tool(tool, arguments).await;
    assert_eq!(reply.result()["resultType"], "task", "{}", reply.text);
    reply.result().clone()
}

pub(crate) async fn start_id(client: &McpClient, tool: &str, arguments: Value) -> String {
    id(&start(client, tool, arguments).await)
}

pub(crate) fn id(task: &Value) -> String {
    task["taskId"].as_str().expect("an id").to_owned()
}

pub(crate) async fn method(client: &McpClient, method: &str, id: &str) -> Reply {
    client.request(method, json!({"taskId": id})).await
}

pub(crate) async fn get(client: &McpClient, id: &str) -> Value {
    let reply = method(client, "tasks/get", id).await;
    assert_eq!(reply.result()["resultType"], "complete", "{}", reply.text);
    reply.result().clone()
}

/// Answers questions; the acknowledgement says nothing.
pub(crate) async fn update(client: &McpClient, id: &str, responses: Value) {
    acknowledged(&client.request("tasks/update", json!({"taskId": id, "inputResponses": responses})).await);
}

pub(crate) async fn cancel(client: &McpClient, id: &str) {
    acknowledged(&method(client, "tasks/cancel", id).await);
}

fn acknowledged(reply: &Reply) {
    let result = reply.result().as_object().expect("an object");
    assert_eq!(result["resultType"], "complete");
    assert!(result.keys().all(|key| key == "resultType" || key == "_meta"), "{}", reply.text);
}

pub(crate) fn accept(content: Value) -> Value {
    json!({"action": "accept", "content": content})
}

/// Looks at a task until it has this status; panics when it ends with another.
pub(crate) async fn until(client: &McpClient, id: &str, status: &str) -> Value {
    let start = Instant::now();
    loop {
        let task = get(client, id).await;
        if task["status"] == status {
            return task;
        }
        assert!(["working", "input_required"].contains(&task["status"].as_str().expect("a status")), "{task}");
        assert!(start.elapsed() < LIMIT, "never {status}: {task}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < LIMIT, "never {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A server that can be killed: it has a runtime of its own, and nothing in it ends in order when that goes.
pub(crate) struct Replica {
    runtime: Option<Runtime>,
    server: Option<Server>,
    pub(crate) client: McpClient,
}

impl Replica {
    pub(crate) async fn start(settings: Settings, counts: &Counts) -> Self {
        Self::start_for(settings, counts, TOKEN).await
    }

    /// For the caller who holds this token.
    pub(crate) async fn start_for(settings: Settings, counts: &Counts, token: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let server = runtime.spawn(Server::start(settings, with_tools(counts))).await.expect("it starts");
        let client = client(&server.url, token);
        Self { runtime: Some(runtime), server: Some(server), client }
    }

    pub(crate) fn kill(mut self) {
        self.die();
    }

    pub(crate) async fn stop(mut self) {
        let (runtime, server) = (self.runtime.take().expect("it runs"), self.server.take().expect("it runs"));
        runtime.spawn(server.stop()).await.expect("it ends well");
        runtime.shutdown_background();
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.die();
    }
}
