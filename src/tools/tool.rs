//! What a tool is.

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{PathArgument, ToolOutput};
use crate::auth::{Permission, Scope};
use crate::call::{CallContext, Interrupted, Lane};
use crate::path::TreePath;

/// A tool: a name and what goes with it, typed arguments, and the code. Adding one takes a file with an implementation
/// of this trait and one line in the list of tools in `app`.
pub trait Tool: Send + Sync + 'static {
    /// Name, description, scopes and behaviour: everything that is declared once and derived from everywhere.
    const SPEC: ToolSpec;
    /// The arguments that are paths. With `--path-headers` clients repeat them in headers, and gateways can go by them.
    const PATHS: &[PathArgument] = &[];
    /// The arguments. Derive with `#[serde(deny_unknown_fields)]`, so that a misspelt argument is an error that names it.
    type Args: DeserializeOwned + JsonSchema + Send + Sync + 'static;
    /// The machine-readable result: it becomes `structuredContent`, and its schema `outputSchema`.
    type Output: Serialize + JsonSchema + Send;

    /// The paths that a call with these arguments will touch, and how. Each is checked against the caller's scopes
    /// before the tool runs; a tool that touches no file has nothing to add.
    fn touches(_args: &Self::Args) -> Touches<'_> {
        Touches::default()
    }

    /// What is settled before a call becomes a task, while its caller still waits (see [`TaskSupport`]): a tool may ask its
    /// first questions here, or refuse. [`Self::call`] then finds the answers under the same keys. A call that does not
    /// become a task begins with [`Self::call`].
    ///
    /// # Errors
    /// As those of [`Self::call`]; with any of them the call does not become a task.
    fn before_task(&self, _cx: &CallContext, _args: &Self::Args) -> impl Future<Output = Result<(), Interrupted>> + Send {
        std::future::ready(Ok(()))
    }

    /// Does the work.
    ///
    /// # Errors
    /// A [`ToolError`](crate::call::ToolError) is shown to the model: it says what was wrong and what to do next. The other
    /// ways to be interrupted come from the context, when the call asks for something.
    fn call(
        &self,
        cx: &CallContext,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput<Self::Output>, Interrupted>> + Send;
}

/// Up to two paths that a call touches: where from, where to.
pub type Touches<'a> = [Option<(Permission, &'a TreePath)>; 2];

/// What is declared about a tool.
#[derive(Clone, Copy, Debug)]
pub struct ToolSpec {
    /// The unique name, in `snake_case`.
    pub name: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// What the tool does and when to use it, written for a model.
    pub description: &'static str,
    /// All of these must be held by the caller; without them the tool is neither listed nor run. With none, as in
    /// [`DEFAULT`](Self::DEFAULT), everybody who is let in at all may call it.
    pub scopes: &'static [Scope],
    /// What a call does to the world.
    pub effect: Effect,
    /// Where the work runs.
    pub lane: Lane,
    /// Arguments of a right call, as JSON text: shown when arguments cannot be understood.
    pub example: &'static str,
    /// May a call outlive its request?
    pub task: TaskSupport,
}

impl ToolSpec {
    /// What most tools have in common; to be completed with `..ToolSpec::DEFAULT`.
    pub const DEFAULT: Self = Self {
        name: "",
        title: "",
        description: "",
        scopes: &[],
        effect: Effect::Destructive { idempotent: false },
        lane: Lane::Io,
        example: "{}",
        task: TaskSupport::Never,
    };
}

/// May a call become a task, which runs on after its request was answered (extension `io.modelcontextprotocol/tasks`)?
///
/// What it asks while it runs reaches the client through the task. When its replica dies, the call runs again from its
/// beginning if its [`Effect`] is idempotent, and fails otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskSupport {
    /// No: calls are answered when they are done.
    Never,
    /// For clients that declare the extension; other clients wait for the answer.
    Offered,
    /// Yes: clients that do not declare the extension are refused.
    Required,
}

/// What a call does to the world; becomes the tool's annotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    ReadOnly,
    /// Adds something, and never changes or removes what is there.
    Additive {
        /// Does the same call a second time change nothing more?
        idempotent: bool,
    },
    /// May change or remove what is there.
    Destructive {
        /// Does the same call a second time change nothing more?
        idempotent: bool,
    },
}
