//! From request to result: one exhaustive match.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower::Service;

use super::result::{ListedTool, ToolsPage};
use super::{AuthorizedRequest, McpError, McpResult, Method};
use crate::auth::Principal;
use crate::tools::{ToolRegistry, ToolResult};

/// How the server names itself, in every revision.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// The program's name.
    pub name: String,
    /// For people.
    pub title: String,
    /// The program's version.
    pub version: String,
    /// How a model should use the server.
    pub instructions: String,
}

/// The MCP service: takes requests whose permission is proved, gives results. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch(Arc<Inner>);

struct Inner {
    registry: Arc<ToolRegistry>,
    listed: Vec<ListedTool>,
    page_size: usize,
}

/// Tools in one page of `tools/list`.
const TOOLS_PAGE: usize = 50;

impl Dispatch {
    /// A service over these tools.
    #[must_use]
    pub fn new(registry: Arc<ToolRegistry>) -> Self {
        Self::with_page_size(registry, TOOLS_PAGE)
    }

    fn with_page_size(registry: Arc<ToolRegistry>, page_size: usize) -> Self {
        let listed = registry.descriptions().map(ListedTool::new).collect();
        Self(Arc::new(Inner { registry, listed, page_size }))
    }

    async fn dispatch(self, request: AuthorizedRequest) -> Result<McpResult, McpError> {
        match request.method {
            Method::Discover => Ok(McpResult::Discover),
            Method::Initialize => Ok(McpResult::Initialize),
            Method::Ping => Ok(McpResult::Empty),
            Method::ListTools { cursor } => self.0.list_tools(&request.principal, cursor.as_deref()).map(McpResult::ListTools),
            Method::CallTool(tool) => Ok(McpResult::CallTool(tool.run(request.progress).await.unwrap_or_else(ToolResult::from))),
        }
    }
}

impl Service<AuthorizedRequest> for Dispatch {
    type Response = McpResult;
    type Error = McpError;
    type Future = Pin<Box<dyn Future<Output = Result<McpResult, McpError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), McpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: AuthorizedRequest) -> Self::Future {
        Box::pin(self.clone().dispatch(request))
    }
}

impl Inner {
    /// The page after the tool that the cursor names, of those that the caller may use.
    fn list_tools(&self, principal: &Principal, cursor: Option<&str>) -> Result<ToolsPage, McpError> {
        let after = cursor.map(|cursor| self.position(cursor)).transpose()?;
        let visible =
            self.listed.iter().skip(after.map_or(0, |at| at + 1)).filter(|tool| self.registry.may_use(principal, tool.name()));
        let mut tools: Vec<ListedTool> = visible.take(self.page_size + 1).cloned().collect();
        let more = tools.len() > self.page_size;
        tools.truncate(self.page_size);
        let next_cursor = tools.last().filter(|_| more).map(|tool| URL_SAFE_NO_PAD.encode(tool.name()));
        Ok(ToolsPage { tools, next_cursor })
    }

    fn position(&self, cursor: &str) -> Result<usize, McpError> {
        URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|name| self.listed.iter().position(|tool| tool.name().as_bytes() == name))
            .ok_or_else(|| McpError::InvalidParams("`cursor` is not one of this list's; start again without a cursor".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::{Scope, ScopeSet};
    use crate::tools::{CallContext, Effect, Lane, Lanes, Tool, ToolError, ToolOutput, ToolSpec};

    struct Named<const N: usize>;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    impl<const N: usize> Tool for Named<N> {
        const SPEC: ToolSpec = ToolSpec {
            name: NAMES[N],
            title: "",
            description: "",
            scopes: if N == 2 { &[Scope::Named("special")] } else { &[] },
            effect: Effect::ReadOnly,
            lane: Lane::Io,
            example: "{}",
        };
        type Args = ();
        type Output = ();

        async fn call(&self, _: &CallContext, (): ()) -> Result<ToolOutput<()>, ToolError> {
            Ok(ToolOutput::text("", ()))
        }
    }

    #[test]
    fn pages_join_to_the_list_that_the_caller_may_use() {
        let registry = ToolRegistry::new(Arc::new(Lanes::new(1, 1)), 1_000, Duration::from_secs(1));
        let registry = registry.with(Named::<0>).with(Named::<1>).with(Named::<2>).with(Named::<3>).with(Named::<4>);
        let dispatch = Dispatch::with_page_size(Arc::new(registry), 2);
        let principal = Principal { issuer: String::new(), subject: String::new(), scopes: ScopeSet::default() };
        let (mut names, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = dispatch.0.list_tools(&principal, cursor.as_deref()).expect("a page");
            names.extend(page.tools.iter().map(|tool| tool.name().to_owned()));
            pages += 1;
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!((names.as_slice(), pages), (["a", "b", "d", "e"].map(String::from).as_slice(), 2));
        assert_eq!(dispatch.0.list_tools(&principal, Some("eHh4")).map(|_| ()).map_err(|error| error.code()), Err(-32602));
    }
}
