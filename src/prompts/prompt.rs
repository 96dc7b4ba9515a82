//! What a prompt is.

use std::future::Future;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::auth::Scope;
use crate::call::{CallContext, Completing, Completion, Content, Interrupted, Lane};

/// A prompt: a name and what goes with it, named arguments, and the code that makes messages of them.
pub trait Prompt: Send + Sync + 'static {
    /// Name, description and scopes.
    const SPEC: PromptSpec;
    /// The arguments: a plain struct whose fields are read from strings. Each field is an argument, described by its doc
    /// comment; one that is an `Option` may be left out. Derive with `#[serde(deny_unknown_fields)]`, so that a misspelt
    /// argument is an error that names it.
    type Args: DeserializeOwned + JsonSchema + Send + 'static;

    /// Makes the messages.
    ///
    /// # Errors
    /// A [`ToolError`](crate::call::ToolError) says what was wrong with the arguments; the other ways to be interrupted come
    /// from the context, when the prompt asks for something.
    fn get(&self, cx: &CallContext, args: Self::Args) -> impl Future<Output = Result<PromptOutput, Interrupted>> + Send;

    /// Suggests values for an argument. Suggests nothing unless overridden.
    ///
    /// # Errors
    /// What kept it from looking for values.
    fn complete(
        &self,
        _cx: &CallContext,
        _completing: &Completing,
    ) -> impl Future<Output = Result<Completion, Interrupted>> + Send {
        std::future::ready(Ok(Completion::default()))
    }
}

/// What is declared about a prompt.
#[derive(Clone, Copy, Debug)]
pub struct PromptSpec {
    /// The unique name, in `snake_case`.
    pub name: &'static str,
    /// A title for people.
    pub title: &'static str,
    /// What the prompt is for, written for people.
    pub description: &'static str,
    /// All of these must be held by the caller; without them the prompt is neither listed nor given.
    pub scopes: &'static [Scope],
    /// Where blocking work runs.
    pub lane: Lane,
}

/// The messages of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptOutput {
    /// What these messages are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The messages, in the order of the conversation.
    pub messages: Vec<PromptMessage>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptMessage {
    /// Whose message it is.
    pub role: Role,
    /// What it says.
    pub content: Content,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl PromptMessage {
    /// A message of the person.
    #[must_use]
    pub fn user(content: Content) -> Self {
        Self { role: Role::User, content }
    }
}
