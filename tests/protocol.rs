//! Both eras of the protocol on one endpoint, at the HTTP boundary: what is right, and malformed input of every kind.

mod support;

use std::io::{Read as _, Write as _};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::{Value, json};
use support::client::{McpClient, Reply};
use support::server::Pressmark;
use tempfile::TempDir;

const TOKEN: &str = "a-token-for-tests";

struct Server {
    process: Pressmark,
    _folder: TempDir,
}

impl Server {
    fn start() -> Self {
        Self::start_with(&[])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("hello.txt"), "hello\n").expect("a file can be written");
        let path = folder.path().to_str().expect("UTF-8").to_owned();
        let process = Pressmark::start(&[&[path.as_str(), "--dev-token", TOKEN], arguments].concat());
        Self { process, _folder: folder }
    }

    fn modern(&self) -> McpClient {
        McpClient::modern(&self.process.url(), Some(TOKEN))
    }

    async fn legacy(&self, revision: &str) -> McpClient {
        McpClient::legacy(&self.process.url(), Some(TOKEN), revision).await
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header value"));
}

/// Asserts an error and the id that it answers.
fn assert_error(reply: &Reply, status: u16, code: i64, what: &str) {
    assert_eq!(reply.status.as_u16(), status, "{what}: {}", reply.text);
    assert_eq!(reply.error_code(), code, "{what}: {}", reply.text);
    assert!(!reply.error()["message"].as_str().expect("a message").is_empty());
    assert_eq!(reply.headers[CONTENT_TYPE], "application/json", "{what}");
}

#[tokio::test]
async fn discover_tells_what_the_server_is() {
    let server = Server::start();
    let reply = server.modern().request("server/discover", json!({})).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.headers[CONTENT_TYPE], "application/json");
    let result = reply.result();
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["supportedVersions"], json!(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"]));
    let capabilities = &result["capabilities"];
    assert_eq!(capabilities["tools"], json!({"listChanged": true}));
    assert_eq!(capabilities["resources"], json!({"listChanged": true, "subscribe": true}));
    assert_eq!(capabilities["prompts"], json!({"listChanged": true}));
    assert!(capabilities["completions"].is_object());
    assert!(result["ttlMs"].as_u64().is_some_and(|ttl| ttl > 0));
    assert_eq!(result["cacheScope"], "private");
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "pressmark");
    assert!(!result["instructions"].as_str().expect("text").is_empty());
    assert!(reply.headers.get("mcp-session-id").is_none());
}

#[tokio::test]
async fn tools_are_listed_in_one_order_with_schemas_and_annotations() {
    let server = Server::start();
    let client = server.modern();
    let first = client.request("tools/list", json!({})).await;
    let result = first.result();
    let names: Vec<_> =
        result["tools"].as_array().expect("a list").iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
    assert_eq!(
        names,
        [
            "list_directory",
            "find_files",
            "search_text",
            "read_file",
            "get_file_info",
            "write_file",
            "edit_file",
            "create_directory",
            "move_file",
            "copy_file",
            "delete_file"
        ]
    );
    for tool in result["tools"].as_array().expect("a list") {
        let name = &tool["name"];
        for field in ["title", "description"] {
            assert!(tool[field].as_str().is_some_and(|text| !text.is_empty()), "{name} has no {field}");
        }
        for schema in ["inputSchema", "outputSchema"] {
            assert_eq!(tool[schema]["type"], "object", "{name} {schema}");
            assert!(!tool[schema].to_string().contains("$ref"), "{name} {schema} should stand alone");
        }
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
        for (argument, schema) in tool["inputSchema"]["properties"].as_object().expect("properties") {
            assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}.{argument} is not described");
            assert!(schema["type"].is_string(), "{name}.{argument} has one plain type: {schema}");
        }
        let reads = ["list_directory", "find_files", "search_text", "read_file", "get_file_info"];
        assert_eq!(tool["annotations"]["readOnlyHint"], json!(reads.contains(&name.as_str().expect("a name"))), "{name}");
        assert!(tool["annotations"]["destructiveHint"].is_boolean() && tool["annotations"]["idempotentHint"].is_boolean());
    }
    assert_eq!(result["cacheScope"], "private");
    assert!(result["ttlMs"].is_u64() && result.get("nextCursor").is_none());
    let second = client.request("tools/list", json!({})).await;
    assert_eq!(first.result(), second.result());
    let wrong = client.request("tools/list", json!({"cursor": "nothing-of-ours"})).await;
    assert_error(&wrong, 200, -32602, "a cursor of another list");
}

