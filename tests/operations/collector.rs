//! An OpenTelemetry collector on a local port, as far as traces go: it takes OTLP over HTTP and keeps the spans.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{HeaderMap, Response, StatusCode};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

/// The collector. It stops when it is dropped.
pub(crate) struct Collector {
    pub(crate) url: String,
    kept: Arc<Mutex<Kept>>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    exports: Vec<(String, HeaderMap)>,
    resources: Vec<Vec<KeyValue>>,
    spans: Vec<Span>,
    refuses: bool,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let kept = Arc::<Mutex<Kept>>::default();
        let keeping = Arc::clone(&kept);
        let router = axum::Router::new().fallback(move |request: Request| take(Arc::clone(&keeping), request));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { url, kept, server }
    }

    /// Answers 400 from now on.
    pub(crate) fn refuse(&self) {
        self.kept.lock().expect("not poisoned").refuses = true;
    }

    /// Paths and headers of all exports.
    pub(crate) fn exports(&self) -> Vec<(String, HeaderMap)> {
        self.kept.lock().expect("not poisoned").exports.clone()
    }

    /// What the spans of the last export come from.
    pub(crate) fn resource(&self) -> Vec<KeyValue> {
        self.kept.lock().expect("not poisoned").resources.last().cloned().expect("an export")
    }

    /// All spans so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.kept.lock().expect("not poisoned").spans.clone()
    }

    /// Waits for a span of this name: the last one.
    pub(crate) async fn span(&self, name: &str) -> Span {
        for _ in 0..1_000 {
            if let Some(span) = self.spans().into_iter().rev().find(|span| span.name == name) {
                return span;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let names: Vec<_> = self.spans().into_iter().map(|span| span.name).collect();
        panic!("there is no span {name} among {names:?}");
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The value of an attribute; `-` without.
pub(crate) fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(other) => format!("{other:?}"),
        None => "-".to_owned(),
    }
}

async fn take(kept: Arc<Mutex<Kept>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 64 << 20).await.expect("a body");
    let export = ExportTraceServiceRequest::decode(body).expect("an export of traces");
    let mut kept = kept.lock().expect("not poisoned");
    kept.exports.push((head.uri.path().to_owned(), head.headers));
    if kept.refuses {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    }
    for resource in export.resource_spans {
        kept.resources.push(resource.resource.map(|resource| resource.attributes).unwrap_or_default());
        kept.spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
    Response::new(Body::empty())
}
