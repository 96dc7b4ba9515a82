//! `/authz`, which gateways ask before they let a call through: it says what the server itself would, as far as headers tell.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Value, json};

use crate::support::client::{McpClient, Reply};
use crate::world::{World, calls, token, with_token};

/// The headers of a call, with its paths.
fn headers(client: &McpClient, tool: &str, arguments: &Value) -> (HeaderMap, Value) {
    let message = client.message("tools/call", json!({"name": tool, "arguments": arguments}));
    let mut headers = client.headers(&message);
    for (names, header) in [(&["path", "from"][..], "mcp-param-path"), (&["to"], "mcp-param-to")] {
        if let Some(path) = names.iter().find_map(|name| arguments[*name].as_str()) {
            headers.insert(HeaderName::from_static(header), HeaderValue::from_str(path).expect("ASCII"));
        }
    }
    (headers, message)
}

/// A call that names a path twice, both within what the caller may read.
fn headers_of_two_paths(client: &McpClient) -> HeaderMap {
    let (mut headers, _) = headers(client, "read_file", &json!({"path": "/a/x"}));
    headers.append("mcp-param-path", HeaderValue::from_static("/a/x"));
    headers
}

async fn ask(world: &World, method: Method, headers: HeaderMap) -> Reply {
    let request = reqwest::Client::new().request(method, format!("{}/authz", world.url())).headers(headers);
    Reply::read(request.send().await.expect("an answer")).await.expect("a whole one")
}

#[tokio::test]
async fn the_verdict_on_each_tool_is_the_servers_own() {
    let world = World::start_with(&["--path-headers"]);
    let (mut let_through, mut refused) = (0, 0);
    for scopes in [
        "files",
        "files:read",
        "files:write",
        "files:delete",
        "files:read:/a/**",
        "files:write:/a/**",
        "files:read:/a/** files:write:/b/**",
        "files:write:/a/** files:read",
        "files:delete:/b/**",
        "files:read:/a/plan.md",
        "",
    ] {
        let client = world.caller(scopes);
        let across = [
            ("copy_file", json!({"from": "/a/plan.md", "to": "/b/copy.md"})),
            ("move_file", json!({"from": "/a/plan.md", "to": "/b/moved.md"})),
        ];
        for (tool, arguments) in ["/a", "/b"].iter().flat_map(|folder| calls(folder)).chain(across) {
            world.clear();
            world.plant(&[("/a/plan.md", "a plan\n"), ("/b/plan.md", "a plan\n")]);
            let (headers, message) = headers(&client, tool, &arguments);
            let verdict = ask(&world, Method::GET, headers.clone()).await;
            let reply = client.post(&headers, message.to_string()).await;
            let what = format!("{tool} {arguments} with {scopes:?}: {} {}", verdict.status, reply.text);
            if verdict.status == StatusCode::OK {
                assert_eq!((reply.status, verdict.text.as_str()), (StatusCode::OK, ""), "{what}");
                let_through += 1;
            } else {
                assert_eq!((verdict.status, reply.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN), "{what}");
                assert_eq!(verdict.headers["www-authenticate"], reply.headers["www-authenticate"], "{what}");
                refused += 1;
            }
        }
    }
    assert!(let_through > 60 && refused > 60, "{let_through} let through, {refused} refused");
}

#[tokio::test]
async fn who_has_no_good_token_is_challenged_as_by_the_server() {
    let world = World::start();
    let client = world.caller("files:read");
    let (good, message) = headers(&client, "read_file", &json!({"path": "/a"}));
    let mut twice = good.clone();
    twice.append("authorization", HeaderValue::from_static("Bearer another"));
    for (what, bad) in
        [("none", with_token(good.clone(), None)), ("wrong", with_token(good.clone(), Some("abc"))), ("two", twice)]
    {
        let (verdict, reply) = (ask(&world, Method::GET, bad.clone()).await, client.post(&bad, message.to_string()).await);
        // Gateways pass nothing on but 401 and 403.
        assert_eq!(verdict.status, StatusCode::UNAUTHORIZED, "{what}: {}", verdict.text);
        assert_eq!(verdict.headers["www-authenticate"], reply.headers["www-authenticate"], "{what}");
    }
    for method in [Method::GET, Method::POST, Method::PUT, Method::HEAD, Method::DELETE] {
        assert_eq!(ask(&world, method.clone(), good.clone()).await.status, StatusCode::OK, "{method}");
    }
}

