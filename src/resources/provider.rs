//! What provides resources.

use std::future::Future;

use futures_util::stream::BoxStream;

use super::{ResourcePage, ResourceTemplate, ResourceWatch};
use crate::auth::Scope;
use crate::call::{CallContext, Completing, Completion, Interrupted, Lane, ResourceContents};

/// A family of resources under one beginning of their URIs.
pub trait ResourceProvider: Send + Sync + 'static {
    /// Which URIs, and who may use them.
    const SPEC: ResourcesSpec;

    /// The templates that URIs of this family follow. None unless overridden.
    fn templates(&self) -> Vec<ResourceTemplate> {
        Vec::new()
    }

    /// One page of the resources that this caller may read, in an order that does not change. `cursor` is the
    /// `next_cursor` of the page before, as it came back from the client: not to be trusted.
    ///
    /// # Errors
    /// `InvalidCursor`, or what kept it from listing.
    fn list(&self, cx: &CallContext, cursor: Option<&str>) -> impl Future<Output = Result<ResourcePage, Interrupted>> + Send;

    /// The content of one resource.
    ///
    /// # Errors
    /// `NotFound` for a URI that names nothing, or nothing that this caller may read; other failures as they are.
    fn read(&self, cx: &CallContext, uri: &str) -> impl Future<Output = Result<Vec<ResourceContents>, Interrupted>> + Send;

    /// Suggests values for a variable of a template. Suggests nothing unless overridden.
    ///
    /// # Errors
    /// What kept it from looking for values.
    fn complete(
        &self,
        _cx: &CallContext,
        _template: &str,
        _completing: &Completing,
    ) -> impl Future<Output = Result<Completion, Interrupted>> + Send {
        std::future::ready(Ok(Completion::default()))
    }

    /// Watches a resource that this caller may read. `None`, unless overridden: resources that cannot be watched.
    ///
    /// # Errors
    /// `NotFound` as for [`Self::read`], or what kept it from watching.
    fn watch(&self, _cx: &CallContext, _uri: &str) -> impl Future<Output = Result<Option<ResourceWatch>, Interrupted>> + Send {
        std::future::ready(Ok(None))
    }

    /// Signals each time that the set of resources which this caller may list has changed. `None`, unless overridden: a
    /// set that stands still, or that [`Notifier::list_changed`](crate::changes::Notifier::list_changed) tells of.
    ///
    /// # Errors
    /// What kept it from watching.
    fn watch_list(&self, _cx: &CallContext) -> impl Future<Output = Result<Option<BoxStream<'static, ()>>, Interrupted>> + Send {
        std::future::ready(Ok(None))
    }
}

/// What is declared about a family of resources.
#[derive(Clone, Copy, Debug)]
pub struct ResourcesSpec {
    /// What all URIs of the family begin with, such as `docs://`. The longest that fits a URI wins.
    pub prefix: &'static str,
    /// All of these must be held by the caller; without them the resources are neither listed nor read.
    pub scopes: &'static [Scope],
    /// Where blocking work runs.
    pub lane: Lane,
    /// How long a client may keep what it has read, in milliseconds; 0 for what may change at any time.
    pub ttl_ms: u64,
}
