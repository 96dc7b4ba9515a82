//! What is kept of each request when its answer has gone out: counts, a log line, a span.

mod line;
mod outcome;
mod span;
mod summary;
mod watch;

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
use http::{HeaderMap, Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use self::line::Line;
pub(super) use self::outcome::Outcome;
pub(super) use self::summary::{MessageSummary, Part, Summary};
pub use self::watch::Watch;
use super::client_address::{ClientAddress, TrustedProxies};
use crate::auth::Principal;
use crate::metrics::{OutcomeKind, RequestKind, Requests};
use crate::traces::Traces;

thread_local! {
    /// What the poll under way has noted. What answers a request runs within the poll that its record watches, many calls
    /// away from the record, and in streams long after the head of the answer.
    static NOTED: Cell<Noted> = const { Cell::new(Noted { is_watched: false, client: None, kind: None, outcome: None }) };
    /// The same, of requests that are watched.
    static SUMMARY: Cell<Option<Summary>> = const { Cell::new(None) };
}

#[derive(Clone, Copy, Default)]
struct Noted {
    is_watched: bool,
    client: Option<ClientAddress>,
    kind: Option<RequestKind>,
    outcome: Option<Outcome>,
}

/// Tells the record of the request being answered how it ends; the last note counts.
pub(super) fn note(outcome: Outcome) {
    NOTED.set(Noted { outcome: Some(outcome), ..NOTED.get() });
}

/// Tells the record of the request being answered what is asked.
pub(super) fn note_kind(kind: RequestKind) {
    NOTED.set(Noted { kind: Some(kind), ..NOTED.get() });
}

/// Is the request being answered one that is logged, or gets a span?
fn is_watched() -> bool {
    NOTED.get().is_watched
}

/// Where the request being answered comes from, as far as anybody wants to know.
fn client() -> Option<ClientAddress> {
    NOTED.get().client
}

/// Tells the record of the request being answered who asks, and what, if anybody wants to know.
pub(super) fn note_summary(principal: &Arc<Principal>, message: Option<MessageSummary>) {
    if is_watched() {
        SUMMARY.set(Some(Summary::new(principal, message)));
    }
}

/// Counts, logs and traces each request when the last byte of its answer has been handed over, or when the client went away before.
#[derive(Clone)]
pub(super) struct RecordLayer {
    requests: Arc<Requests>,
    watch: Watch,
    proxies: Option<Arc<TrustedProxies>>,
}

impl RecordLayer {
    /// Counts with `requests`; tells `watch`, too; names clients as these proxies do.
    pub(super) fn new(requests: Arc<Requests>, watch: Watch, proxies: TrustedProxies) -> Self {
        Self { requests, watch, proxies: (!proxies.is_empty()).then(|| Arc::new(proxies)) }
    }
}

/// The service that [`RecordLayer`] makes.
#[derive(Clone)]
pub struct RecordRequests<S> {
    inner: S,
    requests: Arc<Requests>,
    watch: Watch,
    proxies: Option<Arc<TrustedProxies>>,
    peer: Option<ClientAddress>,
}

impl<S> RecordRequests<S> {
    /// The same, for the requests of one connection.
    pub(super) fn of_peer(self, peer: ClientAddress) -> Self {
        Self { peer: Some(peer), ..self }
    }

    /// Who sent a request with these headers; `None` when it came by no connection.
    fn client(&self, headers: &HeaderMap) -> Option<ClientAddress> {
        let peer = self.peer?;
        Some(self.proxies.as_ref().map_or(peer, |proxies| proxies.client(peer, headers)))
    }

    /// Where requests are counted.
    pub(super) fn requests(&self) -> &Arc<Requests> {
        &self.requests
    }
}

impl<S> Layer<S> for RecordLayer {
    type Service = RecordRequests<S>;

    fn layer(&self, inner: S) -> RecordRequests<S> {
        let (requests, watch) = (Arc::clone(&self.requests), self.watch.clone());
        RecordRequests { inner, requests, watch, proxies: self.proxies.clone(), peer: None }
    }
}

impl<S, B> Service<Request<B>> for RecordRequests<S>
where
    S: Service<Request<B>, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Recorded<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (traces, is_logged) = (&self.watch.traces, line::is_logged());
        let is_watched = is_logged || traces.is_some();
        let client = (is_watched || self.watch.audit.is_on()).then(|| self.client(request.headers())).flatten();
        let watched = is_watched.then(|| {
            Box::new(Watched { line: is_logged.then(|| Line::of(&request, client)), traces: traces.clone(), summary: None })
        });
        let mut record = Record::begin(Arc::clone(&self.requests), client, watched);
        // Some refusals are ready before anything is polled.
        let inner = record.noting(|| self.inner.call(request));
        Recorded { inner, record: Some(record) }
    }
}

