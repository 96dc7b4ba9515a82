//! From outcome to HTTP response: the only place that picks a status.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};

use super::challenge::Challenge;
use super::read_message::Rejection;
use super::record::{self, Outcome};
use crate::mcp::{McpError, McpResult, ProtocolVersion, RequestId, ResultWriter, write_error};

/// Why a request to the endpoint is refused before its body is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// `Accept` does not list both content types.
    NotAcceptable,
    /// The body is not declared as JSON.
    UnsupportedMediaType,
    /// The body is larger than `--max-request-bytes`.
    BodyTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The connection broke in the middle of the body.
    BodyBroken,
    /// Only POST; GET and DELETE only in a session.
    MethodNotAllowed,
    /// `Accept` does not list what GET answers with.
    NoEventStream,
    /// What was asked for lies in the shared state, which is away.
    StateAway,
    /// A web page of a foreign origin.
    Origin,
    /// No such path.
    NotFound,
    /// Clients that were given a wrong token, and find no authorization server, ask the server itself to register them.
    NoRegistration,
    /// A handler panicked.
    Panicked,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NotAcceptable | Self::NoEventStream => StatusCode::NOT_ACCEPTABLE,
            Self::StateAway => StatusCode::SERVICE_UNAVAILABLE,
            Self::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::NotFound | Self::NoRegistration => StatusCode::NOT_FOUND,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// One word for the log.
    fn label(self) -> &'static str {
        match self {
            Self::NotAcceptable | Self::NoEventStream => "not_acceptable",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::BodyTooLarge { .. } => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::BodyBroken => "body_broken",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::StateAway => "unavailable",
            Self::Origin => "foreign_origin",
            Self::NotFound | Self::NoRegistration => "no_such_path",
            Self::Panicked => "panicked",
        }
    }

    fn error(self) -> McpError {
        let message = match self {
            Self::NotAcceptable => "the Accept header must list both application/json and text/event-stream".to_owned(),
            Self::UnsupportedMediaType => {
                "the body must be declared as Content-Type: application/json, without Content-Encoding".to_owned()
            }
            Self::BodyTooLarge { limit } => format!("the body is larger than {limit} bytes, the most that this server takes"),
            Self::BodyTimeout => "the body did not arrive in time".to_owned(),
            Self::BodyBroken => "the body ended early".to_owned(),
            Self::MethodNotAllowed => {
                "send messages with POST; GET and DELETE need the Mcp-Session-Id that initialize gave".to_owned()
            }
            Self::NoEventStream => "the Accept header must list text/event-stream".to_owned(),
            Self::StateAway => {
                return McpError::Unavailable("shared state is away; repeat the request after a moment".to_owned());
            }
            Self::Origin => "web pages of this origin may not call; the operator allows more with --allow-origin".to_owned(),
            Self::NotFound => "nothing is here; the MCP endpoint is /mcp".to_owned(),
            Self::NoRegistration => {
                "this server registers no clients; check the token that the client sends, or ask the operator for one".to_owned()
            }
            Self::Panicked => return McpError::Internal,
        };
        McpError::InvalidRequest(message)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        record::note(Outcome::refused(self.label()));
        let mut response = json(self.status(), write_error(None, &self.error()));
        if self == Self::MethodNotAllowed {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
        }
        if self == Self::StateAway {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// The response to a message that gets a JSON-RPC error.
pub(super) fn reject(rejection: &Rejection, challenge: &Challenge) -> Response {
    record::note(Outcome::of_error(&rejection.error));
    let status = status(&rejection.error, rejection.modern);
    let mut response = json(status, write_error(rejection.id.as_ref(), &rejection.error));
    if let McpError::InsufficientScope { needed, message } = &rejection.error {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge.insufficient_scope(needed, message));
    }
    if let McpError::TooManyCalls { wait } = &rejection.error {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs_f64().ceil() as u64));
    }
    response
}

/// In 2026-07-28 the transport's own checks have statuses of their own; everywhere else an error that answers a
/// well-formed request is the payload of a successful exchange.
fn status(error: &McpError, modern: bool) -> StatusCode {
    match error {
        McpError::Parse(_)
        | McpError::InvalidRequest(_)
        | McpError::HeaderMismatch(_)
        | McpError::UnsupportedVersion { .. }
        | McpError::MissingCapability(_) => StatusCode::BAD_REQUEST,
        McpError::MethodNotFound(_) if modern => StatusCode::NOT_FOUND,
        McpError::MalformedParams(_) if modern => StatusCode::BAD_REQUEST,
        McpError::MethodNotFound(_)
        | McpError::MalformedParams(_)
        | McpError::InvalidParams(_)
        | McpError::ResourceNotFound { .. }
        | McpError::Unavailable(_) => StatusCode::OK,
        McpError::InsufficientScope { .. } => StatusCode::FORBIDDEN,
        McpError::UnknownSession => StatusCode::NOT_FOUND,
        McpError::TooManyCalls { .. } => StatusCode::TOO_MANY_REQUESTS,
        McpError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The answer to a request as a whole JSON-RPC message.
pub(super) fn message(
    id: &RequestId,
    version: ProtocolVersion,
    writer: &ResultWriter,
    outcome: Result<McpResult, McpError>,
) -> Vec<u8> {
    if let Some(outcome) = Outcome::of(&outcome) {
        record::note(outcome);
    }
    match outcome {
        Ok(result) => writer.write(id, version, result),
        Err(error) => write_error(Some(id), &error),
    }
}

/// A response with a JSON body. Answers depend on the caller and are nobody else's to keep.
pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// 202: a message that gets no answer was taken.
pub(super) fn accepted() -> Response {
    StatusCode::ACCEPTED.into_response()
}
