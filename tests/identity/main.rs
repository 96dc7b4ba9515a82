//! A real OpenID provider, `deploy/identity` as users start it, in front of real clients and behind real servers: where keys are
//! found, which tokens are taken, keys that rotate under load, users who agree to more, and a provider that is away.

mod authorization_code;
mod bridge;
mod discovery;
mod front;
mod outages;
mod protected;
mod provider;
mod rotation;
#[path = "../support/mod.rs"]
mod support;
mod tokens;

use serde_json::json;
use tempfile::TempDir;

use support::client::{McpClient, Reply};
use support::server::Pressmark;

/// Where clients believe the server to be. Nobody resolves the name.
const PUBLIC_URL: &str = "https://files.example.com";
/// What tokens for the server are for.
const RESOURCE: &str = "https://files.example.com/mcp";

/// A folder with one file, and a server of it that knows nothing of the provider but its URL.
fn serve(folder: &TempDir, issuer: &str) -> Pressmark {
    Pressmark::start(&[served(folder), "--public-url", PUBLIC_URL, "--jwt-issuer", issuer])
}

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
    folder
}

fn served(folder: &TempDir) -> &str {
    folder.path().to_str().expect("UTF-8")
}

/// Whoever asks anew gets a connection of its own, and no proxy of this machine.
fn http() -> reqwest::Client {
    reqwest::Client::builder().pool_max_idle_per_host(0).no_proxy().build().expect("a client")
}

/// One call that needs `files:read`.
async fn list(url: &str, token: &str) -> Reply {
    McpClient::modern(url, Some(token)).call_tool("list_directory", json!({})).await
}

/// The challenge of an answer.
fn challenge(reply: &Reply) -> &str {
    let challenge = reply.headers.get("www-authenticate").unwrap_or_else(|| panic!("{} without a challenge", reply.status));
    challenge.to_str().expect("ASCII")
}
