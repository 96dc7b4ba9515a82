//! Operations on shared state.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::ByName;

/// In seconds: Redis beside the server answers in a tenth of a millisecond, and after 2.5 s nobody waits any more.
const BUCKETS: [f64; 10] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25, 1.0, 2.5];

/// Counts round trips to the shared state. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StateOperations {
    duration: Histogram,
    done: Counter,
    failed: Counter,
}

impl StateOperations {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let duration = Histogram::new(BUCKETS);
        registry.register_with_unit(
            "state_operation_duration",
            "How long an operation on shared state took, with everything that it waited for",
            Unit::Seconds,
            duration.clone(),
        );
        let outcomes = ByName::<Counter>::default();
        registry.register("state_operations", "Operations on shared state, round trips to Redis, by outcome", outcomes.clone());
        let counter = |outcome| outcomes.get_or_create_owned(&[("outcome", outcome)]);
        Self { duration, done: counter("ok"), failed: counter("error") }
    }

    /// Counts one that took so long and ended well, or not.
    pub fn record(&self, duration: Duration, ok: bool) {
        self.duration.observe(duration.as_secs_f64());
        if ok { &self.done } else { &self.failed }.inc();
    }
}
