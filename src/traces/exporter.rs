//! Sends the spans that wait to the collector, in batches, on a task of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::task::JoinHandle;

use super::collector::Collector;
use super::queue::Queue;
use super::{TraceSettings, TraceSettingsError};

/// Spans wait for others so long, unless there are enough for a batch.
const EVERY: Duration = Duration::from_secs(2);
/// A collector that is away is told of no more often.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Begins to export what comes into `queue`, until that is closed.
pub(super) fn spawn(settings: &TraceSettings, queue: Arc<Queue>) -> Result<JoinHandle<()>, TraceSettingsError> {
    let unusable = |problem: String| TraceSettingsError::Unusable { option: settings.option(), problem };
    let collector = Collector::new(settings.url(), settings.timeout()).map_err(unusable)?;
    // What the standard variables say beyond that (headers) is read by the builder.
    let mut exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
        .with_http_client(collector.clone())
        .with_endpoint(settings.url().as_str())
        .with_timeout(settings.timeout())
        .build()
        .map_err(|error| unusable(error.to_string()))?;
    exporter.set_resource(&settings.resource());
    let exporting = Exporting { exporter, collector, queue, complained: None, lost: 0 };
    Ok(tokio::spawn(exporting.run()))
}

struct Exporting {
    exporter: opentelemetry_otlp::SpanExporter,
    collector: Collector,
    queue: Arc<Queue>,
    complained: Option<Instant>,
    /// Spans that were given up since.
    lost: usize,
}

impl Exporting {
    async fn run(mut self) {
        loop {
            self.queue.arrived.notified().await;
            let _ = tokio::time::timeout(EVERY, self.queue.full.notified()).await;
            loop {
                let batch = self.queue.take();
                if batch.is_empty() {
                    break;
                }
                let spans = batch.len();
                match self.exporter.export(batch).await {
                    Ok(()) => self.queue.export_some(spans),
                    Err(error) => self.give_up(spans, &error.to_string()),
                }
            }
            if self.queue.is_closed() {
                return;
            }
        }
    }

    fn give_up(&mut self, spans: usize, error: &str) {
        self.queue.drop_some(spans);
        self.lost += spans;
        if self.complained.is_some_and(|complained| complained.elapsed() < COMPLAIN_EVERY) {
            return;
        }
        let problem = self.collector.take_problem().unwrap_or_else(|| error.to_owned());
        tracing::warn!(collector = self.collector.place(), problem, spans = self.lost, "the collector does not take spans");
        self.complained = Some(Instant::now());
        self.lost = 0;
    }
}
