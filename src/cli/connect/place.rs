//! Where each client keeps its configuration, for all projects of its user.

use std::path::PathBuf;

use super::client::Client;

/// The file of this client; `None` when the user's home is not known.
pub(super) fn of(client: Client) -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || std::env::home_dir().filter(|home| home.is_absolute());
    let applications = || {
        if cfg!(target_os = "macos") {
            return home().map(|home| home.join("Library/Application Support"));
        }
        variable("XDG_CONFIG_HOME").filter(|folder| folder.is_absolute()).or_else(|| Some(home()?.join(".config")))
    };
    match client {
        Client::ClaudeDesktop => Some(applications()?.join("Claude/claude_desktop_config.json")),
        Client::ClaudeCode => Some(variable("CLAUDE_CONFIG_DIR").or_else(home)?.join(".claude.json")),
        Client::Cursor => Some(home()?.join(".cursor/mcp.json")),
        Client::Vscode => Some(applications()?.join("Code/User/mcp.json")),
        Client::Codex => Some(variable("CODEX_HOME").or_else(|| Some(home()?.join(".codex")))?.join("config.toml")),
        Client::Inspector => variable("MCP_CATALOG_PATH").or_else(|| Some(home()?.join(".mcp-inspector/mcp.json"))),
    }
}
