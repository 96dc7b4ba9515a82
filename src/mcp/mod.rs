//! The protocol, without HTTP: messages, revisions, methods, results. What a request means is decided here; how it came
//! and what status its answer has is `http`'s business.

mod dispatch;
mod error;
mod message;
mod request;
mod result;
mod version;

pub use dispatch::{Dispatch, ServerInfo};
pub use error::McpError;
pub use message::{Message, RequestId};
pub use request::{AuthorizedRequest, Meta, Method, Params, Request, ToolCall};
pub use result::{McpResult, ProgressNotification, write_error, write_result};
pub use version::ProtocolVersion;
