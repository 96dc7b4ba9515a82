//! `POST /mcp`: the path of one request, top to bottom.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::answer::{answer, answer_in_batch};
use super::authorize::Authorize;
use super::challenge::Challenge;
use super::log::Summary;
use super::read_message::{Call, Incoming, Rejection, Told, no_batches, read_message};
use super::respond::{self, Refusal};
use super::session::{self, Found};
use super::shutdown::Shutdown;
use crate::auth::Principal;
use crate::mcp::legacy::{Calls, Sessions};
use crate::mcp::{Dispatch, Method, ServerInfo};
use crate::tools::HeaderParams;

/// What every request needs; cheap to clone.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// Authorization, then the methods.
    pub service: Authorize<Dispatch>,
    /// Who has shaken hands (the handshake revisions).
    pub sessions: Sessions,
    /// What runs in sessions.
    pub calls: Calls,
    /// How long the connection of a session's stream is held.
    pub max_stream_age: Option<Duration>,
    /// The arguments that tool calls repeat in headers.
    pub header_params: Arc<HeaderParams>,
    /// How the server names itself.
    pub info: Arc<ServerInfo>,
    /// What a caller without permission is told.
    pub challenge: Arc<Challenge>,
    /// When streams have to end.
    pub shutdown: Shutdown,
    /// The largest body, in bytes.
    pub max_request_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
}

/// Answers one POST. The principal was put there by the authentication layer.
pub(super) async fn post(
    State(endpoint): State<Endpoint>,
    Extension(principal): Extension<Arc<Principal>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let mut summary = Summary::of(&principal);
    let mut response = match respond(&endpoint, principal, &headers, body, &mut summary).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    };
    response.extensions_mut().insert(summary);
    response
}

async fn respond(
    endpoint: &Endpoint,
    principal: Arc<Principal>,
    headers: &HeaderMap,
    body: Body,
    summary: &mut Summary,
) -> Result<Response, Refusal> {
    check_content_type(headers)?;
    check_accept(headers)?;
    let body = read_body(endpoint, headers, body).await?;
    match read_message(headers, &endpoint.header_params, &body) {
        Err(rejection) => Ok(respond::reject(&rejection, &endpoint.challenge)),
        Ok(Incoming::Told(told)) => Ok(tell(endpoint, &principal, headers, vec![told]).await),
        Ok(Incoming::Call(call)) => {
            summary.note(&call);
            Ok(answer(endpoint, principal, headers, *call).await)
        }
        Ok(Incoming::Batch { calls, told }) if calls.is_empty() => Ok(tell(endpoint, &principal, headers, told).await),
        Ok(Incoming::Batch { calls, told }) => Ok(match session::tell(endpoint, &principal, headers, told).await {
            Ok(Found::Session(session)) if !session.version.has_batches() => {
                respond::reject(&Rejection { id: None, modern: false, error: no_batches() }, &endpoint.challenge)
            }
            Ok(found) => batch(endpoint, &principal, &found, calls).await,
            Err(refused) => refused,
        }),
    }
}

async fn tell(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap, told: Vec<Told>) -> Response {
    match session::tell(endpoint, principal, headers, told).await {
        Ok(_) => respond::accepted(),
        Err(refused) => refused,
    }
}

/// Answers a batch (2025-03-26) in order, as one array. The messages are independent: one that fails harms no other.
async fn batch(endpoint: &Endpoint, principal: &Arc<Principal>, found: &Found, calls: Vec<Result<Call, Rejection>>) -> Response {
    let mut answers = Vec::new();
    for call in calls {
        answers.extend(answer_in_batch(endpoint, principal, found, call).await);
    }
    if answers.is_empty() {
        // All of them were cancelled.
        return respond::accepted();
    }
    respond::json(StatusCode::OK, [b"[", answers.join(&b',').as_slice(), b"]"].concat())
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let json = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let media_type = value.split(';').next().unwrap_or_default().trim();
        media_type.eq_ignore_ascii_case("application/json")
    });
    let plain = headers.get(CONTENT_ENCODING).is_none_or(|encoding| encoding == "identity");
    if json && plain { Ok(()) } else { Err(Refusal::UnsupportedMediaType) }
}

fn check_accept(headers: &HeaderMap) -> Result<(), Refusal> {
    if accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
        Ok(())
    } else {
        Err(Refusal::NotAcceptable)
    }
}

/// Does the client take this media type?
pub(super) fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(|range| {
        let range = range.split(';').next().unwrap_or_default().trim();
        let (kind, _) = wanted.split_once('/').unwrap_or_default();
        range == "*/*"
            || range.eq_ignore_ascii_case(wanted)
            || range.strip_suffix("/*").is_some_and(|r| r.eq_ignore_ascii_case(kind))
    })
}

async fn read_body(endpoint: &Endpoint, headers: &HeaderMap, mut body: Body) -> Result<Bytes, Refusal> {
    let limit = endpoint.max_request_bytes;
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let read = async {
        if declared.is_some_and(|length| length > limit) {
            discard(&mut body, limit).await;
            return Err(Refusal::BodyTooLarge { limit });
        }
        match Limited::new(&mut body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => {
                discard(&mut body, limit).await;
                Err(Refusal::BodyTooLarge { limit })
            }
            Err(_) => Err(Refusal::BodyBroken),
        }
    };
    tokio::time::timeout(endpoint.body_timeout, read).await.unwrap_or(Err(Refusal::BodyTimeout))
}

/// Reads on for a while without keeping anything: a client that is still sending when the connection is closed never sees
/// why. One that sends many times the limit has to do without.
async fn discard(body: &mut Body, limit: usize) {
    let mut left = limit.saturating_mul(4);
    while let Some(Ok(frame)) = body.frame().await {
        match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
            Some(rest) => left = rest,
            None => return,
        }
    }
}

/// The method's name for the log, and the tool's where one is called.
pub(super) fn names(call: &Call) -> (&'static str, Option<&str>) {
    match &call.method {
        Method::Discover => ("server/discover", None),
        Method::Initialize => ("initialize", None),
        Method::Ping => ("ping", None),
        Method::ListTools(_) => ("tools/list", None),
        Method::CallTool(tool) => ("tools/call", Some(&tool.name)),
        Method::ListPrompts(_) => ("prompts/list", None),
        Method::GetPrompt(_) => ("prompts/get", None),
        Method::ListResources(_) => ("resources/list", None),
        Method::ListTemplates => ("resources/templates/list", None),
        Method::ReadResource(_) => ("resources/read", None),
        Method::Complete(..) => ("completion/complete", None),
        Method::GetTask(_) => ("tasks/get", None),
        Method::UpdateTask(..) => ("tasks/update", None),
        Method::CancelTask(_) => ("tasks/cancel", None),
        Method::Listen(_) => ("subscriptions/listen", None),
        Method::Subscribe(_) => ("resources/subscribe", None),
        Method::Unsubscribe(_) => ("resources/unsubscribe", None),
        Method::SetLogLevel(_) => ("logging/setLevel", None),
    }
}
