//! How long calls wait for their turn.

use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::ByName;

/// In seconds: most wait not at all, and after 20 s the deadline of a search is near.
const BUCKETS: [f64; 9] = [0.000_1, 0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 20.0];

/// The waits for places in all lanes.
#[derive(Debug)]
pub struct LaneWaits(ByName<Histogram>);

/// Times waits for a place in one lane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct LaneWait(Histogram);

impl LaneWaits {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let waits = ByName::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        registry.register_with_unit("lane_wait", "How long calls waited for a place in a lane", Unit::Seconds, waits.clone());
        Self(waits)
    }

    /// Those of the lane of this name.
    #[must_use]
    pub fn of(&self, lane: &'static str) -> LaneWait {
        LaneWait(self.0.get_or_create_owned(&[("lane", lane)]))
    }
}

impl LaneWait {
    /// Counts a call that got its place after so long.
    pub fn record(&self, waited: Duration) {
        self.0.observe(waited.as_secs_f64());
    }
}
