//! Runs a call and answers it: one JSON object, or a stream of events when the tool reports progress before it is done.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::{HeaderMap, StatusCode};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tower::Service;

use super::endpoint::Endpoint;
use super::read_message::{Call, Rejection};
use super::record::{Outcome, Part};
use super::session::{self, Found};
use super::{listen_stream, respond, sse, stream_end};
use crate::auth::Principal;
use crate::call::{Caller, Report, Reports};
use crate::mcp::{
    McpError, McpResult, Method, ProtocolVersion, ReportNotifications, Request, RequestId, ResultWriter, write_error,
};

/// Reports that may wait for a slow client; more are dropped.
const REPORT_BUFFER: usize = 64;
/// How long a stream may be silent before a comment keeps it open; well under the 60 s of common balancers.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Runs the call within this very future: dropping it, as happens when the client goes away, cancels the work. What few
/// calls need is boxed: the future is moved with each call, and as large as its largest branch.
pub(super) async fn answer(endpoint: &Endpoint, principal: Arc<Principal>, headers: &HeaderMap, mut call: Call) -> Response {
    let mut session = None;
    if matches!(call.method, Method::Initialize) {
        return Box::pin(shake_hands(endpoint, principal, call)).await;
    }
    if !call.version.is_modern() {
        session = match Box::pin(session::find(endpoint, &principal, headers)).await {
            Ok(Found::Session(session)) => Some(session),
            Ok(Found::None) => None,
            Ok(Found::Away) => {
                let (id, version) = (call.id.clone(), call.version);
                let outcome = Box::pin(session::run_while_away(endpoint, principal, call)).await;
                return finish(endpoint, &id, version, outcome);
            }
            Err(error) => {
                return respond::reject(&Rejection { id: Some(call.id), modern: false, error }, &endpoint.challenge);
            }
        };
        if let Some(session) = &session {
            call.version = session.version;
            if let Method::CallTool(_) | Method::GetPrompt(_) | Method::ReadResource(_) = call.method {
                return Box::pin(session::answer(endpoint, &principal, session, call)).await;
            }
        }
    }
    let Call { id, version, method, retry, capabilities, log_level, wants_progress, notifications, origin, .. } = call;
    let mut service = endpoint.service.clone();
    let mut caller = Caller { capabilities: Arc::new(capabilities), origin, ..Caller::new(Arc::clone(&principal)) };
    if !wants_progress && log_level.is_none() {
        let request = Request { caller, version, method, retry, session };
        return finish(endpoint, &id, version, service.call(request).await);
    }
    let (sender, reports) = mpsc::channel(REPORT_BUFFER);
    caller.reports = Reports::to(sender, wants_progress, log_level);
    let request = Request { caller, version, method, retry, session };
    let running = Running { call: Box::pin(service.call(request)), result: None, reports, notifications };
    Box::pin(stream_or_finish(endpoint, principal, id, version, running)).await
}

/// Runs one message of a batch and gives its answer as JSON; `None` when it was cancelled. A batch is one JSON array, so its
/// calls report nothing and ask nothing.
pub(super) async fn answer_in_batch(
    endpoint: &Endpoint,
    principal: &Arc<Principal>,
    found: &Found,
    call: Result<Call, Rejection>,
    part: Option<Part>,
) -> Option<Vec<u8>> {
    let call = match call {
        Ok(call) => call,
        Err(rejection) => return Some(write_error(rejection.id.as_ref(), &rejection.error)),
    };
    let (id, version) = (call.id.clone(), call.version);
    let caller = Caller { origin: call.origin.clone(), ..Caller::new(Arc::clone(principal)) };
    let mut service = endpoint.service.clone();
    let outcome = match found {
        Found::Session(session) => {
            let caller = Caller { capabilities: Arc::clone(&session.capabilities), ..caller };
            let Call { method, retry, .. } = call;
            let request = Request { caller, version, method, retry, session: Some(Arc::clone(session)) };
            endpoint.calls.unless_cancelled(session, &id, service.call(request)).await?
        }
        Found::Away => session::run_while_away(endpoint, Arc::clone(principal), call).await,
        Found::None => {
            let Call { method, retry, .. } = call;
            service.call(Request { caller, version, method, retry, session: None }).await
        }
    };
    let outcome = outcome.and_then(|result| match result {
        McpResult::InputRequired { .. } => {
            let problem = "this call has to ask through the client, which needs a stream of its own: send it outside of a batch";
            Err(McpError::InvalidRequest(problem.to_owned()))
        }
        result => Ok(result),
    });
    if let Some(part) = part {
        part.end(Outcome::of(&outcome));
    }
    Some(respond::message(&id, version, &endpoint.writer, outcome))
}

