//! One log line for each request, written when its answer has gone out.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Frame, SizeHint};

use super::endpoint::names;
use super::read_message::Call;
use crate::auth::Principal;
use crate::mcp::{Method, Reference};

/// What the endpoint knows of a request and the log tells; travels with the response.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    principal: Arc<Principal>,
    method: Option<&'static str>,
    tool: Option<Box<str>>,
    prompt: Option<Box<str>>,
    version: Option<&'static str>,
    traceparent: Option<Box<str>>,
}

impl Summary {
    /// Of a request whose message has not been read yet.
    pub(super) fn of(principal: &Arc<Principal>) -> Self {
        Self { principal: Arc::clone(principal), method: None, tool: None, prompt: None, version: None, traceparent: None }
    }

    /// Adds what the message says. Names come from outside: they are cut to a length that a log can bear.
    pub(super) fn note(&mut self, call: &Call) {
        let (method, tool) = names(call);
        self.method = Some(method);
        self.tool = tool.map(cut);
        if let Method::GetPrompt(prompt) | Method::Complete(Reference::Prompt(prompt), _) = &call.method {
            self.prompt = Some(cut(&prompt.name));
        }
        self.version = Some(call.version.as_str());
        self.traceparent = call.traceparent.as_deref().map(cut);
    }
}

fn cut(text: &str) -> Box<str> {
    text.chars().take(100).collect()
}

/// Logs the request when the last byte of its answer has been handed over, or when the client went away before.
pub(super) async fn log_request(request: Request, next: Next) -> Response {
    if !tracing::enabled!(target: "pressmark::request", tracing::Level::INFO) {
        return next.run(request).await;
    }
    let start = Instant::now();
    let (http_method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
    // The line is written on drop, so that a client that leaves before there is an answer is logged too.
    let mut line = Line { start, http_method, path, status: None, summary: None, bytes: 0 };
    let mut response = next.run(request).await;
    line.status = Some(response.status());
    line.summary = response.extensions_mut().remove::<Summary>();
    response.map(|body| Body::new(Counted { body, line }))
}

struct Line {
    start: Instant,
    http_method: Box<str>,
    path: Box<str>,
    status: Option<StatusCode>,
    summary: Option<Summary>,
    bytes: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        let summary = self.summary.as_ref();
        // 499, as Nginx logs it: the client closed the connection before there was an answer.
        let status = self.status.map_or(499, |status| status.as_u16());
        let duration_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        tracing::info!(
            target: "pressmark::request",
            http_method = &*self.http_method,
            path = &*self.path,
            status,
            method = summary.and_then(|summary| summary.method),
            tool = summary.and_then(|summary| summary.tool.as_deref()),
            prompt = summary.and_then(|summary| summary.prompt.as_deref()),
            version = summary.and_then(|summary| summary.version),
            principal = summary.map(|summary| summary.principal.subject.as_str()),
            issuer = summary.map(|summary| summary.principal.issuer.as_str()),
            traceparent = summary.and_then(|summary| summary.traceparent.as_deref()),
            duration_us,
            bytes = self.bytes,
            "request"
        );
    }
}

/// A body that counts its bytes; with it goes the line.
struct Counted {
    body: Body,
    line: Line,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.line.bytes += data.len() as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
