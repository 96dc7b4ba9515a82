//! How often each caller may call (2026-07-28, "Security" of server/tools and server/utilities/completion: servers limit rates).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use quick_cache::sync::Cache;

use crate::auth::Principal;

/// What was not used for so long can be used at once.
const ALLOWANCE: Duration = Duration::from_secs(2);
/// Callers that are remembered; who is forgotten begins with a full allowance.
const MAX_CALLERS: usize = 10_000;

/// The rates of all callers of this replica: the generic cell rate algorithm (ITU-T I.371), one number for each.
pub(super) struct CallRates {
    /// Between two calls, in nanoseconds.
    interval: u64,
    begun: Instant,
    /// When the next call of a caller who never rested would be due, in nanoseconds since `begun`.
    due: Cache<String, Arc<AtomicU64>>,
}

impl CallRates {
    /// So many calls a second for each caller.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { interval: 1_000_000_000 / u64::from(per_second.get()), begun: Instant::now(), due: Cache::new(MAX_CALLERS) }
    }

    /// Counts a call of this caller's.
    ///
    /// # Errors
    /// How long to wait; the call is not counted.
    pub(super) fn count(&self, principal: &Principal) -> Result<(), Duration> {
        let now = nanoseconds(self.begun.elapsed());
        let known = self.due.get_or_insert_with(&principal.owner(), || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(caller) = known;
        let latest = (now + nanoseconds(ALLOWANCE)).saturating_sub(self.interval);
        let counted = caller.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |due| {
            let due = due.max(now);
            (due <= latest).then_some(due + self.interval)
        });
        counted.map(drop).map_err(|due| Duration::from_nanos(due - latest))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2)
}
