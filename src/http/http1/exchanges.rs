//! What the requests of one connection tell the one who drives it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;

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
    /// An answer's body that hyper shall not send.
    events: Option<Body>,
}

impl Exchanges {
    /// A request has come. Its body has to be read through what this returns.
    pub(super) fn begin(&self, body: Incoming) -> (RequestBody, Open) {
        let mut state = self.state();
        state.begun += 1;
        state.open = true;
        state.unread = !http_body::Body::is_end_stream(&body);
        let unread = state.unread.then(|| self.clone());
        (RequestBody { body, unread }, Open(self.clone()))
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

/// The body of a request, which notes its end.
pub(super) struct RequestBody {
    body: Incoming,
    unread: Option<Exchanges>,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(None) = &frame
            && let Some(exchanges) = self.unread.take()
        {
            exchanges.state().unread = false;
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
