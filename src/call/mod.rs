//! What the code that serves a call knows of it, whether it is a tool, a prompt or a resource: who calls, what the client
//! can do, where reports go, and how to ask the user for something.

mod background;
mod capabilities;
mod completion;
mod content;
mod context;
mod error;
mod input;
mod interrupted;
mod lanes;
mod no_arguments;
mod origin;
mod plain_uri;
mod report;
mod schema;
mod workplace;

pub use capabilities::{ClientCapabilities, ElicitationCapability};
pub use completion::{Completing, Completion};
pub use content::{Content, ResourceContents, Text};
pub use context::{CallContext, Caller, CancelFlag};
pub use error::{ToolError, ToolErrorKind};
pub use input::{Answers, ElicitAction, ElicitResult, Elicitation, InputRequest, InputRequests, Root, Sampling, SamplingResult};
pub(crate) use interrupted::RoundFuture;
pub use interrupted::{Interrupted, Round};
pub use lanes::{Lane, LaneLoad, Lanes};
pub use no_arguments::NoArguments;
pub use origin::Origin;
pub(crate) use plain_uri::plain_uri;
pub use report::{LogLevel, LogMessage, Progress, Report, Reports};
pub(crate) use schema::{input_schema_of, schema_of};
pub(crate) use workplace::Workplace;
