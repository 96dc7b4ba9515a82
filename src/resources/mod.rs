//! Resources: what has a URI and can be read, listed, completed and watched. A provider of resources knows neither the
//! protocol nor HTTP.

mod error;
mod file_resources;
mod file_uri;
mod folder_content;
mod provider;
mod registry;
mod tree_resources;
mod types;
mod watch;

pub use error::ResourceError;
pub use file_resources::{FileResources, ListLimits, MAX_COMPLETIONS};
pub use file_uri::{FILE_URI_TEMPLATE, FileUri, FileUriError};
pub use provider::{ResourceProvider, ResourcesSpec};
pub use registry::{AuthorizedResource, ResourceRegistry};
pub use tree_resources::TreeResources;
pub use types::{Annotations, Resource, ResourcePage, ResourceTemplate};
pub use watch::ResourceWatch;
