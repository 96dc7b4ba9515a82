//! From body and headers to a request: which revision it speaks, and whether the headers say the same as the body
//! (2026-07-28, basic/transports/streamable-http, "Server Validation"). Nothing after this looks at headers again.

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{AsHeaderName, HeaderName};
use serde_json::Value;
use serde_json::value::RawValue;

use super::param_headers;
use crate::call::{ClientCapabilities, LogLevel, Origin};
use crate::mcp::{
    McpError, Message, Method, Named, Object, Params, ProtocolVersion, ReportNotifications, RequestId, Retry, read_capabilities,
};
use crate::tools::HeaderParams;
use crate::traces::RemoteSpan;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(super) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// Messages in one batch, at most.
const MAX_BATCH: usize = 64;

/// What a body turned out to be.
pub(super) enum Incoming {
    /// One request.
    Call(Box<Call>),
    /// What gets no answer.
    Told(Told),
    /// Several messages (2025-03-26).
    Batch {
        /// The requests among them, and those that could not be read.
        calls: Vec<Result<Call, Rejection>>,
        /// The others.
        told: Vec<Told>,
    },
}

/// A message that gets no answer.
pub(super) enum Told {
    /// The caller does not want the answer to this request any more (the handshake revisions).
    Cancelled(RequestId),
    /// The answer to a request of the server's (the handshake revisions): a result, or an error in place of one.
    Answer {
        /// Which request.
        id: RequestId,
        /// The result or the error.
        answer: Result<Value, Value>,
    },
    /// Something that needs no attention.
    Other,
}

/// A request, with what its answer needs.
pub(super) struct Call {
    /// Marks the answer.
    pub id: RequestId,
    /// The revision of both.
    pub version: ProtocolVersion,
    /// What is asked.
    pub method: Method<Named>,
    /// What a further round of the same call brings along.
    pub retry: Retry,
    /// What the client says that it can do: with each request, or in the handshake.
    pub capabilities: ClientCapabilities,
    /// The least level of log messages that the caller wants; none without.
    pub log_level: Option<LogLevel>,
    /// Does the caller want to know how far the call has come?
    pub wants_progress: bool,
    /// How reports are written.
    pub notifications: ReportNotifications,
    /// The whole message; shares the memory of the body.
    pub message: Bytes,
    /// The caller's span, as the message names it.
    pub caller_span: Option<RemoteSpan>,
    /// Where it comes from, once somebody wants to know.
    pub origin: Option<Arc<Origin>>,
}

/// A message that gets an error.
#[derive(Debug)]
pub(super) struct Rejection {
    /// The message's id, if it could be read.
    pub id: Option<RequestId>,
    /// Does the message belong to a revision without a handshake? The status of some errors depends on it.
    pub modern: bool,
    /// Why.
    pub error: McpError,
}

/// Reads a body. `header_params` are the arguments that tool calls repeat in headers.
///
/// # Errors
/// [`Rejection`] when the whole body gets one error.
pub(super) fn read_message(headers: &HeaderMap, header_params: &HeaderParams, body: &Bytes) -> Result<Incoming, Rejection> {
    let headers = MessageHeaders { headers, params: header_params };
    let reject = |error| Rejection { id: None, modern: headers.are_modern(), error };
    let text = std::str::from_utf8(body).map_err(|_| reject(McpError::Parse("the body is not UTF-8".to_owned())))?;
    if text.trim_start_matches([' ', '\t', '\r', '\n']).starts_with('[') {
        return read_batch(&headers, text, body).map_err(reject);
    }
    read_one(&headers, text, body)
}

/// Why a batch is refused.
pub(super) fn no_batches() -> McpError {
    McpError::InvalidRequest("send one message in a body: only revision 2025-03-26 has batches".to_owned())
}

fn read_batch(headers: &MessageHeaders<'_>, text: &str, body: &Bytes) -> Result<Incoming, McpError> {
    let version = headers.version()?.map_or(Some(ProtocolVersion::ASSUMED), ProtocolVersion::parse);
    if !version.is_some_and(ProtocolVersion::has_batches) {
        return Err(no_batches());
    }
    let messages: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| McpError::Parse(error.to_string()))?;
    if messages.is_empty() || messages.len() > MAX_BATCH {
        return Err(McpError::InvalidRequest(format!("a batch holds 1 to {MAX_BATCH} messages")));
    }
    let (mut calls, mut told) = (Vec::new(), Vec::new());
    for message in messages {
        match read_one(headers, message.get(), body) {
            Ok(Incoming::Call(call)) if matches!(call.method, Method::Initialize) => calls.push(Err(Rejection {
                id: Some(call.id),
                modern: false,
                error: McpError::InvalidRequest("initialize cannot be part of a batch".to_owned()),
            })),
            Ok(Incoming::Call(call)) => calls.push(Ok(*call)),
            Ok(Incoming::Told(one)) => told.push(one),
            // A message is no batch.
            Ok(Incoming::Batch { .. }) => {}
            Err(rejection) => calls.push(Err(rejection)),
        }
    }
    Ok(Incoming::Batch { calls, told })
}

