//! From request to result: one exhaustive match.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::{Map, Value};
use tower::Service;

use super::legacy::{Session, Sessions};
use super::listed::{ListItem, Listed};
use super::listening::Listening;
use super::request_state::Fingerprint;
use super::tasks::Called;
use super::{
    Authorized, Call, Features, McpError, McpResult, Method, ProtocolVersion, Reference, Request, RequestStates, Retry, Tasks,
};
use crate::call::{Caller, ClientCapabilities, Round, ToolError, ToolErrorKind};
use crate::tools::{AuthorizedTool, ToolResult};

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
    /// Are there prompts?
    pub prompts: bool,
    /// Are there resources?
    pub resources: bool,
    /// May calls become tasks?
    pub tasks: bool,
}

/// The MCP service: takes requests whose permission is proved, gives results. Cheap to clone.
#[derive(Clone)]
pub struct Dispatch(Arc<Inner>);

struct Inner {
    features: Arc<Features>,
    states: RequestStates,
    sessions: Sessions,
    tasks: Tasks,
    tools: Listed,
    prompts: Listed,
}

/// Tools or prompts in one page of their list.
const PAGE: usize = 50;

impl Dispatch {
    /// A service over these features, which seals what calls learn in several rounds with `states`, changes what belongs to
    /// `sessions`, and leaves calls that outlive their request to `tasks`.
    #[must_use]
    pub fn new(features: Arc<Features>, states: RequestStates, sessions: Sessions, tasks: Tasks) -> Self {
        let tools = Listed::new(features.tools.descriptions().map(ListItem::tool), PAGE);
        let prompts = Listed::new(features.prompts.descriptions().map(ListItem::prompt), PAGE);
        Self(Arc::new(Inner { features, states, sessions, tasks, tools, prompts }))
    }

    async fn dispatch(self, request: Request<Authorized>) -> Result<McpResult, McpError> {
        let Request { caller, version, method, retry, session } = request;
        let Inner { features, sessions, tasks, tools, prompts, .. } = &*self.0;
        match method {
            Method::Discover => Ok(McpResult::Discover),
            Method::Initialize => Ok(McpResult::Initialize),
            Method::Ping => Ok(McpResult::Empty),
            Method::ListTools(cursor) => {
                let visible = |name: &str| features.tools.may_use(&caller.principal, name);
                tools.page(cursor.as_deref(), visible).map(McpResult::ListTools)
            }
            // What the capabilities do not name is not there ("Capabilities").
            Method::ListPrompts(_) if features.prompts.is_empty() => Err(McpError::MethodNotFound("prompts/list".to_owned())),
            Method::ListPrompts(cursor) => {
                let visible = |name: &str| features.prompts.may_use(&caller.principal, name);
                prompts.page(cursor.as_deref(), visible).map(McpResult::ListPrompts)
            }
            Method::ListResources(cursor) => {
                let page = Box::pin(features.resources.list(caller, cursor.as_deref())).await;
                failing(page, version, None).map(McpResult::ListResources)
            }
            Method::ListTemplates => Ok(McpResult::ListTemplates(features.resources.templates(&caller.principal))),
            Method::CallTool(called) => Box::pin(self.call_tool(caller, version, retry, called)).await,
            Method::GetPrompt((prompt, call)) => {
                self.rounds(
                    caller,
                    version,
                    retry,
                    ("prompts/get", &call),
                    |caller| Box::pin(prompt.get(caller)),
                    |result| result.map(McpResult::GetPrompt).map_err(|error| failure(&error, version, None)),
                )
                .await
            }
            Method::ReadResource(resource) => {
                let uri = resource.uri().to_owned();
                let ttl_ms = resource.spec().ttl_ms;
                let call = Call { name: uri.clone(), arguments: None };
                self.rounds(
                    caller,
                    version,
                    retry,
                    ("resources/read", &call),
                    |caller| Box::pin(resource.read(caller)),
                    |result| {
                        let contents = result.map_err(|error| failure(&error, version, Some(uri)))?;
                        Ok(McpResult::ReadResource { contents, ttl_ms })
                    },
                )
                .await
            }
            Method::Complete(Reference::Prompt((prompt, _)), completing) => {
                failing(Box::pin(prompt.complete(caller, completing)).await, version, None).map(McpResult::Complete)
            }
            Method::Complete(Reference::Template(template), completing) => {
                failing(Box::pin(template.complete(caller, completing)).await, version, None).map(McpResult::Complete)
            }
            Method::GetTask(id) => Box::pin(tasks.get(&caller, &id)).await.map(McpResult::GetTask),
            Method::UpdateTask(id, responses) => {
                Box::pin(tasks.update(&caller, &id, &responses)).await.map(|()| McpResult::Empty)
            }
            Method::CancelTask(id) => Box::pin(tasks.cancel(&caller, &id)).await.map(|()| McpResult::Empty),
            Method::Listen(filter) => Box::pin(Listening::start(features, tasks, caller, filter)).await.map(McpResult::Listening),
            Method::Subscribe(resource) => {
                let (session, uri) = (in_session(session)?, resource.uri().to_owned());
                let watch = failing(Box::pin(resource.watch(caller)).await, version, Some(uri.clone()))?;
                let watch = watch.ok_or_else(|| McpError::InvalidParams("this resource cannot be watched".to_owned()))?;
                Box::pin(sessions.subscribe(&session, &uri, watch.canonical(&uri), &watch.current))
                    .await
                    .map(|()| McpResult::Empty)
            }
            Method::Unsubscribe(uri) => {
                Box::pin(sessions.unsubscribe(&*in_session(session)?, &uri)).await.map(|()| McpResult::Empty)
            }
            Method::SetLogLevel(level) => {
                let set = Box::pin(sessions.set_log_level(&*in_session(session)?, level)).await;
                set.map(|()| McpResult::Empty).map_err(|error| McpError::Unavailable(format!("{error}; repeat the request")))
            }
        }
    }

