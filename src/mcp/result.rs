//! Results and errors as JSON text, in the form of each revision. Written straight into the answer's buffer.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{ListedPrompt, ListedTool, Listening, McpError, Page, ProtocolVersion, RequestId, ServerInfo, Task};
use crate::call::{Answers, Completion, Content, InputRequests, ResourceContents};
use crate::prompts::{PromptMessage, PromptOutput};
use crate::resources::{Resource, ResourcePage, ResourceTemplate};
use crate::tools::ToolResult;

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
    /// Of `ping`, and of whatever else has nothing to say.
    Empty,
    /// Of `tools/list`.
    ListTools(Page<ListedTool>),
    /// Of `tools/call`.
    CallTool(ToolResult),
    /// Of `prompts/list`.
    ListPrompts(Page<ListedPrompt>),
    /// Of `prompts/get`.
    GetPrompt(PromptOutput),
    /// Of `resources/list`.
    ListResources(ResourcePage),
    /// Of `resources/templates/list`.
    ListTemplates(Vec<ResourceTemplate>),
    /// Of `resources/read`.
    ReadResource {
        /// What was read.
        contents: Vec<ResourceContents>,
        /// How long a client may keep it, in milliseconds.
        ttl_ms: u64,
    },
    /// Of `completion/complete`.
    Complete(Completion),
    /// Of `tools/call` when the call has become a task.
    CreateTask(Task),
    /// Of `tasks/get`.
    GetTask(Task),
    /// Of `subscriptions/listen`: answered by a stream.
    Listening(Listening),
    /// Of a call that asks for something before it can go on.
    InputRequired {
        /// What has to be answered.
        questions: InputRequests,
        /// What was answered in the rounds before.
        answers: Answers,
        /// The answers, sealed for the client to bring along (2026-07-28).
        state: Option<String>,
    },
}