fn read_one(headers: &MessageHeaders<'_>, text: &str, body: &Bytes) -> Result<Incoming, Rejection> {
    // Nearly every message is a request in good order and read in one pass. Any other is read in steps, so that its error
    // can name the step.
    if let Ok(Message::Request { id, method, params }) = Message::<Object<Params<'_>>>::parse(text) {
        let params = params.map(|Object(params)| params).unwrap_or_default();
        if params.has_sound_token() {
            return read_request(headers, id, &method, params, (text, body));
        }
    }
    let modern = headers.are_modern();
    match Message::<&RawValue>::parse(text).map_err(|(id, error)| Rejection { id, modern, error })? {
        Message::Request { id, method, params } => match Params::parse(params) {
            Ok(params) => read_request(headers, id, &method, params, (text, body)),
            Err(error) => Err(Rejection { id: Some(id), modern, error }),
        },
        Message::Notification { method, params } => match headers.agree_on_notification(&method) {
            Ok(()) if method == "notifications/cancelled" && !modern => {
                // One that cannot be read is ignored (2025-11-25, basic/utilities/cancellation, "Error Handling").
                let request = Params::parse(params).ok().and_then(|params| params.request_id);
                Ok(Incoming::Told(request.map_or(Told::Other, Told::Cancelled)))
            }
            Ok(()) => Ok(Incoming::Told(Told::Other)),
            Err(error) => Err(Rejection { id: None, modern, error }),
        },
        Message::Response { .. } if modern => {
            let error =
                McpError::InvalidRequest("a response answers nothing: in this revision the server sends no requests".to_owned());
            Err(Rejection { id: None, modern, error })
        }
        Message::Response { id, answer } => {
            let read = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
            Ok(Incoming::Told(Told::Answer { id, answer: answer.map(read).map_err(read) }))
        }
    }
}

/// Reads a request, whose `text` is a part of `body`.
fn read_request(
    headers: &MessageHeaders<'_>,
    id: RequestId,
    name: &str,
    mut params: Params<'_>,
    (text, body): (&str, &Bytes),
) -> Result<Incoming, Rejection> {
    let reject = |modern, error| Rejection { id: Some(id.clone()), modern, error };
    let named_in_body = params.meta.as_ref().is_some_and(|meta| meta.protocol_version.is_some());
    let version = agree(headers, name, &params).map_err(|error| reject(named_in_body || headers.are_modern(), error))?;
    let modern = version.is_modern();
    let malformed = |error| reject(modern, error);
    let method = params.method(name, version, body).map_err(malformed)?;
    // What the handshake revisions say once, for the session, the others say with each request.
    if let Method::CallTool(call) = &method
        && let Some(expected) = headers.params.get(call.name.as_str()).filter(|_| modern)
    {
        param_headers::agree(headers, expected, call).map_err(malformed)?;
    }
    let retry = if modern { params.retry() } else { Retry::default() };
    let meta = params.meta.unwrap_or_default();
    let declared = if modern { meta.client_capabilities } else { params.capabilities };
    let capabilities = declared.map(read_capabilities).transpose().map_err(malformed)?.unwrap_or_default();
    Ok(Incoming::Call(Box::new(Call {
        id,
        version,
        method,
        retry,
        capabilities,
        log_level: meta.log_level.filter(|_| modern),
        wants_progress: meta.progress_token.is_some(),
        notifications: ReportNotifications::new(meta.progress_token),
        message: body.slice_ref(text.as_bytes()),
        caller_span: meta.traceparent.and_then(|parent| RemoteSpan::read(&parent, meta.tracestate.as_deref())),
        origin: None,
    })))
}

/// The revision that body and headers agree on.
fn agree(headers: &MessageHeaders<'_>, method: &str, params: &Params<'_>) -> Result<ProtocolVersion, McpError> {
    if let Some(requested) = params.meta.as_ref().and_then(|meta| meta.protocol_version.as_deref()) {
        return agree_modern(headers, method, params, requested);
    }
    if method == "initialize" {
        let requested = params.protocol_version.as_deref().ok_or_else(|| {
            McpError::MalformedParams(
                "`params.protocolVersion` is missing: the newest revision that the client speaks".to_owned(),
            )
        })?;
        let version = ProtocolVersion::parse(requested).filter(|version| !version.is_modern());
        return Ok(version.unwrap_or(ProtocolVersion::NEWEST_LEGACY));
    }
    let version = supported(headers.version()?)?;
    if version.is_modern() {
        return Err(McpError::MalformedParams(
            "`params._meta[\"io.modelcontextprotocol/protocolVersion\"]` is missing: every request of this revision carries it"
                .to_owned(),
        ));
    }
    Ok(version)
}

