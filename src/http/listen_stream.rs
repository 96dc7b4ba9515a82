//! The stream that answers `subscriptions/listen`: an acknowledgement, then changes as they come, until the client or the
//! server goes away.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::shutdown::Shutdown;
use super::sse;
use crate::mcp::{Listening, RequestId};

/// How long a stream may be silent before a comment keeps it open; well under the 60 s of common balancers.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Answers with the stream.
pub(super) fn respond(listening: Listening, id: RequestId, shutdown: Shutdown) -> Response {
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let acknowledgement = sse::event(&listening.acknowledgement(&id));
    let open = Open { listening, id, shutdown, keep_alive };
    let changes = stream::unfold(Some(open), async |open| {
        let mut open = open?;
        match open.next().await {
            Some(event) => Some((event, Some(open))),
            None => Some((sse::event(&Listening::end(&open.id)), None)),
        }
    });
    sse::response(sse::first(acknowledgement, changes))
}

struct Open {
    listening: Listening,
    id: RequestId,
    shutdown: Shutdown,
    keep_alive: Interval,
}

impl Open {
    /// The next event or comment; `None` when the server stops.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.shutdown.begun() => None,
            message = self.listening.next(&self.id) => {
                self.keep_alive.reset();
                Some(sse::event(&message))
            }
            _ = self.keep_alive.tick() => Some(sse::KEEP_ALIVE),
        }
    }
}
