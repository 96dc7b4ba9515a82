//! How a request ended, where it did not simply end well.

use serde::Deserialize;

use crate::mcp::{McpError, McpResult};
use crate::metrics::OutcomeKind;

/// Names from bounded sets, and nothing of any content.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Outcome {
    pub(super) kind: OutcomeKind,
    pub(super) error: Option<&'static str>,
}

impl Outcome {
    /// The request, or the state of the server, is not such that it can be answered.
    pub(in crate::http) fn refused(error: &'static str) -> Self {
        Self { kind: OutcomeKind::Refused, error: Some(error) }
    }

    /// A JSON-RPC error.
    pub(in crate::http) fn of_error(error: &McpError) -> Self {
        match error {
            McpError::InsufficientScope { .. } | McpError::UnknownSession | McpError::TooManyCalls { .. } => {
                Self::refused(error.label())
            }
            error => Self { kind: OutcomeKind::RpcError, error: Some(error.label()) },
        }
    }

    /// `None` when there is nothing to note.
    pub(in crate::http) fn of_result(result: &McpResult) -> Option<Self> {
        match result {
            McpResult::CallTool(result) => Some(Self { kind: OutcomeKind::ToolError, error: Some(result.error?.as_str()) }),
            McpResult::InputRequired { .. } => Some(Self { kind: OutcomeKind::InputRequired, error: None }),
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
        let error = |kind, error| Some(Self { kind, error });
        match serde_json::from_slice(message).ok()? {
            Answer { error: Some(RpcError { code: -32603 }), .. } => error(OutcomeKind::RpcError, Some("unavailable")),
            Answer { error: Some(_), .. } => error(OutcomeKind::RpcError, None),
            Answer { result: Some(CallResult { is_error: true }), .. } => error(OutcomeKind::ToolError, None),
            Answer { .. } => None,
        }
    }

    /// Something that an operator can mend, or has to know of.
    pub(super) fn is_serious(self) -> bool {
        matches!(self.error, Some("unavailable" | "io_error" | "-32603"))
    }
}
