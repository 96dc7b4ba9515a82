//! Tools that tell clients of a change: everybody who listens hears of it, on whichever replica.

use pressmark::call::{CallContext, NoArguments};
use pressmark::changes::{List, Notifier};
use pressmark::tools::{Effect, Tool, ToolSpec};

use crate::{Answer, say, spec};

/// What is announced need not be true: the lists of this server stand still.
const EFFECT: Effect = Effect::Additive { idempotent: false };

pub(crate) struct ToolsChanged(pub(crate) Notifier);

impl Tool for ToolsChanged {
    const SPEC: ToolSpec = ToolSpec {
        effect: EFFECT,
        ..spec("test_trigger_tool_change", "Tools changed", "Tells those who listen that the list of tools has changed.")
    };
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        self.0.list_changed(List::Tools);
        say("Told that the tools have changed")
    }
}

pub(crate) struct PromptsChanged(pub(crate) Notifier);

impl Tool for PromptsChanged {
    const SPEC: ToolSpec = ToolSpec {
        effect: EFFECT,
        ..spec("test_trigger_prompt_change", "Prompts changed", "Tells those who listen that the list of prompts has changed.")
    };
    type Args = NoArguments;
    type Output = ();

    async fn call(&self, _: &CallContext, _: NoArguments) -> Answer {
        self.0.list_changed(List::Prompts);
        say("Told that the prompts have changed")
    }
}
