//! The span of a message: OpenTelemetry's semantic conventions for MCP.

use std::borrow::Cow;
use std::time::{Instant, SystemTime};

use http::Version;

use super::Outcome;
use super::summary::MessageSummary;
use crate::http::client_address::ClientAddress;
use crate::metrics::OutcomeKind;
use crate::traces::{RequestSpan, Traces};

/// Hands over the span of a message that came at `begun` and is over now.
pub(super) fn hand_over(traces: &Traces, message: &MessageSummary, outcome: Outcome, begun: Instant) {
    let Some(place) = &message.place else { return };
    let duration = begun.elapsed();
    let error = error_type(message, outcome);
    let span = RequestSpan {
        name: name(message, outcome),
        begun: SystemTime::now() - duration,
        duration,
        attributes: attributes(message, outcome, error.as_ref()),
        is_error: error.is_some(),
    };
    traces.record(place, span);
}

/// `tools/call read_file`. What callers make up is no part of a name, of which there must be few.
fn name(message: &MessageSummary, outcome: Outcome) -> Cow<'static, str> {
    let prompt = message.prompt.as_deref().filter(|_| matches!(outcome.kind, OutcomeKind::Ok | OutcomeKind::InputRequired));
    match message.known_tool.or(prompt) {
        Some(target) => format!("{} {target}", message.method).into(),
        None => message.method.into(),
    }
}

/// The code of a JSON-RPC error; `tool_error`; or how else it ended. A stream that its client closes has not failed.
fn error_type(message: &MessageSummary, outcome: Outcome) -> Option<Cow<'static, str>> {
    match (outcome.kind, outcome.code) {
        (_, Some(code)) => Some(code.to_string().into()),
        (OutcomeKind::Ok | OutcomeKind::InputRequired, None) => None,
        (OutcomeKind::Closed, None) if message.method == "subscriptions/listen" => None,
        (kind, None) => Some(kind.as_str().into()),
    }
}

fn attributes(
    message: &MessageSummary,
    outcome: Outcome,
    error: Option<&Cow<'static, str>>,
) -> Vec<(&'static str, Cow<'static, str>)> {
    let owned = |text: &str| Some(Cow::Owned(text.to_owned()));
    let client = message.client;
    let calls_tool = message.tool.is_some();
    let all: [(&'static str, Option<Cow<'static, str>>); 15] = [
        ("mcp.method.name", Some(message.method.into())),
        ("mcp.protocol.version", Some(message.version.into())),
        ("jsonrpc.request.id", Some(plain_id(&message.request).into())),
        ("gen_ai.operation.name", calls_tool.then_some("execute_tool".into())),
        ("gen_ai.tool.name", message.tool.as_deref().and_then(owned)),
        ("gen_ai.prompt.name", message.prompt.as_deref().and_then(owned)),
        ("mcp.resource.uri", message.uri.as_deref().and_then(owned)),
        ("mcp.session.id", message.session.as_deref().and_then(owned)),
        ("client.address", client.map(|client| client.to_string().into())),
        ("network.transport", Some(if client == Some(ClientAddress::Unix) { "unix" } else { "tcp" }.into())),
        ("network.protocol.name", Some("http".into())),
        ("network.protocol.version", version(message.http_version).map(Cow::Borrowed)),
        ("error.type", error.cloned()),
        ("rpc.response.status_code", outcome.code.map(|code| code.to_string().into())),
        // The word that logs and metrics have for it.
        ("pressmark.error", outcome.error.map(Cow::Borrowed)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

/// An id that is a text stands without quotes.
fn plain_id(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}