#[tokio::test]
async fn what_headers_do_not_tell_is_left_to_the_server() {
    let world = World::start();
    let client = world.caller("files:read:/a/**");
    let asked = async |changes: &[(&'static str, Option<&str>)]| {
        let (mut headers, _) = headers(&client, "read_file", &json!({"path": "/a/x"}));
        for (name, value) in changes {
            headers.remove(*name);
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"));
            }
        }
        ask(&world, Method::GET, headers).await.status
    };
    // The handshake revisions name the tool in the body alone.
    assert_eq!(asked(&[("mcp-method", None), ("mcp-name", None), ("mcp-protocol-version", Some("2025-11-25"))]).await, 200);
    assert_eq!(asked(&[("mcp-name", Some("no_such_tool"))]).await, 200, "the server says that there is none");
    assert_eq!(asked(&[("mcp-method", Some("tools/list")), ("mcp-name", None)]).await, 200);
    assert_eq!(asked(&[("mcp-param-path", None)]).await, 200, "a path in the body");
    assert_eq!(asked(&[("mcp-param-path", Some("/b/x"))]).await, 403);
    assert_eq!(asked(&[("mcp-param-path", Some("=?base64?L2IveA==?="))]).await, 403, "/b/x in base64");
    assert_eq!(asked(&[("mcp-param-path", Some("=?base64?L2EveA==?="))]).await, 200, "/a/x in base64");
    assert_eq!(asked(&[("mcp-name", Some("write_file"))]).await, 403);
    assert_eq!(asked(&[("mcp-method", Some("resources/read")), ("mcp-name", Some("file:///a/x"))]).await, 200);
    assert_eq!(asked(&[("mcp-method", Some("prompts/get")), ("mcp-name", Some("summarize_folder"))]).await, 200);
    let (mut headers, _) = headers(&client, "read_file", &json!({"path": "/a/x"}));
    headers.append("mcp-name", HeaderValue::from_static("list_directory"));
    assert_eq!(ask(&world, Method::GET, headers).await.status, 403, "two names permit nothing");
    let mut headers = headers_of_two_paths(&client);
    assert_eq!(ask(&world, Method::GET, headers.clone()).await.status, 403, "two paths permit nothing");
    headers.insert("mcp-param-path", HeaderValue::from_static("=?base64?!?="));
    assert_eq!(ask(&world, Method::GET, headers).await.status, 403, "nor does one that cannot be read");
    let nobody = with_token(HeaderMap::new(), Some(&token("")));
    let mut prompt = nobody.clone();
    prompt.insert("mcp-method", HeaderValue::from_static("prompts/get"));
    prompt.insert("mcp-name", HeaderValue::from_static("summarize_folder"));
    assert_eq!(ask(&world, Method::GET, prompt).await.status, 403, "a prompt needs its scopes");
}

#[tokio::test]
async fn paths_are_repeated_in_headers_where_the_operator_wants_it() {
    let annotated = async |world: &World| {
        let listed = world.caller("files").request("tools/list", json!({})).await;
        let tools = listed.result()["tools"].as_array().expect("tools").clone();
        let paths = tools.iter().flat_map(|tool| {
            let properties = tool["inputSchema"]["properties"].as_object().expect("properties").clone();
            let name = tool["name"].as_str().expect("a name").to_owned();
            properties
                .into_iter()
                .filter_map(move |(argument, schema)| Some(format!("{name}.{argument}={}", schema["x-mcp-header"].as_str()?)))
        });
        paths.collect::<Vec<_>>()
    };
    assert!(annotated(&World::start()).await.is_empty());
    let world = World::start_with(&["--path-headers"]);
    let expected = [
        "list_directory.path=Path",
        "find_files.path=Path",
        "search_text.path=Path",
        "read_file.path=Path",
        "get_file_info.path=Path",
        "write_file.path=Path",
        "edit_file.path=Path",
        "create_directory.path=Path",
        "move_file.from=Path",
        "move_file.to=To",
        "copy_file.from=Path",
        "copy_file.to=To",
        "delete_file.path=Path",
    ];
    assert_eq!(annotated(&world).await, expected);
    world.plant(&[("/a", "content")]);
    let client = world.caller("files");
    let (good, message) = headers(&client, "read_file", &json!({"path": "/a"}));
    assert_eq!(client.post(&good, message.to_string()).await.content(0), "content");
    let mut without = good.clone();
    without.remove("mcp-param-path");
    assert_eq!(client.post(&without, message.to_string()).await.error_code(), -32020);
    let mut other = good;
    other.insert("mcp-param-path", HeaderValue::from_static("/b"));
    assert_eq!(client.post(&other, message.to_string()).await.error_code(), -32020, "a gateway must not be lied to");
}
