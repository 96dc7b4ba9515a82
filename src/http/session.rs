//! What the handshake revisions do beyond POSTing requests: name their session, open its streams, end it.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};
use tower::Service as _;

use super::endpoint::{Endpoint, accepts};
use super::read_message::{Call, Rejection, Told, header, version};
use super::respond::{self, Refusal};
use super::session_stream::{self, SessionStream};
use super::sse;
use crate::auth::Principal;
use crate::call::{Caller, ClientCapabilities};
use crate::mcp::legacy::{Answered, EventName, Session, SessionCall};
use crate::mcp::{McpError, McpResult, Method, ProtocolVersion, Request};

/// Where the session's id stands.
pub(super) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The session that a request names.
pub(super) enum Found {
    /// It names none.
    None,
    /// This one.
    Session(Arc<Session>),
    /// Nobody can tell: the shared state is away.
    Away,
}

/// Looks up the session of a request.
///
/// # Errors
/// `UnknownSession`; `InvalidRequest` when the version in the headers is not the session's.
pub(super) async fn find(endpoint: &Endpoint, principal: &Principal, headers: &HeaderMap) -> Result<Found, McpError> {
    let Some(id) = header(headers, &SESSION_ID)? else { return Ok(Found::None) };
    let session = match endpoint.sessions.open(principal, id).await {
        Ok(session) => session.ok_or(McpError::UnknownSession)?,
        Err(error) => {
            tracing::debug!(%error, "a request comes without its session");
            return Ok(Found::Away);
        }
    };
    match version(headers)? {
        Some(version) if version != session.version.as_str() => Err(McpError::InvalidRequest(format!(
            "MCP-Protocol-Version is not the one that this session settled on, {}",
            session.version
        ))),
        Some(_) | None => Ok(Found::Session(Arc::new(session))),
    }
}

/// Begins a session for a client that has just shaken hands. Without the shared state there is none, and the client gets
/// along without.
pub(super) async fn begin(
    endpoint: &Endpoint,
    principal: &Principal,
    version: ProtocolVersion,
    capabilities: ClientCapabilities,
    response: &mut Response,
) {
    match endpoint.sessions.begin(principal, version, capabilities).await {
        Ok(id) => {
            if let Ok(id) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(SESSION_ID, id);
            }
        }
        Err(error) => tracing::debug!(%error, "a client has no session"),
    }
}

/// Answers a call that may report and ask.
pub(super) async fn answer(endpoint: &Endpoint, principal: &Arc<Principal>, session: &Arc<Session>, call: Call) -> Response {
    let Call { id, method, wants_progress, notifications, message, origin, .. } = call;
    let call = SessionCall { id: id.clone(), message, method, wants_progress, notifications, origin };
    let answered = endpoint.calls.answer(session, principal, call).await;
    match answered {
        Answered::Whole(outcome) => super::answer::finish(endpoint, &id, session.version, outcome),
        Answered::Stream(stream) => session_stream::respond(endpoint, principal, SessionStream::Call(Box::new(stream))),
        // A response must not be sent any more, and a stream may end without one.
        Answered::Cancelled => sse::response(futures_util::stream::empty()),
    }
}

/// Runs a call whose session cannot be looked up. What needs nothing of the session is served: files can still be read.
/// Whether the client can be asked is not known, so a call that would ask is to be repeated; to tell its model that the
/// client cannot be asked would be wrong.
pub(super) async fn run_while_away(endpoint: &Endpoint, principal: Arc<Principal>, call: Call) -> Result<McpResult, McpError> {
    let Call { version, method, retry, origin, .. } = call;
    let away = || {
        let problem = "the session cannot be looked up while the shared state is away; repeat the request after a moment";
        Err(McpError::Unavailable(problem.to_owned()))
    };
    if let Method::Subscribe(_) | Method::Unsubscribe(_) | Method::SetLogLevel(_) = method {
        return away();
    }
    let caller = Caller { capabilities: Arc::new(ClientCapabilities::all()), origin, ..Caller::new(principal) };
    match endpoint.service.clone().call(Request { caller, version, method, retry, session: None }).await {
        Ok(McpResult::InputRequired { .. }) => away(),
        outcome => outcome,
    }
}