#[tokio::test]
async fn a_tool_is_called_in_every_revision() {
    let server = Server::start();
    let reply = server.modern().call_tool("read_file", json!({"path": "/hello.txt"})).await;
    assert_eq!((reply.content(0), reply.result()["isError"].clone()), ("hello\n", json!(false)));
    assert_eq!(reply.result()["resultType"], "complete");
    assert_eq!(reply.result()["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "pressmark");
    assert_eq!(reply.structured()["path"], "/hello.txt");
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let client = server.legacy(revision).await;
        let reply = client.call_tool("read_file", json!({"path": "/hello.txt"})).await;
        assert_eq!((reply.status, reply.content(0)), (StatusCode::OK, "hello\n"), "{revision}");
        assert!(
            reply.result().get("resultType").is_none() && reply.result().get("_meta").is_none(),
            "{revision}: {}",
            reply.text
        );
        let old = revision == "2025-03-26";
        assert_eq!(reply.result().get("structuredContent").is_none(), old, "{revision}");
        let tools = client.request("tools/list", json!({})).await;
        assert_eq!(tools.result()["tools"][0].get("outputSchema").is_none(), old, "{revision}");
        assert!(tools.result().get("ttlMs").is_none(), "{revision}");
        let pong = client.request("ping", json!({})).await;
        assert_eq!(pong.result(), &json!({}), "{revision}");
    }
}

#[tokio::test]
async fn initialize_settles_on_a_revision_with_a_handshake() {
    let server = Server::start();
    let client = server.modern();
    for (asked, settled) in [
        ("2025-03-26", "2025-03-26"),
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("soon", "2025-11-25"),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": "i", "method": "initialize", "params": {
            "protocolVersion": asked, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
        let mut headers = client.headers(&message);
        for name in ["mcp-protocol-version", "mcp-method"] {
            headers.remove(name);
        }
        let reply = client.post(&headers, message.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{asked}");
        assert_eq!(reply.result()["protocolVersion"], settled, "{asked}");
        assert_eq!(reply.result()["serverInfo"]["name"], "pressmark");
        assert!(reply.result()["capabilities"]["tools"].is_object() && reply.result()["instructions"].is_string());
        assert_eq!(reply.messages[0]["id"], "i");
    }
    let without = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}});
    let mut headers = client.headers(&without);
    headers.remove("mcp-protocol-version");
    assert_error(&client.post(&headers, without.to_string()).await, 200, -32602, "initialize without a version");
}

