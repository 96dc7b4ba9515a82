//! Requests: how many, how they ended, how long they took.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// In seconds: a cheap call takes a tenth of a millisecond, a search may take 20 s, a stream is open for hours.
const BUCKETS: [f64; 14] = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 60.0];

/// What a request can be, where it is no call of a tool. Those that are refused unread, and what is not for the endpoint,
/// have no method.
const METHODS: [&str; 23] = [
    "",
    "server/discover",
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/templates/list",
    "resources/read",
    "completion/complete",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "subscriptions/listen",
    "resources/subscribe",
    "resources/unsubscribe",
    "logging/setLevel",
    "notification",
    "batch",
    "stream",
    "authz",
];

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutcomeKind {
    /// With its answer.
    Ok,
    /// With a failure that the model can repair.
    ToolError,
    /// With a JSON-RPC error.
    RpcError,
    /// Before it was looked at in earnest: who asks, or how, is not right.
    Refused,
    /// With questions.
    InputRequired,
    /// The client went away before the end.
    Closed,
}

impl OutcomeKind {
    const ALL: [Self; 6] = [Self::Ok, Self::ToolError, Self::RpcError, Self::Refused, Self::InputRequired, Self::Closed];

    /// Its name in logs and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ToolError => "tool_error",
            Self::RpcError => "rpc_error",
            Self::Refused => "refused",
            Self::InputRequired => "input_required",
            Self::Closed => "closed",
        }
    }
}

/// What is asked: a method, or a tool. An index into [`Requests`]; the default is a request that nobody has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RequestKind(u16);

/// Counts requests.
#[derive(Debug)]
pub struct Requests {
    /// The methods, then the tools.
    kinds: Vec<Kind>,
    families: Families,
    in_flight: Gauge,
    connections: Gauge,
    refused_connections: Counter,
    received: Counter,
    sent: Counter,
}

#[derive(Debug)]
struct Kind {
    method: &'static str,
    tool: &'static str,
    /// Made with the first request of the kind: what nobody asks makes no time series.
    counts: OnceLock<Counts>,
}

#[derive(Debug)]
struct Counts {
    duration: Histogram,
    outcomes: [Counter; OutcomeKind::ALL.len()],
}

type Labels<const N: usize> = [(&'static str, &'static str); N];

#[derive(Debug)]
struct Families {
    outcomes: Family<Labels<3>, Counter>,
    durations: Family<Labels<2>, Histogram, fn() -> Histogram>,
    errors: Family<Labels<2>, Counter>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry, tools: impl IntoIterator<Item = &'static str>) -> Self {
        let durations = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let families = Families { outcomes: Family::default(), durations, errors: Family::default() };
        let (in_flight, connections) = (Gauge::default(), Gauge::default());
        let (refused_connections, received, sent) = (Counter::default(), Counter::default(), Counter::default());
        registry.register("requests", "Requests by method, tool and outcome", families.outcomes.clone());
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to its answer, or to the end of the stream that answers it",
            Unit::Seconds,
            families.durations.clone(),
        );
        registry.register("request_errors", "Requests that did not end well, by outcome and error", families.errors.clone());
        registry.register("requests_in_flight", "Requests that are being answered, open streams among them", in_flight.clone());
        registry.register("connections", "Open connections of clients", connections.clone());
        let help = "Connections that were one too many (--max-connections)";
        registry.register("connections_refused", help, refused_connections.clone());
        registry.register_with_unit("received", "Bodies of requests", Unit::Bytes, received.clone());
        registry.register_with_unit("sent", "Bodies of answers", Unit::Bytes, sent.clone());
        let kind = |method, tool| Kind { method, tool, counts: OnceLock::new() };
        let tools = tools.into_iter().map(|tool| kind("tools/call", tool));
        let kinds = METHODS.into_iter().map(|method| kind(method, "")).chain(tools).collect();
        Self { kinds, families, in_flight, connections, refused_connections, received, sent }
    }

    /// What this method, or this tool, is counted as. Names come from outside: what is not known has no kind of its own.
    #[must_use]
    pub fn kind(&self, method: &'static str, tool: Option<&str>) -> RequestKind {
        let found = match tool {
            Some(tool) => self.kinds.iter().skip(METHODS.len()).position(|kind| kind.tool == tool).map(|at| at + METHODS.len()),
            None => None,
        };
        let found = found.or_else(|| METHODS.iter().position(|name| *name == method));
        RequestKind(found.and_then(|at| u16::try_from(at).ok()).unwrap_or_default())
    }

    /// The name of the tool that is counted as this kind.
    #[must_use]
    pub fn tool(&self, kind: RequestKind) -> Option<&'static str> {
        self.kinds.get(usize::from(kind.0)).map(|kind| kind.tool).filter(|tool| !tool.is_empty())
    }

    /// A connection that is open until the guard is dropped.
    #[must_use]
    pub fn connect(self: &Arc<Self>) -> OpenConnection {
        self.connections.inc();
        OpenConnection(Arc::clone(self))
    }

    /// A connection was one too many.
    pub fn refuse_connection(&self) {
        self.refused_connections.inc();
    }

    /// A request has come.
    pub fn begin(&self) {
        self.in_flight.inc();
    }

    /// The body of a request has so many bytes.
    pub fn receive(&self, bytes: usize) {
        self.received.inc_by(bytes as u64);
    }

    /// A request has ended, with `sent` bytes of body.
    pub fn end(&self, kind: RequestKind, outcome: OutcomeKind, error: Option<&'static str>, duration: Duration, sent: u64) {
        self.in_flight.dec();
        self.sent.inc_by(sent);
        if let Some(error) = error {
            self.families.errors.get_or_create(&[("outcome", outcome.as_str()), ("error", error)]).inc();
        }
        let Some(kind) = self.kinds.get(usize::from(kind.0)) else { return };
        let counts = kind.counts.get_or_init(|| self.families.counts(kind));
        counts.duration.observe(duration.as_secs_f64());
        counts.outcomes[outcome as usize].inc();
    }
}

/// An open connection.
#[derive(Debug)]
pub struct OpenConnection(Arc<Requests>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

impl Families {
    fn counts(&self, kind: &Kind) -> Counts {
        let labels = [("method", kind.method), ("tool", kind.tool)];
        let outcome =
            |outcome: OutcomeKind| self.outcomes.get_or_create_owned(&[labels[0], labels[1], ("outcome", outcome.as_str())]);
        Counts { duration: self.durations.get_or_create_owned(&labels), outcomes: OutcomeKind::ALL.map(outcome) }
    }
}