/// Takes what gets no answer, and gives the session that it came in.
pub(super) async fn tell(
    endpoint: &Endpoint,
    principal: &Arc<Principal>,
    headers: &HeaderMap,
    told: Vec<Told>,
) -> Result<Found, Response> {
    let found = find(endpoint, principal, headers).await.map_err(|error| reject(endpoint, error))?;
    let session = match &found {
        Found::Session(session) => session,
        // An answer that is not taken must not look as if it were.
        Found::Away if told.iter().any(|told| matches!(told, Told::Answer { .. })) => {
            return Err(Refusal::StateAway.into_response());
        }
        Found::None | Found::Away => return Ok(found),
    };
    for told in told {
        let taken = match told {
            Told::Answer { id, answer } => endpoint.calls.take_answer(session, principal, &id, answer).await,
            Told::Cancelled(id) => endpoint.calls.cancel(session, &id).await,
            Told::Other => Ok(()),
        };
        if let Err(error) = taken {
            tracing::debug!(%error, "what a client told was not taken");
            return Err(Refusal::StateAway.into_response());
        }
    }
    Ok(found)
}

/// `GET /mcp`: the stream of what belongs to no call, or any stream of the session from where it broke off.
pub(super) async fn get(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap) -> Response {
    open(endpoint, principal, headers).await.unwrap_or_else(|refused| refused)
}

/// `DELETE /mcp`: ends a session.
pub(super) async fn delete(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap) -> Response {
    end(endpoint, principal, headers).await.unwrap_or_else(|refused| refused)
}

async fn open(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap) -> Result<Response, Response> {
    if !accepts(headers, "text/event-stream") {
        return Err(Refusal::NoEventStream.into_response());
    }
    let session = session_of(endpoint, principal, headers).await?;
    let last = header(headers, &LAST_EVENT_ID).map_err(|error| reject(endpoint, error))?;
    let unknown = || {
        let next = "it has expired or was never one of this session's: repeat the request that it belonged to";
        reject(endpoint, McpError::InvalidRequest(format!("Last-Event-ID names no stream; {next}")))
    };
    let last = last.map(str::parse::<EventName>).transpose().map_err(|_| unknown())?;
    let stream = match &last {
        Some(last) if last.belongs_to_call() => {
            let stream =
                endpoint.calls.resume(&session, principal, last).await.map_err(|_| Refusal::StateAway.into_response())?;
            SessionStream::Call(Box::new(stream.ok_or_else(unknown)?))
        }
        last => {
            let stream = endpoint.calls.listen(&session, principal, last.as_ref()).await;
            SessionStream::Get(Box::new(stream.map_err(|_| Refusal::StateAway.into_response())?))
        }
    };
    Ok(session_stream::respond(endpoint, principal, stream))
}

async fn end(endpoint: &Endpoint, principal: &Arc<Principal>, headers: &HeaderMap) -> Result<Response, Response> {
    let session = session_of(endpoint, principal, headers).await?;
    endpoint.calls.end_session(&session).await.map_err(|_| Refusal::StateAway.into_response())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The session that GET and DELETE cannot do without.
async fn session_of(endpoint: &Endpoint, principal: &Principal, headers: &HeaderMap) -> Result<Arc<Session>, Response> {
    let named = version(headers).map_err(|error| reject(endpoint, error))?;
    if named.and_then(ProtocolVersion::parse).is_some_and(ProtocolVersion::is_modern) {
        return Err(Refusal::MethodNotAllowed.into_response());
    }
    match find(endpoint, principal, headers).await {
        Ok(Found::Session(session)) => Ok(session),
        // To clients this says that there is no such stream here, and they get along without.
        Ok(Found::None) => Err(Refusal::MethodNotAllowed.into_response()),
        Ok(Found::Away) => Err(Refusal::StateAway.into_response()),
        Err(error) => Err(reject(endpoint, error)),
    }
}

fn reject(endpoint: &Endpoint, error: McpError) -> Response {
    respond::reject(&Rejection { id: None, modern: false, error }, &endpoint.challenge)
}