#[tokio::test]
async fn headers_must_say_what_the_body_says() {
    let server = Server::start();
    let client = server.modern();
    let call = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "/hello.txt"}}));
    let send = async |change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = client.headers(&call);
        change(&mut headers);
        client.post(&headers, call.to_string()).await
    };
    let right = send(&|_| {}).await;
    assert_eq!(right.status, StatusCode::OK, "{}", right.text);
    type Change = (&'static str, fn(&mut HeaderMap));
    let wrong: [Change; 13] = [
        ("no version", |h| drop(h.remove("mcp-protocol-version"))),
        ("another version", |h| set(h, "mcp-protocol-version", "2025-11-25")),
        ("two versions", |h| assert!(h.append("mcp-protocol-version", HeaderValue::from_static("2026-07-28")))),
        ("no method", |h| drop(h.remove("mcp-method"))),
        ("another method", |h| set(h, "mcp-method", "tools/list")),
        ("the method in capitals", |h| set(h, "mcp-method", "TOOLS/CALL")),
        ("two methods", |h| assert!(h.append("mcp-method", HeaderValue::from_static("tools/call")))),
        ("no name", |h| drop(h.remove("mcp-name"))),
        ("another name", |h| set(h, "mcp-name", "write_file")),
        ("a name that is not ASCII", |h| drop(h.insert("mcp-name", HeaderValue::from_bytes(b"r\xc3\xa9ad").expect("bytes")))),
        ("base64 of another name", |h| set(h, "mcp-name", "=?base64?d3JpdGVfZmlsZQ==?=")),
        ("broken base64", |h| set(h, "mcp-name", "=?base64?cmVh!!?=")),
        ("base64 without its end", |h| set(h, "mcp-name", "=?base64?cmVhZF9maWxl")),
    ];
    for (what, change) in wrong {
        let reply = send(&change).await;
        assert_error(&reply, 400, -32020, what);
        assert_eq!(reply.messages[0]["id"], call["id"], "{what}");
    }
    let encoded = send(&|h| set(h, "mcp-name", "=?base64?cmVhZF9maWxl?=")).await;
    assert_eq!(encoded.status, StatusCode::OK, "{}", encoded.text);
    let session = send(&|h| set(h, "mcp-session-id", "whatever")).await;
    assert_eq!(session.status, StatusCode::OK, "a session header means nothing in this era");
    assert!(session.headers.get("mcp-session-id").is_none());
    let resumed = send(&|h| set(h, "last-event-id", "whatever")).await;
    assert_eq!(resumed.content(0), "hello\n", "nor does the place in a stream");
}

#[tokio::test]
async fn each_request_carries_its_metadata() {
    let server = Server::start();
    let client = server.modern();
    let send = async |params: Value| {
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": "server/discover", "params": params});
        client.post(&client.headers(&message), message.to_string()).await
    };
    const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
    const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
    for params in [
        json!({}),
        json!({"_meta": {}}),
        json!({"_meta": {CAPABILITIES: {}}}),
        json!({"_meta": {VERSION: "2026-07-28"}}),
        json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: []}}),
        json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: null}}),
        json!({"_meta": {VERSION: 5, CAPABILITIES: {}}}),
        json!({"_meta": "x"}),
        json!({"_meta": ["2026-07-28", {}, null, null, null]}),
        json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: {}, "progressToken": {}}}),
    ] {
        let reply = send(params.clone()).await;
        assert_error(&reply, 400, -32602, &params.to_string());
        assert_eq!(reply.messages[0]["id"], 7);
    }
    let bare = send(json!({"_meta": {VERSION: "2026-07-28", CAPABILITIES: {}}})).await;
    assert_eq!(bare.status, StatusCode::OK, "clientInfo may be absent");

    let message = json!({"jsonrpc": "2.0", "id": 8, "method": "tools/list", "params": {"_meta": {VERSION: "2030-01-01", CAPABILITIES: {}}}});
    let mut headers = client.headers(&message);
    set(&mut headers, "mcp-protocol-version", "2030-01-01");
    let reply = client.post(&headers, message.to_string()).await;
    assert_error(&reply, 400, -32022, "an unknown revision");
    assert_eq!(reply.error()["data"]["requested"], "2030-01-01");
    assert_eq!(reply.error()["data"]["supported"][0], "2026-07-28");
}

