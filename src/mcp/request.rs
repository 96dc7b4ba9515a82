//! One variant per method: what a request asks for, its parameters read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::borrowed;
use super::legacy::Session;
use super::message::is_string_or_integer;
use super::object::{self, Object};
use super::{McpError, ProtocolVersion, RequestId};
use crate::call::{Answers, Caller, ClientCapabilities, Completing, LogLevel};
use crate::prompts::AuthorizedPrompt;
use crate::resources::AuthorizedResource;
use crate::tools::AuthorizedTool;

/// Resources that one stream tells of, at most.
const MAX_WATCHED: usize = 1_000;
/// Tasks that one stream follows, at most: each costs a look at the shared state every few seconds.
const MAX_FOLLOWED: usize = 100;

/// A request in which nothing is left to be read from headers or raw JSON.
#[derive(Debug)]
pub struct Request<S: Stage> {
    /// Who asks.
    pub caller: Caller,
    /// In which revision.
    pub version: ProtocolVersion,
    /// What for.
    pub method: Method<S>,
    /// What a further round of the same call brings along (2026-07-28).
    pub retry: Retry,
    /// The session that the request came in (the handshake revisions).
    pub session: Option<Arc<Session>>,
}

/// How far a request has come: what it names before authorization, the proofs of permission after it.
pub trait Stage: Debug {
    /// A tool call.
    type Tool: Debug;
    /// A prompt with its arguments.
    type Prompt: Debug;
    /// A resource.
    type Resource: Debug;
}

/// Before authorization: names, as the caller wrote them.
#[derive(Debug)]
pub struct Named;

impl Stage for Named {
    type Tool = Call;
    type Prompt = Call;
    type Resource = String;
}

/// After authorization: proofs.
#[derive(Debug)]
pub struct Authorized;

impl Stage for Authorized {
    // The call itself stays at hand: a further round must be one of the same call.
    type Tool = (AuthorizedTool, Call);
    type Prompt = (AuthorizedPrompt, Call);
    type Resource = AuthorizedResource;
}

/// The methods that this server answers.
#[derive(Debug)]
pub enum Method<S: Stage> {
    /// `server/discover` (2026-07-28).
    Discover,
    /// `initialize` (the handshake revisions); the revision that the server settles on is the request's own.
    Initialize,
    /// `ping` (the handshake revisions).
    Ping,
    /// `tools/list`, with `nextCursor` of the page before.
    ListTools(Option<String>),
    /// `tools/call`.
    CallTool(S::Tool),
    /// `prompts/list`, with `nextCursor` of the page before.
    ListPrompts(Option<String>),
    /// `prompts/get`.
    GetPrompt(S::Prompt),
    /// `resources/list`, with `nextCursor` of the page before.
    ListResources(Option<String>),
    /// `resources/templates/list`; there is one page.
    ListTemplates,
    /// `resources/read`.
    ReadResource(S::Resource),
    /// `completion/complete`.
    Complete(Reference<S>, Completing),
    /// `tasks/get` (2026-07-28, extension), with the task's id.
    GetTask(String),
    /// `tasks/update` (2026-07-28, extension), with the task's id and answers.
    UpdateTask(String, Answers),
    /// `tasks/cancel` (2026-07-28, extension), with the task's id.
    CancelTask(String),
    /// `subscriptions/listen` (2026-07-28).
    Listen(Filter<S>),
    /// `resources/subscribe` (the handshake revisions).
    Subscribe(S::Resource),
    /// `resources/unsubscribe` (the handshake revisions): this URI.
    Unsubscribe(String),
    /// `logging/setLevel` (the handshake revisions).
    SetLogLevel(LogLevel),
}

/// What a caller wants to be told of (2026-07-28, basic/patterns/subscriptions, "Notification Filter").
#[derive(Debug)]
pub struct Filter<S: Stage> {
    /// When the list of tools changes.
    pub tools: bool,
    /// When the list of prompts changes.
    pub prompts: bool,
    /// When the list of resources changes.
    pub resources: bool,
    /// When one of these resources changes.
    pub updates: Vec<S::Resource>,
    /// When one of the tasks of these ids changes.
    pub tasks: Vec<String>,
}

/// Whose argument is completed.
#[derive(Debug)]
pub enum Reference<S: Stage> {
    /// A prompt's.
    Prompt(S::Prompt),
    /// A resource template's.
    Template(S::Resource),
}

/// A name with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The tool's or the prompt's name.
    pub name: String,
    /// Its arguments, unread: a JSON object. Shares the memory of the body.
    pub arguments: Option<Bytes>,
}

impl Call {
    /// The arguments as JSON text.
    #[must_use]
    pub fn arguments_json(&self) -> Option<&str> {
        self.arguments.as_ref().and_then(|arguments| std::str::from_utf8(arguments).ok())
    }
}

/// What a further round of a call brings along (2026-07-28, basic/patterns/mrtr).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retry {
    /// `params.inputResponses`.
    pub responses: Answers,
    /// `params.requestState`, still sealed.
    pub state: Option<String>,
}

