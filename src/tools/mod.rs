//! The tools: one file each. A tool knows neither the protocol nor HTTP; it takes typed arguments and gives an output or
//! a [`ToolError`](crate::call::ToolError).

mod authorized;
mod copy_file;
mod counted;
mod create_directory;
mod delete_file;
mod edit_file;
mod find_files;
mod get_file_info;
mod header_param;
mod json_len;
mod json_list;
mod list_directory;
mod listing;
mod move_file;
mod output;
mod paging;
mod path_arguments;
mod read_file;
mod registry;
mod schema;
mod search_text;
mod tool;
mod write_file;

pub use authorized::AuthorizedTool;
pub use copy_file::{CopyFile, CopyFileArgs, CopyFileOutput};
pub(crate) use counted::counted;
pub use create_directory::{CreateDirectory, CreateDirectoryArgs, CreateDirectoryOutput};
pub use delete_file::{DeleteFile, DeleteFileArgs, DeleteFileOutput};
pub use edit_file::{EditFile, EditFileArgs, EditFileOutput};
pub use find_files::FindFiles;
pub use get_file_info::{GetFileInfo, GetFileInfoArgs, GetFileInfoOutput};
pub use header_param::{HeaderParam, HeaderParams};
pub(crate) use json_len::json_len;
pub use list_directory::ListDirectory;
pub use move_file::{MoveFile, MoveFileArgs, MoveFileOutput};
pub use output::{ToolOutput, ToolResult};
pub(crate) use paging::one_line;
pub use path_arguments::PathArgument;
pub use read_file::{ReadFile, ReadFileArgs, ReadFileForm, ReadFileOutput, Shown};
pub use registry::{ToolDescription, ToolRegistry};
pub use search_text::SearchText;
pub use tool::{Effect, TaskSupport, Tool, ToolSpec, Touches};
pub use write_file::{ContentEncoding, WriteFile, WriteFileArgs, WriteFileOutput};
