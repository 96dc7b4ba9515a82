//! What the log says of requests, and of what an operator can mend.

use std::time::Duration;

use http::header::{CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

use super::support::client::{LEGACY, McpClient};
use super::support::process::wait_until;
use super::support::redis::RedisServer;
use super::support::server::Pressmark;
use super::{TOKEN, folder, path};

const LIMIT: Duration = Duration::from_secs(5);

/// All lines so far.
fn lines(server: &Pressmark) -> Vec<Value> {
    server.stderr().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Waits for the line of a request, the newest of those that `is_it` takes.
fn line_of(server: &Pressmark, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    wait_until(LIMIT, what, || {
        found = lines(server).into_iter().rev().find(|line| line["message"] == "request" && is_it(line));
        found.is_some()
    });
    found.expect("just seen")
}

#[tokio::test]
async fn each_request_is_one_line_without_secrets() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let params = json!({"name": "read_file", "arguments": {"path": "/hello.txt"}, "_meta": {"traceparent": parent}});
    let reply = client.request("tools/call", params).await;
    McpClient::modern(&server.url(), Some("a-wrong-secret")).request("tools/list", json!({})).await;
    let find = |status: u16| {
        lines(&server).into_iter().find(|line| line["message"] == "request" && line["status"] == status && line["path"] == "/mcp")
    };
    wait_until(Duration::from_secs(5), "both requests are logged", || find(200).is_some() && find(401).is_some());
    let line = find(200).expect("just seen");
    assert_eq!((&line["method"], &line["tool"]), (&json!("tools/call"), &json!("read_file")));
    assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(parent[3..35]), &json!(parent[36..52])));
    assert_eq!((&line["issuer"], line["bytes"].as_u64()), (&json!("dev-token"), Some(reply.text.len() as u64)));
    assert!(line["principal"].is_string() && line["duration_us"].is_u64());
    client.request("prompts/get", json!({"name": "review_changes", "arguments": {"since": "1 hour"}})).await;
    let find = || lines(&server).into_iter().find(|line| line["method"] == "prompts/get");
    wait_until(Duration::from_secs(5), "the prompt is logged", || find().is_some());
    let line = find().expect("just seen");
    assert_eq!((&line["prompt"], line.get("tool")), (&json!("review_changes"), None));
    let log = server.stderr();
    for secret in [TOKEN, "a-wrong-secret", "Bearer", "hello\\n"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn each_line_says_how_the_request_ended() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("full")).expect("a folder");
    std::fs::write(folder.path().join("full/file"), "x").expect("a file");
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    let client = McpClient::modern(&server.url(), Some(TOKEN)).declaring(json!({"elicitation": {}}));
    let ended = |what: &str, is_it: &dyn Fn(&Value) -> bool| {
        let line = line_of(&server, what, is_it);
        let word = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
        (line["status"].as_u64().expect("a number"), [word("level"), word("outcome"), word("error")].join(" "))
    };
    let method = |method: &'static str| move |line: &Value| line["method"] == method;
    let tool = |tool: &'static str| move |line: &Value| line["tool"] == tool;

    client.call_tool("list_directory", json!({})).await;
    assert_eq!(ended("a call", &tool("list_directory")), (200, "INFO ok -".to_owned()));
    client.call_tool("read_file", json!({"path": "/missing"})).await;
    assert_eq!(ended("a missing file", &tool("read_file")), (200, "INFO tool_error not_found".to_owned()));
    client.call_tool("delete_file", json!({"path": "/full"})).await;
    assert_eq!(ended("a question", &tool("delete_file")), (200, "INFO input_required -".to_owned()));
    client.call_tool("no_such_tool", json!({})).await;
    assert_eq!(ended("an unknown tool", &tool("no_such_tool")), (200, "INFO rpc_error -32602".to_owned()));
    client.request("resources/read", json!({"uri": "file:///missing"})).await;
    assert_eq!(ended("a missing resource", &method("resources/read")), (200, "INFO rpc_error not_found".to_owned()));

    let refused = McpClient::modern(&server.url(), Some("wrong")).request("ping", json!({})).await;
    assert!(refused.text.contains("`pressmark serve` printed"), "where a token is to be had: {}", refused.text);
    assert_eq!(ended("a wrong token", &|line| line["status"] == 401), (401, "INFO refused unknown_token".to_owned()));
    let message = client.message("tools/list", json!({}));
    let mut headers = client.headers(&message);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    client.post(&headers, message.to_string()).await;
    assert_eq!(ended("a wrong type", &|line| line["status"] == 415), (415, "INFO refused unsupported_media_type".to_owned()));
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let put = http.request(Method::PUT, format!("{}/mcp", server.url())).bearer_auth(TOKEN).send().await.expect("an answer");
    assert_eq!(put.headers()["allow"], "POST, GET, DELETE");
    assert_eq!(ended("another method", &|line| line["status"] == 405), (405, "INFO refused method_not_allowed".to_owned()));
    http.get(format!("{}/nothing", server.url())).send().await.expect("an answer");
    let mut foreign = HeaderMap::new();
    foreign.insert(ORIGIN, HeaderValue::from_static("https://evil.test"));
    client.post(&foreign, "{}").await;
    assert_eq!(ended("a foreign page", &|line| line["status"] == 403), (403, "INFO refused foreign_origin".to_owned()));
    assert_eq!(ended("another path", &|line| line["path"] == "/nothing"), (404, "INFO refused no_such_path".to_owned()));
    assert_eq!(lines(&server).iter().filter(|line| line["status"] == 401).count(), 1, "a refusal is one line");

    // A call of a session that asks is a stream; how it ends is known only when its last event is sent.
    let legacy = McpClient::legacy_declaring(&server.url(), Some(TOKEN), LEGACY, json!({"elicitation": {}})).await;
    let mut stream = legacy.open("tools/call", json!({"name": "delete_file", "arguments": {"path": "/full"}})).await;
    let question = stream.next().await.expect("a question");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "decline"}});
    assert_eq!(legacy.post(&legacy.headers(&answer), answer.to_string()).await.status, 202);
    while stream.next().await.is_some() {}
    let streamed = |line: &Value| line["tool"] == "delete_file" && line["version"] == LEGACY;
    assert_eq!(ended("the end of a stream", &streamed), (200, "INFO tool_error -".to_owned()));
}