/// The parameters of any request, read once: each method takes the fields it knows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Params<'a> {
    /// The request's metadata.
    #[serde(rename = "_meta", borrow, default, deserialize_with = "object::optional")]
    pub meta: Option<Meta<'a>>,
    /// `params.name` of tools/call and prompts/get.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub name: Option<Cow<'a, str>>,
    /// `params.uri` of the methods on resources.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub uri: Option<Cow<'a, str>>,
    /// `params.taskId` of the methods on tasks.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub task_id: Option<Cow<'a, str>>,
    /// `params.arguments` of tools/call and prompts/get.
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    /// `params.cursor` of the lists.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub cursor: Option<Cow<'a, str>>,
    /// `params.protocolVersion` of initialize.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub protocol_version: Option<Cow<'a, str>>,
    /// `params.capabilities` of initialize.
    #[serde(borrow)]
    pub capabilities: Option<&'a RawValue>,
    /// `params.ref` of completion/complete.
    #[serde(rename = "ref")]
    pub reference: Option<Object<ReferenceParam>>,
    /// `params.argument` of completion/complete.
    pub argument: Option<Object<ArgumentParam>>,
    /// `params.context` of completion/complete.
    pub context: Option<Object<ContextParam>>,
    /// `params.notifications` of subscriptions/listen.
    pub notifications: Option<Object<FilterParam>>,
    /// `params.level` of logging/setLevel.
    pub level: Option<LogLevel>,
    /// `params.requestId` of notifications/cancelled.
    pub request_id: Option<RequestId>,
    /// `params.inputResponses` of a further round, and of tasks/update.
    pub input_responses: Option<Answers>,
    /// `params.requestState` of a further round.
    pub request_state: Option<String>,
}

/// `params._meta` (2026-07-28, basic, "_meta").
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    /// The revision of a modern request.
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow, default, deserialize_with = "borrowed::optional")]
    pub protocol_version: Option<Cow<'a, str>>,
    /// What the client can do.
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow)]
    pub client_capabilities: Option<&'a RawValue>,
    /// The least level of log messages that the caller wants.
    #[serde(rename = "io.modelcontextprotocol/logLevel")]
    pub log_level: Option<LogLevel>,
    /// What progress notifications are marked with; a string or an integer.
    #[serde(rename = "progressToken", borrow)]
    pub progress_token: Option<&'a RawValue>,
    /// The caller's span (W3C Trace Context).
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub traceparent: Option<Cow<'a, str>>,
    /// What tracing systems tell each other beside.
    #[serde(borrow, default, deserialize_with = "borrowed::optional")]
    pub tracestate: Option<Cow<'a, str>>,
}

/// `params.notifications` of subscriptions/listen.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterParam {
    tools_list_changed: bool,
    prompts_list_changed: bool,
    resources_list_changed: bool,
    resource_subscriptions: Vec<String>,
    task_ids: Vec<String>,
}

/// What `completion/complete` refers to.
#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
pub enum ReferenceParam {
    /// A prompt by name.
    #[serde(rename = "ref/prompt")]
    Prompt {
        /// Its name.
        name: String,
    },
    /// A resource template.
    #[serde(rename = "ref/resource")]
    Resource {
        /// The template itself, or a URI that follows it.
        uri: String,
    },
}

/// The argument that is being typed.
#[derive(Debug, Deserialize)]
pub struct ArgumentParam {
    name: String,
    value: String,
}

/// What else is known while it is being typed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContextParam {
    arguments: BTreeMap<String, String>,
}

impl<'a> Params<'a> {
    /// Reads the parameters of a request; absent ones are empty.
    ///
    /// # Errors
    /// `MalformedParams` when they are no object, or a field has a wrong type or stands there twice.
    pub fn parse(params: Option<&'a RawValue>) -> Result<Self, McpError> {
        let Some(params) = params else { return Ok(Self::default()) };
        if !params.get().starts_with('{') {
            return Err(McpError::MalformedParams("`params` must be an object".to_owned()));
        }
        let params: Self =
            serde_json::from_str(params.get()).map_err(|error| McpError::MalformedParams(format!("`params`: {error}")))?;
        if !params.has_sound_token() {
            return Err(McpError::MalformedParams("`progressToken` must be a string or an integer".to_owned()));
        }
        Ok(params)
    }

    /// Is the progress token, if there is one, a string or an integer?
    #[must_use]
    pub fn has_sound_token(&self) -> bool {
        let token = self.meta.as_ref().and_then(|meta| meta.progress_token);
        token.is_none_or(|token| is_string_or_integer(token.get()))
    }

