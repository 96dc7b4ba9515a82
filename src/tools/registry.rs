//! All tools by name; the only place where a call gets its permission.

use std::sync::Arc;
use std::time::Duration;

use super::authorized::{AuthorizedTool, PreparedCall, Runnable};
use super::header_param::header_params;
use super::path_arguments::{PathArgument, annotate, named_paths};
use super::schema::{input_schema, output_schema};
use super::{Effect, HeaderParam, HeaderParams, Tool, ToolOutput, ToolResult, ToolSpec};
use crate::audit::{Audit, AuditEntry, Audited};
use crate::auth::{Denied, Permission, Principal, Scope};
use crate::call::{CallContext, Content, Lanes, Origin, RoundFuture, ToolError, ToolErrorKind, Workplace};
use crate::path::TreePath;

/// The tools of a server, in the order in which they are listed.
pub struct ToolRegistry {
    tools: Vec<Registered>,
    path_headers: bool,
    audit: Audit,
    workplace: Workplace,
}

struct Registered {
    description: ToolDescription,
    header_params: Vec<HeaderParam>,
    paths: &'static [PathArgument],
    tool: Arc<dyn ErasedTool>,
}

/// What `tools/list` says of a tool.
#[derive(Clone, Debug)]
pub struct ToolDescription {
    /// Declared with the tool.
    pub spec: &'static ToolSpec,
    /// JSON Schema 2020-12 of the arguments.
    pub input_schema: serde_json::Value,
    /// JSON Schema 2020-12 of `structuredContent`; none for tools that only speak to the model.
    pub output_schema: Option<serde_json::Value>,
}

trait ErasedTool: Send + Sync {
    /// Tells `entry` which paths the call names.
    fn prepare(
        self: Arc<Self>,
        principal: &Principal,
        arguments: Option<&str>,
        entry: &mut AuditEntry,
    ) -> Result<PreparedCall, String>;
}

struct WithArgs<T: Tool> {
    tool: Arc<T>,
    args: T::Args,
}

impl<T: Tool> Runnable for WithArgs<T> {
    fn before_task<'a>(self: Box<Self>, cx: &'a CallContext) -> RoundFuture<'a, Box<dyn Runnable>> {
        Box::pin(async move {
            self.tool.before_task(cx, &self.args).await?;
            Ok(self as Box<dyn Runnable>)
        })
    }

    fn run<'a>(self: Box<Self>, cx: &'a CallContext) -> RoundFuture<'a, ToolResult> {
        Box::pin(async move { Ok(within_budget(erase_output(self.tool.call(cx, self.args).await?), cx.max_result_bytes())?) })
    }
}

impl<T: Tool> ErasedTool for T {
    fn prepare(
        self: Arc<Self>,
        principal: &Principal,
        arguments: Option<&str>,
        entry: &mut AuditEntry,
    ) -> Result<PreparedCall, String> {
        let args = match decode::<T>(arguments) {
            Ok(args) => args,
            Err(error) => {
                entry.names(|| named_paths(T::PATHS, arguments));
                return Ok(Err(error));
            }
        };
        entry.touches(T::touches(&args).map(|touched| touched.map(|(_, path)| path)));
        for (permission, path) in T::touches(&args).into_iter().flatten() {
            if !principal.scopes.admits(permission, path) {
                return Err(uncovered(permission, path));
            }
        }
        Ok(Ok(Box::new(WithArgs { tool: self, args })))
    }
}

fn uncovered(permission: Permission, path: &TreePath) -> String {
    format!("{} does not cover {path}", Scope::Files(permission))
}

/// What is wrong with arguments quotes them, and they may be as long as a body.
const MAX_QUOTED_CHARS: usize = 300;