#[tokio::test]
async fn unknown_methods_and_tools() {
    let server = Server::start();
    let modern = server.modern();
    for method in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "no/such", ""] {
        let reply = modern.request(method, json!({})).await;
        assert_error(&reply, 404, -32601, method);
    }
    let tool = modern.call_tool("no_such_tool", json!({})).await;
    assert_error(&tool, 200, -32602, "an unknown tool");
    let legacy = server.legacy("2025-11-25").await;
    assert_error(&legacy.request("server/discover", json!({})).await, 200, -32601, "discover in the legacy era");
    assert_error(&legacy.request("no/such", json!({})).await, 200, -32601, "an unknown legacy method");
    assert_error(&legacy.call_tool("no_such_tool", json!({})).await, 200, -32602, "an unknown tool");
}

#[tokio::test]
async fn wrong_arguments_are_for_the_model_to_repair() {
    let server = Server::start();
    let client = server.modern();
    for (arguments, named) in [
        (json!({"path": 5}), "path"),
        (json!({"path": "/hello.txt", "limit": "ten"}), "limit"),
        (json!({"path": "/hello.txt", "lines": 3}), "lines"),
        (json!({"path": "/../etc/passwd"}), "path"),
        (json!({"path": "/hello.txt", "offset": 0}), "offset"),
        (json!({}), "path"),
    ] {
        let reply = client.call_tool("read_file", arguments.clone()).await;
        assert_eq!(reply.status, StatusCode::OK, "{arguments}");
        assert!(reply.is_tool_error(), "{arguments}: {}", reply.text);
        assert!(reply.content(0).contains(named), "{arguments}: {}", reply.content(0));
        assert!(reply.content(0).contains("{\""), "an example of right arguments: {}", reply.content(0));
        assert!(reply.result().get("structuredContent").is_none());
    }
    for arguments in [json!([]), json!("x"), json!(7)] {
        let reply = client.call_tool("read_file", arguments.clone()).await;
        assert_error(&reply, 400, -32602, &arguments.to_string());
    }
}

/// Errors quote what they complain of, but not all of it.
#[tokio::test]
async fn errors_stay_short() {
    let server = Server::start();
    let client = server.modern();
    let long = "x".repeat(1_000_000);
    // No header could hold the name, so this one says another.
    let named = client.message("tools/call", json!({"name": long, "arguments": {}}));
    let other = client.headers(&json!({"method": "tools/call", "params": {"name": "read_file"}}));
    let mut replies = vec![
        client.post(&other, named.to_string()).await,
        client.call_tool("read_file", json!({long.as_str(): 1})).await,
        client.call_tool("read_file", json!({"path": 1, "limit": long})).await,
        client.call_tool("read_file", json!({"path": long})).await,
        client.call_tool("read_file", json!({"cursor": long})).await,
        client.call_tool("search_text", json!({"pattern": long})).await,
        client.call_tool("find_files", json!({"glob": long})).await,
        client.request("tools/list", json!({"cursor": long})).await,
    ];
    let headers = client.headers(&json!({"method": "server/discover"}));
    for body in [json!(long), json!({"jsonrpc": long, "id": 1}), json!({"jsonrpc": "2.0", "id": 1, "method": long}), {
        json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {"_meta": long}})
    }] {
        replies.push(client.post(&headers, body.to_string()).await);
    }
    for reply in replies {
        assert!(reply.text.len() < 5_000, "{} bytes: {}…", reply.text.len(), &reply.text[..500]);
        assert!(
            reply.status.is_client_error() || reply.messages[0].get("error").is_some() || reply.is_tool_error(),
            "{}",
            reply.text
        );
    }
}

