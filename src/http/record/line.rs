//! The log line of a request.

use std::time::Duration;

use http::{Request, StatusCode};

use super::Outcome;
use super::summary::{Summary, cut};
use crate::http::client_address::ClientAddress;

/// What is logged of a request's head.
pub(super) struct Line {
    http_method: Box<str>,
    path: Box<str>,
    client: Option<ClientAddress>,
}

/// Are requests logged?
pub(super) fn is_logged() -> bool {
    tracing::enabled!(target: "pressmark::request", tracing::Level::INFO)
}

/// `tracing` wants the level of an event at compile time.
macro_rules! write_line {
    ($level:ident, $line:expr, $summary:expr, $status:expr, $outcome:expr, $duration:expr, $bytes:expr) => {{
        let (line, summary, outcome): (&Line, Option<&Summary>, Outcome) = ($line, $summary, $outcome);
        let message = summary.and_then(|summary| summary.message.as_ref());
        let span = message.and_then(|message| Some(message.place.as_ref()?.ids()));
        tracing::event!(
            target: "pressmark::request",
            tracing::Level::$level,
            http_method = &*line.http_method,
            path = &*line.path,
            client = line.client.map(tracing::field::display),
            status = $status,
            outcome = outcome.kind.as_str(),
            error = outcome.error,
            method = message.map(|message| message.method),
            tool = message.and_then(|message| message.tool.as_deref()),
            prompt = message.and_then(|message| message.prompt.as_deref()),
            uri = message.and_then(|message| message.uri.as_deref()),
            version = message.map(|message| message.version),
            principal = summary.map(|summary| summary.principal.subject.as_str()),
            issuer = summary.map(|summary| summary.principal.issuer.as_str()),
            trace_id = span.map(|span| tracing::field::display(span.trace_id())),
            span_id = span.map(|span| tracing::field::display(span.span_id())),
            duration_us = u64::try_from($duration.as_micros()).unwrap_or(u64::MAX),
            bytes = $bytes,
            "request"
        )
    }};
}

impl Line {
    /// The line of this request, which comes from there.
    pub(super) fn of<B>(request: &Request<B>, client: Option<ClientAddress>) -> Self {
        Self { http_method: cut(request.method().as_str()), path: cut(request.uri().path()), client }
    }

    /// Writes the line of a request that had this answer; `None`: the client went away before there was one.
    pub(super) fn write(
        &self,
        summary: Option<&Summary>,
        status: Option<StatusCode>,
        outcome: Outcome,
        duration: Duration,
        bytes: u64,
    ) {
        // 499, as Nginx logs it: the client closed the connection before there was an answer.
        let status = status.map_or(499, |status| status.as_u16());
        if status >= 500 || outcome.is_serious() {
            write_line!(WARN, self, summary, status, outcome, duration, bytes);
        } else if self.is_probe() && status == 200 {
            write_line!(DEBUG, self, summary, status, outcome, duration, bytes);
        } else {
            write_line!(INFO, self, summary, status, outcome, duration, bytes);
        }
    }

    fn is_probe(&self) -> bool {
        matches!(&*self.path, "/healthz" | "/readyz")
    }
}
