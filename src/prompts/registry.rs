//! All prompts by name; the only place where a prompt gets its permission.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Prompt, PromptOutput, PromptSpec};
use crate::audit::{Audit, AuditEntry, AuditOutcome, Audited};
use crate::auth::{Denied, Principal};
use crate::call::{
    CallContext, Caller, Completing, Completion, Lanes, Origin, Round, RoundFuture, ToolError, ToolErrorKind, Workplace,
    input_schema_of,
};
use crate::tools::json_len;

/// The prompts of a server, in the order in which they are listed.
pub struct PromptRegistry {
    prompts: Vec<Registered>,
    audit: Audit,
    workplace: Workplace,
}

struct Registered {
    description: PromptDescription,
    prompt: Arc<dyn ErasedPrompt>,
}

/// What `prompts/list` says of a prompt.
#[derive(Clone, Debug)]
pub struct PromptDescription {
    /// Declared with the prompt.
    pub spec: PromptSpec,
    /// Its arguments, by name.
    pub arguments: Vec<PromptArgument>,
}

/// One argument of a prompt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PromptArgument {
    /// Its name.
    pub name: String,
    /// What it means, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Must it be given?
    pub required: bool,
}

/// The proof that a caller may have a prompt. Only [`PromptRegistry::authorize`] makes one.
pub struct AuthorizedPrompt {
    spec: PromptSpec,
    prompt: Arc<dyn ErasedPrompt>,
    arguments: Result<PromptArguments, ToolError>,
    principal: Arc<Principal>,
    workplace: Workplace,
    entry: AuditEntry,
}

/// The arguments of a prompt: strings by name.
type PromptArguments = BTreeMap<String, String>;

trait ErasedPrompt: Send + Sync {
    fn get<'a>(&'a self, cx: &'a CallContext, arguments: PromptArguments) -> RoundFuture<'a, PromptOutput>;
    fn complete<'a>(&'a self, cx: &'a CallContext, completing: &'a Completing) -> RoundFuture<'a, Completion>;
}

impl<P: Prompt> ErasedPrompt for P {
    fn get<'a>(&'a self, cx: &'a CallContext, arguments: PromptArguments) -> RoundFuture<'a, PromptOutput> {
        Box::pin(async move {
            let arguments = arguments.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            let args = serde_json::from_value(Value::Object(arguments)).map_err(|error| {
                let error: String = error.to_string().chars().take(300).collect();
                ToolError::new(ToolErrorKind::InvalidArgument, format!("{}: {error}", P::SPEC.name))
            })?;
            Prompt::get(self, cx, args).await
        })
    }

    fn complete<'a>(&'a self, cx: &'a CallContext, completing: &'a Completing) -> RoundFuture<'a, Completion> {
        Box::pin(Prompt::complete(self, cx, completing))
    }
}

impl PromptRegistry {
    /// A registry without prompts. `max_result_bytes` and `timeout` hold for every prompt.
    #[must_use]
    pub fn new(lanes: Arc<Lanes>, max_result_bytes: usize, timeout: Duration) -> Self {
        Self { prompts: Vec::new(), audit: Audit::to_log(), workplace: Workplace { lanes, max_result_bytes, timeout } }
    }

    /// Leaves a line for each prompt that is asked for there.
    #[must_use]
    pub fn with_audit(self, audit: Audit) -> Self {
        Self { audit, ..self }
    }

    /// Adds a prompt at the end of the list.
    ///
    /// # Panics
    /// When the name is taken: two prompts of one name are a mistake of the program, found at its first start.
    #[must_use]
    pub fn with<P: Prompt>(mut self, prompt: P) -> Self {
        assert!(self.find(P::SPEC.name).is_none(), "two prompts are named {}", P::SPEC.name);
        let description = PromptDescription { spec: P::SPEC, arguments: arguments_of::<P>() };
        self.prompts.push(Registered { description, prompt: Arc::new(prompt) });
        self
    }

    /// Is there no prompt?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }

    /// The prompts, in the order of the list.
    pub fn descriptions(&self) -> impl Iterator<Item = &PromptDescription> {
        self.prompts.iter().map(|registered| &registered.description)
    }

    /// Does this caller hold all scopes of the prompt of this name?
    #[must_use]
    pub fn may_use(&self, principal: &Principal, name: &str) -> bool {
        self.find(name).is_some_and(|prompt| principal.holds_all(prompt.description.spec.scopes))
    }

