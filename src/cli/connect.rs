//! `pressmark connect`: what an MCP client has to be told to use this server.

mod client;
mod credential;
mod json_merge;
mod place;
mod toml_merge;
mod write;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use url::Url;

use self::client::{Client, Entry};
use self::credential::Credential;
use super::{EXIT_USAGE, token};
use crate::config::ConfigError;

/// Configure an MCP client for this server
///
/// The configuration is printed in the form of that client, or written into the client's own file. Without a token the client gets one from the server's issuer itself, where there is one. A client that can read a
/// variable of its environment is told the variable of --token-env; for others its value is written down.
#[derive(Debug, Args)]
pub(super) struct Connect {
    /// Which client is to be configured
    client: Client,

    /// URL of the server, with or without its /mcp
    #[arg(long, env = "PRESSMARK_PUBLIC_URL", hide_env_values = true, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = endpoint)]
    url: Url,

    /// What the client shall call the server
    #[arg(long, value_name = "NAME", default_value = "pressmark", value_parser = plain_name)]
    name: String,

    /// Environment variable that holds the token or API key
    #[arg(long, value_name = "VAR", conflicts_with = "api_key_file", hide_env_values = true, value_parser = token::variable_name)]
    token_env: Option<String>,

    /// File that holds the token or API key, as `pressmark keys new` prints it; it is written into the configuration
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,

    /// Write it into the client's file; what else is there stays, and a copy of the file as it was is put beside it
    #[arg(long)]
    write: bool,

    /// Write into this file instead, such as .mcp.json, .cursor/mcp.json or .vscode/mcp.json of a project
    #[arg(long, value_name = "FILE", requires = "write")]
    path: Option<PathBuf>,
}

impl Connect {
    pub(super) fn run(self) -> ExitCode {
        let usage = |error: ConfigError| {
            super::complain(&error);
            ExitCode::from(EXIT_USAGE)
        };
        let credential = match Credential::read(self.token_env, self.api_key_file) {
            Ok(credential) => credential,
            Err(error) => return usage(error),
        };
        let entry = match Entry::new(self.client, &self.name, &self.url, &credential) {
            Ok(entry) => entry,
            Err(error) => return usage(error),
        };
        let place = self.path.or_else(|| place::of(self.client));
        if !self.write {
            let said = super::say(entry.alone().trim_end());
            let place = place.map_or_else(|| "the client's configuration".to_owned(), |place| place.display().to_string());
            super::complain(&format!("this belongs into {place}; --write puts it there"));
            tell(&entry);
            return said;
        }
        let Some(place) = place else {
            return usage(ConfigError("your home folder is not known: name the file with --path".to_owned()));
        };
        match write::write(&place, &entry) {
            Ok(Some(written)) => {
                super::complain(&written);
                tell(&entry);
                ExitCode::SUCCESS
            }
            Ok(None) => {
                super::complain(&format!("{} has this server already; nothing was changed", place.display()));
                ExitCode::SUCCESS
            }
            Err(problem) => super::fail(&format!("{}: {problem}; nothing was changed", place.display())),
        }
    }
}

fn tell(entry: &Entry) {
    for note in &entry.notes {
        super::complain(&format!("note: {note}"));
    }
}

/// The URL of the endpoint, from that or from the server's.
fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let mut url = url.ok_or("write it like https://mcp.example.com/mcp")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("credentials do not belong in it; see --token-env".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&if path.ends_with("/mcp") { path } else { format!("{path}/mcp") });
    Ok(url)
}

/// A name that every client takes.
fn plain_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        return Err("use up to 64 letters, digits, - and _".to_owned());
    }
    Ok(text.to_owned())
}
