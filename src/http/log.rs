//! One log line for each request, written when its answer has gone out.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

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
    /// Of a request whose message has not been read yet; `None` when requests are not logged.
    pub(super) fn of(principal: &Arc<Principal>) -> Option<Self> {
        let principal = is_on().then(|| Arc::clone(principal))?;
        Some(Self { principal, method: None, tool: None, prompt: None, version: None, traceparent: None })
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

fn is_on() -> bool {
    tracing::enabled!(target: "pressmark::request", tracing::Level::INFO)
}

/// Logs each request when the last byte of its answer has been handed over, or when the client went away before.
#[derive(Clone, Copy)]
pub(super) struct LogLayer;

/// The service that [`LogLayer`] makes.
#[derive(Clone)]
pub struct LogRequests<S>(S);

impl<S> Layer<S> for LogLayer {
    type Service = LogRequests<S>;

    fn layer(&self, inner: S) -> LogRequests<S> {
        LogRequests(inner)
    }
}

impl<S, B> Service<Request<B>> for LogRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Logged<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let line = is_on().then(|| Line::new(&request));
        Logged { inner: self.0.call(request), line }
    }
}

pin_project! {
    /// An answer that will be logged.
    pub struct Logged<F> {
        #[pin]
        inner: F,
        // Written on drop, so that a client that leaves before there is an answer is logged too.
        line: Option<Line>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Logged<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        let Some(mut line) = this.line.take() else { return Poll::Ready(Ok(response)) };
        line.status = Some(response.status());
        line.summary = response.extensions_mut().remove::<Summary>();
        Poll::Ready(Ok(response.map(|body| Body::new(Counted { body, line }))))
    }
}

struct Line {
    start: Instant,
    http_method: Box<str>,
    path: Box<str>,
    status: Option<StatusCode>,
    summary: Option<Summary>,
    bytes: u64,
}

impl Line {
    fn new<B>(request: &Request<B>) -> Self {
        let (http_method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
        Self { start: Instant::now(), http_method, path, status: None, summary: None, bytes: 0 }
    }
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
