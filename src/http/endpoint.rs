//! `/mcp`: the path of one request, top to bottom.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tower::Service;

use super::answer::{answer, answer_in_batch};
use super::authenticate::Authenticated;
use super::authorize::Authorize;
use super::call_rates::CallRates;
use super::challenge::Challenge;
use super::read_message::{Call, Incoming, Rejection, Told, no_batches, read_message};
use super::record::{self, Part, Watch};
use super::respond::{self, Refusal};
use super::session::{self, Found};
use super::shutdown::Shutdown;
use crate::audit::{AuditEntry, AuditOutcome, Audited};
use crate::auth::Principal;
use crate::mcp::legacy::{Calls, Sessions};
use crate::mcp::{Dispatch, McpError, Method, RequestId, ResultWriter};
use crate::metrics::{RequestKind, Requests};
use crate::tools::HeaderParams;

/// What every request needs.
pub(super) struct Endpoint {
    /// Authorization, then the methods.
    pub service: Authorize<Dispatch>,
    /// Who has shaken hands (the handshake revisions).
    pub sessions: Sessions,
    /// What runs in sessions.
    pub calls: Calls,
    /// How long a stream of events is held open.
    pub max_stream_age: Option<Duration>,
    /// The arguments that tool calls repeat in headers.
    pub header_params: Arc<HeaderParams>,
    /// How answers are written.
    pub writer: Arc<ResultWriter>,
    /// What a caller without permission is told.
    pub challenge: Arc<Challenge>,
    /// How often a caller may call; `None`: as often as it likes.
    pub call_rates: Option<CallRates>,
    /// When streams have to end.
    pub shutdown: Shutdown,
    /// The largest body, in bytes.
    pub max_request_bytes: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// Where requests are counted.
    pub requests: Arc<Requests>,
    /// Who else wants to know of them.
    pub watch: Watch,
}

/// The endpoint as a service. Cheap to clone.
#[derive(Clone)]
pub struct Mcp(Arc<Endpoint>);

impl Mcp {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self(Arc::new(endpoint))
    }
}

impl Service<Authenticated<Body>> for Mcp {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Authenticated<Body>) -> Self::Future {
        let endpoint = Arc::clone(&self.0);
        Box::pin(async move {
            let (principal, request) = request.into_parts();
            record::note_summary(&principal, None);
            Ok(respond(&endpoint, principal, request).await)
        })
    }
}

async fn respond(endpoint: &Endpoint, principal: Arc<Principal>, request: Request<Body>) -> Response {
    let (head, body) = request.into_parts();
    match head.method {
        http::Method::POST => post(endpoint, principal, &head, body).await.unwrap_or_else(Refusal::into_response),
        http::Method::GET => {
            record::note_kind(endpoint.requests.kind("stream", None));
            Box::pin(session::get(endpoint, &principal, &head.headers)).await
        }
        http::Method::DELETE => Box::pin(session::delete(endpoint, &principal, &head.headers)).await,
        // HEAD, too: it must not take a stream from anybody.
        _ => Refusal::MethodNotAllowed.into_response(),
    }
}

async fn post(endpoint: &Endpoint, principal: Arc<Principal>, head: &Parts, body: Body) -> Result<Response, Refusal> {
    let headers = &head.headers;
    check_content_type(headers)?;
    check_accept(headers)?;
    let body = read_body(endpoint, headers, body).await?;
    endpoint.requests.receive(body.len());
    match read_message(headers, &endpoint.header_params, &body) {
        Err(rejection) => Ok(respond::reject(&rejection, &endpoint.challenge)),
        Ok(Incoming::Told(told)) => {
            record::note_kind(endpoint.requests.kind("notification", None));
            Ok(Box::pin(tell(endpoint, &principal, headers, vec![told])).await)
        }
        Ok(Incoming::Call(mut call)) => {
            let kind = kind(endpoint, &call);
            record::note_kind(kind);
            if let Some(message) = endpoint.watch.look(head, &mut call, endpoint.requests.tool(kind)) {
                record::note_summary(&principal, Some(message));
            }
            match check_rate(endpoint, &principal, &call) {
                Ok(()) => Ok(answer(endpoint, principal, headers, *call).await),
                Err(rejection) => Ok(respond::reject(&rejection, &endpoint.challenge)),
            }
        }
        Ok(Incoming::Batch { calls, told }) => {
            record::note_kind(endpoint.requests.kind("batch", None));
            Ok(Box::pin(batch(endpoint, &principal, head, calls, told)).await)
        }
    }
}

