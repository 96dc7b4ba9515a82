//! How long a caller stays who it was found to be.

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::sleep;

/// How often the wall clock is asked: it may be set, and it goes on while the machine sleeps.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// How long credentials hold good: until they expire, or until the key that vouches for them is withdrawn. By default for
/// ever. A request is checked when it comes; what stays open afterwards has to ask this.
#[derive(Clone, Debug, Default)]
pub struct Validity {
    expires: Option<SystemTime>,
    /// Closed when the key is withdrawn.
    in_force: Option<watch::Receiver<()>>,
}

impl Validity {
    /// Until `expires`, and no longer than the key is in force.
    pub(super) fn new(expires: Option<SystemTime>, key: &InForce) -> Self {
        Self { expires, in_force: Some(key.0.subscribe()) }
    }

    /// When the credentials expire, if they do.
    #[must_use]
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires
    }

    /// Are the credentials still good?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.left() != Some(Duration::ZERO) && self.in_force.as_ref().is_none_or(|key| key.has_changed().is_ok())
    }

    /// Waits until the credentials hold no longer.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.withdrawn() => {}
            () = self.expired() => {}
        }
    }

    async fn withdrawn(&self) {
        let Some(mut key) = self.in_force.clone() else { return pending().await };
        while key.changed().await.is_ok() {}
    }

    async fn expired(&self) {
        loop {
            match self.left() {
                None => pending().await,
                Some(Duration::ZERO) => return,
                Some(left) => sleep(left.min(LOOK_EVERY)).await,
            }
        }
    }

    fn left(&self) -> Option<Duration> {
        self.expires.map(|expires| expires.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// Keeps a key in force as long as a clone of it lives: a set of keys that takes the place of another takes those over
/// that it has as well, and the others are withdrawn with the set that held them.
#[derive(Clone, Debug)]
pub(super) struct InForce(Arc<watch::Sender<()>>);

impl InForce {
    /// For a key that nobody knew before.
    pub(super) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(())))
    }
}