    async fn call_tool(
        self,
        caller: Caller,
        version: ProtocolVersion,
        retry: Retry,
        (tool, call): (AuthorizedTool, Call),
    ) -> Result<McpResult, McpError> {
        self.rounds(
            caller,
            version,
            retry,
            ("tools/call", &call),
            |caller| self.0.tasks.call(tool, &call, caller, version),
            |called| match called {
                Ok(Called::Over(result)) => Ok(McpResult::CallTool(result)),
                Ok(Called::GoesOn(task)) => Ok(McpResult::CreateTask(task)),
                Err(error) => Ok(McpResult::CallTool(ToolResult::from(error))),
            },
        )
        .await
    }

    /// Runs one round of a request that may take several: answers of earlier rounds in, questions of this one out.
    async fn rounds<T, F>(
        &self,
        mut caller: Caller,
        version: ProtocolVersion,
        retry: Retry,
        (method, call): (&str, &Call),
        run: impl FnOnce(Caller) -> F,
        conclude: impl FnOnce(Result<T, ToolError>) -> Result<McpResult, McpError>,
    ) -> Result<McpResult, McpError>
    where
        F: Future<Output = Round<T>>,
    {
        let states = &self.0.states;
        let fingerprint = || Fingerprint::of(method, &call.name, call.arguments.as_deref());
        if let Some(state) = &retry.state {
            let answers = states.open(&caller.principal, fingerprint(), state);
            caller.answers.extend(answers.map_err(|error| McpError::InvalidParams(error.to_string()))?);
        }
        // An answer that came with an unsealed earlier one of the same key is the newer of the two.
        caller.answers.extend(retry.responses);
        let principal = Arc::clone(&caller.principal);
        match run(caller).await {
            Round::Done(result) => conclude(result),
            // In the handshake revisions no error stands for it: the model is told, and may find another way.
            Round::Lacks(capabilities) if !version.is_modern() => conclude(Err(lacking(&capabilities))),
            Round::Lacks(capabilities) => Err(McpError::MissingCapability(capabilities)),
            Round::Asks { questions, answers } => {
                let state = version.is_modern().then(|| states.seal(&principal, fingerprint(), answers.clone()));
                let state = state.transpose().map_err(|error| McpError::InvalidParams(error.to_string()))?;
                Ok(McpResult::InputRequired { questions, answers, state })
            }
        }
    }
}

fn in_session(session: Option<Arc<Session>>) -> Result<Arc<Session>, McpError> {
    session.ok_or_else(|| {
        McpError::InvalidRequest("this needs a session: send initialize, and the Mcp-Session-Id that it gives".to_owned())
    })
}

fn lacking(capabilities: &ClientCapabilities) -> ToolError {
    let named = serde_json::to_value(capabilities).unwrap_or_default();
    let name = |(name, settings): (&String, &Value)| {
        let modes: Vec<_> = settings.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        if modes.is_empty() { name.clone() } else { format!("{name} ({})", modes.join(", ")) }
    };
    let names = named.as_object().into_iter().flatten().map(name).collect::<Vec<_>>().join(", ");
    let problem = format!("this call has to ask through the client, which does not declare {names}");
    ToolError::new(ToolErrorKind::Forbidden, format!("{problem} in its handshake or has no session; use another client or tool"))
}

/// The output of a request that is over in one round.
fn failing<T>(round: Round<T>, version: ProtocolVersion, uri: Option<String>) -> Result<T, McpError> {
    match round {
        Round::Done(result) => result.map_err(|error| failure(&error, version, uri)),
        Round::Lacks(capabilities) => Err(McpError::MissingCapability(capabilities)),
        // Only tools/call, prompts/get and resources/read may ask (2026-07-28, basic/patterns/mrtr, "Supported Requests").
        Round::Asks { .. } => Err(McpError::Internal),
    }
}

/// What a model could repair is, outside of tool calls, an error of the protocol.
fn failure(error: &ToolError, version: ProtocolVersion, uri: Option<String>) -> McpError {
    match (error.kind(), uri) {
        (ToolErrorKind::NotFound | ToolErrorKind::Forbidden, Some(uri)) => McpError::ResourceNotFound { uri, version },
        (ToolErrorKind::Unavailable | ToolErrorKind::TimedOut | ToolErrorKind::Io, _) => {
            McpError::Unavailable(error.message().to_owned())
        }
        _ => McpError::InvalidParams(error.message().to_owned()),
    }
}

impl Service<Request<Authorized>> for Dispatch {
    type Response = McpResult;
    type Error = McpError;
    type Future = Pin<Box<dyn Future<Output = Result<McpResult, McpError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), McpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Authorized>) -> Self::Future {
        match request {
            // A future is moved with each request, and as large as its largest branch: what most requests ask has its own.
            Request { caller, version, method: Method::CallTool(called), retry, .. } => {
                Box::pin(self.clone().call_tool(caller, version, retry, called))
            }
            request => Box::pin(self.clone().dispatch(request)),
        }
    }
}
