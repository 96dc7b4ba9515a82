//! Callers who were not let in.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::ByName;

/// Counts requests without good credentials. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AuthFailures(ByName<Counter>);

impl AuthFailures {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let failures = ByName::default();
        registry.register("auth_failures", "Requests without good credentials, by reason", failures.clone());
        Self(failures)
    }

    /// Counts one that was refused for this reason, a name from a bounded set.
    pub fn record(&self, reason: &'static str) {
        self.0.get_or_create(&[("reason", reason)]).inc();
    }
}
