//! The tools: one file each. A tool knows neither the protocol nor HTTP; it takes typed arguments and gives an output or
//! a [`ToolError`].

mod context;
mod error;
mod find_files;
mod get_file_info;
mod json_len;
mod list_directory;
mod listing;
mod output;
mod paging;
mod read_file;
mod registry;
mod rfc3339;
mod search_text;
mod tool;

pub use context::{CallContext, CancelFlag, Lanes, Progress, ProgressUpdate};
pub use error::{ToolError, ToolErrorKind};
pub use find_files::FindFiles;
pub use get_file_info::{GetFileInfo, GetFileInfoArgs, GetFileInfoOutput};
pub use list_directory::ListDirectory;
pub use output::{Content, ToolOutput, ToolResult};
pub use read_file::{ReadFile, ReadFileArgs, ReadFileForm, ReadFileOutput, Shown};
pub use registry::{AuthorizedTool, Denied, ToolDescription, ToolRegistry};
pub use search_text::SearchText;
pub use tool::{Effect, Lane, Tool, ToolSpec, Touches};
