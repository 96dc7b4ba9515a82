//! Telling open streams that the server stops: they end by themselves, so that clients go on elsewhere.

use tokio::sync::watch;

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
