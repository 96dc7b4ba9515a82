//! The key set of an issuer, kept current.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout};

use super::RefreshPolicy;
use super::jwt::KeySet;
use super::key_fetcher::{FetchError, KeyFetcher};
use crate::watched_files::WatchedFiles;

/// The longest pause between two attempts while the issuer cannot be reached.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Where the current keys come from.
pub(super) enum Jwks {
    File(WatchedFiles<KeySet>),
    Remote(RemoteKeys),
}

impl Jwks {
    /// The keys as they are known now; `None` while none were ever loaded.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        match self {
            Self::File(file) => Some(file.current()),
            Self::Remote(remote) => remote.shared.current(),
        }
    }

    /// The keys after asking the issuer again, for a token that names an unknown key. A file is looked at every few
    /// seconds anyway.
    pub(super) async fn refreshed(&self) -> Option<Arc<KeySet>> {
        if let Self::Remote(remote) = self {
            remote.refresh_for_unknown_key().await;
        }
        self.current()
    }
}

/// Keys fetched over HTTP. The last good set stays in force while the issuer cannot be reached.
pub(super) struct RemoteKeys {
    shared: Arc<Shared>,
}

struct Shared {
    fetcher: KeyFetcher,
    policy: RefreshPolicy,
    current: watch::Sender<Option<Arc<KeySet>>>,
    /// Held while fetching, so that one fetch serves all who wait. Inside: when a fetch for an unknown key began last.
    fetching: Arc<Mutex<Option<Instant>>>,
}

impl RemoteKeys {
    /// Fetches the keys now and again and again, for as long as this value lives. When the first fetch fails, the keys
    /// are missing until a later one succeeds.
    pub(super) async fn start(fetcher: KeyFetcher, policy: RefreshPolicy) -> Self {
        let shared = Arc::new(Shared { fetcher, policy, current: watch::Sender::new(None), fetching: Arc::default() });
        let first = shared.fetch().await;
        tokio::spawn(keep_fetching(Arc::downgrade(&shared), policy, first));
        Self { shared }
    }

    async fn refresh_for_unknown_key(&self) {
        let policy = self.shared.policy;
        let refresh = async {
            let mut last = Arc::clone(&self.shared.fetching).lock_owned().await;
            if last.is_some_and(|last| last.elapsed() < policy.unknown_key) {
                return;
            }
            *last = Some(Instant::now());
            let shared = Arc::clone(&self.shared);
            // In a task of its own: a caller who hangs up must not break off the fetch that others wait for.
            let fetch = tokio::spawn(async move {
                let _fetching = last;
                shared.fetch_locked().await;
            });
            let _ = fetch.await;
        };
        // Metadata and keys are two answers.
        let _ = timeout(policy.fetch_timeout * 2, refresh).await;
    }
}

async fn keep_fetching(shared: Weak<Shared>, policy: RefreshPolicy, mut fetched: bool) {
    let mut retry = policy.retry;
    loop {
        if fetched {
            retry = policy.retry;
            // Replicas that were started together should not ask together.
            sleep(policy.key_set.mul_f64(0.9 + 0.2 * rand::random::<f64>())).await;
        } else {
            sleep(retry.min(policy.key_set)).await;
            retry = (retry * 2).min(MAX_RETRY);
        }
        let Some(shared) = shared.upgrade() else { return };
        fetched = shared.fetch().await;
    }
}

impl Shared {
    fn current(&self) -> Option<Arc<KeySet>> {
        self.current.borrow().clone()
    }

    async fn fetch(&self) -> bool {
        let _fetching = self.fetching.lock().await;
        self.fetch_locked().await
    }

    /// Fetches the keys; the caller holds `fetching`.
    async fn fetch_locked(&self) -> bool {
        match self.fetcher.fetch().await {
            Ok(keys) => {
                tracing::debug!(keys = keys.len(), "fetched the key set of the authorization server");
                let keys = match self.current() {
                    Some(before) => keys.succeed(&before),
                    None => keys,
                };
                self.current.send_replace(Some(Arc::new(keys)));
                true
            }
            Err(error) => {
                self.log_failure(&error);
                false
            }
        }
    }

    fn log_failure(&self, error: &FetchError) {
        match self.current() {
            Some(_) => tracing::warn!(%error, "cannot refresh the key set; the last good one stays in force"),
            None => tracing::error!(%error, "cannot load the key set; signed tokens are refused until it can be loaded"),
        }
    }
}
