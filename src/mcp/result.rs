//! Results and errors as JSON text, in the form of each revision. Written straight into the answer's buffer.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::{McpError, ProtocolVersion, RequestId, ServerInfo};
use crate::tools::{Content, ProgressUpdate, ToolDescription, ToolResult};

/// How long a client may keep the answers of `server/discover` and `tools/list`, in milliseconds. Both change only when
/// the server is replaced or the caller's token is.
const LIST_TTL_MS: u64 = 300_000;

/// Errors quote what they complain of, and that may be as long as a body.
const MAX_ERROR_CHARS: usize = 500;

/// The result of a method.
#[derive(Debug)]
pub enum McpResult {
    /// Of `server/discover`.
    Discover,
    /// Of `initialize`.
    Initialize,
    /// Of `ping`.
    Empty,
    /// Of `tools/list`.
    ListTools(ToolsPage),
    /// Of `tools/call`.
    CallTool(ToolResult),
}

/// One page of `tools/list`.
#[derive(Debug)]
pub struct ToolsPage {
    pub(super) tools: Vec<ListedTool>,
    pub(super) next_cursor: Option<String>,
}

/// A tool's description, written once at the start in both of its forms.
#[derive(Clone, Debug)]
pub(super) struct ListedTool {
    name: &'static str,
    full: Arc<RawValue>,
    /// As 2025-03-26 knows tools: without title and output schema.
    plain: Arc<RawValue>,
}

impl ListedTool {
    pub(super) fn new(description: &ToolDescription) -> Self {
        let spec = &description.spec;
        let (read_only, destructive, idempotent) = spec.effect.hints();
        let mut tool = json!({
            "name": spec.name,
            "title": spec.title,
            "description": spec.description,
            "inputSchema": description.input_schema,
            "outputSchema": description.output_schema,
            "annotations": {
                "title": spec.title,
                "readOnlyHint": read_only,
                "destructiveHint": destructive,
                "idempotentHint": idempotent,
                "openWorldHint": false,
            },
        });
        let full = raw(&tool);
        if let Some(tool) = tool.as_object_mut() {
            tool.remove("title");
            tool.remove("outputSchema");
        }
        Self { name: spec.name, full, plain: raw(&tool) }
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }
}

fn raw(value: &serde_json::Value) -> Arc<RawValue> {
    #[expect(clippy::expect_used, reason = "a JSON value is JSON")]
    Arc::from(serde_json::value::to_raw_value(value).expect("a JSON value can be written"))
}

/// The answer to a request that succeeded, as a whole JSON-RPC message.
#[must_use]
pub fn write_result(id: &RequestId, version: ProtocolVersion, info: &ServerInfo, result: &McpResult) -> Vec<u8> {
    let modern = version
        .is_modern()
        .then(|| Modern { result_type: "complete", meta: ResultMeta { server_info: Implementation::of(info, true) } });
    let titled = version.has_structured_content();
    match result {
        McpResult::Discover => response(
            id,
            modern,
            1024,
            &DiscoverResult {
                supported_versions: ProtocolVersion::ALL.map(ProtocolVersion::as_str),
                capabilities: Capabilities::OURS,
                instructions: &info.instructions,
                caching: Caching::PRIVATE,
            },
        ),
        McpResult::Initialize => response(
            id,
            modern,
            1024,
            &InitializeResult {
                protocol_version: version.as_str(),
                capabilities: Capabilities::OURS,
                server_info: Implementation::of(info, titled),
                instructions: &info.instructions,
            },
        ),
        McpResult::Empty => response(id, modern, 64, &Empty {}),
        McpResult::ListTools(page) => {
            let tools = page.tools.iter().map(|tool| if titled { &*tool.full } else { &*tool.plain }).collect::<Vec<_>>();
            let size = tools.iter().map(|tool| tool.get().len() + 1).sum::<usize>() + 512;
            let caching = modern.is_some().then_some(Caching::PRIVATE);
            response(id, modern, size, &ListToolsResult { tools, next_cursor: page.next_cursor.as_deref(), caching })
        }
        McpResult::CallTool(result) => {
            // Escapes make text longer; a tenth more is room for the line ends of ordinary text.
            let text = result.content.iter().map(Content::len).sum::<usize>();
            let structured = result.structured.as_deref().filter(|_| titled);
            let size = text + text / 10 + structured.map_or(0, |structured| structured.get().len()) + 512;
            response(
                id,
                modern,
                size,
                &CallToolResult { content: &result.content, structured_content: structured, is_error: result.is_error },
            )
        }
    }
}