/// Counts what works on behalf of a caller.
fn check_rate(endpoint: &Endpoint, principal: &Arc<Principal>, call: &Call) -> Result<(), Rejection> {
    let works =
        matches!(call.method, Method::CallTool(_) | Method::GetPrompt(_) | Method::ReadResource(_) | Method::Complete(..));
    let Some(rates) = endpoint.call_rates.as_ref().filter(|_| works) else { return Ok(()) };
    rates.count(principal).map_err(|wait| {
        let error = McpError::TooManyCalls { wait };
        let called = match &call.method {
            Method::CallTool(call) => Some(Audited::Tool(&*call.name)),
            Method::GetPrompt(call) => Some(Audited::Prompt(&*call.name)),
            Method::ReadResource(uri) => Some(Audited::Resource(&**uri)),
            _ => None,
        };
        if let Some(called) = called {
            let mut entry = AuditEntry::begin(&endpoint.watch.audit, called, principal, call.origin.as_ref());
            entry.note(AuditOutcome::Refused(error.label()));
        }
        Rejection { id: Some(call.id.clone()), modern: call.version.is_modern(), error }
    })
}

async fn tell(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap, told: Vec<Told>) -> Response {
    match session::tell(endpoint, principal, headers, told).await {
        Ok(_) => respond::accepted(),
        Err(refused) => refused,
    }
}

/// What the answers of one batch may take together, in bytes; the rest is refused.
const MAX_BATCH_ANSWER: usize = 4 << 20;

/// Answers a batch (2025-03-26) in order, as one array. The messages are independent: one that fails harms no other.
async fn batch(
    endpoint: &Endpoint,
    principal: &Arc<Principal>,
    head: &Parts,
    calls: Vec<Result<Call, Rejection>>,
    told: Vec<Told>,
) -> Response {
    let found = match session::tell(endpoint, principal, &head.headers, told).await {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    if calls.is_empty() {
        return respond::accepted();
    }
    if let Found::Session(session) = &found
        && !session.version.has_batches()
    {
        return respond::reject(&Rejection { id: None, modern: false, error: no_batches() }, &endpoint.challenge);
    }
    let mut body = b"[".to_vec();
    for call in calls {
        let mut call = if body.len() < MAX_BATCH_ANSWER { call } else { call.and_then(|call| Err(beyond_budget(call.id))) };
        let part = call.as_mut().ok().and_then(|call| {
            let tool = endpoint.requests.tool(kind(endpoint, call));
            Part::begin(endpoint.watch.traces.as_ref(), endpoint.watch.look(head, call, tool))
        });
        let call = call.and_then(|call| check_rate(endpoint, principal, &call).map(|()| call));
        if let Some(answer) = answer_in_batch(endpoint, principal, &found, call, part).await {
            body.extend_from_slice(if body.len() > 1 { b"," } else { b"" });
            body.extend_from_slice(&answer);
        }
    }
    if body.len() == 1 {
        // All of them were cancelled.
        return respond::accepted();
    }
    body.push(b']');
    respond::json(StatusCode::OK, body)
}

fn beyond_budget(id: RequestId) -> Rejection {
    let problem = "the answers before this one have filled the batch; send this request in a message of its own";
    Rejection { id: Some(id), modern: false, error: McpError::Unavailable(problem.to_owned()) }
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
    /// What nearly every client sends; looking for each media type costs 2,500 instructions more.
    const USUAL: &str = "application/json, text/event-stream";
    let is_usual = headers.get(ACCEPT).is_some_and(|accept| accept == USUAL);
    if is_usual || accepts(headers, "application/json") && accepts(headers, "text/event-stream") {
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

async fn read_body(endpoint: &Endpoint, headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let limit = endpoint.max_request_bytes;
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    let read = async {
        if declared.is_some_and(|length| length > limit) {
            return Err(Refusal::BodyTooLarge { limit });
        }
        match gather(Limited::new(body, limit)).await {
            Ok(body) => Ok(body),
            Err(error) if error.is::<LengthLimitError>() => Err(Refusal::BodyTooLarge { limit }),
            Err(_) => Err(Refusal::BodyBroken),
        }
    };
    tokio::time::timeout(endpoint.body_timeout, read).await.unwrap_or(Err(Refusal::BodyTimeout))
}

/// The whole body. What comes in several parts is copied together as it comes: each part would keep the 8 KiB that it was read
/// into, and one that sends its bytes one by one would have thousands of times the limit kept.
async fn gather(mut body: Limited<Body>) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    let (mut first, mut all) = (Bytes::new(), Vec::new());
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if first.is_empty() {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&first);
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.into() })
}

fn kind(endpoint: &Endpoint, call: &Call) -> RequestKind {
    let (method, tool) = names(call);
    endpoint.requests.kind(method, tool)
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
