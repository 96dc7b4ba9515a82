//! May this caller make this call? The tower layer between reading a request and running it: what comes out carries the
//! proof of permission.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

use crate::mcp::{AuthorizedRequest, McpError, Method, Request, ToolCall};
use crate::tools::{Denied, ToolRegistry};

/// Turns requests with tool calls by name into requests whose tool call is authorized.
#[derive(Clone)]
pub(super) struct AuthorizeLayer {
    registry: Arc<ToolRegistry>,
}

impl AuthorizeLayer {
    /// Checks against the scopes and paths of these tools.
    pub(super) fn new(registry: Arc<ToolRegistry>) -> Self {
        Self { registry }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { registry: Arc::clone(&self.registry), inner }
    }
}

/// The service that [`AuthorizeLayer`] makes.
#[derive(Clone)]
pub(super) struct Authorize<S> {
    registry: Arc<ToolRegistry>,
    inner: S,
}

impl<'a, S> Service<Request<ToolCall<'a>>> for Authorize<S>
where
    S: Service<AuthorizedRequest, Error = McpError>,
{
    type Response = S::Response;
    type Error = McpError;
    type Future = Either<S::Future, Ready<Result<S::Response, McpError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), McpError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ToolCall<'a>>) -> Self::Future {
        match authorize(&self.registry, request) {
            Ok(authorized) => Either::Left(self.inner.call(authorized)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

fn authorize(registry: &ToolRegistry, request: Request<ToolCall<'_>>) -> Result<AuthorizedRequest, McpError> {
    let Request { principal, version, method, progress } = request;
    let method = match method {
        Method::Discover => Method::Discover,
        Method::Initialize => Method::Initialize,
        Method::Ping => Method::Ping,
        Method::ListTools { cursor } => Method::ListTools { cursor },
        Method::CallTool(call) => {
            let authorized = registry.authorize(&principal, &call.name, call.arguments);
            Method::CallTool(authorized.map_err(|denied| refusal(denied, &call.name))?)
        }
    };
    Ok(Request { principal, version, method, progress })
}

fn refusal(denied: Denied, name: &str) -> McpError {
    match denied {
        Denied::UnknownTool => {
            let name = name.chars().take(100).collect::<String>();
            McpError::InvalidParams(format!("unknown tool: {name}; tools/list shows the tools there are"))
        }
        Denied::InsufficientScope { needed, message } => McpError::InsufficientScope { needed, message },
    }
}