    /// The method of this name in this revision, with its parameters, which lie in `body`.
    ///
    /// # Errors
    /// `MethodNotFound` for a name that the revision does not have; `MalformedParams` when a required field is missing.
    pub fn method(&mut self, name: &str, version: ProtocolVersion, body: &Bytes) -> Result<Method<Named>, McpError> {
        let cursor = |params: &mut Self| params.cursor.take().map(Cow::into_owned);
        match (name, version.is_modern()) {
            ("server/discover", true) => Ok(Method::Discover),
            ("initialize", false) => Ok(Method::Initialize),
            ("ping", false) => Ok(Method::Ping),
            ("tools/list", _) => Ok(Method::ListTools(cursor(self))),
            ("tools/call", _) => self.call("the tool's name", body).map(Method::CallTool),
            ("prompts/list", _) => Ok(Method::ListPrompts(cursor(self))),
            ("prompts/get", _) => self.call("the prompt's name", body).map(Method::GetPrompt),
            ("resources/list", _) => Ok(Method::ListResources(cursor(self))),
            ("resources/templates/list", _) => Ok(Method::ListTemplates),
            ("resources/read", _) => self.uri().map(Method::ReadResource),
            ("completion/complete", _) => self.completion(),
            ("resources/subscribe", false) => self.uri().map(Method::Subscribe),
            ("resources/unsubscribe", false) => self.uri().map(Method::Unsubscribe),
            ("logging/setLevel", false) => self.log_level().map(Method::SetLogLevel),
            ("tasks/get", true) => self.task_id().map(Method::GetTask),
            ("tasks/update", true) => {
                let id = self.task_id()?;
                let responses = self.input_responses.take().ok_or_else(|| missing("inputResponses", "answers by their keys"))?;
                Ok(Method::UpdateTask(id, responses))
            }
            ("tasks/cancel", true) => self.task_id().map(Method::CancelTask),
            ("subscriptions/listen", true) => self.filter().map(Method::Listen),
            _ => Err(McpError::MethodNotFound(name.chars().take(100).collect())),
        }
    }

    /// What a further round of a call brings along.
    pub fn retry(&mut self) -> Retry {
        Retry { responses: self.input_responses.take().unwrap_or_default(), state: self.request_state.take() }
    }

    fn call(&mut self, what: &str, body: &Bytes) -> Result<Call, McpError> {
        let name = self.name.take().ok_or_else(|| missing("name", what))?.into_owned();
        if self.arguments.is_some_and(|arguments| !arguments.get().starts_with('{')) {
            return Err(McpError::MalformedParams("`params.arguments` must be an object".to_owned()));
        }
        Ok(Call { name, arguments: self.arguments.map(|arguments| body.slice_ref(arguments.get().as_bytes())) })
    }

    fn uri(&mut self) -> Result<String, McpError> {
        self.uri.take().map(Cow::into_owned).ok_or_else(|| missing("uri", "the resource's URI"))
    }

    fn log_level(&mut self) -> Result<LogLevel, McpError> {
        self.level.take().ok_or_else(|| missing("level", "the least level of messages, such as \"info\""))
    }

    fn task_id(&mut self) -> Result<String, McpError> {
        self.task_id.take().map(Cow::into_owned).ok_or_else(|| missing("taskId", "the task's id"))
    }

    fn filter(&mut self) -> Result<Filter<Named>, McpError> {
        let Object(filter) = self.notifications.take().ok_or_else(|| missing("notifications", "what to be told of"))?;
        let updates = filter.resource_subscriptions;
        if updates.len() > MAX_WATCHED {
            return Err(McpError::InvalidParams(format!("one stream tells of at most {MAX_WATCHED} resources; open several")));
        }
        let tasks = filter.task_ids;
        if tasks.len() > MAX_FOLLOWED {
            return Err(McpError::InvalidParams(format!("one stream follows at most {MAX_FOLLOWED} tasks; open several")));
        }
        Ok(Filter {
            tools: filter.tools_list_changed,
            prompts: filter.prompts_list_changed,
            resources: filter.resources_list_changed,
            updates,
            tasks,
        })
    }

    fn completion(&mut self) -> Result<Method<Named>, McpError> {
        let reference = match self.reference.take().ok_or_else(|| missing("ref", "what is completed"))? {
            Object(ReferenceParam::Prompt { name }) => Reference::Prompt(Call { name, arguments: None }),
            Object(ReferenceParam::Resource { uri }) => Reference::Template(uri),
        };
        let Object(ArgumentParam { name: argument, value }) =
            self.argument.take().ok_or_else(|| missing("argument", "name and value of what is being typed"))?;
        let known = self.context.take().map_or_else(BTreeMap::new, |Object(context)| context.arguments);
        Ok(Method::Complete(reference, Completing { argument, value, known }))
    }
}

/// Reads what a client declares that it can do.
///
/// # Errors
/// `MalformedParams` when it is no object, or a capability in it is none.
pub fn read_capabilities(raw: &RawValue) -> Result<ClientCapabilities, McpError> {
    if !raw.get().starts_with('{') {
        return Err(McpError::MalformedParams("capabilities are an object, `{}` for none".to_owned()));
    }
    serde_json::from_str(raw.get()).map_err(|error| McpError::MalformedParams(format!("capabilities: {error}")))
}

fn missing(field: &str, what: &str) -> McpError {
    McpError::MalformedParams(format!("`params.{field}` is missing: {what}"))
}
