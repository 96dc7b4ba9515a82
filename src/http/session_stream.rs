//! The streams of a session as server-sent events.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;

use super::endpoint::Endpoint;
use super::record::{self, Outcome};
use super::sse;
use super::stream_end::StreamEnd;
use crate::auth::Principal;
use crate::mcp::legacy::{CallStream, EventName, GetStream, Sent};

/// How long a client waits before it comes back to a stream that broke off.
const RETRY: Duration = Duration::from_secs(1);

/// A stream of a session.
pub(super) enum SessionStream {
    /// A call's.
    Call(Box<CallStream>),
    /// What belongs to no call.
    Get(Box<GetStream>),
}

/// Answers with the stream. The first event primes the client to come back, where the revision has that.
pub(super) fn respond(endpoint: &Endpoint, principal: &Arc<Principal>, stream: SessionStream) -> Response {
    let polls = stream.polls();
    let open = Open {
        first: polls.then(|| sse::empty(&stream.position(), RETRY)),
        stream,
        polls,
        end: StreamEnd::new(endpoint, principal),
    };
    sse::response(stream::unfold(Some(open), async |open| {
        let mut open = open?;
        if let Some(first) = open.first.take() {
            return Some((first, Some(open)));
        }
        let (event, goes_on) = open.next().await?;
        Some((event, goes_on.then_some(open)))
    }))
}

struct Open {
    first: Option<Bytes>,
    stream: SessionStream,
    polls: bool,
    end: StreamEnd,
}

impl Open {
    /// The next event, and whether there may be another; `None` at the end.
    async fn next(&mut self) -> Option<(Bytes, bool)> {
        tokio::select! {
            // What is to end is not kept open by having much to say.
            biased;
            () = self.end.come() => Some((self.close(), false)),
            sent = self.stream.next() => Some(match sent? {
                Sent::Message { id, message } => {
                    if let Some(outcome) = Outcome::of_message(&message) {
                        record::note(outcome);
                    }
                    (sse::event_named(&id, &message), true)
                }
                Sent::Close { id, retry } => (sse::empty(&id, retry), false),
                Sent::Idle => (sse::KEEP_ALIVE, true),
            }),
        }
    }

    /// The connection ends and the stream does not: the client comes back, to whichever replica.
    fn close(&self) -> Bytes {
        if self.polls { sse::empty(&self.stream.position(), RETRY) } else { sse::retry(RETRY) }
    }
}

impl SessionStream {
    async fn next(&mut self) -> Option<Sent> {
        match self {
            Self::Call(stream) => stream.next().await,
            Self::Get(stream) => stream.next().await,
        }
    }

    fn position(&self) -> EventName {
        match self {
            Self::Call(stream) => stream.position(),
            Self::Get(stream) => stream.position(),
        }
    }

    fn polls(&self) -> bool {
        match self {
            Self::Call(stream) => stream.session().version.polls_streams(),
            Self::Get(stream) => stream.session().version.polls_streams(),
        }
    }
}
