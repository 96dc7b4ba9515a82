//! What the requests of one connection tell the one who drives it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

/// What is read of a body that nobody wants, in bytes; a client that sends more has to do without an answer.
const MAX_DISCARDED: usize = 16 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that sends nothing for so long is not in the middle of sending.
const DISCARD_PAUSE: Duration = Duration::from_secs(1);

/// Shared by the driver of a connection and the bodies of the exchange under way; one task touches it.
#[derive(Clone, Default)]
pub(super) struct Exchanges(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    begun: usize,
    /// An answer is on its way.
    open: bool,
    /// The body of the last request has not been read to its end.
    unread: bool,
    /// What was left of it when it was let go.
    rest: Option<Rest>,
    /// An answer's body that hyper shall not send.
    events: Option<Body>,
}

impl Exchanges {
    /// A request has come. Its body has to be read through what this returns.
    pub(super) fn begin(&self, body: Incoming) -> (RequestBody, Open) {
        let mut state = self.state();
        state.begun += 1;
        state.open = true;
        state.unread = !body.is_end_stream();
        state.rest = None;
        (RequestBody { body: Some(body), touched: false, exchanges: self.clone() }, Open(self.clone()))
    }

    /// Reads what the handler left of the request's body, within limits, and keeps nothing of it. hyper would close a
    /// connection on which something is left, and a client that is still sending then never sees the answer; a balancer
    /// would even take the server for dead. A client that `waits` for the word to go on and was not given it will send
    /// nothing when it sees an answer (RFC 9110, section 10.1.1).
    pub(super) async fn read_to_the_end(&self, waits: bool) {
        let Some(Rest { body: mut rest, touched }) = self.state().rest.take() else { return };
        if waits && !touched {
            return;
        }
        let read = async {
            let mut left = MAX_DISCARDED;
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(DISCARD_PAUSE, rest.frame()).await {
                match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(less) => left = less,
                    None => return false,
                }
            }
            rest.is_end_stream()
        };
        if tokio::time::timeout(DISCARD_TIMEOUT, read).await == Ok(true) {
            self.state().unread = false;
        }
    }

    /// How many requests have come.
    pub(super) fn begun(&self) -> usize {
        self.state().begun
    }

    /// Is nothing asked that has not been answered?
    pub(super) fn at_rest(&self) -> bool {
        let state = self.state();
        !state.open && !state.unread
    }

    /// Keeps the body from hyper, unless part of the request is unread: what follows on the wire is no request then.
    /// Returns the body in that case.
    pub(super) fn hold(&self, events: Body) -> Option<Body> {
        let mut state = self.state();
        if state.unread {
            return Some(events);
        }
        state.events = Some(events);
        None
    }

    /// Is there a body to be taken from here?
    pub(super) fn holds(&self) -> bool {
        self.state().events.is_some()
    }

    /// The body that was kept from hyper.
    pub(super) fn take(&self) -> Option<Body> {
        self.state().events.take()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer on its way; with it the exchange ends.
pub(super) struct Open(Exchanges);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state().open = false;
    }
}

/// The body of a request, which notes its end, or gives back what is left of it.
pub(super) struct RequestBody {
    body: Option<Incoming>,
    touched: bool,
    exchanges: Exchanges,
}

struct Rest {
    body: Incoming,
    /// Has somebody begun to read? The client was then told to go on, if it waited for that.
    touched: bool,
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let mut state = self.exchanges.state();
        if state.unread {
            state.rest = self.body.take().map(|body| Rest { body, touched: self.touched });
        }
    }
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.touched = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if let Poll::Ready(None) = &frame {
            self.exchanges.state().unread = false;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, http_body::Body::size_hint)
    }
}

/// The body of an answer as hyper sends it.
pub(super) struct ResponseBody {
    /// `None`: the body is held elsewhere, and here it never ends.
    pub(super) body: Option<Body>,
    /// The exchange, which ends with the body.
    pub(super) _open: Open,
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_some_and(http_body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::new, http_body::Body::size_hint)
    }
}
