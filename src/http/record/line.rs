//! The log line of a request.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, StatusCode};

use super::Outcome;
use crate::auth::Principal;
use crate::http::client_address::ClientAddress;
use crate::http::endpoint::names;
use crate::http::read_message::Call;
use crate::mcp::{Method, Reference};

/// What the endpoint knows of a request and the log tells; travels with the response.
#[derive(Clone, Debug)]
pub(in crate::http) struct Summary {
    principal: Arc<Principal>,
    method: Option<&'static str>,
    tool: Option<Box<str>>,
    prompt: Option<Box<str>>,
    version: Option<&'static str>,
    traceparent: Option<Box<str>>,
}

impl Summary {
    /// Of a request whose message has not been read yet; `None` when requests are not logged.
    pub(in crate::http) fn of(principal: &Arc<Principal>) -> Option<Self> {
        let principal = is_logged().then(|| Arc::clone(principal))?;
        Some(Self { principal, method: None, tool: None, prompt: None, version: None, traceparent: None })
    }

    /// Adds what the message says. Names come from outside: they are cut to a length that a log can bear.
    pub(in crate::http) fn note(&mut self, call: &Call) {
        let (method, tool) = names(call);
        self.method = Some(method);
        self.tool = tool.map(cut);
        if let Method::GetPrompt(prompt) | Method::Complete(Reference::Prompt(prompt), _) = &call.method {
            self.prompt = Some(cut(&prompt.name));
        }
        self.version = Some(call.version.as_str());
        self.traceparent = call.traceparent.as_deref().map(cut);
    }
}

fn cut(text: &str) -> Box<str> {
    text.chars().take(100).collect()
}

/// Are requests logged?
pub(super) fn is_logged() -> bool {
    tracing::enabled!(target: "pressmark::request", tracing::Level::INFO)
}

pub(super) struct Line {
    http_method: Box<str>,
    path: Box<str>,
    client: Option<ClientAddress>,
    pub(super) summary: Option<Summary>,
}

/// `tracing` wants the level of an event at compile time.
macro_rules! write_line {
    ($level:ident, $line:expr, $status:expr, $outcome:expr, $duration:expr, $bytes:expr) => {{
        let (line, summary, outcome): (&Line, _, Outcome) = ($line, $line.summary.as_ref(), $outcome);
        tracing::event!(
            target: "pressmark::request",
            tracing::Level::$level,
            http_method = &*line.http_method,
            path = &*line.path,
            client = line.client.map(tracing::field::display),
            status = $status,
            outcome = outcome.kind.as_str(),
            error = outcome.error,
            method = summary.and_then(|summary| summary.method),
            tool = summary.and_then(|summary| summary.tool.as_deref()),
            prompt = summary.and_then(|summary| summary.prompt.as_deref()),
            version = summary.and_then(|summary| summary.version),
            principal = summary.map(|summary| summary.principal.subject.as_str()),
            issuer = summary.map(|summary| summary.principal.issuer.as_str()),
            traceparent = summary.and_then(|summary| summary.traceparent.as_deref()),
            duration_us = u64::try_from($duration.as_micros()).unwrap_or(u64::MAX),
            bytes = $bytes,
            "request"
        )
    }};
}

impl Line {
    /// The line of this request; `None` when requests are not logged, and then `client` is not asked for.
    pub(super) fn of<B>(request: &Request<B>, client: impl FnOnce() -> Option<ClientAddress>) -> Option<Self> {
        is_logged().then(|| {
            let (http_method, path) = (cut(request.method().as_str()), cut(request.uri().path()));
            Self { http_method, path, client: client(), summary: None }
        })
    }

    /// Writes the line of a request that had this answer; `None`: the client went away before there was one.
    pub(super) fn write(&self, status: Option<StatusCode>, outcome: Outcome, duration: Duration, bytes: u64) {
        // 499, as Nginx logs it: the client closed the connection before there was an answer.
        let status = status.map_or(499, |status| status.as_u16());
        if status >= 500 || outcome.is_serious() {
            write_line!(WARN, self, status, outcome, duration, bytes);
        } else if self.is_probe() && status == 200 {
            write_line!(DEBUG, self, status, outcome, duration, bytes);
        } else {
            write_line!(INFO, self, status, outcome, duration, bytes);
        }
    }

    fn is_probe(&self) -> bool {
        matches!(&*self.path, "/healthz" | "/readyz")
    }
}