/// The answer to a request that succeeded, as a whole JSON-RPC message.
#[must_use]
pub fn write_result(id: &RequestId, version: ProtocolVersion, info: &ServerInfo, result: &McpResult) -> Vec<u8> {
    let modern = version.is_modern();
    let titled = version.has_structured_content();
    let caching = modern.then_some(Caching::LIST);
    let envelope = Envelope { id, info: modern.then_some(info), result_type: "complete" };
    match result {
        McpResult::Discover => envelope.write(
            1024,
            &DiscoverResult {
                supported_versions: ProtocolVersion::ALL.map(ProtocolVersion::as_str),
                capabilities: Capabilities { extensions: Extensions::of(info), ..Capabilities::of(info) },
                instructions: &info.instructions,
                caching: Caching::LIST,
            },
        ),
        McpResult::Initialize => envelope.write(
            1024,
            &InitializeResult {
                protocol_version: version.as_str(),
                capabilities: Capabilities::of(info),
                server_info: Implementation::of(info, titled),
                instructions: &info.instructions,
            },
        ),
        // A stream is answered when it ends, see `Listening::end`.
        McpResult::Empty | McpResult::Listening(_) => envelope.write(64, &Empty {}),
        McpResult::ListTools(page) => {
            let tools = page.items.iter().map(|tool| tool.json(titled)).collect::<Vec<_>>();
            let size = tools.iter().map(|tool| tool.get().len() + 1).sum::<usize>() + 512;
            envelope.write(size, &ListResult { items: Items::Tools(&tools), next_cursor: page.next_cursor.as_deref(), caching })
        }
        McpResult::ListPrompts(page) => {
            let prompts = page.items.iter().map(|prompt| prompt.json(titled)).collect::<Vec<_>>();
            let next_cursor = page.next_cursor.as_deref();
            envelope.write(4096, &ListResult { items: Items::Prompts(&prompts), next_cursor, caching })
        }
        McpResult::ListResources(page) => {
            let untitled = |resource: &Resource| Resource { title: None, ..resource.clone() };
            let resources = either(&page.resources, titled, untitled);
            let items = Items::Resources(&resources);
            // Files come and go.
            let caching = modern.then_some(Caching { ttl_ms: 0, ..Caching::LIST });
            envelope.write(16_384, &ListResult { items, next_cursor: page.next_cursor.as_deref(), caching })
        }
        McpResult::ListTemplates(templates) => {
            let untitled = |template: &ResourceTemplate| ResourceTemplate { title: None, ..template.clone() };
            let templates = either(templates, titled, untitled);
            envelope.write(1024, &ListResult { items: Items::ResourceTemplates(&templates), next_cursor: None, caching })
        }
        McpResult::ReadResource { contents, ttl_ms } => {
            let size = contents.iter().map(ResourceContents::len).sum::<usize>();
            let caching = modern.then_some(Caching { ttl_ms: *ttl_ms, ..Caching::LIST });
            envelope.write(size + size / 10 + 512, &ReadResourceResult { contents, caching })
        }
        McpResult::GetPrompt(prompt) => {
            let unlinked = |message: &PromptMessage| PromptMessage { content: message.content.without_link(), ..message.clone() };
            let messages = either(&prompt.messages, version.has_resource_links(), unlinked);
            envelope.write(4096, &GetPromptResult { description: prompt.description.as_deref(), messages: &messages })
        }
        McpResult::Complete(completion) => envelope.write(1024, &CompleteResult { completion }),
        McpResult::CallTool(result) => {
            // Escapes make text longer; a tenth more is room for the line ends of ordinary text.
            let text = result.content.iter().map(Content::len).sum::<usize>();
            let structured = result.structured.as_deref().filter(|_| titled);
            let size = text + text / 10 + structured.map_or(0, |structured| structured.get().len()) + 512;
            let content = either(&result.content, version.has_resource_links(), Content::without_link);
            envelope.write(
                size,
                &CallToolResult { content: &content, structured_content: structured, is_error: result.error.is_some() },
            )
        }
        McpResult::CreateTask(task) => Envelope { result_type: "task", ..envelope }.write(512, &task.view()),
        McpResult::GetTask(task) => envelope.write(4096, &task.view()),
        McpResult::InputRequired { questions, state, .. } => {
            let envelope = Envelope { result_type: "input_required", ..envelope };
            envelope.write(4096, &InputRequiredResult { input_requests: questions, request_state: state.as_deref() })
        }
    }
}

/// A tool's result as it stands in a completed task.
pub(super) fn tool_result_json(result: &ToolResult) -> Box<RawValue> {
    let structured_content = result.structured.as_deref();
    to_raw(&TypedResult {
        result_type: "complete",
        result: CallToolResult { content: &result.content, structured_content, is_error: result.error.is_some() },
    })
}

/// An error as it stands in a failed task.
pub(super) fn error_json(error: &McpError) -> Box<RawValue> {
    to_raw(&ErrorObject::of(error))
}

/// The answer to a request that failed. Without an id when the id could not be read (2026-07-28, basic, "Error Responses").
#[must_use]
pub fn write_error(id: Option<&RequestId>, error: &McpError) -> Vec<u8> {
    to_json(256, &ErrorResponse { jsonrpc: "2.0", id: id.map(as_raw), error: ErrorObject::of(error) })
}

/// The items as they are, or each in the form of an older revision.
fn either<T: Clone>(items: &[T], as_they_are: bool, older: impl Fn(&T) -> T) -> Cow<'_, [T]> {
    if as_they_are { Cow::Borrowed(items) } else { items.iter().map(older).collect() }
}

fn as_raw(id: &RequestId) -> &RawValue {
    #[expect(clippy::expect_used, reason = "an id is made from a piece of JSON and never changed")]
    serde_json::from_str(id.as_json()).expect("an id is JSON")
}

/// What every answer has, in the form of the revision.
struct Envelope<'a> {
    id: &'a RequestId,
    /// In 2026-07-28 every result says who gives it, and what kind of result it is.
    info: Option<&'a ServerInfo>,
    result_type: &'static str,
}