fn decode<T: Tool>(arguments: Option<&str>) -> Result<T::Args, ToolError> {
    let text = arguments.unwrap_or("{}");
    if let Ok(args) = serde_json::from_str(text) {
        return Ok(args);
    }
    // Read again, now noting the way to every value, which costs more than reading.
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path: String = error.path().to_string().chars().take(MAX_QUOTED_CHARS).collect();
        let what = error.inner().to_string();
        // serde_json counts columns in the raw arguments, which the model never saw as a text of its own.
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        let what: String = what.chars().take(MAX_QUOTED_CHARS).collect();
        let place = if path == "." { String::new() } else { format!("`{path}`: ") };
        ToolError::new(
            ToolErrorKind::InvalidArgument,
            format!("{place}{what}. Arguments of a right call of {}: {}", T::SPEC.name, T::SPEC.example),
        )
    })
}

fn erase_output<O: serde::Serialize>(output: ToolOutput<O>) -> ToolResult {
    // An output type that cannot be written as JSON is a bug in the tool, and the panic is contained to its call.
    #[expect(clippy::expect_used, reason = "derived serialisers of plain data do not fail")]
    let structured = serde_json::value::to_raw_value(&output.structured).expect("a tool's output is plain data");
    let structured = Some(structured).filter(|structured| structured.get() != "null");
    ToolResult { content: output.content, structured, error: None }
}

impl From<ToolError> for ToolResult {
    fn from(error: ToolError) -> Self {
        Self { content: vec![Content::text(error.to_string())], structured: None, error: Some(error.kind()) }
    }
}

impl ToolRegistry {
    /// A registry without tools. `max_result_bytes` and `timeout` hold for every call.
    #[must_use]
    pub fn new(lanes: Arc<Lanes>, max_result_bytes: usize, timeout: Duration) -> Self {
        let workplace = Workplace { lanes, max_result_bytes, timeout };
        Self { tools: Vec::new(), path_headers: false, audit: Audit::to_log(), workplace }
    }

    /// The tools that are added from now on want their paths repeated in headers, `Mcp-Param-Path` and `Mcp-Param-To`, so
    /// that gateways can go by them. Clients that do not do that are refused.
    #[must_use]
    pub fn with_path_headers(self, path_headers: bool) -> Self {
        Self { path_headers, ..self }
    }

    /// Keeps the lines that calls leave somewhere else than in the log.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Adds a tool at the end of the list.
    ///
    /// # Panics
    /// When the name is taken, or clients would refuse the tool for an `x-mcp-header`: mistakes of the program, found at
    /// its first start.
    #[must_use]
    pub fn with<T: Tool>(mut self, tool: T) -> Self {
        assert!(self.find(T::SPEC.name).is_none(), "two tools are named {}", T::SPEC.name);
        let mut input_schema = input_schema::<T::Args>();
        if self.path_headers {
            annotate(T::PATHS, &mut input_schema);
        }
        let description = ToolDescription { spec: &T::SPEC, input_schema, output_schema: output_schema::<T::Output>() };
        let header_params = header_params(&description.input_schema);
        let header_params = header_params.unwrap_or_else(|problem| panic!("the tool {}: {problem}", T::SPEC.name));
        self.tools.push(Registered { description, header_params, paths: T::PATHS, tool: Arc::new(tool) });
        self
    }

    /// The tools, in the order of the list.
    pub fn descriptions(&self) -> impl Iterator<Item = &ToolDescription> {
        self.tools.iter().map(|registered| &registered.description)
    }

    /// The arguments that clients repeat in headers, of the tools that have some.
    #[must_use]
    pub fn header_params(&self) -> HeaderParams {
        let annotated = self.tools.iter().filter(|registered| !registered.header_params.is_empty());
        annotated.map(|registered| (registered.description.spec.name, registered.header_params.clone())).collect()
    }

    /// Does this caller hold all scopes of the tool of this name?
    #[must_use]
    pub fn may_use(&self, principal: &Principal, name: &str) -> bool {
        self.find(name).is_some_and(|registered| principal.holds_all(registered.description.spec.scopes))
    }

