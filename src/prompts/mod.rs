//! Prompts: messages that a person picks and a model reads. A prompt knows neither the protocol nor HTTP.

mod prompt;
mod registry;

pub use prompt::{Prompt, PromptMessage, PromptOutput, PromptSpec, Role};
pub use registry::{AuthorizedPrompt, PromptArgument, PromptDescription, PromptRegistry};
