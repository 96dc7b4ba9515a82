//! What is counted, for Prometheus: names and units after its conventions (seconds, bytes, `_total`), label values from
//! bounded sets. What lies on the path of a request is counted with handles that were looked up before.

mod auth;
mod process;
mod requests;
mod state;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use self::auth::AuthFailures;
use self::process::ProcessCollector;
pub use self::requests::{OutcomeKind, RequestKind, Requests};
pub use self::state::StateOperations;

/// The media type of what [`Metrics::encode`] writes (OpenMetrics 1.0).
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const PREFIX: &str = "pressmark";

/// All counts of one server. Every name begins with `pressmark_`, but those of the process, which Prometheus names.
pub struct Metrics {
    // A `std::sync::Mutex`: held while counts are written out, and never by a request.
    registry: Mutex<Registry>,
}

/// Labels with their values, and a function that reads the number that they belong to. A number that stands alone has none.
pub type Reading = (&'static [(&'static str, &'static str)], Box<dyn Fn() -> u64 + Send + Sync>);

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counts of this process and this version.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(ProcessCollector::default()));
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("pressmark_build", "The version that runs", build);
        Self { registry: Mutex::new(registry) }
    }

    /// The requests of a server with tools of these names.
    #[must_use]
    pub fn requests(&self, tools: impl IntoIterator<Item = &'static str>) -> Requests {
        self.with(|registry| Requests::register(registry.sub_registry_with_prefix(PREFIX), tools))
    }

    /// Callers who were not let in.
    #[must_use]
    pub fn auth_failures(&self) -> AuthFailures {
        self.with(|registry| AuthFailures::register(registry.sub_registry_with_prefix(PREFIX)))
    }

    /// The operations on shared state.
    #[must_use]
    pub fn state_operations(&self) -> StateOperations {
        self.with(|registry| StateOperations::register(registry.sub_registry_with_prefix(PREFIX)))
    }

    /// Numbers that only grow and that somebody else counts; they are read when all are written out. `_total` is added to
    /// the name.
    pub fn watch_counters(&self, name: &'static str, help: &'static str, readings: Vec<Reading>) {
        self.watch(Watched { name, help, kind: MetricType::Counter, readings });
    }

    /// Numbers of this moment that somebody else keeps; they are read when all are written out.
    pub fn watch_gauges(&self, name: &'static str, help: &'static str, readings: Vec<Reading>) {
        self.watch(Watched { name, help, kind: MetricType::Gauge, readings });
    }

    fn watch(&self, watched: Watched) {
        self.with(|registry| registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(watched)));
    }

    /// All counts as text, see [`MEDIA_TYPE`].
    ///
    /// # Errors
    /// When a metric cannot be written: a mistake of the program.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        self.with(|registry| encode(&mut text, registry))?;
        Ok(text)
    }

    fn with<T>(&self, use_registry: impl FnOnce(&mut Registry) -> T) -> T {
        use_registry(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

struct Watched {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    readings: Vec<Reading>,
}

impl Collector for Watched {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(self.name, self.help, None::<&Unit>, self.kind)?;
        if let [([], read)] = self.readings.as_slice() {
            return self.write(read(), metric);
        }
        for (labels, read) in &self.readings {
            let labels: Vec<_> = labels.to_vec();
            self.write(read(), metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Watched {
    fn write(&self, value: u64, encoder: MetricEncoder<'_>) -> fmt::Result {
        match self.kind {
            MetricType::Counter => ConstCounter::new(value).encode(encoder),
            _ => ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(encoder),
        }
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A family with a label that is a name from a bounded set.
type ByName<M> = Family<[(&'static str, &'static str); 1], M>;
