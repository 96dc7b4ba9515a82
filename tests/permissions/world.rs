//! A server on a folder of two teams, and callers with tokens for it.

use std::fs;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::client::{McpClient, Reply};
use crate::support::server::Pressmark;
use crate::support::snapshot::Snapshot;
use crate::support::tokens::{ED, jwks, now};

pub(crate) const ISSUER: &str = "https://issuer.example.com";
const PUBLIC_URL: &str = "https://mcp.example.com";
/// How every challenge begins.
pub(crate) const PLACE: &str = r#"resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp""#;

/// In every name and every text that a caller of `/team-a/**` must never see.
pub(crate) const SECRET: &str = "zebra";

pub(crate) struct World {
    pub(crate) server: Pressmark,
    root: PathBuf,
    _folder: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (root, keys) = (folder.path().join("served"), folder.path().join("keys.json"));
        fs::create_dir(&root).expect("a folder can be made");
        fs::write(&keys, jwks(&[&ED]).to_string()).expect("a file can be written");
        let (root_argument, keys) = (root.to_str().expect("UTF-8"), keys.to_str().expect("UTF-8"));
        let settings = [root_argument, "--jwks-file", keys, "--jwt-issuer", ISSUER, "--public-url", PUBLIC_URL];
        let server = Pressmark::start(&[&settings, arguments].concat());
        Self { server, root, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Writes files, and the folders above them.
    pub(crate) fn plant(&self, files: &[(&str, &str)]) {
        for (path, content) in files {
            let path = self.at(path);
            fs::create_dir_all(path.parent().expect("in the folder")).expect("a folder can be made");
            fs::write(path, content).expect("a file can be written");
        }
    }

    pub(crate) fn link(&self, at: &str, target: &str) {
        std::os::unix::fs::symlink(target, self.at(at)).expect("a link can be made");
    }

    /// Takes everything away, but not the folder itself.
    pub(crate) fn clear(&self) {
        for entry in fs::read_dir(&self.root).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
        }
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::of(&self.root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(Path::new(path.trim_start_matches('/')))
    }

    pub(crate) fn caller(&self, scopes: &str) -> McpClient {
        McpClient::modern(&self.server.url(), Some(&token(scopes)))
    }
}

/// Claims of a good token.
pub(crate) fn claims(scopes: &str) -> Value {
    json!({"iss": ISSUER, "aud": format!("{PUBLIC_URL}/mcp"), "sub": "alice", "exp": now() + 3600, "scope": scopes})
}

/// A good token.
pub(crate) fn token(scopes: &str) -> String {
    ED.sign(&claims(scopes))
}

/// Calls a tool with this token in place of the client's own.
pub(crate) async fn call_with(client: &McpClient, token: Option<&str>, tool: &str, arguments: &Value) -> Reply {
    let message = client.message("tools/call", json!({"name": tool, "arguments": arguments}));
    let headers = with_token(client.headers(&message), token);
    client.post(&headers, message.to_string()).await
}

pub(crate) fn with_token(mut headers: HeaderMap, token: Option<&str>) -> HeaderMap {
    headers.remove("authorization");
    if let Some(token) = token {
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).expect("a header"));
    }
    headers
}

/// Asserts a 403 that names these scopes, in header and body.
pub(crate) fn assert_insufficient(reply: &Reply, scope: &str, description: &str) {
    let challenge = format!(r#"Bearer {PLACE}, scope="{scope}", error="insufficient_scope", error_description="{description}""#);
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    assert_eq!(reply.headers["www-authenticate"], challenge);
    let error = json!({"code": 403, "message": description, "data": {"requiredScopes": [scope]}});
    assert_eq!(reply.error(), &error);
}

/// Asserts that the tool ran, and could not do it.
pub(crate) fn assert_tool_error(reply: &Reply, kind: &str, what: &str) {
    assert_eq!(reply.status, StatusCode::OK, "{what}: {}", reply.text);
    assert!(reply.is_tool_error() && reply.content(0).starts_with(&format!("{kind}: ")), "{what}: {}", reply.text);
}

/// Asserts that the tool did it.
pub(crate) fn assert_done(reply: &Reply, what: &str) {
    assert_eq!(reply.status, StatusCode::OK, "{what}: {}", reply.text);
    assert!(!reply.is_tool_error(), "{what}: {}", reply.text);
}

/// The paths of a page of entries or of files found.
pub(crate) fn paths(reply: &Reply) -> Vec<&str> {
    let page = reply.structured();
    let entries = page.get("entries").or_else(|| page.get("files")).and_then(Value::as_array);
    let entries = entries.unwrap_or_else(|| panic!("no entries: {}", reply.text));
    entries.iter().map(|entry| entry["path"].as_str().expect("a path")).collect()
}

/// A call of every tool on the files of one folder, in the order of the list of tools.
pub(crate) fn calls(folder: &str) -> [(&'static str, Value); 11] {
    let at = |name: &str| format!("{folder}/{name}");
    [
        ("list_directory", json!({"path": folder})),
        ("find_files", json!({"path": folder, "glob": "**"})),
        ("search_text", json!({"path": folder, "pattern": "."})),
        ("read_file", json!({"path": at("plan.md")})),
        ("get_file_info", json!({"path": at("plan.md")})),
        ("write_file", json!({"path": at("new/note.md"), "content": "written"})),
        ("edit_file", json!({"path": at("edit.md"), "edits": [{"old_text": "before", "new_text": "after"}]})),
        ("create_directory", json!({"path": at("made/deep")})),
        ("move_file", json!({"from": at("move.md"), "to": at("moved.md")})),
        ("copy_file", json!({"from": at("plan.md"), "to": at("copy.md")})),
        ("delete_file", json!({"path": at("delete.md")})),
    ]
}

/// What [`calls`] work on, in one folder.
pub(crate) fn files<'a>(folder: &str, mark: &'a str) -> Vec<(String, &'a str)> {
    ["plan.md", "edit.md", "move.md", "delete.md", "sub/deep.md"]
        .map(|name| (format!("{folder}/{name}"), if name == "edit.md" { "before" } else { mark }))
        .to_vec()
}
