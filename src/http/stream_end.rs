//! When the server ends a stream that its client would hold on to: the one place that knows.

use std::future::pending;
use std::sync::Arc;

use futures_util::{Stream, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::endpoint::Endpoint;
use super::shutdown::Shutdown;
use crate::auth::Principal;

/// The end of one stream.
pub(super) struct StreamEnd {
    shutdown: Shutdown,
    /// When the connection is old enough; `None`: never.
    close_at: Option<Instant>,
    principal: Arc<Principal>,
}

impl StreamEnd {
    /// Of a stream that begins now and is this caller's.
    pub(super) fn new(endpoint: &Endpoint, principal: &Arc<Principal>) -> Self {
        // An age that no clock reaches is none.
        let close_at = endpoint.max_stream_age.and_then(|age| Instant::now().checked_add(age));
        Self { shutdown: endpoint.shutdown.clone(), close_at, principal: Arc::clone(principal) }
    }

    /// Waits until the stream has to end: the server stops, the connection has been held for long enough, or the caller's
    /// credentials hold no longer. Can be cancelled.
    pub(super) async fn come(&mut self) {
        let old = async {
            match self.close_at {
                Some(at) => sleep_until(at).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.begun() => {}
            () = old => {}
            () = self.principal.validity.ended() => {}
        }
    }
}

/// The events of one call, cut off where the caller's credentials hold no longer. As when a client goes away, that cancels
/// the call. When the server stops, calls that run are waited for.
pub(super) fn cut_off<S: Stream>(events: S, principal: Arc<Principal>) -> impl Stream<Item = S::Item> {
    events.take_until(async move { principal.validity.ended().await })
}