fn agree_modern(
    headers: &MessageHeaders<'_>,
    method: &str,
    params: &Params<'_>,
    requested: &str,
) -> Result<ProtocolVersion, McpError> {
    headers.must_say("MCP-Protocol-Version", headers.version()?, requested)?;
    let version = ProtocolVersion::parse(requested).ok_or_else(|| unsupported(requested))?;
    if !version.is_modern() {
        return Err(McpError::MalformedParams(format!(
            "revision {version} begins with initialize and has no version in `_meta`; to go without a handshake, name {} in both",
            ProtocolVersion::ALL[0]
        )));
    }
    let capabilities = params.meta.as_ref().and_then(|meta| meta.client_capabilities);
    if !capabilities.is_some_and(|capabilities| capabilities.get().starts_with('{')) {
        return Err(McpError::MalformedParams(
            "`params._meta[\"io.modelcontextprotocol/clientCapabilities\"]` is missing: an object, `{}` for none".to_owned(),
        ));
    }
    headers.must_say("Mcp-Method", headers.one(&METHOD)?, method)?;
    let name = match method {
        "tools/call" | "prompts/get" => params.name.as_deref(),
        "resources/read" => params.uri.as_deref(),
        "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id.as_deref(),
        _ => None,
    };
    if let Some(name) = name {
        let header = headers.one(&NAME)?.map(|header| decode_sentinel("Mcp-Name", header)).transpose()?;
        headers.must_say("Mcp-Name", header.as_deref(), name)?;
    }
    Ok(version)
}

fn supported(version: Option<&str>) -> Result<ProtocolVersion, McpError> {
    version
        .map_or(Ok(ProtocolVersion::ASSUMED), |requested| ProtocolVersion::parse(requested).ok_or_else(|| unsupported(requested)))
}

fn unsupported(requested: &str) -> McpError {
    McpError::UnsupportedVersion { requested: requested.chars().take(100).collect() }
}

/// The headers that speak of the message.
pub(super) struct MessageHeaders<'h> {
    headers: &'h HeaderMap,
    params: &'h HeaderParams,
}

impl<'h> MessageHeaders<'h> {
    fn version(&self) -> Result<Option<&'h str>, McpError> {
        version(self.headers)
    }

    /// The revision leaves open which headers a notification needs; those that are there must say what it says.
    fn agree_on_notification(&self, method: &str) -> Result<(), McpError> {
        let version = supported(self.version()?)?;
        match self.one(&METHOD)? {
            Some(header) if version.is_modern() => self.must_say("Mcp-Method", Some(header), method),
            Some(_) | None => Ok(()),
        }
    }

    fn are_modern(&self) -> bool {
        matches!(self.version(), Ok(Some(version)) if ProtocolVersion::parse(version).is_some_and(ProtocolVersion::is_modern))
    }

    /// The value of a header that may stand there once.
    pub(super) fn one(&self, name: impl AsHeaderName + Display + Copy) -> Result<Option<&'h str>, McpError> {
        header(self.headers, name)
    }

    fn must_say(&self, name: &str, header: Option<&str>, body: &str) -> Result<(), McpError> {
        match header {
            Some(header) if header == body => Ok(()),
            Some(header) => Err(McpError::HeaderMismatch(format!("{name} says {header:?}, the body says {body:?}"))),
            None => Err(McpError::HeaderMismatch(format!("{name} is missing; the body says {body:?}"))),
        }
    }
}

/// The revision that the headers name, whether it is spoken here or not.
pub(super) fn version(headers: &HeaderMap) -> Result<Option<&str>, McpError> {
    header(headers, &PROTOCOL_VERSION)
}

/// The value of a header that may stand there once.
pub(super) fn header(headers: &HeaderMap, name: impl AsHeaderName + Display + Copy) -> Result<Option<&str>, McpError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(McpError::HeaderMismatch(format!("{name} stands there more than once")));
    }
    value.to_str().map(Some).map_err(|_| McpError::HeaderMismatch(format!("{name} contains invalid characters")))
}

/// Decodes `=?base64?…?=`; any other value stands for itself ("Value Encoding").
pub(super) fn decode_sentinel<'h>(name: &str, value: &'h str) -> Result<Cow<'h, str>, McpError> {
    let Some(encoded) = value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) else {
        return Ok(Cow::Borrowed(value));
    };
    STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Cow::Owned)
        .ok_or_else(|| McpError::HeaderMismatch(format!("{name} is not valid base64 of UTF-8 between =?base64? and ?=")))
}
