//! The audit log: every call of a tool, a prompt or a resource is one line that says who, what, where and how it ended, and no
//! line says more.

use std::path::Path;
use std::time::{Duration, Instant};

use pressmark::app::App;
use pressmark::call::{CallContext, Interrupted};
use pressmark::config::Settings;
use pressmark::tools::{TaskSupport, Tool, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::support::client::{LEGACY, McpClient};
use super::support::in_process::Server;
use super::support::process::{free_port, wait_until};
use super::support::server::{Pressmark, run_pressmark};
use super::support::tokens::{P256, jwks, now};
use super::{TOKEN, folder, path};

const LIMIT: Duration = Duration::from_secs(20);
const CONTENT: &str = "content-that-nobody-logs";

/// All audit lines of the log so far.
fn logged(server: &Pressmark) -> Vec<Value> {
    let lines = server.stderr();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["message"] == "audit").collect()
}

/// All lines of an audit file so far.
fn kept(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

/// Waits for so many lines.
fn wait_for(what: &str, count: usize, mut lines: impl FnMut() -> Vec<Value>) -> Vec<Value> {
    let mut found = Vec::new();
    wait_until(LIMIT, what, || {
        found = lines();
        found.len() >= count
    });
    assert_eq!(found.len(), count, "{what}: {found:#?}");
    found
}

/// Tool, path, outcome, error.
fn words(line: &Value) -> [String; 4] {
    ["tool", "path", "outcome", "error"].map(|name| line[name].as_str().unwrap_or("-").to_owned())
}

#[tokio::test]
async fn each_call_is_one_line_whatever_becomes_of_it() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("full")).expect("a folder");
    std::fs::write(folder.path().join("full/file"), "x").expect("a file");
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN)).declaring(json!({"elicitation": {}}));
    client.call_tool("write_file", json!({"path": "/new.txt", "content": CONTENT})).await;
    client.call_tool("move_file", json!({"from": "/new.txt", "to": "/moved.txt"})).await;
    client.call_tool("read_file", json!({"path": "/none.txt"})).await;
    client.call_tool("read_file", json!({"path": "/../etc/passwd"})).await;
    client.call_tool("read_file", json!({"path": "/hello.txt", "surplus": CONTENT})).await;
    client.call_tool("search_text", json!({"pattern": CONTENT, "path": "/"})).await;
    client.call_tool("delete_file", json!({"path": "/full"})).await;
    client.call_tool("made_up", json!({"path": "/hello.txt"})).await;
    let state = json!({"name": "delete_file", "arguments": {"path": "/full"}, "requestState": "forged"});
    client.request("tools/call", state).await;
    // What calls nothing has no line; neither has a call that nobody could read.
    client.request("tools/list", json!({})).await;
    client.request("resources/list", json!({})).await;
    client.request("tools/call", json!({"arguments": {}})).await;
    McpClient::modern(&server.url(), Some("wrong")).call_tool("read_file", json!({"path": "/hello.txt"})).await;
    let lines = wait_for("each call has its line", 9, || logged(&server));
    let all: Vec<_> = lines.iter().map(words).collect();
    let wanted = [
        ["write_file", "/new.txt", "ok", "-"],
        ["move_file", "/new.txt", "ok", "-"],
        ["read_file", "/none.txt", "tool_error", "not_found"],
        ["read_file", "/../etc/passwd", "tool_error", "invalid_argument"],
        ["read_file", "/hello.txt", "tool_error", "invalid_argument"],
        ["search_text", "/", "ok", "-"],
        ["delete_file", "/full", "input_required", "-"],
        ["made_up", "-", "refused", "unknown"],
        ["delete_file", "/full", "refused", "not_run"],
    ];
    for (line, wanted) in all.iter().zip(wanted) {
        assert_eq!(line, &wanted, "{all:#?}");
    }
    assert_eq!(lines[1]["to"], "/moved.txt");
    let first = &lines[0];
    assert_eq!((&first["principal"], &first["issuer"]), (&json!("developer"), &json!("dev-token")), "{first}");
    assert_eq!((&first["target"], &first["level"]), (&json!("pressmark::audit"), &json!("INFO")));
    assert_eq!(first["client"], "127.0.0.1");
    assert!(first["duration_ms"].as_f64().is_some_and(|duration| duration > 0.0) && first["request_id"] == "1", "{first}");
    let log = server.stderr();
    for secret in [TOKEN, CONTENT, "wrong", "surplus"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn who_lacks_a_scope_is_named_with_what_was_asked() {
    let folder = folder();
    let keys = tempfile::tempdir().expect("a folder");
    let (key, set) = (&*P256, keys.path().join("keys.json"));
    std::fs::write(&set, jwks(&[key]).to_string()).expect("a file");
    let (audience, issuer) = ("https://files.example.com/mcp", "https://issuer.example.com");
    let claims = |scope: &str| json!({"iss": issuer, "aud": audience, "sub": "ada", "client_id": "an-app", "exp": now() + 600, "scope": scope});
    let options = ["--jwks-file", set.to_str().expect("UTF-8"), "--jwt-issuer", issuer, "--jwt-audience", audience];
    let server = Pressmark::start(&[&[path(&folder), "--log-format", "json"], &options[..]].concat());
    let token = key.sign(&claims("files:read:/docs/**"));
    let client = McpClient::modern(&server.url(), Some(&token));
    let refused = client.call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!(refused.status, 403);
    let refused = client.call_tool("write_file", json!({"path": "/docs/a.txt", "content": CONTENT})).await;
    assert_eq!(refused.status, 403);
    let legacy = McpClient::legacy(&server.url(), Some(&token), LEGACY).await;
    assert_eq!(legacy.call_tool("move_file", json!({"from": "/docs/a", "to": "/b"})).await.status, 403);
    let lines = wait_for("each refusal has its line", 3, || logged(&server));
    assert_eq!(words(&lines[0]), ["read_file", "/hello.txt", "refused", "insufficient_scope"]);
    assert_eq!(words(&lines[1]), ["write_file", "/docs/a.txt", "refused", "insufficient_scope"]);
    assert_eq!(
        (words(&lines[2])[0].as_str(), &lines[2]["path"], &lines[2]["to"]),
        ("move_file", &json!("/docs/a"), &json!("/b"))
    );
    for line in &lines {
        assert_eq!((&line["principal"], &line["issuer"], &line["client_id"]), (&json!("ada"), &json!(issuer), &json!("an-app")));
    }
    assert!(!server.stderr().contains(&token) && !server.stderr().contains(CONTENT));
}

#[tokio::test]
async fn reads_of_resources_and_prompts_are_lines_too() {
    let (folder, keys) = (folder(), tempfile::tempdir().expect("a folder"));
    let keys = keys.path().join("keys.toml");
    let keys = keys.to_str().expect("UTF-8");
    let key = |name: &str, scope: &str| {
        let output = run_pressmark(&["keys", "new", "--api-keys", keys, "--name", name, "--scope", scope]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    };
    let (reader, cleaner) = (key("reader", "files:read:/hello.txt"), key("cleaner", "files:delete"));
    let server = Pressmark::start(&[path(&folder), "--api-keys", keys, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(&reader));
    client.request("resources/read", json!({"uri": "file:///hello.txt"})).await;
    client.request("resources/read", json!({"uri": "file:///none.txt"})).await;
    client.request("resources/read", json!({"uri": "made-up://hello"})).await;
    client
        .request("prompts/get", json!({"name": "answer_from_files", "arguments": {"path": "/hello.txt", "question": CONTENT}}))
        .await;
    client.request("prompts/get", json!({"name": "made_up"})).await;
    let stranger = McpClient::modern(&server.url(), Some(&cleaner));
    assert_eq!(stranger.request("resources/read", json!({"uri": "file:///hello.txt"})).await.status, 403);
    let asked = json!({"name": "summarize_folder", "arguments": {"path": "/", "focus": CONTENT}});
    assert_eq!(stranger.request("prompts/get", asked).await.status, 403);
    let lines = wait_for("each has its line", 7, || logged(&server));
    let told = |line: &Value| {
        ["resource", "prompt", "path", "outcome", "error"].map(|name| line[name].as_str().unwrap_or("-").to_owned())
    };
    let wanted = [
        ["file:///hello.txt", "-", "-", "ok", "-"],
        ["file:///none.txt", "-", "-", "tool_error", "not_found"],
        ["made-up://hello", "-", "-", "refused", "unknown"],
        ["-", "answer_from_files", "/hello.txt", "ok", "-"],
        ["-", "made_up", "-", "refused", "unknown"],
        ["file:///hello.txt", "-", "-", "refused", "insufficient_scope"],
        ["-", "summarize_folder", "/", "refused", "insufficient_scope"],
    ];
    for (line, wanted) in lines.iter().zip(wanted) {
        assert_eq!(told(line), wanted, "{lines:#?}");
        assert!(line.get("tool").is_none() && line["duration_ms"].is_f64() && line["client"] == "127.0.0.1", "{line}");
    }
    assert_eq!((&lines[0]["principal"], &lines[5]["principal"]), (&json!("reader"), &json!("cleaner")));
    assert!(!server.stderr().contains(CONTENT));
}

#[tokio::test]
async fn what_a_gateway_refuses_has_its_line_too() {
    let (folder, keys) = (folder(), tempfile::tempdir().expect("a folder"));
    let keys = keys.path().join("keys.toml");
    let keys = keys.to_str().expect("UTF-8");
    let output = run_pressmark(&["keys", "new", "--api-keys", keys, "--name", "reader", "--scope", "files:read"]);
    let key = String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned();
    let server = Pressmark::start(&[path(&folder), "--api-keys", keys, "--path-headers", "--log-format", "json"]);
    let ask = async |tool: &str| {
        let request = reqwest::Client::new().get(format!("{}/authz", server.url())).bearer_auth(&key);
        let request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", "tools/call");
        request.header("mcp-name", tool).header("mcp-param-path", "/hello.txt").send().await.expect("an answer").status()
    };
    assert_eq!((ask("read_file").await.as_u16(), ask("write_file").await.as_u16()), (200, 403));
    let lines = wait_for("what was refused", 1, || logged(&server));
    assert_eq!(words(&lines[0]), ["write_file", "/hello.txt", "refused", "insufficient_scope"]);
    assert_eq!(lines[0]["principal"], "reader");
}

#[tokio::test]
async fn batches_and_sessions_leave_a_line_for_each_call() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("full")).expect("a folder");
    std::fs::write(folder.path().join("full/file"), "x").expect("a file");
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::legacy(&server.url(), Some(TOKEN), "2025-03-26").await;
    let message = |id: &str, path: &str| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": path}}});
    let batch = json!([message("one", "/hello.txt"), message("two", "/none.txt")]);
    client.post(&client.headers(&json!({})), batch.to_string()).await;
    let lines = wait_for("both calls of the batch", 2, || logged(&server));
    assert_eq!(words(&lines[0]), ["read_file", "/hello.txt", "ok", "-"]);
    assert_eq!(words(&lines[1]), ["read_file", "/none.txt", "tool_error", "not_found"]);
    assert_eq!((&lines[0]["request_id"], &lines[1]["request_id"]), (&json!("\"one\""), &json!("\"two\"")));
    // A call that asks is a line for each round.
    let asking = McpClient::legacy_declaring(&server.url(), Some(TOKEN), LEGACY, json!({"elicitation": {}})).await;
    let mut stream = asking.open("tools/call", json!({"name": "delete_file", "arguments": {"path": "/full"}})).await;
    let question = stream.next().await.expect("a question");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    asking.post(&asking.headers(&answer), answer.to_string()).await;
    while stream.next().await.is_some() {}
    let lines = wait_for("both rounds", 4, || logged(&server));
    assert_eq!(words(&lines[2]), ["delete_file", "/full", "input_required", "-"]);
    assert_eq!(words(&lines[3])[..3], ["delete_file", "/full", "tool_error"]);
    assert_eq!(lines[2]["request_id"], lines[3]["request_id"]);
}

#[tokio::test]
async fn calls_beyond_the_rate_are_told_as_well() {
    let folder = folder();
    let start = [path(&folder), "--dev-token", TOKEN, "--log-format", "json", "--calls-per-second", "1"];
    let server = Pressmark::start(&start);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let mut refused = 0;
    for _ in 0..8 {
        refused += usize::from(client.call_tool("list_directory", json!({})).await.status == 429);
    }
    let uri = "file:///hello.txt";
    let read = client.request("resources/read", json!({"uri": uri})).await.status;
    assert!(refused > 0 && read == 429, "the rate is not kept");
    let lines = wait_for("a line for each call", 9, || logged(&server));
    let told = lines.iter().filter(|line| words(line) == ["list_directory", "-", "refused", "too_many_calls"]).count();
    assert_eq!(told, refused, "{lines:#?}");
    assert_eq!((&lines[8]["resource"], &lines[8]["error"]), (&json!(uri), &json!("too_many_calls")));
    assert!(lines.iter().all(|line| line["client"] == "127.0.0.1"), "{lines:#?}");
}

#[tokio::test]
async fn a_line_stays_one_line() {
    let folder = folder();
    let evil = "/a\nb\r\u{1b}[2K\u{2028}{\"message\":\"audit\"}";
    for format in ["text", "json"] {
        let server = Pressmark::start(&[path(&folder), "--no-auth", "--log-format", format]);
        // The name of a tool stands in no header of this revision.
        let client = McpClient::legacy(&server.url(), None, LEGACY).await;
        client.call_tool("read_file", json!({"path": evil})).await;
        client.call_tool("read_file", json!({"path": evil, "surplus": 1})).await;
        client.call_tool("evil\nname", json!({})).await;
        let told = |what: &str| server.stderr().lines().filter(|line| line.contains(what)).count();
        wait_until(LIMIT, "all are logged", || told("evil\\nname") == 2 && told("read_file") == 4);
        let log = server.stderr();
        let is_line = |line: &str| line.starts_with("20") || line.starts_with("{\"timestamp\":");
        assert!(log.lines().all(is_line), "{log}");
        assert!(!log.contains('\u{1b}') && !log.contains('\r'), "{log}");
        assert!(log.contains("anonymous") && log.contains("/a\\nb\\r"), "{log}");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let server = Pressmark::start(&[path(&folder), "--no-auth", "--audit-log", file.path().to_str().expect("UTF-8")]);
    McpClient::modern(&server.url(), None).call_tool("read_file", json!({"path": evil})).await;
    let written_out = evil.replace('\u{2028}', "\\u{2028}");
    assert_eq!(wait_for("the call", 1, || kept(file.path()))[0]["path"], written_out);
    // In this revision the URI stands in no header.
    let legacy = McpClient::legacy(&server.url(), None, LEGACY).await;
    let uri = format!("https://user:hunter2@example.com{evil}\u{9b}31m?key=hunter2#hunter2");
    legacy.request("resources/read", json!({"uri": uri})).await;
    let resource = format!("https://example.com{written_out}\\u{{9b}}31m");
    assert_eq!(wait_for("the read", 2, || kept(file.path()))[1]["resource"], resource);
    assert!(!server.stderr().contains("hunter2"), "{}", server.stderr());
}

#[tokio::test]
async fn a_file_takes_the_lines_and_may_be_moved_away() {
    let (folder, logs) = (folder(), tempfile::tempdir().expect("a folder"));
    let (file, moved) = (logs.path().join("audit.jsonl"), logs.path().join("audit.jsonl.1"));
    let arguments = [path(&folder), "--dev-token", TOKEN, "--log-format", "json", "--audit-log", file.to_str().expect("UTF-8")];
    // Whatever is logged: the file has the lines.
    let mut server = Pressmark::start_with_environment(&arguments, &[("RUST_LOG", "error")]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let call = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}, "_meta": {"traceparent": parent}});
    client.request("tools/call", call).await;
    let line = wait_for("the call", 1, || kept(&file)).remove(0);
    assert_eq!(words(&line), ["read_file", "/hello.txt", "ok", "-"]);
    assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(parent[3..35]), &json!(parent[36..52])));
    assert_eq!((&line["principal"], &line["request_id"]), (&json!("developer"), &json!("1")));
    assert!(line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')) && line["duration_ms"].is_f64(), "{line}");
    assert_eq!(server.stderr(), "");
    std::fs::rename(&file, &moved).expect("moved away");
    let begun = Instant::now();
    // That is seen within a second; no line is lost meanwhile.
    let mut calls = 1;
    while !file.exists() {
        client.call_tool("read_file", json!({"path": "/hello.txt"})).await;
        calls += 1;
        assert!(begun.elapsed() < LIMIT, "the file is begun anew");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((kept(&moved).len(), kept(&file).len()), (calls - 1, 1));
    server.terminate();
    assert!(server.wait(LIMIT).success());
    // A new start goes on where the last one ended.
    let lines = kept(&file).len();
    server.restart();
    client.call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!(kept(&file).len(), lines + 1);
}

#[tokio::test]
async fn where_nobody_wants_them_there_are_no_lines() {
    let folder = folder();
    let arguments = [path(&folder), "--dev-token", TOKEN, "--log-format", "json"];
    for (filter, requests, audits) in [("warn", 0, 0), ("info,pressmark::audit=off", 1, 0), ("pressmark::audit=info", 0, 1)] {
        let mut server = Pressmark::start_with_environment(&arguments, &[("RUST_LOG", filter)]);
        McpClient::modern(&server.url(), Some(TOKEN)).call_tool("list_directory", json!({})).await;
        server.terminate();
        server.wait(LIMIT);
        let log = server.stderr();
        let count = |message: &str| {
            let lines = log.lines().filter(|line| line.contains("list_directory"));
            lines.filter(|line| line.contains(&format!("\"message\":\"{message}\""))).count()
        };
        assert_eq!((count("request"), count("audit")), (requests, audits), "{filter}: {log}");
    }
}

#[tokio::test]
async fn a_full_disk_stops_no_call() {
    let folder = folder();
    let metrics = format!("127.0.0.1:{}", free_port());
    // Every write to this device fails, as on a full disk.
    let arguments = [path(&folder), "--dev-token", TOKEN, "--log-format", "json", "--audit-log", "/dev/full"];
    let server = Pressmark::start(&[&arguments[..], &["--metrics-listen", &metrics]].concat());
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    for _ in 0..3 {
        assert_eq!(client.call_tool("read_file", json!({"path": "/hello.txt"})).await.content(0), "hello\n");
    }
    let text = reqwest::get(format!("http://{metrics}/metrics")).await.expect("an answer").text().await.expect("text");
    assert!(text.lines().any(|line| line == "pressmark_audit_lines_total{outcome=\"lost\"} 3"), "{text}");
    let warnings = server.stderr().matches("audit lines are lost").count();
    assert_eq!(warnings, 1, "once a minute: {}", server.stderr());
}

#[test]
fn a_file_that_cannot_be_kept_stops_the_start() {
    let folder = folder();
    let inside = folder.path().join("audit.jsonl");
    let said = |file: &str| {
        let output = run_pressmark(&["serve", path(&folder), "--listen", "127.0.0.1:0", "--audit-log", file]);
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (code, error) = said(inside.to_str().expect("UTF-8"));
    assert!(code == Some(2) && error.contains("callers could read it") && error.trim_end().lines().count() == 1, "{error}");
    assert!(!inside.exists());
    let (code, error) = said("/nowhere/audit.jsonl");
    assert!(code == Some(1) && error.contains("--audit-log /nowhere/audit.jsonl"), "{error}");
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Serialize, JsonSchema)]
struct Done {
    done: bool,
}

/// Never ends by itself.
struct Waits;

impl Tool for Waits {
    const SPEC: ToolSpec = ToolSpec { name: "waits", title: "Waits", description: "For a test.", ..ToolSpec::DEFAULT };
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<Done>, Interrupted> {
        std::future::pending().await
    }
}

/// Works on a thread of its own, and looks at nothing meanwhile.
struct Works;

impl Tool for Works {
    const SPEC: ToolSpec = ToolSpec { name: "works", title: "Works", description: "For a test.", ..ToolSpec::DEFAULT };
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, cx: &CallContext, _: Nothing) -> Result<ToolOutput<Done>, Interrupted> {
        let work = |_: &_| {
            std::thread::sleep(Duration::from_secs(1));
            Ok(())
        };
        cx.run(work).await?;
        Ok(ToolOutput::text("done", Done { done: true }))
    }
}