pin_project! {
    /// An answer that will be recorded.
    pub struct Recorded<F> {
        #[pin]
        inner: F,
        // Kept on drop, so that a client that leaves before there is an answer is recorded too.
        record: Option<Record>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Recorded<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(match this.record {
            Some(record) => record.noting(|| this.inner.poll(cx)),
            None => this.inner.poll(cx),
        });
        let Some(mut record) = this.record.take() else { return Poll::Ready(Ok(response)) };
        record.status = Some(response.status());
        record.is_whole = response.body().is_end_stream();
        if record.watched.is_none()
            && let Some(bytes) = response.body().size_hint().exact()
        {
            // An answer that lies there whole is as good as sent, and watching it would cost an allocation.
            (record.is_whole, record.bytes) = (true, bytes);
            return Poll::Ready(Ok(response));
        }
        Poll::Ready(Ok(response.map(|body| Body::new(Counted { body, record }))))
    }
}

/// One request, from its head to the end of its answer.
struct Record {
    requests: Arc<Requests>,
    begun: Instant,
    noted: Noted,
    status: Option<StatusCode>,
    /// Has the whole answer been handed over?
    is_whole: bool,
    bytes: u64,
    client: Option<ClientAddress>,
    /// None when nobody wants to know more.
    watched: Option<Box<Watched>>,
}

/// What is logged of a request, or told by its span.
struct Watched {
    line: Option<Line>,
    traces: Option<Traces>,
    summary: Option<Summary>,
}

impl Record {
    fn begin(requests: Arc<Requests>, client: Option<ClientAddress>, watched: Option<Box<Watched>>) -> Self {
        requests.begin();
        let (begun, noted) = (Instant::now(), Noted::default());
        Self { requests, begun, noted, status: None, is_whole: false, bytes: 0, client, watched }
    }

    /// Does a part of the request's work, and takes down what is noted meanwhile.
    fn noting<T>(&mut self, work: impl FnOnce() -> T) -> T {
        NOTED.set(Noted { is_watched: self.watched.is_some(), client: self.client, ..Noted::default() });
        let done = work();
        let noted = NOTED.take();
        self.noted =
            Noted { kind: noted.kind.or(self.noted.kind), outcome: noted.outcome.or(self.noted.outcome), ..Noted::default() };
        if let Some(watched) = &mut self.watched
            && let Some(summary) = SUMMARY.take()
        {
            watched.summary = Some(summary);
        }
        done
    }

    fn outcome(&self) -> Outcome {
        match (self.noted.outcome, self.status) {
            (Some(noted), _) => noted,
            (None, Some(status)) if status.is_client_error() || status.is_server_error() => {
                Outcome { kind: OutcomeKind::Refused, ..Outcome::OK }
            }
            (None, Some(_)) if self.is_whole => Outcome::OK,
            // The client left first, as it does at the end of a subscription.
            (None, _) => Outcome::CLOSED,
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let (outcome, duration) = (self.outcome(), self.begun.elapsed());
        self.requests.end(self.noted.kind.unwrap_or_default(), outcome.kind, outcome.error, duration, self.bytes);
        let Some(Watched { line, traces, summary }) = self.watched.as_deref() else { return };
        if let Some(line) = line {
            line.write(summary.as_ref(), self.status, outcome, duration, self.bytes);
        }
        if let (Some(traces), Some(message)) = (traces, summary.as_ref().and_then(|summary| summary.message.as_ref())) {
            span::hand_over(traces, message, outcome, self.begun);
        }
    }
}

/// A body that counts its bytes; with it goes the record.
struct Counted {
    body: Body,
    record: Record,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, record } = &mut *self;
        let frame = record.noting(|| Pin::new(&mut *body).poll_frame(cx));
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                record.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                record.is_whole = body.is_end_stream();
            }
            Poll::Ready(None) => record.is_whole = true,
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
