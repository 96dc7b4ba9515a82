//! What a person, or a log, is told when the server starts.

use std::fmt;

use url::Url;

use crate::auth::AuthConfig;
use crate::config::{Config, StateConfig};
use crate::files::{Mount, Tree};
use crate::http::ListenAddress;

/// Where the server is, what it serves and to whom; with a client configuration to copy.
pub(super) struct Banner {
    url: Url,
    listen: Option<String>,
    files: Vec<String>,
    state: String,
    seal: Option<&'static str>,
    callers: String,
    client: String,
    /// Does it hold a token that was made for this run, and that nobody can learn otherwise?
    pub(super) shows_token: bool,
}

impl Banner {
    /// Of a server at `url` that listens on `listen`. `made_token`: the development token was made for this run.
    pub(super) fn new(
        config: &Config,
        tree: &Tree,
        (url, listen): (&Url, &ListenAddress),
        (auth, made_token): (&AuthConfig, bool),
    ) -> Self {
        let listen = match &config.public_url {
            Some(_) => Some(listen.to_string()),
            None if listen.is_every_address() => {
                Some(format!("{listen}, every address of this machine; set --public-url to the URL that clients use"))
            }
            None if matches!(listen, ListenAddress::Unix(_)) => {
                Some(format!("{listen}; set --public-url to the URL that clients use"))
            }
            None => None,
        };
        let shared = matches!(config.state, StateConfig::Redis(_));
        Self {
            url: url.clone(),
            listen,
            files: tree.mounts().map(|mount| describe(mount)).collect(),
            state: match &config.state {
                StateConfig::Memory => "memory, for one replica; several share --state redis://…".to_owned(),
                StateConfig::Redis(url) => url.to_string(),
            },
            seal: (config.seal_keys.is_none() && shared).then_some(
                "a key of its own: a call that asks its user must come back to this replica; several share --seal-keys FILE",
            ),
            callers: callers(auth, made_token),
            client: client_configuration(url, auth, made_token),
            shows_token: made_token,
        }
    }

    /// The same as one line among those of the log.
    pub(super) fn log(&self) {
        let (listen, files) = (self.listen.as_deref(), self.files.join("; "));
        let (url, state, callers) = (self.url.as_str(), self.state.as_str(), self.callers.as_str());
        tracing::info!(version = env!("CARGO_PKG_VERSION"), url, listen, files, state, seal = self.seal, callers, "listening");
    }
}

impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Pressmark {}: {}", env!("CARGO_PKG_VERSION"), self.url)?;
        if let Some(listen) = &self.listen {
            writeln!(f, "  listen   {listen}")?;
        }
        for mount in &self.files {
            writeln!(f, "  files    {mount}")?;
        }
        writeln!(f, "  state    {}", self.state)?;
        if let Some(seal) = self.seal {
            writeln!(f, "  seal     {seal}")?;
        }
        writeln!(f, "  callers  {}", self.callers)?;
        write!(f, "\nClient configuration:\n{}", self.client)
    }
}

fn describe(mount: &Mount) -> String {
    let access = match (mount.is_writable(), mount.server_may_write()) {
        (true, true) => "writable",
        (true, false) => "the server may not write here",
        (false, _) => "read-only",
    };
    format!("{} is {} ({access})", mount.path(), mount.directory().display())
}

fn callers(auth: &AuthConfig, made_token: bool) -> String {
    let mut ways = Vec::new();
    if let Some(jwt) = &auth.jwt {
        ways.push(match &jwt.issuer {
            Some(issuer) => format!("tokens of {issuer} for {}", jwt.audiences.join(", ")),
            None => format!("tokens of any issuer in the key set for {}", jwt.audiences.join(", ")),
        });
    }
    if let Some(file) = &auth.api_keys {
        ways.push(format!("API keys in {}", file.display()));
    }
    match &auth.dev_token {
        Some(_) if made_token => ways.push("the development token below".to_owned()),
        Some(_) => ways.push("the development token that was given".to_owned()),
        None => {}
    }
    if auth.no_auth {
        ways.push("every program on this machine, without a token".to_owned());
    }
    ways.join("; ")
}

/// Only a token that was made for this run is shown: who has set another knows it.
fn client_configuration(url: &Url, auth: &AuthConfig, made_token: bool) -> String {
    let mut server = serde_json::json!({ "type": "http", "url": url.as_str() });
    // Where clients get tokens from the issuer themselves, the URL is all that they need.
    let token = match auth {
        AuthConfig { dev_token: Some(token), .. } if made_token => Some(token.as_str()),
        AuthConfig { dev_token: Some(_), .. } => Some("YOUR-TOKEN"),
        AuthConfig { jwt: None, api_keys: Some(_), .. } => Some("YOUR-API-KEY"),
        AuthConfig { .. } => None,
    };
    if let Some(token) = token {
        server["headers"] = serde_json::json!({ "Authorization": format!("Bearer {token}") });
    }
    format!("{:#}", serde_json::json!({ "mcpServers": { "pressmark": server } }))
}