    /// May this caller have this prompt?
    ///
    /// # Errors
    /// [`Denied`]. Arguments that cannot be read are no denial: the prompt is allowed and fails.
    pub fn authorize(&self, principal: &Arc<Principal>, name: &str, arguments: Option<&str>) -> Result<AuthorizedPrompt, Denied> {
        let registered = self.find(name).ok_or(Denied::Unknown)?;
        let spec = registered.description.spec;
        principal.must_hold(spec.scopes, name)?;
        Ok(AuthorizedPrompt {
            spec,
            prompt: Arc::clone(&registered.prompt),
            arguments: read_arguments(arguments),
            principal: Arc::clone(principal),
            workplace: self.workplace.clone(),
            entry: AuditEntry::none(),
        })
    }

    /// The same for `prompts/get` that comes from there, as the audit log tells.
    pub(crate) fn authorize_get(
        &self,
        origin: Option<&Arc<Origin>>,
        principal: &Arc<Principal>,
        name: &str,
        arguments: Option<&str>,
    ) -> Result<AuthorizedPrompt, Denied> {
        let mut entry = AuditEntry::begin(&self.audit, Audited::Prompt(name), principal, origin);
        entry.names(|| [read_arguments(arguments).ok().and_then(|mut arguments| arguments.remove("path"))]);
        let authorized = entry.admitted(self.authorize(principal, name, arguments))?;
        Ok(AuthorizedPrompt { entry, ..authorized })
    }

    fn find(&self, name: &str) -> Option<&Registered> {
        self.prompts.iter().find(|registered| registered.description.spec.name == name)
    }
}

impl AuthorizedPrompt {
    /// What is declared about the prompt.
    #[must_use]
    pub fn spec(&self) -> &PromptSpec {
        &self.spec
    }

    /// Runs one round of `prompts/get`. Dropping the future cancels the work.
    pub async fn get(mut self, caller: Caller) -> Round<PromptOutput> {
        let mut entry = std::mem::replace(&mut self.entry, AuditEntry::none());
        entry.note(AuditOutcome::Cancelled);
        let (prompt, max_result_bytes) = (Arc::clone(&self.prompt), self.workplace.max_result_bytes);
        let arguments = self.arguments.clone();
        let get = self.round(caller, move |cx| {
            Box::pin(async move {
                let output = prompt.get(cx, arguments?).await?;
                let bytes = json_len(&output);
                if bytes > max_result_bytes {
                    let problem = format!(
                        "the prompt has {bytes} bytes, and at most {max_result_bytes} can be shown; shorten the arguments"
                    );
                    return Err(ToolError::new(ToolErrorKind::TooLarge, problem).into());
                }
                Ok(output)
            })
        });
        let round = get.await;
        entry.note(AuditOutcome::of(&round, |_| None));
        round
    }

    /// Suggests values for an argument.
    pub async fn complete(self, caller: Caller, completing: Completing) -> Round<Completion> {
        let prompt = Arc::clone(&self.prompt);
        self.round(caller, move |cx| Box::pin(async move { prompt.complete(cx, &completing).await })).await
    }

    async fn round<T, F>(self, caller: Caller, run: F) -> Round<T>
    where
        F: for<'a> FnOnce(&'a CallContext) -> RoundFuture<'a, T>,
    {
        self.workplace.round(self.principal, caller, self.spec.lane, self.spec.name, run).await
    }
}

impl std::fmt::Debug for AuthorizedPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("AuthorizedPrompt").field(&self.spec.name).finish()
    }
}

fn read_arguments(arguments: Option<&str>) -> Result<PromptArguments, ToolError> {
    let text = arguments.unwrap_or("{}");
    serde_json::from_str(text)
        .map_err(|_| ToolError::new(ToolErrorKind::InvalidArgument, "`arguments` of a prompt are strings by name"))
}

fn arguments_of<P: Prompt>() -> Vec<PromptArgument> {
    let schema = input_schema_of::<P::Args>();
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
    let Some(properties) = schema["properties"].as_object() else { return Vec::new() };
    let describe = |field: &Value| field["description"].as_str().map(str::to_owned);
    properties
        .iter()
        .map(|(name, field)| PromptArgument { name: name.clone(), description: describe(field), required: required(name) })
        .collect()
}
