//! Results and errors as JSON text, in the form of each revision. Written straight into the answer's buffer.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Listening, McpError, Page, ProtocolVersion, RequestId, ServerInfo, Task};
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
    ListTools(Page),
    /// Of `tools/call`.
    CallTool(ToolResult),
    /// Of `prompts/list`.
    ListPrompts(Page),
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

/// Writes answers: whole JSON-RPC messages, each straight into one buffer.
#[derive(Debug)]
pub struct ResultWriter {
    info: ServerInfo,
    /// The member that every result of 2026-07-28 says with who gives it.
    meta: String,
}

impl ResultWriter {
    /// A writer for the server that names itself so.
    #[must_use]
    pub fn new(info: ServerInfo) -> Self {
        let meta = ResultMeta { server_info: Implementation::of(&info, true) };
        Self { meta: format!("\"_meta\":{}", to_raw(&meta).get()), info }
    }

    /// The answer to a request that succeeded.
    #[must_use]
    pub fn write(&self, id: &RequestId, version: ProtocolVersion, result: McpResult) -> Vec<u8> {
        let info = &self.info;
        let modern = version.is_modern();
        let titled = version.has_structured_content();
        let caching = modern.then_some(Caching::LIST);
        let answer = |kind, size, result: &mut dyn FnMut(&mut Vec<u8>)| self.answer(id, modern.then_some(kind), size, result);
        match result {
            McpResult::Discover => {
                let result = DiscoverResult {
                    supported_versions: ProtocolVersion::ALL.map(ProtocolVersion::as_str),
                    capabilities: Capabilities { extensions: Extensions::of(info), ..Capabilities::of(info) },
                    instructions: &info.instructions,
                    caching: Caching::LIST,
                };
                answer("complete", 1024, &mut |out| write_json(out, &result))
            }
            McpResult::Initialize => {
                let result = InitializeResult {
                    protocol_version: version.as_str(),
                    capabilities: Capabilities::of(info),
                    server_info: Implementation::of(info, titled),
                    instructions: &info.instructions,
                };
                answer("complete", 1024, &mut |out| write_json(out, &result))
            }
            // A stream is answered when it ends, see `Listening::end`.
            McpResult::Empty | McpResult::Listening(_) => answer("complete", 0, &mut |out| write_json(out, &Empty {})),
            McpResult::ListTools(page) => {
                let tools = page.items.iter().map(|tool| tool.json(titled)).collect::<Vec<_>>();
                let size = tools.iter().map(|tool| tool.get().len() + 1).sum::<usize>() + 256;
                let result = ListResult { items: Items::Tools(&tools), next_cursor: page.next_cursor.as_deref(), caching };
                answer("complete", size, &mut |out| write_json(out, &result))
            }
            McpResult::ListPrompts(page) => {
                let prompts = page.items.iter().map(|prompt| prompt.json(titled)).collect::<Vec<_>>();
                let result = ListResult { items: Items::Prompts(&prompts), next_cursor: page.next_cursor.as_deref(), caching };
                answer("complete", 4096, &mut |out| write_json(out, &result))
            }
            McpResult::ListResources(page) => {
                let untitled = |resource: &Resource| Resource { title: None, ..resource.clone() };
                let resources = either(&page.resources, titled, untitled);
                // Files come and go.
                let caching = modern.then_some(Caching { ttl_ms: 0, ..Caching::LIST });
                let items = Items::Resources(&resources);
                let result = ListResult { items, next_cursor: page.next_cursor.as_deref(), caching };
                answer("complete", 16_384, &mut |out| write_json(out, &result))
            }
            McpResult::ListTemplates(templates) => {
                let untitled = |template: &ResourceTemplate| ResourceTemplate { title: None, ..template.clone() };
                let templates = either(&templates, titled, untitled);
                let result = ListResult { items: Items::ResourceTemplates(&templates), next_cursor: None, caching };
                answer("complete", 1024, &mut |out| write_json(out, &result))
            }
            McpResult::ReadResource { contents, ttl_ms } => {
                let size = contents.iter().map(ResourceContents::len).sum::<usize>();
                let caching = modern.then_some(Caching { ttl_ms, ..Caching::LIST });
                let result = ReadResourceResult { contents: &contents, caching };
                answer("complete", with_escapes(size), &mut |out| write_json(out, &result))
            }
            McpResult::GetPrompt(prompt) => {
                let unlinked =
                    |message: &PromptMessage| PromptMessage { content: message.content.without_link(), ..message.clone() };
                let messages = either(&prompt.messages, version.has_resource_links(), unlinked);
                let result = GetPromptResult { description: prompt.description.as_deref(), messages: &messages };
                answer("complete", 4096, &mut |out| write_json(out, &result))
            }
            McpResult::Complete(completion) => {
                answer("complete", 1024, &mut |out| write_json(out, &CompleteResult { completion: &completion }))
            }
            McpResult::CallTool(result) => {
                let mut result = CallToolResult::of(result);
                if !version.has_resource_links() {
                    result.content = result.content.iter().map(Content::without_link).collect();
                }
                result.structured = result.structured.filter(|_| titled);
                answer("complete", result.size(), &mut |out| result.write(out))
            }
            McpResult::CreateTask(task) => answer("task", 512, &mut |out| write_json(out, &task.view())),
            McpResult::GetTask(task) => answer("complete", 4096, &mut |out| write_json(out, &task.view())),
            McpResult::InputRequired { questions, state, .. } => {
                let result = InputRequiredResult { input_requests: &questions, request_state: state.as_deref() };
                answer("input_required", 4096, &mut |out| write_json(out, &result))
            }
        }
    }

