//! Telling open streams that the server stops: they end by themselves, so that clients go on elsewhere.

use std::time::Duration;

use tokio::sync::watch;

/// How long a connection that says nothing is kept after the end has begun. A balancer may be sending a request on it at this
/// very moment, which would fail if it were closed; in this time it is answered, and told that it was the last.
const LINGER: Duration = Duration::from_secs(1);

/// The end of the server, seen from a stream.
#[derive(Clone, Debug)]
pub struct Shutdown(watch::Receiver<bool>);

/// Begins the end of the server.
#[derive(Debug)]
pub struct ShutdownTrigger(watch::Sender<bool>);

impl Shutdown {
    /// A server that runs, and what stops it.
    #[must_use]
    pub fn new() -> (ShutdownTrigger, Self) {
        let (sender, receiver) = watch::channel(false);
        (ShutdownTrigger(sender), Self(receiver))
    }

    /// Has the end begun?
    pub(super) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the server stops, and then for as long as connections without a request are kept.
    pub(super) async fn lingered(&mut self) {
        self.begun().await;
        tokio::time::sleep(LINGER).await;
    }

    /// Waits until the server stops.
    pub async fn begun(&mut self) {
        // A trigger that is gone without having been used cannot be waited for: the server is gone as well.
        let _ = self.0.wait_for(|stopping| *stopping).await;
    }
}

impl ShutdownTrigger {
    /// Tells all streams to end.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}
