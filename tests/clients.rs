//! Other people's clients against the real program, each in both of its ways to connect: they list the tools, read a file
//! to its end, search, see progress, edit, and are told of a failure and of a wrong token.

mod support;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};
use support::client::{LEGACY, MODERN, McpClient};
use support::node::node;
use support::server::Pressmark;

const TOKEN: &str = "a-token-for-tests";

/// What a client has seen: the last line that its program prints.
#[derive(Debug, Deserialize)]
struct Report {
    /// What it says when it comes with a wrong token.
    refused: String,
    /// The revision of the protocol that it speaks with this server.
    version: String,
    /// The tools listed.
    tools: Vec<String>,
    /// The texts of the pages of `/long.txt`.
    pages: Vec<String>,
    /// The files in which `needle` was found.
    found: Vec<String>,
    /// How many reports of progress came during a long search.
    progress: usize,
    /// What editing `/list.md` has changed.
    diff: String,
    /// What reading a file that does not exist says.
    error: Option<String>,
}

#[test]
fn typescript_client() {
    journey(LEGACY, "the token is not known to this server", |url| node(&["client.mjs", url, TOKEN, "legacy"]));
}

#[test]
fn typescript_client_modern() {
    journey(MODERN, "HTTP 401", |url| node(&["client.mjs", url, TOKEN, "auto"]));
}

#[test]
fn typescript_sdk() {
    journey(LEGACY, "401 ", |url| node(&["sdk.mjs", url, TOKEN]));
}

#[test]
fn rust_client() {
    journey(LEGACY, "Auth required", |url| program(".tools/rmcp/debug/rmcp-client", &[url, TOKEN, "legacy"]));
}

#[test]
fn rust_client_modern() {
    journey(MODERN, "Auth required", |url| program(".tools/rmcp/debug/rmcp-client", &[url, TOKEN, "auto"]));
}

/// The Python client gives an error of this kind for every refusal without an `id`, which a 401 has none of.
const PYTHON_REFUSED: &str = "Server returned an error response";

#[test]
fn python_client() {
    journey(LEGACY, PYTHON_REFUSED, |url| {
        program(".tools/python/bin/python", &["tests/clients/python.py", url, TOKEN, "legacy"])
    });
}

#[test]
fn python_client_modern() {
    journey(MODERN, PYTHON_REFUSED, |url| program(".tools/python/bin/python", &["tests/clients/python.py", url, TOKEN, "auto"]));
}

/// Somebody else's reader of JSON Schema finds nothing wrong in the schemas of any tool.
#[tokio::test]
async fn schemas_of_tools_are_schemas() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Pressmark::start(&[folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN]);
    let reply = McpClient::modern(&server.url(), Some(TOKEN)).request("tools/list", json!({})).await;
    let mut schemas = vec![json!({"type": "object", "properties": {"n": {"type": "strnig"}}})];
    for tool in reply.result()["tools"].as_array().expect("tools") {
        assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
        schemas.push(tool["inputSchema"].clone());
        schemas.extend(tool.get("outputSchema").cloned());
    }
    assert!(schemas.len() > 20, "{} schemas", schemas.len());
    let file = folder.path().join("schemas.json");
    std::fs::write(&file, json!(schemas).to_string()).expect("a file can be written");
    let check = ["tests/clients/schemas.py", file.to_str().expect("UTF-8")];
    let output = program(".tools/python/bin/python", &check).output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<Option<String>> = serde_json::from_slice(&output.stdout).expect("what is wrong with each");
    assert!(said[0].as_ref().is_some_and(|wrong| wrong.contains("strnig")), "it would notice: {said:?}");
    for (schema, wrong) in schemas.iter().zip(&said).skip(1) {
        assert_eq!(*wrong, None, "{schema}");
    }
}

/// Runs a client's program and compares what it reports, what the server has logged, and what is on disk. `refusal` is
/// a part of what the client says of a wrong token.
fn journey(version: &str, refusal: &str, client: impl Fn(&str) -> Command) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let long = fill(folder.path());
    // With one worker the search with progress takes long enough on any machine.
    let arguments = [folder.path().to_str().expect("UTF-8"), "--dev-token", TOKEN, "--log-format", "json", "--workers", "1"];
    let server = Pressmark::start(&arguments);

    let output = client(&format!("{}/mcp", server.url())).output().expect("the client's program runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stderr, "", "the client warns of something");
    let report: Report = serde_json::from_str(&stdout).expect("a report");

    assert_eq!(report.version, version);
    assert!(report.refused.contains(refusal), "{}", report.refused);
    for tool in ["list_directory", "find_files", "search_text", "read_file", "edit_file", "delete_file"] {
        assert!(report.tools.iter().any(|listed| listed == tool), "{tool} in {:?}", report.tools);
    }
    assert!(report.pages.len() > 3, "{} pages", report.pages.len());
    assert!(report.pages.concat() == long, "the pages joined are the file");
    assert_eq!(report.found, ["/a.txt", "/b.txt", "/c.txt", "/d.txt", "/e.txt"]);
    assert!(report.progress > 0);
    assert!(report.diff.contains("-- [ ] sew\n+- [x] sew\n"), "{}", report.diff);
    assert_eq!(std::fs::read_to_string(folder.path().join("list.md")).expect("the file edited"), "# To do\n- [x] sew\n");
    assert!(report.error.as_deref().is_some_and(|error| error.contains("/missing.txt does not exist")), "{:?}", report.error);

    let log = server.stderr();
    let requests: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .filter(|line: &Value| line["path"] == "/mcp")
        .collect();
    assert!(requests.iter().any(|request| request["status"] == 401), "{log}");
    let calls: Vec<_> = requests.iter().filter(|request| request["tool"].is_string()).collect();
    assert!(calls.len() >= report.pages.len() + 5, "{log}");
    assert!(calls.iter().all(|call| call["version"] == version && call["status"] == 200), "{log}");
}

/// Makes the files that the clients ask for, and gives the text of the long one.
fn fill(folder: &Path) -> String {
    let long = (0..4_000).fold(String::new(), |mut text, line| {
        let end = if line % 3 == 0 { "\r\n" } else { "\n" };
        let _ = write!(text, "Zeile {line}: größer, 日本語, \"quoted\" \\ \t🧵 {{}}{end}");
        text
    });
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file can be written");
    write("long.txt", &long);
    write("list.md", "# To do\n- [ ] sew\n");
    for name in ["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"] {
        write(name, "a needle\n");
    }
    std::fs::create_dir(folder.join("slow")).expect("a folder");
    // A word boundary next to letters outside of ASCII is what the search engine is slowest at.
    for number in 0..150 {
        write(&format!("slow/{number}.txt"), &"größere Wörter und kein Fund\n".repeat(2_000));
    }
    long
}

/// A program that `scripts/test` has installed, started in the project's folder.
fn program(path: &str, arguments: &[&str]) -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program: PathBuf = root.join(path);
    assert!(program.exists(), "{} is missing; run scripts/test once, which installs it", program.display());
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root);
    command
}
