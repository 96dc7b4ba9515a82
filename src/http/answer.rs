//! Runs a call and answers it: one JSON object, or a stream of events when the tool reports progress before it is done.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tower::Service;

use super::endpoint::Endpoint;
use super::read_message::{Call, Rejection};
use super::{respond, sse};
use crate::auth::Principal;
use crate::mcp::{
    McpError, McpResult, ProgressNotification, ProtocolVersion, Request, RequestId, ServerInfo, write_error, write_result,
};
use crate::tools::{Progress, ProgressUpdate};

/// Reports that may wait for a slow client; more are dropped.
const PROGRESS_BUFFER: usize = 16;
/// How long a stream may be silent before a comment keeps it open; well under the 60 s of common balancers.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Runs the call within this very future: dropping it, as happens when the client goes away, cancels the work.
pub(super) async fn answer(endpoint: &Endpoint, principal: Arc<Principal>, call: Call<'_>) -> Response {
    let Call { id, version, method, progress, .. } = call;
    let mut service = endpoint.service.clone();
    let Some(notification) = progress else {
        let request = Request { principal, version, method, progress: Progress::default() };
        return finish(endpoint, &id, version, service.call(request).await);
    };
    let (sender, updates) = mpsc::channel(PROGRESS_BUFFER);
    let request = Request { principal, version, method, progress: Progress::to(sender) };
    let running = Running { result: Box::pin(service.call(request)), updates, notification, reported: f64::NEG_INFINITY };
    stream_or_finish(endpoint, id, version, running).await
}

/// Runs one message of a batch and gives its answer as JSON. A batch is one JSON array, so its calls report no progress.
pub(super) async fn answer_in_batch(
    endpoint: &Endpoint,
    principal: &Arc<Principal>,
    call: Result<Call<'_>, Rejection>,
) -> Vec<u8> {
    let Call { id, version, method, .. } = match call {
        Ok(call) => call,
        Err(rejection) => return write_error(rejection.id.as_ref(), &rejection.error),
    };
    let request = Request { principal: Arc::clone(principal), version, method, progress: Progress::default() };
    match endpoint.service.clone().call(request).await {
        Ok(result) => write_result(&id, version, &endpoint.info, &result),
        Err(error) => write_error(Some(&id), &error),
    }
}

fn finish(endpoint: &Endpoint, id: &RequestId, version: ProtocolVersion, result: Result<McpResult, McpError>) -> Response {
    match result {
        Ok(result) => respond::json(StatusCode::OK, write_result(id, version, &endpoint.info, &result)),
        Err(error) => {
            respond::reject(&Rejection { id: Some(id.clone()), modern: version.is_modern(), error }, &endpoint.challenge)
        }
    }
}

/// The status is still open until the first report: only then does the answer become a stream.
async fn stream_or_finish<F>(endpoint: &Endpoint, id: RequestId, version: ProtocolVersion, mut running: Running<F>) -> Response
where
    F: Future<Output = Result<McpResult, McpError>> + Send + 'static,
{
    match poll_fn(|cx| running.poll_next(cx)).await {
        Next::Result(result) => finish(endpoint, &id, version, result),
        Next::Report(first) => {
            let mut keep_alive = tokio::time::interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
            keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let info = Arc::clone(&endpoint.info);
            sse::response(EventStream { first: Some(first), running: Some(running), keep_alive, id, version, info })
        }
    }
}

/// A call under way, with its reports.
struct Running<F> {
    result: Pin<Box<F>>,
    updates: mpsc::Receiver<ProgressUpdate>,
    notification: ProgressNotification,
    reported: f64,
}

enum Next {
    Report(Bytes),
    Result(Result<McpResult, McpError>),
}

impl<F: Future<Output = Result<McpResult, McpError>>> Running<F> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        // Reports that were sent before the result go out before it.
        let result = self.result.as_mut().poll(cx);
        while let Poll::Ready(Some(update)) = self.updates.poll_recv(cx) {
            // Progress grows with every report (basic/patterns/progress); one that does not is left out.
            if result.is_pending() && update.progress > self.reported {
                self.reported = update.progress;
                return Poll::Ready(Next::Report(sse::event(&self.notification.write(&update))));
            }
        }
        result.map(Next::Result)
    }
}

struct EventStream<F> {
    first: Option<Bytes>,
    /// `None` once the answer has been sent.
    running: Option<Running<F>>,
    keep_alive: Interval,
    id: RequestId,
    version: ProtocolVersion,
    info: Arc<ServerInfo>,
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
                let message = match result {
                    Ok(result) => write_result(&self.id, self.version, &self.info, &result),
                    Err(error) => write_error(Some(&self.id), &error),
                };
                Poll::Ready(Some(sse::event(&message)))
            }
            Poll::Pending => self.keep_alive.poll_tick(cx).map(|_| Some(sse::KEEP_ALIVE)),
        }
    }
}
