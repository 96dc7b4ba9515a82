//! The tree's files and folders, provided as resources.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::{
    FileResources, FileUri, ListLimits, ResourceError, ResourcePage, ResourceProvider, ResourceTemplate, ResourceWatch,
    ResourcesSpec,
};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Completing, Completion, Interrupted, Lane, ResourceContents, ToolError, ToolErrorKind};
use crate::files::{Changes, FileError, Tree, Version, View};

/// The largest file that is read as a resource, in bytes; larger ones are read in pages by `read_file`.
const MAX_READ_BYTES: usize = 1024 * 1024;
/// Resources in one page of the list.
const MAX_PAGE: usize = 200;

/// Every file and folder of the tree, for callers who may read it.
#[derive(Clone, Debug)]
pub struct TreeResources {
    tree: Arc<Tree>,
    changes: Changes,
}

impl TreeResources {
    /// The resources of this tree, whose changes are these.
    #[must_use]
    pub fn new(tree: Arc<Tree>, changes: Changes) -> Self {
        Self { tree, changes }
    }

    fn view(&self, cx: &CallContext) -> View {
        View::new(Arc::clone(&self.tree), Arc::clone(cx.principal()))
    }

    async fn run<T: Send + 'static>(
        &self,
        cx: &CallContext,
        work: impl FnOnce(&FileResources, &(dyn Fn() -> bool + Send + Sync)) -> Result<T, ResourceError> + Send + 'static,
    ) -> Result<T, Interrupted> {
        let files = FileResources::new(self.view(cx));
        Ok(cx.run(move |flag| Ok(work(&files, &|| flag.is_set())?)).await?)
    }
}

impl ResourceProvider for TreeResources {
    const SPEC: ResourcesSpec =
        ResourcesSpec { prefix: "file:", scopes: &[Scope::Files(Permission::Read)], lane: Lane::Io, ttl_ms: 0 };

    fn templates(&self) -> Vec<ResourceTemplate> {
        FileResources::templates()
    }

    async fn list(&self, cx: &CallContext, cursor: Option<&str>) -> Result<ResourcePage, Interrupted> {
        let limits = ListLimits { resources: MAX_PAGE, bytes: cx.max_result_bytes() };
        let cursor = cursor.map(str::to_owned);
        self.run(cx, move |files, stop| files.list(cursor.as_deref(), limits, stop)).await
    }

    async fn read(&self, cx: &CallContext, uri: &str) -> Result<Vec<ResourceContents>, Interrupted> {
        let uri = uri.to_owned();
        self.run(cx, move |files, stop| Ok(vec![files.read(&uri, MAX_READ_BYTES, stop)?])).await
    }

    async fn complete(&self, cx: &CallContext, _: &str, completing: &Completing) -> Result<Completion, Interrupted> {
        // The template's only variable.
        if completing.argument != "path" {
            return Ok(Completion::default());
        }
        let typed = completing.value.clone();
        self.run(cx, move |files, stop| files.complete(&typed, stop)).await
    }

    async fn watch(&self, cx: &CallContext, uri: &str) -> Result<Option<ResourceWatch>, Interrupted> {
        let uri: FileUri =
            uri.parse().map_err(|problem| ToolError::from(ResourceError::InvalidUri { uri: uri.to_owned(), problem }))?;
        let subscription = self.changes.subscribe(&self.view(cx), uri.path()).await.map_err(|error| match error {
            FileError::Forbidden(_) => ToolError::from(ResourceError::NotFound { uri: uri.to_string() }),
            error => ToolError::from(error),
        })?;
        let current = text(subscription.version().as_ref());
        let changes = subscription.into_stream().map(|change| text(change.version.as_ref()));
        Ok(Some(ResourceWatch::new(current, changes).of(uri.to_string())))
    }

    async fn watch_list(&self, cx: &CallContext) -> Result<Option<BoxStream<'static, ()>>, Interrupted> {
        Ok(Some(self.changes.list_changes(&self.view(cx)).await.into_stream().boxed()))
    }
}

fn text(version: Option<&Version>) -> String {
    version.map_or_else(|| "gone".to_owned(), Version::to_string)
}

impl From<ResourceError> for ToolError {
    fn from(error: ResourceError) -> Self {
        let kind = match &error {
            ResourceError::InvalidUri { .. } => ToolErrorKind::InvalidArgument,
            ResourceError::InvalidCursor => ToolErrorKind::InvalidCursor,
            ResourceError::NotFound { .. } => ToolErrorKind::NotFound,
            ResourceError::TooLarge { .. } => ToolErrorKind::TooLarge,
            ResourceError::Unreadable { source: FileError::Cancelled, .. } => ToolErrorKind::TimedOut,
            // Asking again does not help.
            ResourceError::Unreadable { source: FileError::NotRegular(_) | FileError::NotPermitted(_), .. } => {
                ToolErrorKind::InvalidArgument
            }
            ResourceError::Unreadable { .. } => ToolErrorKind::Io,
        };
        Self::new(kind, error.to_string())
    }
}