/// A client that has shaken hands gets a session.
async fn shake_hands(endpoint: &Endpoint, principal: Arc<Principal>, call: Call) -> Response {
    let Call { id, version, method, retry, capabilities, .. } = call;
    let request = Request { caller: Caller::new(Arc::clone(&principal)), version, method, retry, session: None };
    let outcome = endpoint.service.clone().call(request).await;
    let shaken = outcome.is_ok();
    let mut response = finish(endpoint, &id, version, outcome);
    if shaken {
        session::begin(endpoint, &principal, version, capabilities, &mut response).await;
    }
    response
}

pub(super) fn finish(
    endpoint: &Endpoint,
    id: &RequestId,
    version: ProtocolVersion,
    result: Result<McpResult, McpError>,
) -> Response {
    match result {
        Ok(McpResult::Listening(listening)) => listen_stream::respond(endpoint, listening, id.clone()),
        Err(error) => {
            respond::reject(&Rejection { id: Some(id.clone()), modern: version.is_modern(), error }, &endpoint.challenge)
        }
        result => respond::json(StatusCode::OK, respond::message(id, version, &endpoint.writer, result)),
    }
}

/// The status is still open until the first report: only then does the answer become a stream.
async fn stream_or_finish<F>(
    endpoint: &Endpoint,
    principal: Arc<Principal>,
    id: RequestId,
    version: ProtocolVersion,
    mut running: Running<F>,
) -> Response
where
    F: Future<Output = Result<McpResult, McpError>> + Send + 'static,
{
    match poll_fn(|cx| running.poll_next(cx)).await {
        Next::Result(result) => finish(endpoint, &id, version, result),
        Next::Report(first) => {
            let mut keep_alive = tokio::time::interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
            keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let writer = Arc::clone(&endpoint.writer);
            let events = EventStream { first: Some(first), running: Some(running), keep_alive, id, version, writer };
            sse::response(stream_end::cut_off(events, principal))
        }
    }
}

/// A call under way, with its reports.
struct Running<F> {
    call: Pin<Box<F>>,
    /// Once the call is done: what it reported before goes out first.
    result: Option<Result<McpResult, McpError>>,
    reports: mpsc::Receiver<Report>,
    notifications: ReportNotifications,
}

enum Next {
    Report(Bytes),
    Result(Result<McpResult, McpError>),
}

impl<F: Future<Output = Result<McpResult, McpError>>> Running<F> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.result.is_none()
            && let Poll::Ready(result) = self.call.as_mut().poll(cx)
        {
            self.result = Some(result);
        }
        while let Poll::Ready(Some(report)) = self.reports.poll_recv(cx) {
            if let Some(message) = self.notifications.write(&report) {
                return Poll::Ready(Next::Report(sse::event(&message)));
            }
        }
        self.result.take().map_or(Poll::Pending, |result| Poll::Ready(Next::Result(result)))
    }
}

struct EventStream<F> {
    first: Option<Bytes>,
    /// `None` once the answer has been sent.
    running: Option<Running<F>>,
    keep_alive: Interval,
    id: RequestId,
    version: ProtocolVersion,
    writer: Arc<ResultWriter>,
}

impl<F: Future<Output = Result<McpResult, McpError>>> Stream for EventStream<F> {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        let Some(running) = &mut self.running else { return Poll::Ready(None) };
        match running.poll_next(cx) {
            Poll::Ready(Next::Report(event)) => Poll::Ready(Some(event)),
            Poll::Ready(Next::Result(result)) => {
                self.running = None;
                let message = respond::message(&self.id, self.version, &self.writer, result);
                Poll::Ready(Some(sse::event(&message)))
            }
            Poll::Pending => self.keep_alive.poll_tick(cx).map(|_| Some(sse::KEEP_ALIVE)),
        }
    }
}
