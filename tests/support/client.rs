//! A small MCP client that speaks both eras and hides nothing: every reply keeps its status, headers and messages.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

/// The revision without a handshake.
pub const MODERN: &str = "2026-07-28";
/// The newest revision with one.
pub const LEGACY: &str = "2025-11-25";

/// A client of one endpoint, as one caller, in one revision of the protocol.
pub struct McpClient {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    revision: String,
    session: Option<String>,
    capabilities: Value,
    next_id: AtomicU64,
}

/// One answer to one POST.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// The body as it came.
    pub text: String,
    /// The JSON-RPC messages in it: one of plain JSON, any number of a stream.
    pub messages: Vec<Value>,
}

impl McpClient {
    /// A client of the endpoint `/mcp` at `url`, of the revision without a handshake.
    pub fn modern(url: &str, token: Option<&str>) -> Self {
        // A pool would hide which replica a balancer chooses, and turn a killed server into a failure of the next request.
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client");
        Self {
            http,
            url: format!("{url}/mcp"),
            token: token.map(str::to_owned),
            revision: MODERN.to_owned(),
            session: None,
            capabilities: json!({}),
            next_id: AtomicU64::new(1),
        }
    }

    /// The same client over TLS, if the server's certificate comes from this authority.
    pub fn trusting(self, root: &std::path::Path) -> Self {
        let root = std::fs::read(root).expect("a certificate");
        let root = reqwest::Certificate::from_pem(&root).expect("a certificate");
        let http = reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().tls_certs_only([root]).build();
        Self { http: http.expect("a client"), ..self }
    }

    /// The same client, declaring capabilities with each request.
    pub fn declaring(self, capabilities: Value) -> Self {
        Self { capabilities, ..self }
    }

    /// A client that has shaken hands in this revision: `initialize`, then `notifications/initialized`.
    pub async fn legacy(url: &str, token: Option<&str>, revision: &str) -> Self {
        Self::legacy_declaring(url, token, revision, json!({})).await
    }

    /// The same, with capabilities.
    pub async fn legacy_declaring(url: &str, token: Option<&str>, revision: &str, capabilities: Value) -> Self {
        let mut client = Self::modern(url, token);
        client.revision = revision.to_owned();
        let params = json!({
            "protocolVersion": revision, "capabilities": capabilities,
            "clientInfo": {"name": "pressmark-tests", "version": "1"},
        });
        let reply = client.request("initialize", params).await;
        assert_eq!(reply.result()["protocolVersion"], *revision, "{}", reply.text);
        client.session = reply.headers.get("mcp-session-id").map(|id| id.to_str().expect("ASCII").to_owned());
        let reply = client.notify("notifications/initialized", json!({})).await;
        assert_eq!(reply.status, StatusCode::ACCEPTED, "{}", reply.text);
        client
    }

    /// The session that the server minted, if it did.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Calls a tool; the reply holds its result, also when that is an error.
    pub async fn call_tool(&self, name: &str, arguments: Value) -> Reply {
        self.request("tools/call", json!({"name": name, "arguments": arguments})).await
    }

    /// Sends a request; panics when the server cannot be reached.
    pub async fn request(&self, method: &str, params: Value) -> Reply {
        self.try_request(method, params).await.expect("the server answers")
    }

    /// Sends a request; an error when no whole answer came, as when the server was killed meanwhile.
    pub async fn try_request(&self, method: &str, params: Value) -> reqwest::Result<Reply> {
        let message = self.message(method, params);
        let response = self.send(&self.headers(&message), message.to_string()).await?;
        Reply::read(response).await
    }

    /// Sends a request and gives the answer while it is still coming.
    pub async fn open(&self, method: &str, params: Value) -> EventStream {
        let message = self.message(method, params);
        let response = self.send(&self.headers(&message), message.to_string()).await.expect("the server answers");
        EventStream { response, buffer: Vec::new() }
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: Value) -> Reply {
        let mut message = self.message(method, params);
        message.as_object_mut().expect("an object").remove("id");
        self.post(&self.headers(&message), message.to_string()).await
    }

