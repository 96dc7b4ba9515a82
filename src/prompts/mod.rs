//! Prompts: messages that a person picks and a model reads. A prompt knows neither the protocol nor HTTP.

mod answer_from_files;
mod first_hits;
mod outline;
mod prompt;
mod registry;
mod review_changes;
mod summarize_folder;
mod with_files;

pub use answer_from_files::{AnswerFromFiles, AnswerFromFilesArgs};
pub use prompt::{Prompt, PromptMessage, PromptOutput, PromptSpec, Role};
pub use registry::{AuthorizedPrompt, PromptArgument, PromptDescription, PromptRegistry};
pub use review_changes::{ReviewChanges, ReviewChangesArgs};
pub use summarize_folder::{SummarizeFolder, SummarizeFolderArgs};
