//! Prompts: without and with arguments, with other content than text, and one that asks the user.

use pressmark::call::{
    CallContext, Completing, Completion, Content, Elicitation, Interrupted, Lane, NoArguments, ResourceContents,
};
use pressmark::prompts::{Prompt, PromptMessage, PromptOutput, PromptSpec};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::content::image;

const fn spec(name: &'static str, title: &'static str, description: &'static str) -> PromptSpec {
    PromptSpec { name, title, description, scopes: &[], lane: Lane::Io }
}

/// Messages of the person, one for each piece of content.
fn messages<const N: usize>(contents: [Content; N]) -> Result<PromptOutput, Interrupted> {
    Ok(PromptOutput { description: None, messages: contents.map(PromptMessage::user).into() })
}

pub(crate) struct Simple;

impl Prompt for Simple {
    const SPEC: PromptSpec = spec("test_simple_prompt", "Simple prompt", "A prompt without arguments.");
    type Args = NoArguments;

    async fn get(&self, _: &CallContext, _: NoArguments) -> Result<PromptOutput, Interrupted> {
        messages([Content::text("This is a simple prompt for testing.")])
    }
}

pub(crate) struct WithArguments;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TwoArguments {
    /// First test argument
    arg1: String,
    /// Second test argument
    arg2: String,
}

impl Prompt for WithArguments {
    const SPEC: PromptSpec = spec("test_prompt_with_arguments", "Prompt with arguments", "A prompt with two arguments.");
    type Args = TwoArguments;

    async fn get(&self, _: &CallContext, TwoArguments { arg1, arg2 }: TwoArguments) -> Result<PromptOutput, Interrupted> {
        messages([Content::text(format!("Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))])
    }

    async fn complete(&self, _: &CallContext, completing: &Completing) -> Result<Completion, Interrupted> {
        let known = ["paris", "park", "party", "test"];
        Ok(Completion::of(known.into_iter().filter(|value| value.starts_with(&completing.value))))
    }
}

pub(crate) struct WithResource;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ResourceArgument {
    /// URI of the resource to embed
    resource_uri: String,
}

impl Prompt for WithResource {
    const SPEC: PromptSpec =
        spec("test_prompt_with_embedded_resource", "Prompt with a resource", "A prompt with a resource in it.");
    type Args = ResourceArgument;

    async fn get(&self, _: &CallContext, args: ResourceArgument) -> Result<PromptOutput, Interrupted> {
        let text = "Embedded resource content for testing.";
        let resource = ResourceContents::text(args.resource_uri, "text/plain", text);
        messages([Content::Resource { resource }, Content::text("Please process the embedded resource above.")])
    }
}

pub(crate) struct WithImage;

impl Prompt for WithImage {
    const SPEC: PromptSpec = spec("test_prompt_with_image", "Prompt with an image", "A prompt with an image in it.");
    type Args = NoArguments;

    async fn get(&self, _: &CallContext, _: NoArguments) -> Result<PromptOutput, Interrupted> {
        messages([image(), Content::text("Please analyze the image above.")])
    }
}

pub(crate) struct AsksFirst;

#[derive(Deserialize, JsonSchema)]
struct Context {
    context: String,
}

impl Prompt for AsksFirst {
    const SPEC: PromptSpec =
        spec("test_input_required_result_prompt", "Prompt that asks", "A prompt that asks the user for its context.");
    type Args = NoArguments;

    async fn get(&self, cx: &CallContext, _: NoArguments) -> Result<PromptOutput, Interrupted> {
        let question = Elicitation::form_of::<Context>("What context should the prompt use?");
        let context = cx.elicit("user_context", &question)?.accepted();
        let context = context.map_or_else(|| "none".to_owned(), |Context { context }| context);
        messages([Content::text(format!("Prompt with context: {context}"))])
    }
}
