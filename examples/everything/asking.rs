//! Tools that ask: the user by a form, or the client's model. `?` ends the call until there is an answer; then it runs
//! again from its beginning. How the question travels, in which revision, is not the tool's business.
//!
//! These tools show an answer as it came. One that works with it derives `Deserialize` for the form as well, and reads it with
//! `answer.accepted::<Contact>()`, as in `rounds`.

use pressmark::call::{CallContext, ElicitResult, Elicitation, NoArguments, Sampling};
use pressmark::tools::{Tool, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::{Answer, say, spec};

fn describe(result: &ElicitResult) -> String {
    format!("action={}, content={}", json!(result.action).as_str().unwrap_or_default(), json!(result.content))
}

pub(crate) struct AskUser;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskUserArgs {
    /// What the user is asked.
    message: String,
}

/// A form: a plain struct.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the answer is shown as it came")]
struct Contact {
    /// User's response
    username: String,
    /// User's email address
    email: String,
}

impl Tool for AskUser {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"message": "Who are you?"}"#,
        ..spec("test_elicitation", "Ask the user", "Asks the user for a name and an address.")
    };
    type Args = AskUserArgs;
    type Output = ();

    async fn call(&self, cx: &CallContext, args: AskUserArgs) -> Answer {
        let answer = cx.elicit("contact", &Elicitation::form_of::<Contact>(args.message))?;
        say(format!("User response: {}", describe(&answer)))
    }
}

pub(crate) struct AskWithDefaults;

/// What may be left out, with what stands in the form at first.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used: the answer is shown as it came")]
struct Profile {
    /// User name
    #[schemars(extend("default" = "John Doe"))]
    name: Option<String>,
    /// User age
    #[schemars(extend("default" = 30))]
    age: Option<u8>,
    /// User score
    #[schemars(extend("default" = 95.5))]
    score: Option<f64>,
    /// User status
    #[schemars(extend("default" = "active"))]
    status: Option<Status>,
    /// Verification status
    #[schemars(extend("default" = true))]
    verified: Option<bool>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "only its schema is used")]
enum Status {
    Active,
    Inactive,
    Pending,
}

impl Tool for AskWithDefaults {
    const SPEC: ToolSpec =
        spec("test_elicitation_sep1034_defaults", "Ask with defaults", "Asks the user by a form that is filled in already.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let form = Elicitation::form_of::<Profile>("Please review and update the form fields with defaults");
        say(format!("Elicitation completed: {}", describe(&cx.elicit("profile", &form)?)))
    }
}

pub(crate) struct AskWithChoices;

impl Tool for AskWithChoices {
    const SPEC: ToolSpec = spec("test_elicitation_sep1330_enums", "Ask with choices", "Asks the user to choose, in five ways.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        let titled = |noun: &str| {
            json!([
                { "const": "value1", "title": format!("First {noun}") },
                { "const": "value2", "title": format!("Second {noun}") },
                { "const": "value3", "title": format!("Third {noun}") },
            ])
        };
        // A schema by hand, for forms that no struct describes: `enumNames` is how titles were given before 2025-11-25.
        let schema = json!({
            "type": "object",
            "properties": {
                "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
                "titledSingle": { "type": "string", "oneOf": titled("Option") },
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["Option One", "Option Two", "Option Three"],
                },
                "untitledMulti": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "items": { "type": "string", "enum": ["option1", "option2", "option3"] },
                },
                "titledMulti": { "type": "array", "minItems": 1, "maxItems": 3, "items": { "anyOf": titled("Choice") } },
            },
        });
        let answer = cx.elicit("choices", &Elicitation::form("Please select options from the enum fields", schema))?;
        say(format!("Elicitation completed: {}", describe(&answer)))
    }
}

pub(crate) struct AskModel;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskModelArgs {
    /// What the model is asked.
    prompt: String,
}

impl Tool for AskModel {
    const SPEC: ToolSpec = ToolSpec {
        example: r#"{"prompt": "What is the capital of France?"}"#,
        ..spec("test_sampling", "Ask the model", "Asks the client's model.")
    };
    type Args = AskModelArgs;
    type Output = ();

    async fn call(&self, cx: &CallContext, args: AskModelArgs) -> Answer {
        let answer = cx.sample("prompt", &Sampling::ask(args.prompt, 100))?;
        say(format!("LLM response: {}", answer.text().unwrap_or("No response")))
    }
}

pub(crate) struct NeedsModel;

impl Tool for NeedsModel {
    const SPEC: ToolSpec = spec("test_missing_capability", "Need the model", "Is refused to clients without sampling.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        cx.sample("anything", &Sampling::ask("Say something.", 10))?;
        say("The client has sampling")
    }
}

pub(crate) struct AskWhileReporting;

impl Tool for AskWhileReporting {
    const SPEC: ToolSpec = spec("test_streaming_elicitation", "Ask on a stream", "Reports progress, then asks the user.");
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, cx: &CallContext, _: NoArguments) -> Answer {
        cx.progress(50.0, Some(100.0), None);
        let answer = cx.elicit("contact", &Elicitation::form_of::<Contact>("Who are you?"))?;
        say(format!("Streaming complete: {}", describe(&answer)))
    }
}
