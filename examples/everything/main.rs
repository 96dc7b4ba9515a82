//! A server with everything that the protocol has: the tools, prompts and resources that the official conformance suite
//! asks of a server, each the shortest that does what the suite wants. It takes the options of `pressmark serve`:
//! `cargo run --example everything -- --no-auth .`
//!
//! Each file shows one thing: `content` what a tool can give, `reports` what it can tell meanwhile, `asking` and `rounds`
//! how it asks the user, `schemas` how its arguments are declared, `tasks` how its calls outlive their requests, `changes` how
//! it tells everybody who listens of a change; then come `prompts` and `resources`.

mod asking;
mod changes;
mod content;
mod prompts;
mod reports;
mod resources;
mod rounds;
mod schemas;
mod tasks;

use std::process::ExitCode;

use pressmark::app::App;
use pressmark::call::Interrupted;
use pressmark::tools::{Effect, ToolOutput, ToolSpec};

// As in Pressmark itself: `benches/run` measures the cost of a call with this program.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    pressmark::cli::serve(everything)
}

fn everything(app: App) -> App {
    let notifier = app.notifier();
    app.with(content::SimpleText)
        .with(content::Image)
        .with(content::Audio)
        .with(content::EmbeddedResource)
        .with(content::MixedContent)
        .with(content::Failing)
        .with(reports::WithLogging)
        .with(reports::WithProgress)
        .with(reports::LogsOnDemand)
        .with(reports::Reconnects)
        .with(asking::AskUser)
        .with(asking::AskWithDefaults)
        .with(asking::AskWithChoices)
        .with(asking::AskModel)
        .with(asking::NeedsModel)
        .with(asking::AskWhileReporting)
        .with(rounds::AskName)
        .with(rounds::AskCapital)
        .with(rounds::AskRoots)
        .with(rounds::Confirm)
        .with(rounds::ConfirmSealed)
        .with(rounds::AskAllAtOnce)
        .with(rounds::AskInTurn)
        .with(rounds::AskWhatTheClientCan)
        .with(schemas::WholeVocabulary)
        .with(schemas::InHeaders)
        .with(changes::ToolsChanged(notifier.clone()))
        .with(changes::PromptsChanged(notifier))
        .with(tasks::Greet)
        .with(tasks::SlowCompute)
        .with(tasks::FailingJob)
        .with(tasks::PanickingJob)
        .with(tasks::ConfirmDelete)
        .with(tasks::ConfirmTwice)
        .with(tasks::AskThenWork)
        .with_prompt(prompts::Simple)
        .with_prompt(prompts::WithArguments)
        .with_prompt(prompts::WithResource)
        .with_prompt(prompts::WithImage)
        .with_prompt(prompts::AsksFirst)
        .with_resources(resources::TestResources)
}

/// What the tools here have in common: they need no scope and change nothing.
const fn spec(name: &'static str, title: &'static str, description: &'static str) -> ToolSpec {
    ToolSpec { name, title, description, effect: Effect::ReadOnly, ..ToolSpec::DEFAULT }
}

/// What the tools here give: content for the model, and nothing for programs.
type Answer = Result<ToolOutput<()>, Interrupted>;

/// A text as the whole answer.
fn say(text: impl Into<String>) -> Answer {
    Ok(ToolOutput::text(text, ()))
}
