//! What a model cannot repair: errors of the protocol.

use std::time::Duration;

use super::ProtocolVersion;
use crate::auth::{Denied, Scope};
use crate::call::ClientCapabilities;
use crate::state::StateError;

/// A request that gets a JSON-RPC error in place of a result. The HTTP status belongs to `http::respond`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum McpError {
    /// The body is not JSON in UTF-8.
    #[error("the body is not valid JSON: {0}")]
    Parse(String),
    /// The body is JSON, but no JSON-RPC message of the revision in use.
    #[error("{0}")]
    InvalidRequest(String),
    /// No such method in this revision.
    #[error("method not found: {0}")]
    MethodNotFound(String),
    /// The parameters do not have the form that the method needs, or required metadata is missing.
    #[error("{0}")]
    MalformedParams(String),
    /// The parameters have the right form and name something that is not there: an unknown tool, a bad list cursor.
    #[error("{0}")]
    InvalidParams(String),
    /// There is no such resource, or none that the caller may see.
    #[error("resource not found: {uri}")]
    ResourceNotFound {
        /// What was asked for.
        uri: String,
        /// The revision of the request: the handshake revisions have a code of their own for it.
        version: ProtocolVersion,
    },
    /// The client does not declare what the request cannot do without.
    #[error("the client does not declare a capability that this request needs")]
    MissingCapability(Box<ClientCapabilities>),
    /// The server cannot do it now; the same request may succeed later.
    #[error("{0}")]
    Unavailable(String),
    /// The caller calls more often than it may. Nothing was done.
    #[error("too many calls; wait {} s, then repeat this one, and slow down: nothing was done", wait.as_secs_f64().ceil())]
    TooManyCalls {
        /// How long to wait.
        wait: Duration,
    },
    /// A header is missing, malformed, or says something else than the body.
    #[error("header mismatch: {0}")]
    HeaderMismatch(String),
    /// The revision asked for is not spoken here.
    #[error("unsupported protocol version {requested:?}; supported: {}", supported_list())]
    UnsupportedVersion {
        /// What was asked for.
        requested: String,
    },
    /// The caller's scopes do not cover the call.
    #[error("{message}")]
    InsufficientScope {
        /// All scopes that the call needs.
        needed: Vec<Scope>,
        /// What was refused.
        message: String,
    },
    /// The session header names no session of this caller.
    #[error("unknown session; send initialize again without a session header")]
    UnknownSession,
    /// The server failed.
    #[error("internal error")]
    Internal,
}

impl McpError {
    /// Why a caller gets no permission for the `tool` or `prompt` of this name.
    #[must_use]
    pub fn refusal(denied: Denied, kind: &str, name: &str) -> Self {
        match denied {
            Denied::Unknown => {
                let name = name.chars().take(100).collect::<String>();
                Self::InvalidParams(format!("unknown {kind}: {name}; {kind}s/list shows those there are"))
            }
            Denied::InsufficientScope { needed, message } => Self::InsufficientScope { needed, message },
        }
    }

    /// The JSON-RPC error code. Codes of MCP's own are those of the schema; codes outside of JSON-RPC's reserved range
    /// repeat the HTTP status (2026-07-28, basic, "Error Codes": new codes lie outside -32768..-32000).
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::Parse(_) => -32700,
            Self::InvalidRequest(_) => -32600,
            Self::MethodNotFound(_) => -32601,
            // 2025-11-25, server/resources, "Error Handling"; replaced by -32602 in 2026-07-28.
            Self::ResourceNotFound { version, .. } if !version.is_modern() => -32002,
            Self::MalformedParams(_) | Self::InvalidParams(_) | Self::ResourceNotFound { .. } => -32602,
            Self::Internal | Self::Unavailable(_) => -32603,
            Self::HeaderMismatch(_) => -32020,
            Self::MissingCapability(_) => -32021,
            Self::UnsupportedVersion { .. } => -32022,
            Self::InsufficientScope { .. } => 403,
            Self::UnknownSession => 404,
            Self::TooManyCalls { .. } => 429,
        }
    }

    /// What happened as one word for logs and metrics: a name where this server has one, or else the code.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Parse(_) => "-32700",
            Self::InvalidRequest(_) => "-32600",
            Self::MethodNotFound(_) => "-32601",
            Self::MalformedParams(_) | Self::InvalidParams(_) => "-32602",
            Self::ResourceNotFound { .. } => "not_found",
            Self::Unavailable(_) => "unavailable",
            Self::TooManyCalls { .. } => "too_many_calls",
            Self::Internal => "-32603",
            Self::HeaderMismatch(_) => "-32020",
            Self::MissingCapability(_) => "-32021",
            Self::UnsupportedVersion { .. } => "-32022",
            Self::InsufficientScope { .. } => "insufficient_scope",
            Self::UnknownSession => "unknown_session",
        }
    }

    /// The error's `data`, where the specification asks for some.
    #[must_use]
    pub fn data(&self) -> Option<serde_json::Value> {
        match self {
            Self::UnsupportedVersion { requested } => Some(serde_json::json!({
                "supported": ProtocolVersion::ALL.map(ProtocolVersion::as_str),
                "requested": requested,
            })),
            Self::InsufficientScope { needed, .. } => {
                Some(serde_json::json!({ "requiredScopes": needed.iter().map(Scope::to_string).collect::<Vec<_>>() }))
            }
            Self::ResourceNotFound { uri, .. } => Some(serde_json::json!({ "uri": uri })),
            Self::MissingCapability(capabilities) => Some(serde_json::json!({ "requiredCapabilities": capabilities })),
            Self::Parse(_)
            | Self::InvalidRequest(_)
            | Self::MethodNotFound(_)
            | Self::MalformedParams(_)
            | Self::InvalidParams(_)
            | Self::HeaderMismatch(_)
            | Self::UnknownSession
            | Self::Unavailable(_)
            | Self::TooManyCalls { .. }
            | Self::Internal => None,
        }
    }
}

impl From<StateError> for McpError {
    fn from(error: StateError) -> Self {
        Self::Unavailable(format!("{error}; repeat the request after a moment"))
    }
}

fn supported_list() -> String {
    ProtocolVersion::ALL.map(ProtocolVersion::as_str).join(", ")
}
