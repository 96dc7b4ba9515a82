//! What a call may ask for while it runs: of the user (elicitation), of the client's model (sampling), of the client
//! (roots) (2026-07-28, client/elicitation, client/sampling, client/roots).

mod form;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::{ClientCapabilities, Content};

/// A question for the user.
#[derive(Clone, Debug, PartialEq)]
pub enum Elicitation {
    /// A form that the client shows.
    Form {
        /// What the user is asked, and why.
        message: String,
        /// A flat object of strings, numbers, booleans and choices (2026-07-28, client/elicitation, "Requested Schema").
        schema: Value,
    },
    /// A page that the user is sent to: for what must not pass through the client, such as a password.
    Url {
        /// What the user is to do there, and why.
        message: String,
        /// The page: https, for all but development. It must not let whoever opens it in without asking who they are, and
        /// say nothing of the user (2026-07-28, client/elicitation, "Safe URL Handling").
        url: Url,
    },
}

impl Elicitation {
    /// A form with a schema of your own.
    pub fn form(message: impl Into<String>, schema: Value) -> Self {
        Self::Form { message: message.into(), schema }
    }

    /// A form for a plain struct of strings, numbers, booleans and choices.
    pub fn form_of<T: JsonSchema>(message: impl Into<String>) -> Self {
        Self::form(message, form::schema_of::<T>())
    }

    /// A page to visit. That the user accepts means that they go there, and not that they have done there what they should:
    /// the call finds that out by itself, and asks again, with another key, while it is not so.
    pub fn url(message: impl Into<String>, url: Url) -> Self {
        Self::Url { message: message.into(), url }
    }
}

/// What the user did with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ElicitAction {
    /// Answered it.
    Accept,
    /// Said no.
    Decline,
    /// Closed it without an answer.
    Cancel,
}

/// The user's answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ElicitResult {
    /// What the user did.
    pub action: ElicitAction,
    /// What the form held; empty unless it was accepted, and of pages.
    #[serde(default)]
    pub content: Map<String, Value>,
}

impl ElicitResult {
    /// The form's content, if the user accepted and it has the form of `T`.
    #[must_use]
    pub fn accepted<T: DeserializeOwned>(&self) -> Option<T> {
        match self.action {
            ElicitAction::Accept => serde_json::from_value(Value::Object(self.content.clone())).ok(),
            ElicitAction::Decline | ElicitAction::Cancel => None,
        }
    }
}

/// A question for the client's model. Deprecated by 2026-07-28, which still has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The conversation, as (is it the assistant's?, what it says).
    pub messages: Vec<(bool, Content)>,
    /// How the model should behave.
    pub system_prompt: Option<String>,
    /// The longest answer, in tokens.
    pub max_tokens: u32,
}

impl Sampling {
    /// One question, as a user would put it.
    pub fn ask(question: impl Into<String>, max_tokens: u32) -> Self {
        Self { messages: vec![(false, Content::text(question))], system_prompt: None, max_tokens }
    }
}

/// The answer of the client's model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct SamplingResult {
    /// Which model answered.
    pub model: String,
    /// What it said: one content block, or several.
    pub content: Value,
    /// Why it stopped.
    #[serde(rename = "stopReason")]
    pub stop_reason: Option<String>,
}

impl SamplingResult {
    /// The text of the answer.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        let block = self.content.as_array().and_then(|blocks| blocks.first()).unwrap_or(&self.content);
        block.get("text").and_then(Value::as_str)
    }
}

/// A folder or file that the client works in. Deprecated by 2026-07-28, which still has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Root {
    /// Where it is: a `file://` URI on the client's machine.
    pub uri: String,
    /// Its name, for people.
    pub name: Option<String>,
}

/// A request to the client, as it stands in `inputRequests` and in the handshake era's own requests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputRequest {
    /// `elicitation/create`, `sampling/createMessage` or `roots/list`.
    pub method: String,
    /// Its parameters.
    pub params: Value,
}

/// Requests by the keys that the call gave them.
pub type InputRequests = BTreeMap<String, InputRequest>;

/// What has been answered so far, by key: results as the client sent them, each read when the call asks for it.
pub type Answers = BTreeMap<String, Value>;

impl InputRequest {
    pub(super) fn elicitation(elicitation: &Elicitation) -> Self {
        let params = match elicitation {
            Elicitation::Form { message, schema } => json!({ "mode": "form", "message": message, "requestedSchema": schema }),
            Elicitation::Url { message, url } => json!({ "mode": "url", "message": message, "url": url.as_str() }),
        };
        Self { method: "elicitation/create".to_owned(), params }
    }

    pub(super) fn sampling(sampling: &Sampling) -> Self {
        let role = |assistant: bool| if assistant { "assistant" } else { "user" };
        let messages: Vec<_> =
            sampling.messages.iter().map(|(who, content)| json!({ "role": role(*who), "content": content })).collect();
        let mut params = json!({ "messages": messages, "maxTokens": sampling.max_tokens });
        if let Some(prompt) = &sampling.system_prompt {
            params["systemPrompt"] = prompt.as_str().into();
        }
        Self { method: "sampling/createMessage".to_owned(), params }
    }

    pub(super) fn roots() -> Self {
        Self { method: "roots/list".to_owned(), params: json!({}) }
    }
}

/// The answer to a question, if it is one: what does not fit the question counts as not answered, and is asked again
/// (2026-07-28, basic/patterns/mrtr, "Error Handling").
pub(super) fn read_elicitation(elicitation: &Elicitation, answer: &Value) -> Option<ElicitResult> {
    let mut result: ElicitResult = serde_json::from_value(answer.clone()).ok()?;
    match (result.action, elicitation) {
        (ElicitAction::Accept, Elicitation::Form { schema, .. }) => form::fits(schema, &result.content).then_some(result),
        (ElicitAction::Accept, Elicitation::Url { .. }) | (ElicitAction::Decline | ElicitAction::Cancel, _) => {
            result.content.clear();
            Some(result)
        }
    }
}

pub(super) fn read_roots(answer: &Value) -> Option<Vec<Root>> {
    serde_json::from_value(answer.get("roots")?.clone()).ok()
}

/// What a client must declare to be asked this way.
pub(super) fn needed(elicitation: &Elicitation) -> ClientCapabilities {
    let mut elicits = super::ElicitationCapability::default();
    match elicitation {
        Elicitation::Form { .. } => elicits.form = Some(Map::new()),
        Elicitation::Url { .. } => elicits.url = Some(Map::new()),
    }
    ClientCapabilities { elicitation: Some(elicits), ..ClientCapabilities::default() }
}
