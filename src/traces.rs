//! Traces: a span for each MCP request, sent to an OpenTelemetry collector by OTLP (HTTP, protobuf). A request hands its span
//! over when it is over; what happens to it then delays no request and fails none.

mod collector;
mod exporter;
mod queue;
mod remote;
mod settings;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, ShouldSample, SpanData, SpanEvents, SpanLinks};
use tokio::task::JoinHandle;

use self::queue::Queue;
pub use self::remote::{RemoteSpan, SpanIds};
pub use self::settings::{TraceSettings, TraceSettingsError, collector_url};

/// Where a request stands among the spans of its callers.
#[derive(Clone, Debug)]
pub struct Place {
    ids: SpanIds,
    parent: Option<RemoteSpan>,
    /// The span of the HTTP request, where the message names another one (semantic conventions for MCP, "Context
    /// propagation": the message's is the parent, the transport's is linked).
    link: Option<RemoteSpan>,
}

impl Place {
    /// Of a request that gets no span: that of its caller, as its message names it, or else the headers. `None` without.
    #[must_use]
    pub fn of_caller(message: Option<RemoteSpan>, http: Option<RemoteSpan>) -> Option<Self> {
        let parent = message.or(http)?;
        Some(Self { ids: parent.ids, parent: Some(parent), link: None })
    }

    /// The span that stands for the request in logs.
    #[must_use]
    pub fn ids(&self) -> SpanIds {
        self.ids
    }
}

/// What is told of a request that is over.
#[derive(Debug)]
pub struct RequestSpan {
    /// The method and, where it is one of few, the name of what is called.
    pub name: Cow<'static, str>,
    /// When it began.
    pub begun: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// What else is told, under the names of the semantic conventions.
    pub attributes: Vec<(&'static str, Cow<'static, str>)>,
    /// Did it fail?
    pub is_error: bool,
}

/// Takes spans and has them exported. Cheap to clone.
#[derive(Clone)]
pub struct Traces(Arc<Inner>);

struct Inner {
    queue: Arc<Queue>,
    sampler: Box<dyn ShouldSample>,
    scope: InstrumentationScope,
    // A `std::sync::Mutex`: held to take the task out, at the end.
    exporting: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Begins to export on this runtime.
    ///
    /// # Errors
    /// [`TraceSettingsError`] when the settings cannot be used.
    pub fn start(settings: &TraceSettings) -> Result<Self, TraceSettingsError> {
        let queue = Arc::new(Queue::default());
        let exporting = exporter::spawn(settings, Arc::clone(&queue))?;
        let scope = InstrumentationScope::builder("pressmark").with_version(env!("CARGO_PKG_VERSION")).build();
        let exporting = Mutex::new(Some(exporting));
        Ok(Self(Arc::new(Inner { queue, sampler: settings.sampler(), scope, exporting })))
    }

    /// The place of a request that gets a span: a child of the span that its message names, or else of the one in the
    /// headers; without either, a trace of its own.
    #[must_use]
    pub fn place(&self, message: Option<RemoteSpan>, http: Option<RemoteSpan>) -> Place {
        let (parent, link) = match (message, http) {
            (Some(message), http) => (Some(message), http),
            (None, http) => (http, None),
        };
        let link = link.filter(|link| parent.as_ref().is_none_or(|parent| parent.ids != link.ids));
        let trace = parent.as_ref().map_or_else(|| rand::random_range(1..=u128::MAX), |parent| parent.ids.trace);
        // Zero stands for none (W3C Trace Context, "trace-id" and "parent-id").
        Place { ids: SpanIds { trace, span: rand::random_range(1..=u64::MAX) }, parent, link }
    }

    /// Hands over the span of a request, if its trace is one that is kept.
    pub fn record(&self, place: &Place, span: RequestSpan) {
        let RequestSpan { name, begun, duration, attributes, is_error } = span;
        let parent = place.parent.as_ref().map(RemoteSpan::context);
        let trace_id = TraceId::from(place.ids.trace);
        let around = parent.clone().map(|parent| Context::new().with_remote_span_context(parent));
        let sampled = self.0.sampler.should_sample(around.as_ref(), trace_id, &name, &SpanKind::Server, &[], &[]);
        if sampled.decision != SamplingDecision::RecordAndSample {
            return;
        }
        let span_id = SpanId::from(place.ids.span);
        let mut links = SpanLinks::default();
        links.links.extend(place.link.as_ref().map(|link| Link::with_context(link.context())));
        self.0.queue.push(SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, sampled.trace_state),
            parent_span_id: parent.map_or(SpanId::INVALID, |parent| parent.span_id()),
            parent_span_is_remote: place.parent.is_some(),
            span_kind: SpanKind::Server,
            name,
            start_time: begun,
            end_time: begun + duration,
            attributes: attributes.into_iter().map(|(name, value)| KeyValue::new(name, value)).collect(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            // Without a description: what an error says may quote what the caller sent.
            status: if is_error { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.0.scope.clone(),
        });
    }

    /// Spans that the collector has taken.
    #[must_use]
    pub fn exported(&self) -> u64 {
        self.0.queue.exported()
    }

    /// Spans that were given up: the collector did not take them, or there were too many at once.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.0.queue.dropped()
    }

    /// Sends what is left, for as long as `patience`.
    pub async fn finish(&self, patience: Duration) {
        let exporting = self.0.exporting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(exporting) = exporting else { return };
        self.0.queue.close();
        if tokio::time::timeout(patience, exporting).await.is_err() {
            tracing::warn!("the last spans could not be sent in time");
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traces")
    }
}

impl RemoteSpan {
    fn context(&self) -> SpanContext {
        let flags = if self.is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
        // A malformed state is dropped, and the parent stays (W3C Trace Context, "tracestate Header").
        let state: TraceState = self.state.as_deref().and_then(|state| state.parse().ok()).unwrap_or_default();
        SpanContext::new(TraceId::from(self.ids.trace), SpanId::from(self.ids.span), flags, true, state)
    }
}
