//! The key set of an issuer, kept current.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

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

    /// Asks the issuer again, for a token that names an unknown key. Tells whether what is known afterwards is what the
    /// issuer says. A file is looked at every few seconds anyway.
    pub(super) async fn refresh(&self) -> bool {
        match self {
            Self::File(_) => true,
            Self::Remote(remote) => remote.refresh_for_unknown_key().await,
        }
    }

    /// How the keys were fetched so far; `None` for a file.
    pub(super) fn fetches(&self) -> Option<KeySetFetches> {
        match self {
            Self::File(_) => None,
            Self::Remote(remote) => Some(remote.shared.fetches.read()),
        }
    }
}

/// How the keys of an authorization server were fetched so far.
#[derive(Clone, Copy, Debug)]
pub struct KeySetFetches {
    /// How often they came.
    pub done: u64,
    /// How often they did not.
    pub failed: u64,
    /// When they came last, in seconds of Unix time; 0 before.
    pub last: u64,
}

#[derive(Default)]
struct FetchCounts {
    done: AtomicU64,
    failed: AtomicU64,
    last: AtomicU64,
}

impl FetchCounts {
    fn read(&self) -> KeySetFetches {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        KeySetFetches { done: read(&self.done), failed: read(&self.failed), last: read(&self.last) }
    }

    fn add(&self, done: bool) {
        if done {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.last.store(now.as_secs(), Ordering::Relaxed);
        }
        if done { &self.done } else { &self.failed }.fetch_add(1, Ordering::Relaxed);
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
    /// Held while fetching, so that one fetch serves all who wait. Inside: the last fetch for an unknown key.
    fetching: Arc<Mutex<Option<LastFetch>>>,
    fetches: FetchCounts,
}

struct LastFetch {
    began: Instant,
    /// Has the issuer given its keys, then or later?
    succeeded: bool,
}

impl RemoteKeys {
    /// Fetches the keys now and again and again, for as long as this value lives. When the first fetch fails, the keys
    /// are missing until a later one succeeds.
    pub(super) async fn start(fetcher: KeyFetcher, policy: RefreshPolicy) -> Self {
        let (current, fetching, fetches) = (watch::Sender::new(None), Arc::default(), FetchCounts::default());
        let shared = Arc::new(Shared { fetcher, policy, current, fetching, fetches });
        let first = shared.fetch().await;
        tokio::spawn(keep_fetching(Arc::downgrade(&shared), policy, first));
        Self { shared }
    }

    async fn refresh_for_unknown_key(&self) -> bool {
        let policy = self.shared.policy;
        let refresh = async {
            let mut last = Arc::clone(&self.shared.fetching).lock_owned().await;
            if let Some(last) = &*last
                && last.began.elapsed() < policy.unknown_key
            {
                return last.succeeded;
            }
            let began = Instant::now();
            *last = Some(LastFetch { began, succeeded: false });
            let shared = Arc::clone(&self.shared);
            // In a task of its own: a caller who hangs up must not break off the fetch that others wait for.
            let fetch = tokio::spawn(async move {
                let succeeded = shared.fetch_locked().await;
                *last = Some(LastFetch { began, succeeded });
                succeeded
            });
            fetch.await.unwrap_or(false)
        };
        // Metadata and keys are two answers.
        timeout(policy.fetch_timeout * 2, refresh).await.unwrap_or(false)
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
        let mut last = self.fetching.lock().await;
        let succeeded = self.fetch_locked().await;
        if let Some(last) = &mut *last {
            last.succeeded |= succeeded;
        }
        succeeded
    }

    /// Fetches the keys; the caller holds `fetching`.
    async fn fetch_locked(&self) -> bool {
        let fetched = self.fetcher.fetch().await;
        self.fetches.add(fetched.is_ok());
        match fetched {
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