    /// A whole message around a result, which `write_result` writes as an object of about `size` bytes. In 2026-07-28 the
    /// result is of a `kind`.
    fn answer(&self, id: &RequestId, kind: Option<&str>, size: usize, write_result: &mut dyn FnMut(&mut Vec<u8>)) -> Vec<u8> {
        let id = id.as_json();
        let mut out = Vec::with_capacity(size + id.len() + self.meta.len() + 128);
        for part in ["{\"jsonrpc\":\"2.0\",\"id\":", id, ",\"result\":"] {
            out.extend_from_slice(part.as_bytes());
        }
        let start = out.len();
        if let Some(kind) = kind {
            for part in ["{\"resultType\":\"", kind, "\",", &self.meta] {
                out.extend_from_slice(part.as_bytes());
            }
            write_members(&mut out, write_result);
        } else {
            write_result(&mut out);
        }
        debug_assert!(out[start] == b'{', "a result is an object");
        out.push(b'}');
        out
    }
}

/// Goes on with the object that `out` ends in, which has members already: adds those of the object that `write_object`
/// writes, and closes it.
fn write_members(out: &mut Vec<u8>, write_object: &mut dyn FnMut(&mut Vec<u8>)) {
    let start = out.len();
    write_object(out);
    if out.len() == start + "{}".len() {
        out.remove(start);
    } else {
        out[start] = b',';
    }
}

/// A tool's result as it stands in a completed task.
pub(super) fn tool_result_json(result: &ToolResult) -> Box<RawValue> {
    let mut result = CallToolResult::of(result.clone());
    let mut out = b"{\"resultType\":\"complete\"".to_vec();
    write_members(&mut out, &mut |out| result.write(out));
    #[expect(clippy::expect_used, reason = "what was written is JSON, which is UTF-8")]
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    #[expect(clippy::expect_used, reason = "an object was written")]
    RawValue::from_string(text).expect("a result is JSON")
}

/// An error as it stands in a failed task.
pub(super) fn error_json(error: &McpError) -> Box<RawValue> {
    to_raw(&ErrorObject::of(error))
}

/// The answer to a request that failed. Without an id when the id could not be read (2026-07-28, basic, "Error Responses").
#[must_use]
pub fn write_error(id: Option<&RequestId>, error: &McpError) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_json(&mut out, &ErrorResponse { jsonrpc: "2.0", id: id.map(as_raw), error: ErrorObject::of(error) });
    out
}

/// The items as they are, or each in the form of an older revision.
fn either<T: Clone>(items: &[T], as_they_are: bool, older: impl Fn(&T) -> T) -> Cow<'_, [T]> {
    if as_they_are { Cow::Borrowed(items) } else { items.iter().map(older).collect() }
}

fn as_raw(id: &RequestId) -> &RawValue {
    #[expect(clippy::expect_used, reason = "an id is made from a piece of JSON and never changed")]
    serde_json::from_str(id.as_json()).expect("an id is JSON")
}

fn write_json<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    #[expect(clippy::expect_used, reason = "writing plain data to memory does not fail")]
    serde_json::to_writer(out, value).expect("an answer is plain data");
}

/// Escapes make text longer; a tenth more is room for the line ends of ordinary text.
fn with_escapes(text: usize) -> usize {
    text + text / 10 + 256
}

fn to_raw<T: Serialize>(value: &T) -> Box<RawValue> {
    #[expect(clippy::expect_used, reason = "plain data can be written as JSON")]
    serde_json::value::to_raw_value(value).expect("an answer is plain data")
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

/// A tool's result, as the revision has it.
struct CallToolResult {
    content: Vec<Content>,
    structured: Option<Box<RawValue>>,
    is_error: bool,
}

impl CallToolResult {
    fn of(result: ToolResult) -> Self {
        Self { content: result.content, structured: result.structured, is_error: result.error.is_some() }
    }

    /// About how many bytes it takes, without a text that brings a buffer of its own.
    fn size(&self) -> usize {
        let content = self.content.iter().map(|content| match content {
            Content::Text { text } if text.has_buffer() => 0,
            content => content.len(),
        });
        with_escapes(content.sum()) + self.structured.as_deref().map_or(0, |structured| structured.get().len())
    }

    /// Writes it, once: its texts are given away. By hand, because the texts are most of nearly every answer: escaping them
    /// with SIMD takes a tenth of the instructions that serde_json takes for a page of a file.
    fn write(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"content\":[");
        for (index, content) in self.content.drain(..).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            match content {
                Content::Text { text } => {
                    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                    text.write_json(out);
                    out.push(b'}');
                }
                other => write_json(out, &other),
            }
        }
        out.push(b']');
        if let Some(structured) = &self.structured {
            out.extend_from_slice(b",\"structuredContent\":");
            out.extend_from_slice(structured.get().as_bytes());
        }
        out.extend_from_slice(if self.is_error { b",\"isError\":true}" } else { b",\"isError\":false}" });
    }
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