    /// May this caller make this call? Checks the tool's scopes, then every path that the arguments name.
    ///
    /// # Errors
    /// [`Denied`]. Arguments that cannot be decoded are no denial: the call is allowed and fails as a [`ToolError`].
    pub fn authorize(&self, principal: &Arc<Principal>, name: &str, arguments: Option<&str>) -> Result<AuthorizedTool, Denied> {
        self.authorize_from(None, principal, name, arguments)
    }

    /// The same for a call that comes from there, as the audit log tells.
    pub(crate) fn authorize_from(
        &self,
        origin: Option<&Arc<Origin>>,
        principal: &Arc<Principal>,
        name: &str,
        arguments: Option<&str>,
    ) -> Result<AuthorizedTool, Denied> {
        let mut entry = AuditEntry::begin(&self.audit, Audited::Tool(name), principal, origin);
        let prepared = self.prepare(principal, name, arguments, &mut entry);
        let (spec, call) = entry.admitted(prepared)?;
        Ok(AuthorizedTool { spec, call, principal: Arc::clone(principal), workplace: self.workplace.clone(), entry })
    }

    fn prepare(
        &self,
        principal: &Principal,
        name: &str,
        arguments: Option<&str>,
        entry: &mut AuditEntry,
    ) -> Result<(&'static ToolSpec, PreparedCall), Denied> {
        let registered = self.find(name).ok_or(Denied::Unknown)?;
        let spec = registered.description.spec;
        if let Err(denied) = principal.must_hold(spec.scopes, name) {
            entry.names(|| named_paths(registered.paths, arguments));
            return Err(denied);
        }
        let insufficient = |message| Denied::InsufficientScope { needed: spec.scopes.to_vec(), message };
        let call = Arc::clone(&registered.tool).prepare(principal, arguments, entry).map_err(insufficient)?;
        Ok((spec, call))
    }

    /// The arguments of this tool that are paths; none when there is no such tool.
    #[must_use]
    pub fn path_arguments(&self, name: &str) -> &'static [PathArgument] {
        self.find(name).map_or(&[], |registered| registered.paths)
    }

    /// May this caller call this tool with these paths, each with the permission that it needs? For gateways, which see no more
    /// of a call.
    ///
    /// # Errors
    /// [`Denied`]. Text that is no path is no denial: the call itself fails.
    pub fn admit(&self, principal: &Principal, name: &str, paths: &[(Permission, String)]) -> Result<(), Denied> {
        let scopes = self.find(name).ok_or(Denied::Unknown)?.description.spec.scopes;
        principal.must_hold(scopes, name)?;
        for (permission, path) in paths {
            let path = TreePath::parse(path).ok();
            if let Some(path) = path.filter(|path| !principal.scopes.admits(*permission, path)) {
                return Err(Denied::InsufficientScope { needed: scopes.to_vec(), message: uncovered(*permission, &path) });
            }
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<&Registered> {
        self.tools.iter().find(|registered| registered.description.spec.name == name)
    }
}

/// The last line of defence of the budget: tools keep to it themselves, by what they show.
fn within_budget(result: ToolResult, max_result_bytes: usize) -> Result<ToolResult, ToolError> {
    let content = result.content.iter().map(Content::len).sum::<usize>();
    let bytes = content + result.structured.as_deref().map_or(0, |structured| structured.get().len());
    if bytes > max_result_bytes {
        return Err(ToolError::new(
            ToolErrorKind::TooLarge,
            format!("the result has {bytes} bytes, and at most {max_result_bytes} can be shown; ask for less at once"),
        ));
    }
    Ok(result)
}

impl Effect {
    /// Does the same call a second time change nothing more?
    #[must_use]
    pub fn is_idempotent(self) -> bool {
        let (_, _, idempotent) = self.hints();
        idempotent
    }

    /// (readOnlyHint, destructiveHint, idempotentHint) of MCP's tool annotations.
    #[must_use]
    pub fn hints(self) -> (bool, bool, bool) {
        match self {
            Self::ReadOnly => (true, false, true),
            Self::Additive { idempotent } => (false, false, idempotent),
            Self::Destructive { idempotent } => (false, true, idempotent),
        }
    }
}
