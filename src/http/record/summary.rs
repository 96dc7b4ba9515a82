//! What the endpoint knows of a request, and the log and the traces tell.

use std::sync::Arc;
use std::time::Instant;

use http::Version;
use http::request::Parts;

use super::Outcome;
use super::span;
use crate::auth::Principal;
use crate::call::plain_uri;
use crate::http::client_address::ClientAddress;
use crate::http::endpoint::names;
use crate::http::read_message::Call;
use crate::http::session::SESSION_ID;
use crate::mcp::{Method, Reference};
use crate::traces::{Place, Traces};

/// Who asks, and, once that has been read, what.
#[derive(Debug)]
pub(in crate::http) struct Summary {
    pub(super) principal: Arc<Principal>,
    pub(super) message: Option<MessageSummary>,
}

/// What a message asks. Names come from outside: they are cut to a length that a log can bear.
#[derive(Debug)]
pub(in crate::http) struct MessageSummary {
    pub(super) method: &'static str,
    pub(super) tool: Option<Box<str>>,
    /// The tool's name, where there is such a tool.
    pub(super) known_tool: Option<&'static str>,
    pub(super) prompt: Option<Box<str>>,
    pub(super) uri: Option<Box<str>>,
    pub(super) version: &'static str,
    pub(super) session: Option<Box<str>>,
    pub(super) http_version: Version,
    pub(super) client: Option<ClientAddress>,
    /// The JSON-RPC request's id, as JSON text.
    pub(super) request: Box<str>,
    pub(super) place: Option<Place>,
}

impl Summary {
    /// Of a request from this caller.
    pub(in crate::http) fn new(principal: &Arc<Principal>, message: Option<MessageSummary>) -> Self {
        Self { principal: Arc::clone(principal), message }
    }
}

impl MessageSummary {
    /// Of this call, which came with this head from this client.
    pub(super) fn new(
        head: &Parts,
        client: Option<ClientAddress>,
        call: &Call,
        known_tool: Option<&'static str>,
        place: Option<Place>,
    ) -> Self {
        let (method, tool) = names(call);
        let prompt = match &call.method {
            Method::GetPrompt(prompt) | Method::Complete(Reference::Prompt(prompt), _) => Some(cut(&prompt.name)),
            _ => None,
        };
        let uri = match &call.method {
            Method::ReadResource(uri) | Method::Subscribe(uri) | Method::Unsubscribe(uri) => Some(plain_uri(uri)),
            _ => None,
        };
        let session = head.headers.get(SESSION_ID).filter(|_| !call.version.is_modern()).and_then(|id| id.to_str().ok());
        Self {
            method,
            tool: tool.map(cut),
            known_tool,
            prompt,
            uri,
            version: call.version.as_str(),
            session: session.map(cut),
            http_version: head.version,
            client,
            request: cut(call.id.as_json()),
            place,
        }
    }
}

/// One message of a batch: its span ends with its answer. When it is dropped before, it was cancelled.
pub(in crate::http) struct Part {
    traces: Traces,
    message: MessageSummary,
    begun: Instant,
    outcome: Outcome,
}

impl Part {
    /// A part that begins now; `None` when there are no traces.
    pub(in crate::http) fn begin(traces: Option<&Traces>, message: Option<MessageSummary>) -> Option<Self> {
        Some(Self { traces: traces?.clone(), message: message?, begun: Instant::now(), outcome: Outcome::CLOSED })
    }

    /// It has this answer.
    pub(in crate::http) fn end(mut self, outcome: Option<Outcome>) {
        self.outcome = outcome.unwrap_or(Outcome::OK);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        span::hand_over(&self.traces, &self.message, self.outcome, self.begun);
    }
}

pub(super) fn cut(text: &str) -> Box<str> {
    text.chars().take(100).collect()
}
