//! One log line for each request, written when its answer has gone out.

use std::cell::Cell;
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
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use serde::Deserialize;
use tower::{Layer, Service};

use super::endpoint::names;
use super::read_message::Call;
use crate::auth::Principal;
use crate::mcp::{McpError, McpResult, Method, Reference};

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

/// How a request ended, where it did not simply end well: names from bounded sets, and nothing of any content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    kind: &'static str,
    error: Option<&'static str>,
}

thread_local! {
    /// What the poll under way has noted. What answers a request runs within the poll that the line watches, many calls
    /// away from the line, and in streams long after the head of the answer.
    static NOTED: Cell<Option<Outcome>> = const { Cell::new(None) };
}

/// Tells the line of the request being answered how it ends; the last note counts.
pub(super) fn note(outcome: Outcome) {
    NOTED.set(Some(outcome));
}

impl Outcome {
    /// The request, or the state of the server, is not such that it can be answered.
    pub(super) fn refused(error: &'static str) -> Self {
        Self { kind: "refused", error: Some(error) }
    }

    /// A JSON-RPC error.
    pub(super) fn of_error(error: &McpError) -> Self {
        match error {
            McpError::InsufficientScope { .. } | McpError::UnknownSession => Self::refused(error.label()),
            error => Self { kind: "rpc_error", error: Some(error.label()) },
        }
    }

    /// `None` when there is nothing to note.
    pub(super) fn of_result(result: &McpResult) -> Option<Self> {
        match result {
            McpResult::CallTool(result) => Some(Self { kind: "tool_error", error: Some(result.error?.as_str()) }),
            McpResult::InputRequired { .. } => Some(Self { kind: "input_required", error: None }),
            _ => None,
        }
    }

    /// The same of an answer that comes from the log of its stream, as it is sent, and perhaps from another replica.
    pub(super) fn of_message(message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            result: Option<CallResult>,
            error: Option<RpcError>,
        }
        #[derive(Deserialize)]
        struct CallResult {
            #[serde(rename = "isError", default)]
            is_error: bool,
        }
        #[derive(Deserialize)]
        struct RpcError {
            code: i32,
        }
        match is_on().then(|| serde_json::from_slice(message).ok()).flatten()? {
            Answer { error: Some(RpcError { code: -32603 }), .. } => Some(Self { kind: "rpc_error", error: Some("unavailable") }),
            Answer { error: Some(_), .. } => Some(Self { kind: "rpc_error", error: None }),
            Answer { result: Some(CallResult { is_error: true }), .. } => Some(Self { kind: "tool_error", error: None }),
            Answer { .. } => None,
        }
    }

    /// Something that an operator can mend, or has to know of.
    fn is_serious(self) -> bool {
        matches!(self.error, Some("unavailable" | "io_error" | "-32603"))
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
        let mut line = is_on().then(|| Line::new(&request));
        // Some refusals are ready before anything is polled.
        let inner = match &mut line {
            Some(line) => line.noting(|| self.0.call(request)),
            None => self.0.call(request),
        };
        Logged { inner, line }
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
        let Ok(mut response) = ready!(match this.line {
            Some(line) => line.noting(|| this.inner.poll(cx)),
            None => this.inner.poll(cx),
        });
        let Some(mut line) = this.line.take() else { return Poll::Ready(Ok(response)) };
        line.status = Some(response.status());
        line.summary = response.extensions_mut().remove::<Summary>();
        line.is_whole = response.body().is_end_stream();
        Poll::Ready(Ok(response.map(|body| Body::new(Counted { body, line }))))
    }
}

struct Line {
    start: Instant,
    http_method: Box<str>,
    path: Box<str>,
    status: Option<StatusCode>,
    summary: Option<Summary>,
    noted: Option<Outcome>,
    /// Has the whole answer been handed over?
    is_whole: bool,
    bytes: u64,
}

impl Line {
    fn new<B>(request: &Request<B>) -> Self {
        let (http_method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
        let start = Instant::now();
        Self { start, http_method, path, status: None, summary: None, noted: None, is_whole: false, bytes: 0 }
    }

    /// Does a part of the request's work, and takes down what is noted meanwhile.
    fn noting<T>(&mut self, work: impl FnOnce() -> T) -> T {
        NOTED.set(None);
        let done = work();
        self.noted = NOTED.take().or(self.noted);
        done
    }

    fn outcome(&self) -> Outcome {
        let kind = match (self.noted, self.status) {
            (Some(noted), _) => return noted,
            (None, Some(status)) if status.is_client_error() || status.is_server_error() => "refused",
            (None, Some(_)) if self.is_whole => "ok",
            // The client left first, as it does at the end of a subscription.
            (None, _) => "closed",
        };
        Outcome { kind, error: None }
    }

    fn is_probe(&self) -> bool {
        matches!(&*self.path, "/healthz" | "/readyz")
    }
}

/// `tracing` wants the level of an event at compile time.
macro_rules! write_line {
    ($level:ident, $line:expr, $status:expr, $outcome:expr) => {{
        let (line, summary, outcome): (&Line, _, Outcome) = ($line, $line.summary.as_ref(), $outcome);
        tracing::event!(
            target: "pressmark::request",
            tracing::Level::$level,
            http_method = &*line.http_method,
            path = &*line.path,
            status = $status,
            outcome = outcome.kind,
            error = outcome.error,
            method = summary.and_then(|summary| summary.method),
            tool = summary.and_then(|summary| summary.tool.as_deref()),
            prompt = summary.and_then(|summary| summary.prompt.as_deref()),
            version = summary.and_then(|summary| summary.version),
            principal = summary.map(|summary| summary.principal.subject.as_str()),
            issuer = summary.map(|summary| summary.principal.issuer.as_str()),
            traceparent = summary.and_then(|summary| summary.traceparent.as_deref()),
            duration_us = u64::try_from(line.start.elapsed().as_micros()).unwrap_or(u64::MAX),
            bytes = line.bytes,
            "request"
        )
    }};
}

impl Drop for Line {
    fn drop(&mut self) {
        // 499, as Nginx logs it: the client closed the connection before there was an answer.
        let status = self.status.map_or(499, |status| status.as_u16());
        let outcome = self.outcome();
        if status >= 500 || outcome.is_serious() {
            write_line!(WARN, self, status, outcome);
        } else if self.is_probe() && status == 200 {
            write_line!(DEBUG, self, status, outcome);
        } else {
            write_line!(INFO, self, status, outcome);
        }
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
        let Self { body, line } = &mut *self;
        let frame = line.noting(|| Pin::new(&mut *body).poll_frame(cx));
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                line.is_whole = body.is_end_stream();
            }
            Poll::Ready(None) => line.is_whole = true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