impl Envelope<'_> {
    /// The whole message; `size` is about how long it will be, in bytes.
    fn write<R: Serialize>(&self, size: usize, result: &R) -> Vec<u8> {
        let modern = self.info.map(|info| Modern {
            result_type: self.result_type,
            meta: ResultMeta { server_info: Implementation::of(info, true) },
        });
        to_json(size, &Response { jsonrpc: "2.0", id: as_raw(self.id), result: WithModern { modern, result } })
    }
}

fn to_json<T: Serialize>(size: usize, value: &T) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(size);
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_writer(&mut buffer, value).expect("an answer is plain data");
    buffer
}

fn to_raw<T: Serialize>(value: &T) -> Box<RawValue> {
    #[expect(clippy::expect_used, reason = "plain data can be written as JSON")]
    serde_json::value::to_raw_value(value).expect("an answer is plain data")
}

#[derive(Serialize)]
struct TypedResult<'a> {
    #[serde(rename = "resultType")]
    result_type: &'static str,
    #[serde(flatten)]
    result: CallToolResult<'a>,
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
    tools: Changing,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompts: Option<Changing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Changing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completions: Option<Empty>,
    logging: Empty,
    #[serde(skip_serializing_if = "Option::is_none")]
    extensions: Option<Extensions>,
}

/// Extensions with their settings; the handshake revisions have none.
#[derive(Serialize)]
struct Extensions {
    #[serde(rename = "io.modelcontextprotocol/tasks")]
    tasks: Empty,
}

impl Extensions {
    fn of(info: &ServerInfo) -> Option<Self> {
        info.tasks.then_some(Self { tasks: Empty {} })
    }
}

/// A feature whose changes clients can be told of.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
struct Changing {
    list_changed: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    subscribe: bool,
}

impl Capabilities {
    fn of(info: &ServerInfo) -> Self {
        let changing = Changing { list_changed: true, subscribe: false };
        Self {
            tools: changing,
            prompts: info.prompts.then_some(changing),
            resources: info.resources.then_some(Changing { subscribe: true, ..changing }),
            completions: (info.prompts || info.resources).then_some(Empty {}),
            logging: Empty {},
            extensions: None,
        }
    }
}

#[derive(Serialize)]
struct Empty {}

#[derive(Clone, Copy, Serialize)]
struct Caching {
    #[serde(rename = "ttlMs")]
    ttl_ms: u64,
    #[serde(rename = "cacheScope")]
    cache_scope: &'static str,
}

impl Caching {
    /// What the caller sees depends on its scopes.
    const LIST: Self = Self { ttl_ms: LIST_TTL_MS, cache_scope: "private" };
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
struct ListResult<'a> {
    #[serde(flatten)]
    items: Items<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<&'a str>,
    #[serde(flatten)]
    caching: Option<Caching>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Items<'a> {
    Tools(&'a [&'a RawValue]),
    Prompts(&'a [&'a RawValue]),
    Resources(&'a [Resource]),
    ResourceTemplates(&'a [ResourceTemplate]),
}

#[derive(Serialize)]
struct GetPromptResult<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    messages: &'a [PromptMessage],
}

#[derive(Serialize)]
struct ReadResourceResult<'a> {
    contents: &'a [ResourceContents],
    #[serde(flatten)]
    caching: Option<Caching>,
}

#[derive(Serialize)]
struct CompleteResult<'a> {
    completion: &'a Completion,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InputRequiredResult<'a> {
    input_requests: &'a InputRequests,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_state: Option<&'a str>,
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

impl ErrorObject {
    fn of(error: &McpError) -> Self {
        let mut message = error.to_string();
        if let Some((cut, _)) = message.char_indices().nth(MAX_ERROR_CHARS) {
            message.truncate(cut);
            message.push('…');
        }
        Self { code: error.code(), message, data: error.data() }
    }
}
