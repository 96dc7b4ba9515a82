//! What a tool is.

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CallContext, ToolError, ToolOutput};
use crate::auth::{Permission, Scope};
use crate::path::TreePath;

/// A tool: a name and what goes with it, typed arguments, and the code. Adding one takes a file with an implementation
/// of this trait and one line in the list of tools in `app`.
pub trait Tool: Send + Sync + 'static {
    /// Name, description, scopes and behaviour: everything that is declared once and derived from everywhere.
    const SPEC: ToolSpec;
    /// The arguments. Derive with `#[serde(deny_unknown_fields)]`, so that a misspelt argument is an error that names it.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;
    /// The machine-readable result: it becomes `structuredContent`, and its schema `outputSchema`.
    type Output: Serialize + JsonSchema + Send;

    /// The paths that a call with these arguments will touch, and how. Each is checked against the caller's scopes
    /// before the tool runs; a tool that touches no file has nothing to add.
    fn touches(_args: &Self::Args) -> Touches<'_> {
        Touches::default()
    }

    /// Does the work.
    ///
    /// # Errors
    /// A [`ToolError`] is shown to the model: it says what was wrong and what to do next.
    fn call(
        &self,
        cx: &CallContext,
        args: Self::Args,
    ) -> impl Future<Output = Result<ToolOutput<Self::Output>, ToolError>> + Send;
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
    /// All of these must be held by the caller; without them the tool is neither listed nor run.
    pub scopes: &'static [Scope],
    /// What a call does to the world.
    pub effect: Effect,
    /// Where the work runs.
    pub lane: Lane,
    /// Arguments of a right call, as JSON text: shown when arguments cannot be understood.
    pub example: &'static str,
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

/// Where a tool's work runs, so that cheap calls stay fast while heavy ones run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// Short work that mostly waits for disks and networks.
    Io,
    /// Work that keeps a core busy: a bounded number at a time, a bounded queue behind it.
    Cpu,
}
