//! What a server offers: its tools, prompts and resources.

use crate::changes::Notifier;
use crate::prompts::PromptRegistry;
use crate::resources::ResourceRegistry;
use crate::tools::ToolRegistry;

/// The server features (MCP, server, "Overview").
pub struct Features {
    /// What models call.
    pub tools: ToolRegistry,
    /// What people pick.
    pub prompts: PromptRegistry,
    /// What clients read.
    pub resources: ResourceRegistry,
    /// Which of them have changed.
    pub notifier: Notifier,
}
