//! Resources: what has a URI and can be read, listed, completed and watched. A provider of resources knows neither the
//! protocol nor HTTP.

mod provider;
mod registry;
mod types;
mod watch;

pub use provider::{ResourceProvider, ResourcesSpec};
pub use registry::{AuthorizedResource, ResourceRegistry};
pub use types::{Annotations, Resource, ResourcePage, ResourceTemplate};
pub use watch::ResourceWatch;
