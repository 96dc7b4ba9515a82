//! Files and folders as resources: their URIs, and what a caller sees of them. No protocol.

mod error;
mod file_resources;
mod file_uri;
mod folder_content;
mod types;

pub use error::ResourceError;
pub use file_resources::{FileResources, ListLimits, MAX_COMPLETIONS};
pub use file_uri::{FILE_URI_TEMPLATE, FileUri, FileUriError};
pub use types::{Annotations, Completion, Content, Resource, ResourceContents, ResourcePage, ResourceTemplate};
