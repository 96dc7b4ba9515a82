//! One variant per method: what a request asks for, its parameters read.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::message::is_string_or_integer;
use super::{McpError, ProtocolVersion};
use crate::auth::Principal;
use crate::tools::{AuthorizedTool, Progress};

/// A request in which nothing is left to be read from headers or raw JSON.
#[derive(Debug)]
pub struct Request<C> {
    /// Who asks.
    pub principal: Arc<Principal>,
    /// In which revision.
    pub version: ProtocolVersion,
    /// What for. `C` is the tool call: by name before authorization, the proof of permission after it.
    pub method: Method<C>,
    /// Where progress reports go.
    pub progress: Progress,
}

/// A request whose tool call has been checked against the caller's scopes: the only kind that `Dispatch` takes.
pub type AuthorizedRequest = Request<AuthorizedTool>;

/// The methods that this server answers.
#[derive(Debug)]
pub enum Method<C> {
    /// `server/discover` (2026-07-28).
    Discover,
    /// `initialize` (the handshake revisions); the revision that the server settles on is the request's own.
    Initialize,
    /// `ping` (the handshake revisions).
    Ping,
    /// `tools/list`.
    ListTools {
        /// `nextCursor` of the page before.
        cursor: Option<String>,
    },
    /// `tools/call`.
    CallTool(C),
}

/// A tool call as the caller wrote it.
#[derive(Debug)]
pub struct ToolCall<'a> {
    /// The tool's name.
    pub name: Cow<'a, str>,
    /// Its arguments, unread.
    pub arguments: Option<&'a RawValue>,
}

/// The parameters of any request, read once: each method takes the fields it knows.
#[derive(Debug, Default, Deserialize)]
pub struct Params<'a> {
    /// The request's metadata.
    #[serde(rename = "_meta", borrow)]
    pub meta: Option<Meta<'a>>,
    /// `params.name` of tools/call and prompts/get.
    #[serde(borrow)]
    pub name: Option<Cow<'a, str>>,
    /// `params.uri` of resources/read.
    #[serde(borrow)]
    pub uri: Option<Cow<'a, str>>,
    /// `params.arguments` of tools/call.
    #[serde(borrow)]
    pub arguments: Option<&'a RawValue>,
    /// `params.cursor` of the lists.
    #[serde(borrow)]
    pub cursor: Option<Cow<'a, str>>,
    /// `params.protocolVersion` of initialize.
    #[serde(rename = "protocolVersion", borrow)]
    pub protocol_version: Option<Cow<'a, str>>,
}

/// `params._meta` (2026-07-28, basic, "_meta").
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    /// The revision of a modern request.
    #[serde(rename = "io.modelcontextprotocol/protocolVersion", borrow)]
    pub protocol_version: Option<Cow<'a, str>>,
    /// What the client can do; an object.
    #[serde(rename = "io.modelcontextprotocol/clientCapabilities", borrow)]
    pub client_capabilities: Option<&'a RawValue>,
    /// What progress notifications are marked with; a string or an integer.
    #[serde(rename = "progressToken", borrow)]
    pub progress_token: Option<&'a RawValue>,
    /// W3C Trace Context of the caller's span.
    #[serde(borrow)]
    pub traceparent: Option<Cow<'a, str>>,
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
        if let Some(token) = params.meta.as_ref().and_then(|meta| meta.progress_token)
            && !is_string_or_integer(token.get())
        {
            return Err(McpError::MalformedParams("`progressToken` must be a string or an integer".to_owned()));
        }
        Ok(params)
    }

    /// The method of this name in this revision, with its parameters.
    ///
    /// # Errors
    /// `MethodNotFound` for a name that the revision does not have; `MalformedParams` when a required field is missing.
    pub fn method(self, name: &str, version: ProtocolVersion) -> Result<Method<ToolCall<'a>>, McpError> {
        match (name, version.is_modern()) {
            ("server/discover", true) => Ok(Method::Discover),
            ("initialize", false) => Ok(Method::Initialize),
            ("ping", false) => Ok(Method::Ping),
            ("tools/list", _) => Ok(Method::ListTools { cursor: self.cursor.map(Cow::into_owned) }),
            ("tools/call", _) => self.tool_call().map(Method::CallTool),
            _ => Err(McpError::MethodNotFound(name.chars().take(100).collect())),
        }
    }

    fn tool_call(self) -> Result<ToolCall<'a>, McpError> {
        let name = self.name.ok_or_else(|| McpError::MalformedParams("`params.name` is missing: the tool's name".to_owned()))?;
        if self.arguments.is_some_and(|arguments| !arguments.get().starts_with('{')) {
            return Err(McpError::MalformedParams("`params.arguments` must be an object".to_owned()));
        }
        Ok(ToolCall { name, arguments: self.arguments })
    }
}
