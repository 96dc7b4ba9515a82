//! The stream that answers `subscriptions/listen`: an acknowledgement, then changes as they come, until the client goes
//! away or the server ends it.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::endpoint::Endpoint;
use super::sse;
use super::stream_end::StreamEnd;
use crate::mcp::{Listening, RequestId};

/// How long a stream may be silent before a comment keeps it open; well under the 60 s of common balancers.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// Answers with the stream.
pub(super) fn respond(endpoint: &Endpoint, listening: Listening, id: RequestId) -> Response {
    let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let acknowledgement = sse::event(&listening.acknowledgement(&id));
    let end = StreamEnd::new(endpoint, listening.principal());
    let open = Open { listening, id, end, keep_alive };
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
    end: StreamEnd,
    keep_alive: Interval,
}

impl Open {
    /// The next event or comment; `None` when the stream has to end.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            biased;
            () = self.end.come() => None,
            message = self.listening.next(&self.id) => {
                self.keep_alive.reset();
                Some(sse::event(&message))
            }
            _ = self.keep_alive.tick() => Some(sse::KEEP_ALIVE),
        }
    }
}