/// Becomes a task.
struct Later;

impl Tool for Later {
    const SPEC: ToolSpec =
        ToolSpec { name: "later", title: "Later", description: "For a test.", task: TaskSupport::Required, ..ToolSpec::DEFAULT };
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<Done>, Interrupted> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(ToolOutput::text("done", Done { done: true }))
    }
}

/// Ends badly.
struct Panics;

impl Tool for Panics {
    const SPEC: ToolSpec = ToolSpec { name: "panics", title: "Panics", description: "For a test.", ..ToolSpec::DEFAULT };
    type Args = Nothing;
    type Output = Done;

    async fn call(&self, _: &CallContext, _: Nothing) -> Result<ToolOutput<Done>, Interrupted> {
        panic!("as a tool may")
    }
}

#[tokio::test]
async fn tasks_cancelled_calls_and_panics_have_their_line() {
    let logs = tempfile::tempdir().expect("a folder");
    let file = logs.path().join("audit.jsonl");
    let settings = Settings { audit_log: Some(file.clone()), ..Settings::default() };
    let server = Server::start(settings, |app: App| app.with(Waits).with(Works).with(Later).with(Panics)).await;
    let client = server.client().declaring(json!({"extensions": {"io.modelcontextprotocol/tasks": {}}}));
    let lines = async |count: usize| {
        for _ in 0..1_000 {
            if kept(&file).len() >= count {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let lines: Vec<_> = kept(&file).iter().map(words).collect();
        assert_eq!(lines.len(), count, "{lines:?}");
        lines.last().expect("some").clone()
    };
    let given_up = tokio::time::timeout(Duration::from_millis(300), client.call_tool("waits", json!({}))).await;
    assert!(given_up.is_err(), "it never ends");
    assert_eq!(lines(1).await, ["waits", "-", "cancelled", "-"]);
    let task = client.call_tool("later", json!({})).await;
    assert_eq!(task.result()["resultType"], "task", "{}", task.text);
    assert_eq!(lines(2).await, ["later", "-", "ok", "-"]);
    assert!(kept(&file)[1]["duration_ms"].as_f64().is_some_and(|duration| duration >= 50.0), "of the task, not of the answer");
    server.client().call_tool("later", json!({})).await;
    assert_eq!(lines(3).await, ["later", "-", "refused", "not_run"], "this client knows of no tasks");
    client.call_tool("panics", json!({})).await;
    assert_eq!(lines(4).await, ["panics", "-", "panicked", "-"]);
    let given_up = tokio::time::timeout(Duration::from_millis(300), client.call_tool("works", json!({}))).await;
    assert!(given_up.is_err(), "it takes a second");
    assert_eq!(lines(5).await, ["works", "-", "abandoned", "-"], "it may have done its work");
    server.stop().await;
}
