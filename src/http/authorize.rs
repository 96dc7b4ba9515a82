//! May this caller make this call? The tower layer between reading a request and running it: what comes out carries the
//! proof of permission.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::Either;
use tower::{Layer, Service};

use crate::auth::Denied;
use crate::mcp::{Authorized, Features, Filter, McpError, Method, Named, ProtocolVersion, Reference, Request};

/// Turns requests that name things into requests that hold proofs.
#[derive(Clone)]
pub(super) struct AuthorizeLayer {
    features: Arc<Features>,
}

impl AuthorizeLayer {
    /// Checks against the scopes of these features, and the paths that calls touch.
    pub(super) fn new(features: Arc<Features>) -> Self {
        Self { features }
    }
}

impl<S> Layer<S> for AuthorizeLayer {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Authorize<S> {
        Authorize { features: Arc::clone(&self.features), inner }
    }
}

/// The service that [`AuthorizeLayer`] makes.
#[derive(Clone)]
pub(super) struct Authorize<S> {
    features: Arc<Features>,
    inner: S,
}

impl<S> Service<Request<Named>> for Authorize<S>
where
    S: Service<Request<Authorized>, Error = McpError>,
{
    type Response = S::Response;
    type Error = McpError;
    type Future = Either<S::Future, Ready<Result<S::Response, McpError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), McpError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Named>) -> Self::Future {
        match authorize(&self.features, request) {
            Ok(authorized) => Either::Left(self.inner.call(authorized)),
            Err(error) => Either::Right(ready(Err(error))),
        }
    }
}

fn authorize(features: &Features, request: Request<Named>) -> Result<Request<Authorized>, McpError> {
    let Request { caller, version, method, retry, session } = request;
    let (principal, origin) = (&caller.principal, caller.origin.as_ref());
    let method = match method {
        Method::Discover => Method::Discover,
        Method::Initialize => Method::Initialize,
        Method::Ping => Method::Ping,
        Method::ListTools(cursor) => Method::ListTools(cursor),
        Method::ListPrompts(cursor) => Method::ListPrompts(cursor),
        Method::ListResources(cursor) => Method::ListResources(cursor),
        Method::ListTemplates => Method::ListTemplates,
        Method::CallTool(call) => {
            let tool = features.tools.authorize_from(origin, principal, &call.name, call.arguments_json());
            Method::CallTool((tool.map_err(|denied| McpError::refusal(denied, "tool", &call.name))?, call))
        }
        Method::GetPrompt(call) => {
            let prompt = features.prompts.authorize_get(origin, principal, &call.name, call.arguments_json());
            Method::GetPrompt((prompt.map_err(|denied| McpError::refusal(denied, "prompt", &call.name))?, call))
        }
        Method::ReadResource(uri) => {
            let authorized = features.resources.authorize_read(origin, principal, &uri);
            Method::ReadResource(authorized.map_err(|denied| refused(denied, version, uri))?)
        }
        Method::Complete(Reference::Prompt(call), completing) => {
            let prompt = features.prompts.authorize(principal, &call.name, None);
            let prompt = prompt.map_err(|denied| McpError::refusal(denied, "prompt", &call.name))?;
            Method::Complete(Reference::Prompt((prompt, call)), completing)
        }
        Method::Complete(Reference::Template(uri), completing) => {
            let authorized = features.resources.authorize(principal, &uri);
            let template = authorized.map_err(|denied| match refused(denied, version, uri) {
                // Here it is the argument that is wrong, in every revision (server/utilities/completion, "Error Handling").
                error @ McpError::ResourceNotFound { .. } => McpError::InvalidParams(error.to_string()),
                error => error,
            })?;
            Method::Complete(Reference::Template(template), completing)
        }
        Method::GetTask(id) => Method::GetTask(id),
        Method::UpdateTask(id, responses) => Method::UpdateTask(id, responses),
        Method::CancelTask(id) => Method::CancelTask(id),
        Method::Listen(Filter { tools, prompts, resources, updates, tasks }) => {
            // What the caller may not watch is not agreed to (2026-07-28, basic/patterns/subscriptions, "Acknowledgment").
            let updates = updates.into_iter().filter_map(|uri| features.resources.authorize(principal, &uri).ok()).collect();
            Method::Listen(Filter { tools, prompts, resources, updates, tasks })
        }
        Method::Subscribe(uri) => {
            let authorized = features.resources.authorize(principal, &uri);
            Method::Subscribe(authorized.map_err(|denied| refused(denied, version, uri))?)
        }
        Method::Unsubscribe(uri) => Method::Unsubscribe(uri),
        Method::SetLogLevel(level) => Method::SetLogLevel(level),
    };
    Ok(Request { caller, version, method, retry, session })
}

fn refused(denied: Denied, version: ProtocolVersion, uri: String) -> McpError {
    match denied {
        Denied::Unknown => McpError::ResourceNotFound { uri: uri.chars().take(200).collect(), version },
        denied => McpError::refusal(denied, "resource", &uri),
    }
}