    /// The whole message of a request, with everything that the revision demands in it.
    pub fn message(&self, method: &str, mut params: Value) -> Value {
        if self.revision == MODERN {
            let meta = params.as_object_mut().expect("params are an object").entry("_meta").or_insert_with(|| json!({}));
            meta["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
            meta["io.modelcontextprotocol/clientCapabilities"] = self.capabilities.clone();
            meta["io.modelcontextprotocol/clientInfo"] = json!({"name": "pressmark-tests", "version": "1"});
        }
        json!({"jsonrpc": "2.0", "id": self.next_id.fetch_add(1, Ordering::Relaxed), "method": method, "params": params})
    }

    /// The headers that belong to a message, to be changed by tests that send wrong ones.
    pub fn headers(&self, message: &Value) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        let mut set = |name: &'static str, value: &str| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value fit for a header"));
        };
        if let Some(token) = &self.token {
            set("authorization", &format!("Bearer {token}"));
        }
        if let Some(session) = &self.session {
            set("mcp-session-id", session);
        }
        let method = message["method"].as_str().unwrap_or_default();
        if method != "initialize" || self.revision == MODERN {
            set("mcp-protocol-version", &self.revision);
        }
        if self.revision == MODERN {
            set("mcp-method", method);
            let name = match method {
                "tools/call" | "prompts/get" => message["params"]["name"].as_str(),
                "resources/read" => message["params"]["uri"].as_str(),
                "tasks/get" | "tasks/update" | "tasks/cancel" => message["params"]["taskId"].as_str(),
                _ => None,
            };
            if let Some(name) = name {
                set("mcp-name", name);
            }
        }
        headers
    }

    /// The bytes of a message as they go over a connection, with more headers, each ended by CRLF.
    pub fn raw(&self, message: &Value, more_headers: &str) -> Vec<u8> {
        let body = message.to_string();
        let mut head = format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{more_headers}", body.len());
        for (name, value) in &self.headers(message) {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().expect("ASCII")));
        }
        format!("{head}\r\n{body}").into_bytes()
    }

    /// Posts any headers and any body; panics when the server cannot be reached.
    pub async fn post(&self, headers: &HeaderMap, body: impl Into<reqwest::Body>) -> Reply {
        let response = self.send(headers, body).await.expect("the server answers");
        Reply::read(response).await.expect("the answer is whole")
    }

    /// The same; an error when no whole answer came, as when the server was killed meanwhile.
    pub async fn try_post(&self, headers: &HeaderMap, body: impl Into<reqwest::Body>) -> reqwest::Result<Reply> {
        Reply::read(self.send(headers, body).await?).await
    }

    async fn send(&self, headers: &HeaderMap, body: impl Into<reqwest::Body>) -> reqwest::Result<Response> {
        self.http.post(&self.url).headers(headers.clone()).body(body).send().await
    }
}

impl Reply {
    /// Reads an answer to its end.
    pub async fn read(response: Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let messages = if content_type(&headers).starts_with("text/event-stream") {
            text.split("\n\n").filter_map(event_data).collect()
        } else {
            serde_json::from_str(&text).into_iter().collect()
        };
        Ok(Self { status, headers, text, messages })
    }

    /// The result; panics when the answer is none.
    pub fn result(&self) -> &Value {
        self.last().get("result").unwrap_or_else(|| panic!("{} without a result: {}", self.status, self.text))
    }

    /// The JSON-RPC error; panics when the answer is none.
    pub fn error(&self) -> &Value {
        self.last().get("error").unwrap_or_else(|| panic!("{} without an error: {}", self.status, self.text))
    }

    /// `error.code`; panics when the answer is no error.
    pub fn error_code(&self) -> i64 {
        self.error()["code"].as_i64().expect("a number")
    }

    /// Is this the result of a tool that failed?
    pub fn is_tool_error(&self) -> bool {
        self.result()["isError"] == true
    }

    /// The text of the content block at `index` of a tool's result.
    pub fn content(&self, index: usize) -> &str {
        self.result()["content"][index]["text"].as_str().unwrap_or_else(|| panic!("no text at {index}: {}", self.text))
    }

    /// `structuredContent` of a tool's result.
    pub fn structured(&self) -> &Value {
        &self.result()["structuredContent"]
    }

    fn last(&self) -> &Value {
        self.messages.last().unwrap_or_else(|| panic!("{} without a message: {:?}", self.status, self.text))
    }
}

/// An answer that is still coming.
pub struct EventStream {
    response: Response,
    buffer: Vec<u8>,
}

impl EventStream {
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// The next message; `None` when the stream has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(message) = event_data(std::str::from_utf8(&event).expect("a stream is UTF-8")) {
                    return Some(message);
                }
            }
            let chunk = self.response.chunk().await.expect("the stream is not cut off")?;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// The message in one event; `None` for comments and for events without data.
fn event_data(event: &str) -> Option<Value> {
    let data: Vec<_> = event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
    let data = data.join("\n");
    if data.is_empty() { None } else { Some(serde_json::from_str(&data).expect("an event carries JSON")) }
}

fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
