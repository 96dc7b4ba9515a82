//! Requests and answers, one after the other, for as long as hyper has to be there.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use http::header::{CONNECTION, EXPECT};
use http::{HeaderMap, Version};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tower::ServiceExt as _;

use super::exchanges::{Exchanges, ResponseBody};
use crate::http::router::Server;
use crate::http::shutdown::Shutdown;
use crate::http::sse::Events;
use crate::http::wire::{STALLED_AFTER, Wire};

/// A connection on which nothing came for so long is idle. Looking again costs a timer, and taking the connection from hyper
/// and giving it back costs two buffers; waiting longer would let the memory of many that come at once grow first.
const IDLE_AFTER: Duration = Duration::from_millis(250);

/// Why hyper is not needed any more.
pub(super) enum After {
    /// The connection is closed.
    Closed,
    /// Nothing comes at the moment.
    Idle {
        /// The connection.
        wire: Wire,
        /// Was there a request since the last time?
        answered: bool,
    },
    /// The head of a stream of events has gone out.
    Events {
        /// The connection.
        wire: Wire,
        /// What has to follow.
        body: Body,
    },
}

/// Serves requests until the connection falls idle or becomes a stream of events. Once the server stops, each connection is
/// good for one more request, whose answer says that it was the last.
pub(super) async fn exchange(wire: Wire, server: &Server, stopping: &mut Shutdown) -> Result<After, hyper::Error> {
    let (exchanges, outflow) = (Exchanges::default(), wire.outflow());
    let service = {
        let exchanges = exchanges.clone();
        hyper::service::service_fn(move |request| answer(server.clone(), exchanges.clone(), request))
    };
    let mut closing = stopping.has_begun();
    let mut connection = http1::Builder::new().keep_alive(!closing).serve_connection(wire, service);
    let mut look = interval_at(Instant::now() + IDLE_AFTER, IDLE_AFTER);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut begun = 0;
    let (mut written, mut moved) = (0, Instant::now());
    loop {
        let served = poll_fn(|cx| match Pin::new(&mut connection).poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending if exchanges.holds() && !outflow.is_blocked() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        tokio::select! {
            biased;
            served = served => match served {
                Some(ended) => return ended.map(|()| After::Closed),
                None => break,
            },
            () = stopping.begun(), if !closing => {
                closing = true;
                if exchanges.at_rest() && !outflow.is_blocked() {
                    begun = exchanges.begun();
                    break;
                }
                Pin::new(&mut connection).graceful_shutdown();
            }
            _ = look.tick() => {
                if !outflow.is_blocked() || written != outflow.written() {
                    (written, moved) = (outflow.written(), Instant::now());
                } else if moved.elapsed() >= STALLED_AFTER {
                    return Ok(After::Closed);
                }
                if exchanges.at_rest() && !outflow.is_blocked() && begun == exchanges.begun() {
                    break;
                }
                begun = exchanges.begun();
            }
        }
    }
    let parts = connection.into_parts();
    let mut wire = parts.io;
    wire.give_back(&parts.read_buf);
    Ok(match exchanges.take() {
        Some(body) => After::Events { wire, body },
        None => After::Idle { wire, answered: begun > 0 },
    })
}

async fn answer(
    server: Server,
    exchanges: Exchanges,
    request: http::Request<Incoming>,
) -> Result<http::Response<ResponseBody>, Infallible> {
    let can_hold = request.version() == Version::HTTP_11 && !asks_to_close(request.headers());
    let waits = request.headers().contains_key(EXPECT);
    let (head, body) = request.into_parts();
    let (body, open) = exchanges.begin(body);
    let response = server.oneshot(http::Request::from_parts(head, Body::new(body))).await?;
    exchanges.read_to_the_end(waits).await;
    let held = can_hold && response.extensions().get::<Events>().is_some();
    Ok(response.map(|body| ResponseBody { body: if held { exchanges.hold(body) } else { Some(body) }, _open: open }))
}

fn asks_to_close(headers: &HeaderMap) -> bool {
    let options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    options.into_iter().any(|option| option.trim().eq_ignore_ascii_case("close"))
}
