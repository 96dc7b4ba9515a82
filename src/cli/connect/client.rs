//! The clients, and what each has to be told.

use std::collections::BTreeMap;

use clap::ValueEnum;
use serde::Serialize;
use url::Url;

use super::credential::Credential;
use super::{json_merge, toml_merge};
use crate::auth::is_loopback;
use crate::cli::token;
use crate::config::ConfigError;

/// An MCP client whose configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// Through the bridge mcp-remote, which needs Node
    ClaudeDesktop,
    /// For all projects; --path .mcp.json for one
    ClaudeCode,
    /// For all projects; --path .cursor/mcp.json for one
    Cursor,
    /// For the user; --path .vscode/mcp.json for a project
    Vscode,
    /// The OpenAI Codex CLI and its extensions
    Codex,
    /// The MCP Inspector, version 2
    Inspector,
}

/// One server in the configuration of one client.
pub(super) struct Entry {
    name: String,
    form: Form,
    /// What the user should know beside it.
    pub(super) notes: Vec<String>,
}

enum Form {
    Json {
        /// The key of the object that holds all servers.
        servers: &'static str,
        /// The entry, pretty-printed.
        entry: String,
        /// What VS Code is to ask its user for, pretty-printed.
        input: Option<String>,
    },
    Toml {
        url: String,
        variable: Option<String>,
        token: Option<String>,
    },
}

#[derive(Serialize)]
struct Http {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    url: String,
    #[serde(rename = "protocolEra", skip_serializing_if = "Option::is_none")]
    era: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<Headers>,
}

#[derive(Serialize)]
struct Headers {
    #[serde(rename = "Authorization")]
    authorization: String,
}

#[derive(Serialize)]
struct Bridge {
    command: &'static str,
    args: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct Input {
    #[serde(rename = "type")]
    kind: &'static str,
    id: String,
    description: String,
    password: bool,
}

impl Entry {
    /// What `client` has to be told of the server at `url`.
    ///
    /// # Errors
    /// [`ConfigError`] when the token is needed now and not known.
    pub(super) fn new(client: Client, name: &str, url: &Url, credential: &Credential) -> Result<Self, ConfigError> {
        let mut notes = Vec::new();
        let text = url.to_string();
        let http = |kind, headers| Http { kind, url: text.clone(), era: None, headers };
        let form = match client {
            Client::ClaudeDesktop => json("mcpServers", &bridge(url, credential.value()?, &mut notes)),
            Client::ClaudeCode => json("mcpServers", &http(Some("http"), header(credential, "${", &mut notes))),
            Client::Cursor => json("mcpServers", &http(None, header(credential, "${env:", &mut notes))),
            Client::Vscode => vscode(name, credential, |headers| http(Some("http"), headers), &mut notes),
            Client::Inspector => {
                let token = credential.value()?.map(Credential::Token).unwrap_or(Credential::Own);
                // It would shake hands otherwise, although both sides know the revision without a handshake.
                json("mcpServers", &Http { era: Some("auto"), ..http(Some("http"), header(&token, "", &mut notes)) })
            }
            Client::Codex => {
                let (variable, token) = match credential {
                    Credential::Own => (None, None),
                    Credential::Variable(variable) => {
                        notes.push(told_at_start(variable));
                        (Some(variable.clone()), None)
                    }
                    Credential::Token(token) => (None, Some(token.clone())),
                };
                Form::Toml { url: text, variable, token }
            }
        };
        let is_written = match client {
            Client::ClaudeDesktop | Client::Inspector => !matches!(credential, Credential::Own),
            Client::ClaudeCode | Client::Cursor | Client::Vscode | Client::Codex => matches!(credential, Credential::Token(_)),
        };
        if is_written {
            notes.push("the token itself stands in the configuration: do not share the file".to_owned());
        }
        Ok(Self { name: name.to_owned(), form, notes })
    }

    /// A whole configuration with this server and nothing else.
    pub(super) fn alone(&self) -> String {
        self.merged_into("").ok().flatten().unwrap_or_default()
    }

    /// The configuration `text` with this server in it; `None` when it is there already, just so. Everything else stays as it
    /// is written.
    ///
    /// # Errors
    /// Why the text cannot be changed without harm.
    pub(super) fn merged_into(&self, text: &str) -> Result<Option<String>, String> {
        match &self.form {
            Form::Json { servers, entry, input } => {
                let with_entry = json_merge::set(text, servers, &self.name, entry)?;
                match input {
                    Some(input) => {
                        let text = with_entry.as_deref().unwrap_or(text);
                        Ok(json_merge::put_in_list(text, "inputs", input)?.or(with_entry))
                    }
                    None => Ok(with_entry),
                }
            }
            Form::Toml { url, variable, token } => toml_merge::set(text, &self.name, url, variable.as_deref(), token.as_deref()),
        }
    }
}

fn json(servers: &'static str, entry: &impl Serialize) -> Form {
    Form::Json { servers, entry: pretty(entry), input: None }
}

fn pretty(value: &impl Serialize) -> String {
    // Texts under keys that are texts: it cannot fail.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// With a variable between `open` and a brace.
fn header(credential: &Credential, open: &str, notes: &mut Vec<String>) -> Option<Headers> {
    let value = match credential {
        Credential::Own => return None,
        Credential::Variable(variable) => {
            notes.push(told_at_start(variable));
            format!("{open}{variable}}}")
        }
        Credential::Token(token) => token.clone(),
    };
    Some(Headers { authorization: format!("Bearer {value}") })
}

/// Here the variable may well be missing: it is the client that needs it.
fn told_at_start(variable: &str) -> String {
    let here = token::from_variable(variable).err().map(|problem| format!("; here {problem}")).unwrap_or_default();
    format!("the client reads the token from ${variable}: set it where the client is started{here}")
}

/// Claude Desktop starts local programs and hands them nothing of its own environment. The header's value stands in a variable
/// of the bridge, because the space in it would be split on some systems.
fn bridge(url: &Url, token: Option<String>, notes: &mut Vec<String>) -> Bridge {
    let mut args = vec!["-y".to_owned(), "mcp-remote".to_owned(), url.to_string()];
    if url.scheme() == "http" && !is_loopback(url) {
        args.push("--allow-http".to_owned());
        notes.push("http:// to another machine: everybody on the way can read the token".to_owned());
    }
    let mut env = BTreeMap::new();
    if let Some(token) = token {
        args.extend(["--header".to_owned(), "Authorization:${AUTH}".to_owned()]);
        env.insert("AUTH", format!("Bearer {token}"));
    }
    notes.push("it needs Node (npx); quit Claude Desktop wholly and start it again".to_owned());
    Bridge { command: "npx", args, env }
}

/// VS Code asks its user for the token once and keeps it with the system's secrets. It does not put variables of the
/// environment into headers on every system.
fn vscode(name: &str, credential: &Credential, http: impl FnOnce(Option<Headers>) -> Http, notes: &mut Vec<String>) -> Form {
    let Credential::Variable(variable) = credential else {
        return json("servers", &http(header(credential, "", notes)));
    };
    let id = format!("{name}-token");
    let headers = Headers { authorization: format!("Bearer ${{input:{id}}}") };
    let description = format!("Token for {name}, as in {variable}");
    let input = pretty(&Input { kind: "promptString", id, description, password: true });
    notes.push("VS Code asks for the token when it first connects, and keeps it with the system's secrets".to_owned());
    Form::Json { servers: "servers", entry: pretty(&http(Some(headers))), input: Some(input) }
}
