//! A client that shakes hands, and sends each message to the replica of its choice.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::in_process::TOKEN;

/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Agent {
    http: reqwest::Client,
    pub(crate) token: String,
    pub(crate) session: Option<String>,
    revision: String,
    next_id: AtomicU64,
}

/// A stream of events that is still coming.
pub(crate) struct Events {
    response: Response,
    buffer: String,
    /// The id of the last event.
    pub(crate) last: String,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) retry: Option<u64>,
    /// `None` for an event without content.
    pub(crate) message: Option<Value>,
}

impl Agent {
    /// Shakes hands at this replica.
    pub(crate) async fn connect(url: &str, revision: &str, capabilities: Value) -> Self {
        Self::connect_as(url, revision, capabilities, TOKEN).await
    }

    pub(crate) async fn connect_as(url: &str, revision: &str, capabilities: Value, token: &str) -> Self {
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        let mut agent =
            Self { http, token: token.to_owned(), session: None, revision: String::new(), next_id: AtomicU64::new(0) };
        let params = json!({
            "protocolVersion": revision, "capabilities": capabilities, "clientInfo": {"name": "agent", "version": "1"},
        });
        let response = agent.post(url, &agent.request("initialize", params)).await;
        assert_eq!(response.status(), 200);
        agent.session = response.headers().get("mcp-session-id").map(|id| id.to_str().expect("ASCII").to_owned());
        agent.revision = revision.to_owned();
        let result = json_of(response).await;
        assert_eq!(result["result"]["protocolVersion"], revision);
        let told = agent.post(url, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
        assert_eq!(told.status(), 202);
        agent
    }

    pub(crate) fn session(&self) -> &str {
        self.session.as_deref().expect("a session")
    }

    /// A request with an id of its own.
    pub(crate) fn request(&self, method: &str, params: Value) -> Value {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    pub(crate) fn tool_call(&self, name: &str, arguments: Value) -> Value {
        self.request("tools/call", json!({"name": name, "arguments": arguments}))
    }

    pub(crate) fn builder(&self, method: Method, url: &str) -> RequestBuilder {
        let mut builder = self.http.request(method, format!("{url}/mcp")).header(AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(session) = &self.session {
            builder = builder.header("mcp-session-id", session);
        }
        if !self.revision.is_empty() {
            builder = builder.header("mcp-protocol-version", &self.revision);
        }
        builder
    }

    pub(crate) async fn post(&self, url: &str, message: &Value) -> Response {
        let builder = self.builder(Method::POST, url).header(CONTENT_TYPE, "application/json");
        let builder = builder.header(ACCEPT, "application/json, text/event-stream").body(message.to_string());
        tokio::time::timeout(LIMIT, builder.send()).await.expect("in time").expect("an answer")
    }

    /// Sends a request that is answered at once.
    pub(crate) async fn ask(&self, url: &str, method: &str, params: Value) -> Value {
        let response = self.post(url, &self.request(method, params)).await;
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json", "{method}");
        json_of(response).await
    }

    /// Sends a request that is answered by a stream.
    pub(crate) async fn open(&self, url: &str, message: &Value) -> Events {
        Events::of(self.post(url, message).await)
    }

    pub(crate) async fn get(&self, url: &str, last: Option<&str>) -> Response {
        let mut builder = self.builder(Method::GET, url).header(ACCEPT, "text/event-stream");
        if let Some(last) = last {
            builder = builder.header("last-event-id", last);
        }
        tokio::time::timeout(LIMIT, builder.send()).await.expect("in time").expect("an answer")
    }

    pub(crate) async fn listen(&self, url: &str, last: Option<&str>) -> Events {
        Events::of(self.get(url, last).await)
    }

    /// Answers a request of the server's.
    pub(crate) async fn answer(&self, url: &str, id: &Value, result: Value) {
        let response = self.post(url, &json!({"jsonrpc": "2.0", "id": id, "result": result})).await;
        assert_eq!(response.status(), 202);
        assert_eq!(response.text().await.expect("a body"), "");
    }
}

pub(crate) async fn json_of(response: Response) -> Value {
    serde_json::from_str(&response.text().await.expect("a body")).expect("JSON")
}

impl Events {
    pub(crate) fn of(response: Response) -> Self {
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        Self { response, buffer: String::new(), last: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        tokio::time::timeout(LIMIT, self.read()).await.expect("an event in time")
    }

    /// The next event's message; events without content are passed over.
    pub(crate) async fn message(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.next().await?.message {
                return Some(message);
            }
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn silent(&mut self) {
        let more = tokio::time::timeout(Duration::from_millis(500), self.read()).await;
        assert!(more.is_err(), "{more:?}");
    }

    /// The event that primes the client comes, and then nothing for a while.
    pub(crate) async fn silent_after_priming(&mut self) {
        let first = self.next().await.expect("an event");
        assert!(first.message.is_none() && first.id.is_some() && first.retry.is_some(), "{first:?}");
        self.silent().await;
    }

    async fn read(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let text: String = self.buffer.drain(..end + 2).collect();
                let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
                if text.lines().all(|line| line.is_empty() || line.starts_with(':')) {
                    continue;
                }
                let id = field("id:").map(str::to_owned);
                if let Some(id) = &id {
                    self.last.clone_from(id);
                }
                let message = field("data:").filter(|data| !data.is_empty());
                let message = message.map(|data| serde_json::from_str(data).expect("JSON"));
                return Some(Event { id, retry: field("retry:").map(|ms| ms.parse().expect("a number")), message });
            }
            // A server that was killed cuts the stream off.
            let chunk = self.response.chunk().await.ok()??;
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("UTF-8"));
        }
    }
}
