//! Server-sent events: an answer that arrives in parts (WHATWG HTML, "Server-sent events").

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::mcp::legacy::EventName;

/// What keeps an idle stream open through balancers: a comment, which clients ignore.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

/// Marks a response as a stream of events, which may stay open for hours.
#[derive(Clone, Copy)]
pub(super) struct Events;

/// A response whose body is this stream of events.
pub(super) fn response(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    use futures_util::StreamExt as _;
    let mut response = Response::new(Body::from_stream(events.map(Ok::<_, std::convert::Infallible>)));
    response.extensions_mut().insert(Events);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Nginx would otherwise hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// One event, and then others.
pub(super) fn first(
    event: Bytes,
    rest: impl Stream<Item = Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    use futures_util::StreamExt as _;
    futures_util::stream::iter([event]).chain(rest)
}

/// An event without content, which tells the client where it is and when to come back if the stream breaks off.
pub(super) fn empty(id: &EventName, retry: Duration) -> Bytes {
    format!("id: {id}\nretry: {}\ndata: \n\n", retry.as_millis()).into()
}

/// When to come back if the stream breaks off.
pub(super) fn retry(retry: Duration) -> Bytes {
    format!("retry: {}\n\n", retry.as_millis()).into()
}

/// One event that carries a JSON message and has an id.
pub(super) fn event_named(id: &EventName, message: &[u8]) -> Bytes {
    [format!("id: {id}\n").as_bytes(), &event(message)].concat().into()
}

/// One event that carries a JSON message. JSON text has no line ends of its own: they are escaped.
pub(super) fn event(message: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(message.len() + 24);
    event.extend_from_slice(b"event: message\ndata: ");
    event.extend_from_slice(message);
    event.extend_from_slice(b"\n\n");
    event.into()
}