#[tokio::test]
async fn notifications_and_responses_get_no_answer() {
    let server = Server::start();
    let modern = server.modern();
    let reply = modern.notify("notifications/cancelled", json!({"requestId": 1})).await;
    assert_eq!((reply.status, reply.text.as_str()), (StatusCode::ACCEPTED, ""));
    let told = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    let other = modern.headers(&json!({"method": "tools/call"}));
    assert_error(&modern.post(&other, told.to_string()).await, 400, -32020, "a header that says another method");
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    let mut headers = modern.headers(&response);
    assert_error(&modern.post(&headers, response.to_string()).await, 400, -32600, "a response in the modern era");
    set(&mut headers, "mcp-protocol-version", "2025-11-25");
    assert_eq!(modern.post(&headers, response.to_string()).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn batches_exist_in_one_revision() {
    let server = Server::start();
    let client = server.legacy("2025-03-26").await;
    let call = |id: u32| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "read_file", "arguments": {"path": "/hello.txt"}}});
    let ping = json!({"jsonrpc": "2.0", "id": "p", "method": "ping"});
    let told = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let mut headers = client.headers(&ping);
    headers.remove("mcp-protocol-version");

    let initialize = json!({"jsonrpc": "2.0", "id": 9, "method": "initialize", "params": {"protocolVersion": "2025-03-26"}});
    let batch = json!([call(1), told, ping, {"jsonrpc": "2.0", "id": 1.5, "method": "ping"}, initialize, call(2)]);
    let reply = client.post(&headers, batch.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let answers = reply.messages[0].as_array().expect("an array of answers");
    assert_eq!(answers.len(), 5, "{}", reply.text);
    assert_eq!((&answers[0]["id"], &answers[0]["result"]["content"][0]["text"]), (&json!(1), &json!("hello\n")));
    assert_eq!((&answers[1]["id"], &answers[1]["result"]), (&json!("p"), &json!({})));
    assert_eq!(answers[2]["error"]["code"], -32600);
    assert_eq!((&answers[3]["id"], &answers[3]["error"]["code"]), (&json!(9), &json!(-32600)));
    assert_eq!(answers[4]["id"], 2);

    let only_told = client.post(&headers, json!([told, told]).to_string()).await;
    assert_eq!((only_told.status, only_told.text.as_str()), (StatusCode::ACCEPTED, ""));
    assert_error(&client.post(&headers, "[]").await, 400, -32600, "an empty batch");
    assert_error(&client.post(&headers, "[1,").await, 400, -32700, "a broken batch");
    let many = Value::Array(vec![ping.clone(); 65]);
    assert_error(&client.post(&headers, many.to_string()).await, 400, -32600, "too large a batch");
    for revision in ["2025-06-18", "2025-11-25", "2026-07-28"] {
        set(&mut headers, "mcp-protocol-version", revision);
        assert_error(&client.post(&headers, json!([ping]).to_string()).await, 400, -32600, revision);
    }
}

