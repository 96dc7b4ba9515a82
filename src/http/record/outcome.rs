//! How a request ended, where it did not simply end well.

use serde::Deserialize;

use crate::mcp::{McpError, McpResult};
use crate::metrics::OutcomeKind;

/// Names from bounded sets, and nothing of any content.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Outcome {
    pub(super) kind: OutcomeKind,
    pub(super) error: Option<&'static str>,
    /// The code of a JSON-RPC error.
    pub(super) code: Option<i32>,
}

impl Outcome {
    pub(super) const OK: Self = Self { kind: OutcomeKind::Ok, error: None, code: None };
    /// The client left first.
    pub(super) const CLOSED: Self = Self { kind: OutcomeKind::Closed, error: None, code: None };

    /// The request, or the state of the server, is not such that it can be answered.
    pub(in crate::http) fn refused(error: &'static str) -> Self {
        Self { kind: OutcomeKind::Refused, error: Some(error), code: None }
    }

    /// A JSON-RPC error.
    pub(in crate::http) fn of_error(error: &McpError) -> Self {
        let kind = match error {
            McpError::InsufficientScope { .. } | McpError::UnknownSession | McpError::TooManyCalls { .. } => OutcomeKind::Refused,
            _ => OutcomeKind::RpcError,
        };
        Self { kind, error: Some(error.label()), code: Some(error.code()) }
    }

    /// `None` when there is nothing to note.
    pub(in crate::http) fn of(answer: &Result<McpResult, McpError>) -> Option<Self> {
        match answer {
            Ok(result) => Self::of_result(result),
            Err(error) => Some(Self::of_error(error)),
        }
    }

    /// `None` when there is nothing to note.
    pub(in crate::http) fn of_result(result: &McpResult) -> Option<Self> {
        match result {
            McpResult::CallTool(result) => {
                Some(Self { kind: OutcomeKind::ToolError, error: Some(result.error?.as_str()), code: None })
            }
            McpResult::InputRequired { .. } => Some(Self { kind: OutcomeKind::InputRequired, error: None, code: None }),
            _ => None,
        }
    }

    /// The same of an answer that comes from the log of its stream, as it is sent, and perhaps from another replica.
    pub(in crate::http) fn of_message(message: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            result: Option<CallResult>,
            error: Option<RpcError>,
        }
        #[derive(Deserialize)]
        struct CallResult {
            #[serde(rename = "isError", default)]
            is_error: bool,
        }
        #[derive(Deserialize)]
        struct RpcError {
            code: i32,
        }
        let error = |kind, error, code| Some(Self { kind, error, code });
        match serde_json::from_slice(message).ok()? {
            Answer { error: Some(RpcError { code: -32603 }), .. } => {
                error(OutcomeKind::RpcError, Some("unavailable"), Some(-32603))
            }
            Answer { error: Some(RpcError { code }), .. } => error(OutcomeKind::RpcError, None, Some(code)),
            Answer { result: Some(CallResult { is_error: true }), .. } => error(OutcomeKind::ToolError, None, None),
            Answer { .. } => None,
        }
    }

    /// Something that an operator can mend, or has to know of.
    pub(super) fn is_serious(self) -> bool {
        matches!(self.error, Some("unavailable" | "io_error" | "-32603"))
    }
}
