//! The protocol, without HTTP: messages, revisions, methods, results. What a request means is decided here; how it came
//! and what status its answer has is `http`'s business.

mod borrowed;
mod dispatch;
mod error;
mod features;
pub mod legacy;
mod listed;
mod listening;
mod message;
mod notification;
mod object;
mod request;
mod request_state;
mod result;
mod tasks;
mod version;

pub use dispatch::{Dispatch, ServerInfo};
pub use error::McpError;
pub use features::Features;
pub use listed::{ListItem, Page};
pub use listening::Listening;
pub use message::{Message, RequestId};
pub use notification::ReportNotifications;
pub use object::Object;
pub use request::{Authorized, Call, Filter, Meta, Method, Named, Params, Reference, Request, Retry, Stage, read_capabilities};
pub use request_state::{
    Fingerprint, InvalidState, RequestStates, SealingKey, SealingKeysError, TooManyAnswers, read_sealing_keys,
};
pub use result::{McpResult, ResultWriter, write_error};
pub use tasks::{Task, Tasks};
pub use version::ProtocolVersion;