#[tokio::test]
async fn malformed_bodies_get_an_error_and_nothing_else() {
    let server = Server::start();
    let client = server.modern();
    let headers = client.headers(&json!({"method": "server/discover"}));
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_params = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{"_meta":{}1{}}}}}"#,
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let deep_arguments = client
        .message("tools/call", json!({"name": "read_file", "arguments": {"path": "DEEP"}}))
        .to_string()
        .replace("\"DEEP\"", &format!("{}1{}", "{\"a\":".repeat(20_000), "}".repeat(20_000)));
    let cases: Vec<(&str, Vec<u8>, u16, i64)> = vec![
        ("empty", Vec::new(), 400, -32700),
        ("not JSON", b"hello".to_vec(), 400, -32700),
        ("half of it", br#"{"jsonrpc":"2.0","id":1"#.to_vec(), 400, -32700),
        ("two messages", br#"{"jsonrpc":"2.0","id":1,"method":"x"}{}"#.to_vec(), 400, -32700),
        ("not UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec(), 400, -32700),
        ("a NUL", b"{\"jsonrpc\":\"2.0\",\0}".to_vec(), 400, -32700),
        ("a number", b"5".to_vec(), 400, -32600),
        ("null", b"null".to_vec(), 400, -32600),
        ("a deep array", deep.into_bytes(), 400, -32600),
        ("an empty object", b"{}".to_vec(), 400, -32600),
        ("no version", br#"{"id":1,"method":"ping"}"#.to_vec(), 400, -32600),
        ("another version", br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#.to_vec(), 400, -32600),
        ("a null id", br#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#.to_vec(), 400, -32600),
        ("a fractional id", br#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#.to_vec(), 400, -32600),
        ("a huge id", br#"{"jsonrpc":"2.0","id":123456789012345678901234567890,"method":"ping"}"#.to_vec(), 400, -32600),
        ("an object as id", br#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#.to_vec(), 400, -32600),
        ("two ids", br#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#.to_vec(), 400, -32600),
        ("two methods", br#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#.to_vec(), 400, -32600),
        ("a number as method", br#"{"jsonrpc":"2.0","id":1,"method":5}"#.to_vec(), 400, -32600),
        ("params as array", br#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":[]}"#.to_vec(), 400, -32602),
        ("params as text", br#"{"jsonrpc":"2.0","id":1,"method":"server/discover","params":"x"}"#.to_vec(), 400, -32602),
        ("deep params", deep_params.into_bytes(), 400, -32602),
    ];
    for (what, body, status, code) in cases {
        assert_error(&client.post(&headers, body).await, status, code, what);
    }
    let call = client.message("tools/call", json!({"name": "read_file", "arguments": {}}));
    let reply = client.post(&client.headers(&call), deep_arguments).await;
    assert!(reply.status == StatusCode::OK && reply.is_tool_error(), "deep arguments: {}", reply.text);

    for id in [json!(-7), json!(0), json!("x"), json!(i64::MAX)] {
        let mut message = client.message("server/discover", json!({}));
        message["id"] = id.clone();
        let reply = client.post(&client.headers(&message), message.to_string()).await;
        assert_eq!((reply.status, &reply.messages[0]["id"]), (StatusCode::OK, &id));
    }
    assert_eq!(client.request("server/discover", json!({})).await.status, StatusCode::OK, "the server is well");
}

#[tokio::test]
async fn the_http_request_must_be_right_too() {
    let server = Server::start();
    let client = server.modern();
    let message = client.message("server/discover", json!({}));
    let send = async |change: &dyn Fn(&mut HeaderMap)| {
        let mut headers = client.headers(&message);
        change(&mut headers);
        client.post(&headers, message.to_string()).await
    };
    for accept in
        ["application/json, text/event-stream", "*/*", "text/*;q=0.5, application/*", "TEXT/EVENT-STREAM, Application/JSON"]
    {
        assert_eq!(
            send(&|h| drop(h.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value")))).await.status,
            200,
            "{accept}"
        );
    }
    for accept in ["application/json", "text/event-stream", "text/html", ""] {
        let reply = send(&|h| drop(h.insert(ACCEPT, HeaderValue::from_str(accept).expect("a value")))).await;
        assert_error(&reply, 406, -32600, accept);
    }
    for content_type in ["text/plain", "application/jsonp", "application/x-www-form-urlencoded", ""] {
        let reply = send(&|h| drop(h.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).expect("a value")))).await;
        assert_error(&reply, 415, -32600, content_type);
    }
    let utf8 = send(&|h| drop(h.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8")))).await;
    assert_eq!(utf8.status, StatusCode::OK);
    assert_error(&send(&|h| drop(h.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip")))).await, 415, -32600, "compressed");

    let large = client.message("tools/call", json!({"name": "read_file", "arguments": {"path": "x".repeat(5_000_000)}}));
    assert_error(&client.post(&client.headers(&large), large.to_string()).await, 413, -32600, "5 MB");
    let chunks = (0..100).map(|_| Ok::<_, std::io::Error>(http_body::Frame::data(bytes::Bytes::from(vec![b' '; 65_536]))));
    let stream = http_body_util::StreamBody::new(futures_util::stream::iter(chunks));
    let unknown_length = client.post(&client.headers(&message), reqwest::Body::wrap(stream)).await;
    assert_error(&unknown_length, 413, -32600, "more than 4 MiB in chunks");

    let http = reqwest::Client::new();
    let url = format!("{}/mcp", server.process.url());
    for method in [reqwest::Method::GET, reqwest::Method::DELETE, reqwest::Method::PUT] {
        let response = http
            .request(method.clone(), &url)
            .bearer_auth(TOKEN)
            .header(ACCEPT, "text/event-stream")
            .send()
            .await
            .expect("an answer");
        assert_eq!(
            (response.status().as_u16(), response.headers()["allow"].as_bytes()),
            (405, b"POST, GET, DELETE".as_slice()),
            "{method}"
        );
    }
    let elsewhere = http.get(format!("{}/nothing", server.process.url())).send().await.expect("an answer");
    assert_eq!(elsewhere.status(), 404);
}

#[tokio::test]
async fn foreign_web_pages_are_refused_before_anything_else() {
    let server = Server::start_with(&["--allow-origin", "https://app.example.com"]);
    let client = server.modern();
    let message = client.message("server/discover", json!({}));
    let send = async |origin: &str, token: bool| {
        let mut headers = client.headers(&message);
        headers.insert(ORIGIN, HeaderValue::from_str(origin).expect("a value"));
        if !token {
            headers.remove("authorization");
        }
        client.post(&headers, message.to_string()).await
    };
    for origin in ["http://evil.example.com", "null", "http://localhost.evil.example.com", "https://app.example.com.evil.test"] {
        assert_error(&send(origin, true).await, 403, -32600, origin);
        assert_error(&send(origin, false).await, 403, -32600, origin);
    }
    for origin in ["http://localhost:6274", "http://127.0.0.1:1", "https://app.example.com"] {
        let reply = send(origin, true).await;
        assert_eq!(reply.status, StatusCode::OK, "{origin}");
        assert_eq!(reply.headers["access-control-allow-origin"], origin);
    }
    let preflight = reqwest::Client::new()
        .request(reqwest::Method::OPTIONS, format!("{}/mcp", server.process.url()))
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type,mcp-method,mcp-name,mcp-protocol-version")
        .send()
        .await
        .expect("an answer");
    assert_eq!(preflight.status(), 200, "a browser asks before it sends the token");
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://app.example.com");
}

#[tokio::test]
async fn sessions_that_nobody_minted_are_unknown() {
    let server = Server::start();
    let legacy = server.legacy("2025-11-25").await;
    assert!(legacy.session().is_some());
    let message = legacy.message("tools/list", json!({}));
    let mut headers = legacy.headers(&message);
    set(&mut headers, "mcp-session-id", "0123456789");
    assert_error(&legacy.post(&headers, message.to_string()).await, 404, 404, "a foreign session");
}

#[tokio::test]
async fn unsupported_versions_in_the_header() {
    let server = Server::start();
    let legacy = server.legacy("2025-11-25").await;
    let message = legacy.message("tools/list", json!({}));
    let mut headers = legacy.headers(&message);
    set(&mut headers, "mcp-protocol-version", "2024-11-05");
    let reply = legacy.post(&headers, message.to_string()).await;
    assert_error(&reply, 400, -32022, "a revision of long ago");
    headers.remove("mcp-protocol-version");
    assert_eq!(legacy.post(&headers, message.to_string()).await.status, StatusCode::OK, "no header stands for 2025-03-26");
}

#[test]
fn a_body_that_never_ends_is_given_up() {
    let server = Server::start_with(&["--request-timeout", "1s"]);
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.process.port())).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: 100\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).expect("the head is sent");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer before the timeout");
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// By hand, because HTTP clients add the header themselves.
#[test]
fn a_request_without_accept_is_told_so() {
    let server = Server::start();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", server.process.port())).expect("a connection");
    let head = format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n\
         Connection: close\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    stream.write_all(head.as_bytes()).expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 406") && answer.contains("-32600") && answer.contains("text/event-stream"), "{answer}");
}