#[tokio::test]
async fn an_outage_is_warned_of_once_and_with_each_call_that_it_fails() {
    let (folder, mut redis) = (folder(), RedisServer::start());
    let arguments = [path(&folder), "--dev-token", TOKEN, "--log-format", "json", "--state", &redis.url()];
    let server = Pressmark::start(&arguments);
    let client = McpClient::modern(&server.url(), Some(TOKEN));
    std::fs::write(folder.path().join("long.txt"), "line\n".repeat(20_000)).expect("a file");
    let page = client.call_tool("read_file", json!({"path": "/long.txt"})).await;
    let cursor = json!({"cursor": page.structured()["next_cursor"]});
    redis.stop();
    for _ in 0..3 {
        client.call_tool("read_file", cursor.clone()).await;
    }
    let line = line_of(&server, "a call that fails", |line| line["tool"] == "read_file" && line["error"] == "unavailable");
    assert_eq!((&line["level"], &line["outcome"], &line["status"]), (&json!("WARN"), &json!("tool_error"), &json!(200)));
    reqwest::get(format!("{}/readyz", server.url())).await.expect("an answer");
    let line = line_of(&server, "a probe that fails", |line| line["path"] == "/readyz");
    assert_eq!((&line["level"], &line["error"]), (&json!("WARN"), &json!("not_ready")));
    redis.restart();
    let said = |message: &str| lines(&server).iter().filter(|line| line["message"] == message).count();
    while client.call_tool("read_file", cursor.clone()).await.structured()["content"].is_null()
        && said("shared state is back") == 0
    {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((said("shared state is away"), said("shared state is back")), (1, 1), "{}", server.stderr());
}

#[tokio::test]
async fn probes_that_succeed_are_logged_for_those_who_ask() {
    let folder = folder();
    let probe = async |server: &Pressmark| reqwest::get(format!("{}/readyz", server.url())).await.expect("an answer").status();
    let quiet = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    assert_eq!(probe(&quiet).await, 200);
    McpClient::modern(&quiet.url(), Some(TOKEN)).call_tool("list_directory", json!({})).await;
    line_of(&quiet, "a call", |line| line["tool"] == "list_directory");
    assert!(!quiet.stderr().contains("/readyz") && !quiet.stderr().contains("/healthz"), "{}", quiet.stderr());
    let arguments = [path(&folder), "--dev-token", TOKEN, "--log-format", "json"];
    let verbose = Pressmark::start_with_environment(&arguments, &[("RUST_LOG", "pressmark=debug")]);
    assert_eq!(probe(&verbose).await, 200);
    let line = line_of(&verbose, "a probe", |line| line["path"] == "/readyz");
    assert_eq!((&line["level"], &line["outcome"]), (&json!("DEBUG"), &json!("ok")));
}

#[test]
fn a_filter_that_hides_everything_by_mistake_is_told() {
    let folder = folder();
    for (filter, told) in [
        ("inof", "RUST_LOG=inof shows no line of this server; the levels are error"),
        ("foo=bar=baz", "RUST_LOG is not understood, and not followed"),
        ("warn", ""),
        ("off", ""),
        ("hyper=debug,pressmark=error", ""),
    ] {
        let server = Pressmark::start_with_environment(&[path(&folder), "--dev-token", TOKEN], &[("RUST_LOG", filter)]);
        let said = server.stderr();
        assert!(said.contains(told) && (said.contains("RUST_LOG") != told.is_empty()), "{filter}: {said}");
    }
}

#[tokio::test]
async fn with_json_logs_the_banner_is_one_of_them() {
    let folder = folder();
    let server = Pressmark::start(&[path(&folder), "--dev-token", TOKEN, "--log-format", "json"]);
    wait_until(LIMIT, "it says where it is", || lines(&server).iter().any(|line| line["message"] == "listening"));
    let line = lines(&server).into_iter().find(|line| line["message"] == "listening").expect("just seen");
    assert_eq!(line["url"], format!("{}/mcp", server.url()));
    assert!(line["files"].as_str().is_some_and(|files| files.contains(path(&folder))) && line["callers"].is_string(), "{line}");
    assert_eq!(server.stdout(), "");
    assert!(!server.stderr().contains(TOKEN));
    // A token that was made for this run could be learnt nowhere else.
    let made = Pressmark::start(&[path(&folder), "--log-format", "json"]);
    wait_until(LIMIT, "the token is shown", || made.stdout().contains("Bearer dev-"));
    assert!(!made.stderr().contains("Bearer"), "{}", made.stderr());
}

#[tokio::test]
async fn scopes_that_are_none_on_files_are_warned_of_by_their_place() {
    let folder = folder();
    let keys = tempfile::NamedTempFile::new().expect("a file");
    let entry = |name: &str, scope: &str| format!("[[key]]\nname = {name:?}\nsha256 = \"{name:0>64}\"\nscopes = [{scope:?}]\n");
    std::fs::write(keys.path(), [entry("a", "files:read"), entry("b", "file:read")].concat()).expect("written");
    let server = Pressmark::start(&[path(&folder), "--api-keys", keys.path().to_str().expect("UTF-8"), "--log-format", "json"]);
    let warned: Vec<String> =
        lines(&server).iter().filter(|line| line["level"] == "WARN").map(|line| line["message"].to_string()).collect();
    assert_eq!(warned.len(), 1, "{warned:?}");
    for told in ["line 8", "\\\"b\\\"", "files:read", "files:delete"] {
        assert!(warned[0].contains(told), "{told} is not in {}", warned[0]);
    }
    assert!(!warned[0].replace("files:read", "").contains("file:read"), "a scope could be a key: {}", warned[0]);
    // What becomes of a change of the file is said by name.
    let said = |message: &str| lines(&server).iter().any(|line| line["message"] == message);
    std::fs::write(keys.path(), entry("a", "files:read")).expect("written");
    wait_until(LIMIT, "the file is read again", || said("the API-key file has changed and was read again"));
    std::fs::write(keys.path(), "[[key").expect("written");
    let refused = "the API-key file has changed and cannot be used; what it said before stays in force";
    wait_until(LIMIT, "the mistake is found", || said(refused));
}
