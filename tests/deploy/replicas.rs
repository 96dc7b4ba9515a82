//! What stands behind a proxy: three real replicas, or stand-ins that show what reaches them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::client::EventStream;
use crate::support::server::Pressmark;
use crate::support::tokens::{P256, jwks};

pub(crate) const TOKEN: &str = "a-secret-token-for-tests";
const CHALLENGE: &str = r#"Bearer error="insufficient_scope", scope="files:delete""#;
const EVENTS: usize = 10;

/// Three replicas of the program under test.
pub(crate) struct Replicas {
    pub(crate) servers: [Pressmark; 3],
    folder: TempDir,
    _keys: tempfile::NamedTempFile,
}

impl Replicas {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a.txt"), "needle").expect("a file");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        // Only a server that takes tokens of an issuer has metadata.
        let keys = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(keys.path(), jwks(&[&P256]).to_string()).expect("a file");
        let keys_file = keys.path().to_str().expect("UTF-8");
        // One URL for all, as behind any proxy.
        let issuer = ["--jwt-issuer", "https://login.example.com", "--jwks-file", keys_file];
        let url = ["--public-url", "https://mcp.example.com", "--dev-token", TOKEN];
        let arguments = [&[path.as_str()][..], &issuer, &url].concat();
        let start = || Pressmark::start(&arguments);
        Self { servers: [start(), start(), start()], folder, _keys: keys }
    }

    pub(crate) fn ports(&self) -> [u16; 3] {
        [0, 1, 2].map(|replica| self.servers[replica].port())
    }

    /// Writes a file when it is called.
    pub(crate) fn writer(&self, name: &str, text: String) -> impl FnOnce() + Send + use<> {
        let path = self.folder.path().join(name);
        move || std::fs::write(path, text).expect("a file")
    }

    /// How many requests for the endpoint each has had.
    pub(crate) fn answered(&self) -> [usize; 3] {
        [0, 1, 2].map(|replica| self.servers[replica].stderr().matches("path=\"/mcp\"").count())
    }
}

/// A server that counts what reaches its endpoint, and answers `/authz` as Pressmark does: 401 without a token, 403 for
/// `delete_file`, 200 for the rest.
pub(crate) struct StandIn {
    pub(crate) port: u16,
    seen: Arc<Seen>,
    task: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    /// When each event of the last stream was sent.
    sent: Mutex<Vec<Instant>>,
}

impl StandIn {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let seen = Arc::<Seen>::default();
        let endpoint = Arc::clone(&seen);
        let app = Router::new()
            .route("/mcp", post(move |headers, body| async move { answer(&endpoint, &headers, &body) }))
            .route("/mcp", axum::routing::options(|| async { StatusCode::NO_CONTENT }))
            .route("/authz", any(authorize))
            .route("/healthz", get(|| async { StatusCode::OK }))
            .route("/readyz", get(|| async { StatusCode::OK }));
        let task = tokio::spawn(async move { axum::serve(listener, app).await.expect("served") });
        Self { port, seen, task }
    }

    /// How many requests have reached the endpoint.
    pub(crate) fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::Relaxed)
    }

    /// How late the events of a stream come, which began just now: the median. One that waits for the next one shows.
    pub(crate) async fn delay(&self, stream: &mut EventStream) -> Duration {
        let mut received = Vec::new();
        while received.len() < EVENTS {
            stream.next().await.expect("an event");
            received.push(Instant::now());
        }
        let sent = self.seen.sent.lock().expect("not poisoned").clone();
        let mut delays: Vec<_> = received.iter().zip(sent).map(|(received, sent)| received.duration_since(sent)).collect();
        delays.sort_unstable();
        delays[EVENTS / 2]
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(seen: &Arc<Seen>, headers: &HeaderMap, body: &Bytes) -> Response {
    seen.calls.fetch_add(1, Ordering::Relaxed);
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if message["params"]["arguments"]["stream"] != true {
        let result =
            json!({"host": header("host"), "authorization": header("authorization"), "client": header("x-forwarded-for")});
        return ([("content-type", "application/json")], json!({"jsonrpc": "2.0", "id": 1, "result": result}).to_string())
            .into_response();
    }
    let seen = Arc::clone(seen);
    seen.sent.lock().expect("not poisoned").clear();
    let events = futures_util::stream::unfold(0, move |number| {
        let seen = Arc::clone(&seen);
        async move {
            tokio::time::sleep(Duration::from_millis(60)).await;
            seen.sent.lock().expect("not poisoned").push(Instant::now());
            let event = format!("data: {}\n\n", json!({"jsonrpc": "2.0", "method": "notifications/message"}));
            (number < EVENTS).then_some((Ok::<_, Infallible>(event), number + 1))
        }
    });
    ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
}

async fn authorize(headers: HeaderMap) -> Response {
    let refuse = |status: StatusCode, challenge: &'static str| {
        (status, [("www-authenticate", challenge), ("content-type", "application/json")], "{}").into_response()
    };
    match (headers.get("authorization"), headers.get("mcp-name")) {
        (None, _) => refuse(StatusCode::UNAUTHORIZED, r#"Bearer scope="files:read""#),
        (Some(_), Some(name)) if name == "delete_file" => refuse(StatusCode::FORBIDDEN, CHALLENGE),
        (Some(_), _) => StatusCode::OK.into_response(),
    }
}

/// A server that reads each request to its end and then breaks the connection. Gives its port and counts the requests.
pub(crate) async fn start_breaking() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let count = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let counting = Arc::clone(&counting);
            tokio::spawn(async move {
                let mut request = Vec::new();
                // The body is small and comes with the head or just after it; it ends the only object of the request.
                while !request.ends_with(b"}") {
                    if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                counting.fetch_add(1, Ordering::Relaxed);
                let _ = connection.shutdown().await;
            });
        }
    });
    (port, count)
}
