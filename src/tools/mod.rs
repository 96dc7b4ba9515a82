//! The tools: one file each. A tool knows neither the protocol nor HTTP; it takes typed arguments and gives an output or
//! a [`ToolError`].

mod context;
mod error;
mod get_file_info;
mod json_len;
mod output;
mod read_file;
mod registry;
mod tool;

pub use context::{CallContext, CancelFlag, Lanes, Progress, ProgressUpdate};
pub use error::{ToolError, ToolErrorKind};
pub use get_file_info::{GetFileInfo, GetFileInfoArgs, GetFileInfoOutput};
pub use output::{Content, ToolOutput, ToolResult};
pub use read_file::{ReadFile, ReadFileArgs, ReadFileForm, ReadFileOutput, Shown};
pub use registry::{AuthorizedTool, Denied, ToolDescription, ToolRegistry};
pub use tool::{Effect, Lane, Tool, ToolSpec, Touches};
