//! One HTTP/2 connection (RFC 9113).

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::connection::HEAD_TIMEOUT;
use super::router::Server;
use super::shutdown::Shutdown;
use super::sse::Events;
use super::wire::Wire;

/// Calls that one connection may have under way: balancers use several connections.
const MAX_STREAMS: u32 = 64;
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to read an answer; what it has not read costs memory.
const MAX_UNREAD: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Serves the connection until the client or the server goes away. `keep_alive`: how long it may be without a request.
pub(super) async fn serve(wire: Wire, server: Server, mut stopping: Shutdown, keep_alive: Duration) -> Result<(), hyper::Error> {
    let (unread, calls) = (Unread::default(), Calls::default());
    let service = {
        let (unread, calls) = (unread.clone(), calls.clone());
        hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let (response, unread) = (server.clone().oneshot(request.map(Body::new)), unread.clone());
            let call = calls.begin();
            async move {
                let response = response.await?;
                // A stream of events is read as it comes, and hyper takes nothing from it before there is room.
                let place = response.extensions().get::<Events>().is_none().then(|| unread.begin());
                Ok::<_, Infallible>(response.map(|body| Answer { body, rest: Bytes::new(), place, _call: call }))
            }
        })
    };
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).max_concurrent_streams(MAX_STREAMS);
    let mut connection = pin!(builder.serve_connection(wire, service));
    let mut closing = false;
    let (mut begun, mut moved) = (0, Instant::now());
    loop {
        tokio::select! {
            ended = &mut connection => return ended,
            () = stopping.begun(), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep(LOOK_EVERY) => {
                if unread.oldest().is_some_and(|begun| begun.elapsed() >= MAX_UNREAD) {
                    return Ok(());
                }
                if calls.under_way() || begun != calls.begun() {
                    (begun, moved) = (calls.begun(), Instant::now());
                } else if moved.elapsed() >= keep_alive + HEAD_TIMEOUT {
                    // Who does not even shake hands does not hear that it should go.
                    return Ok(());
                } else if moved.elapsed() >= keep_alive && !closing {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// The calls of a connection: how many there were. Each under way has a share in this.
#[derive(Clone, Default)]
struct Calls(Arc<AtomicUsize>);

impl Calls {
    fn begin(&self) -> Self {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.clone()
    }

    fn begun(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn under_way(&self) -> bool {
        /// The one who looks, and the service.
        const OTHERS: usize = 2;
        Arc::strong_count(&self.0) > OTHERS
    }
}

/// The answers of a connection that have not been read to their end, by when something of them was taken last.
#[derive(Clone, Default)]
struct Unread(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    next: u64,
    begun: BTreeMap<u64, Instant>,
}

impl Unread {
    fn begin(&self) -> Place {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = answers.next;
        answers.next += 1;
        answers.begun.insert(number, Instant::now());
        Place { unread: self.clone(), number }
    }

    fn oldest(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).begun.values().min().copied()
    }
}

/// An answer's place among those that are unread, until it is dropped.
struct Place {
    unread: Unread,
    number: u64,
}

impl Place {
    /// More of the answer was taken.
    fn progress(&self) {
        self.unread.0.lock().unwrap_or_else(PoisonError::into_inner).begun.insert(self.number, Instant::now());
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.unread.0.lock().unwrap_or_else(PoisonError::into_inner).begun.remove(&self.number);
    }
}

/// What hyper takes of an answer at a time, in bytes. It takes a piece as soon as the client has room for one byte of it, and
/// drops the answer with the last piece, read or not.
const MAX_PIECE: usize = 16 * 1024;

/// The body of an answer; hyper drops it when the last of it is on its way.
struct Answer {
    body: Body,
    /// What the body has given and hyper has not taken.
    rest: Bytes,
    place: Option<Place>,
    _call: Calls,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => self.rest = data,
                Some(Ok(Err(frame))) => return Poll::Ready(Some(Ok(frame))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        if let Some(place) = &self.place {
            place.progress();
        }
        let length = self.rest.len().min(MAX_PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut whole = SizeHint::new();
        whole.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            whole.set_upper(upper + rest);
        }
        whole
    }
}