/// The answer to a request that failed. Without an id when the id could not be read (2026-07-28, basic, "Error Responses").
#[must_use]
pub fn write_error(id: Option<&RequestId>, error: &McpError) -> Vec<u8> {
    let mut message = error.to_string();
    if let Some((cut, _)) = message.char_indices().nth(MAX_ERROR_CHARS) {
        message.truncate(cut);
        message.push('…');
    }
    let error = ErrorObject { code: error.code(), message, data: error.data() };
    to_json(256, &ErrorResponse { jsonrpc: "2.0", id: id.map(as_raw), error })
}

/// One `notifications/progress`, as a whole JSON-RPC message.
#[derive(Clone, Debug)]
pub struct ProgressNotification {
    token: Box<RawValue>,
}

impl ProgressNotification {
    /// Notifications of the request that carried this token.
    #[must_use]
    pub fn new(token: &RawValue) -> Self {
        Self { token: token.to_owned() }
    }

    /// The message for one report.
    #[must_use]
    pub fn write(&self, update: &ProgressUpdate) -> Vec<u8> {
        let mut params = json!({ "progressToken": self.token, "progress": update.progress });
        if let Some(total) = update.total {
            params["total"] = total.into();
        }
        if let Some(message) = &update.message {
            params["message"] = message.as_str().into();
        }
        to_json(256, &json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": params }))
    }
}

fn as_raw(id: &RequestId) -> &RawValue {
    #[expect(clippy::expect_used, reason = "an id is made from a piece of JSON and never changed")]
    serde_json::from_str(id.as_json()).expect("an id is JSON")
}

fn response<R: Serialize>(id: &RequestId, modern: Option<Modern<'_>>, size: usize, result: &R) -> Vec<u8> {
    to_json(size, &Response { jsonrpc: "2.0", id: as_raw(id), result: WithModern { modern, result } })
}

fn to_json<T: Serialize>(size: usize, value: &T) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(size);
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_writer(&mut buffer, value).expect("an answer is plain data");
    buffer
}

#[derive(Serialize)]
struct Response<'a, R> {
    jsonrpc: &'static str,
    id: &'a RawValue,
    result: WithModern<'a, R>,
}

#[derive(Serialize)]
struct WithModern<'a, R> {
    #[serde(flatten)]
    modern: Option<Modern<'a>>,
    #[serde(flatten)]
    result: &'a R,
}

/// What every result of 2026-07-28 carries.
#[derive(Serialize)]
struct Modern<'a> {
    #[serde(rename = "resultType")]
    result_type: &'static str,
    #[serde(rename = "_meta")]
    meta: ResultMeta<'a>,
}

#[derive(Serialize)]
struct ResultMeta<'a> {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Implementation<'a>,
}

#[derive(Serialize)]
struct Implementation<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    version: &'a str,
}

impl<'a> Implementation<'a> {
    fn of(info: &'a ServerInfo, titled: bool) -> Self {
        Self { name: &info.name, title: titled.then_some(&info.title), version: &info.version }
    }
}

#[derive(Serialize)]
struct Capabilities {
    tools: Empty,
}

impl Capabilities {
    const OURS: Self = Self { tools: Empty {} };
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Caching {
    #[serde(rename = "ttlMs")]
    ttl_ms: u64,
    #[serde(rename = "cacheScope")]
    cache_scope: &'static str,
}

impl Caching {
    /// What the caller sees depends on its scopes.
    const PRIVATE: Self = Self { ttl_ms: LIST_TTL_MS, cache_scope: "private" };
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DiscoverResult<'a> {
    supported_versions: [&'static str; 4],
    capabilities: Capabilities,
    instructions: &'a str,
    #[serde(flatten)]
    caching: Caching,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitializeResult<'a> {
    protocol_version: &'static str,
    capabilities: Capabilities,
    server_info: Implementation<'a>,
    instructions: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListToolsResult<'a> {
    tools: Vec<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(flatten)]
    caching: Option<Caching>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallToolResult<'a> {
    content: &'a [Content],
    #[serde(skip_serializing_if = "Option::is_none")]
    structured_content: Option<&'a RawValue>,
    is_error: bool,
}

#[derive(Serialize)]
struct ErrorResponse<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    error: ErrorObject,
}

#[derive(Serialize)]
struct ErrorObject {
    code: i32,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<serde_json::Value>,
}
