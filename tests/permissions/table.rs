//! Every tool with every kind of token: status, challenge, and what is on the disk afterwards.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::client::{LEGACY, McpClient};
use crate::support::tokens::{ED, P256, now, with};
use crate::world::{PLACE, World, assert_done, assert_insufficient, call_with, calls, claims, files, token, with_token};

/// What each tool needs; scopes that are not enough for it; and what the challenge says to a caller of another folder.
const TOOLS: [(&str, &str, &str, &str); 11] = [
    ("list_directory", "files:read", "files:delete profile", "files:read does not cover /team-a"),
    ("find_files", "files:read", "files:delete profile", "files:read does not cover /team-a"),
    ("search_text", "files:read", "files:delete profile", "files:read does not cover /team-a"),
    ("read_file", "files:read", "files:delete profile", "files:read does not cover /team-a/plan.md"),
    ("get_file_info", "files:read", "files:delete profile", "files:read does not cover /team-a/plan.md"),
    ("write_file", "files:write", "files:read files:delete", "files:write does not cover /team-a/new/note.md"),
    ("edit_file", "files:write", "files:read files:delete", "files:write does not cover /team-a/edit.md"),
    ("create_directory", "files:write", "files:read files:delete", "files:write does not cover /team-a/made/deep"),
    ("move_file", "files:write", "files:read files:delete", "files:write does not cover /team-a/move.md"),
    ("copy_file", "files:write", "files:read files:delete", "files:read does not cover /team-a/plan.md"),
    ("delete_file", "files:delete", "files:write", "files:delete does not cover /team-a/delete.md"),
];

fn plant(world: &World) {
    world.clear();
    for (path, content) in files("/team-a", "of team a").into_iter().chain(files("/team-b", "of team b")) {
        world.plant(&[(&path, content)]);
    }
}

/// A client of each way to speak: without a handshake, with one, and with batches.
async fn eras(world: &World) -> [McpClient; 3] {
    let (url, token) = (world.server.url(), token("files"));
    [
        McpClient::modern(&url, None),
        McpClient::legacy(&url, Some(&token), LEGACY).await,
        McpClient::legacy(&url, Some(&token), "2025-03-26").await,
    ]
}

/// Tokens that let nobody in, and what is wrong with each.
fn bad_tokens() -> Vec<(Option<String>, String)> {
    let signed = |changes: Value| Some(ED.sign(&with(claims("files"), changes)));
    let forged = {
        let (reader, owner) = (token("files:read"), token("files"));
        let (header_and_claims, signature) =
            (owner.rsplit_once('.').expect("a JWT").0, reader.rsplit_once('.').expect("a JWT").1);
        Some(format!("{header_and_claims}.{signature}"))
    };
    let invalid = |description: &str| {
        format!(r#"Bearer {PLACE}, scope="files:read", error="invalid_token", error_description="{description}""#)
    };
    vec![
        (None, format!(r#"Bearer {PLACE}, scope="files:read""#)),
        (Some("garbage".to_owned()), invalid("the token is not a well-formed signed JWT")),
        (signed(json!({"exp": now() - 3600})), invalid("the token has expired")),
        (signed(json!({"nbf": now() + 3600})), invalid("the token is not valid yet")),
        (signed(json!({"aud": "https://other.example.com/mcp"})), invalid("the token is for another audience")),
        (signed(json!({"iss": "https://other.example.com"})), invalid("the token is from another issuer")),
        (forged, invalid("the signature of the token is wrong")),
        (Some(P256.sign(&claims("files"))), invalid("the token is not signed by a key of the authorization server")),
    ]
}

#[tokio::test]
async fn every_tool_refuses_every_token_that_is_not_enough() {
    let world = World::start();
    plant(&world);
    let before = world.snapshot();
    for client in eras(&world).await {
        for ((name, needed, other, outside), (tool, arguments)) in TOOLS.into_iter().zip(calls("/team-a")) {
            assert_eq!(name, tool);
            for (bad, challenge) in bad_tokens() {
                let reply = call_with(&client, bad.as_deref(), tool, &arguments).await;
                assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{tool}: {challenge}: {}", reply.text);
                assert_eq!(reply.headers["www-authenticate"], challenge, "{tool}");
                assert_eq!((reply.error_code(), reply.messages[0].get("id")), (401, None), "{tool}: {}", reply.text);
            }
            for nothing in [other, "", "files:admin", "profile"] {
                let reply = call_with(&client, Some(&token(nothing)), tool, &arguments).await;
                assert_insufficient(&reply, needed, &format!("{tool} needs {needed}"));
            }
            for elsewhere in ["files:/team-b/**", "files:/team-ab/** files:/team/**", "files:/team-a/sub/** profile"] {
                // What lies above a granted folder can be looked into, and nothing else can be done with it.
                let on_the_way = elsewhere.contains("/sub/") && arguments["path"] == "/team-a";
                if !on_the_way {
                    let reply = call_with(&client, Some(&token(elsewhere)), tool, &arguments).await;
                    assert_insufficient(&reply, needed, outside);
                }
            }
            assert!(world.snapshot() == before, "{tool} changed something: {:?}", world.snapshot());
        }
    }
}

#[tokio::test]
async fn every_tool_does_its_work_for_those_who_may() {
    let world = World::start();
    for client in eras(&world).await {
        for part in ["", ":/team-a/**"] {
            plant(&world);
            let before = world.snapshot();
            for ((_, needed, ..), (tool, arguments)) in TOOLS.into_iter().zip(calls("/team-a")) {
                let reply = call_with(&client, Some(&token(&format!("{needed}{part}"))), tool, &arguments).await;
                assert_done(&reply, &format!("{tool} with {needed}{part}"));
            }
            let after = world.snapshot();
            assert_eq!(after.text("team-a/new/note.md"), "written");
            assert_eq!(after.text("team-a/edit.md"), "after");
            assert_eq!(after.text("team-a/moved.md"), "of team a");
            assert_eq!(after.text("team-a/copy.md"), "of team a");
            assert!(after.has("team-a/made/deep") && !after.has("team-a/move.md") && !after.has("team-a/delete.md"));
            let of_b = |path: &&std::path::PathBuf| path.starts_with("team-b");
            assert!(after.0.keys().filter(of_b).eq(before.0.keys().filter(of_b)));
        }
    }
}

#[tokio::test]
async fn tools_are_listed_for_those_who_may_use_them() {
    let world = World::start();
    let all = TOOLS.map(|(name, ..)| name);
    let (readers, writers) = (&all[..5], &all[..10]);
    let with_delete = [readers, &["delete_file"]].concat();
    let cases: [(&str, &[&str]); 12] = [
        ("files", &all),
        ("files:read", readers),
        ("files:read:/team-a/**", readers),
        ("files:read:/nowhere", readers),
        ("files:write", writers),
        ("files:write:/team-a/**", writers),
        ("files:delete", &["delete_file"]),
        ("files:delete:/team-a/**", &["delete_file"]),
        ("files:read files:delete:/team-a/**", &with_delete),
        ("files:write:/a files:delete:/b", &all),
        ("profile Files:read files:admin files:read:/a/* files:read:team-a", &[]),
        ("", &[]),
    ];
    for client in eras(&world).await {
        for (scopes, wanted) in cases {
            let message = client.message("tools/list", json!({}));
            let headers = with_token(client.headers(&message), Some(&token(scopes)));
            let reply = client.post(&headers, message.to_string()).await;
            let tools = reply.result()["tools"].as_array().expect("a list");
            let names: Vec<_> = tools.iter().map(|tool| tool["name"].as_str().expect("a name")).collect();
            assert_eq!(names, wanted, "{scopes}");
        }
    }
}

#[tokio::test]
async fn nothing_at_all_is_said_without_a_token() {
    let world = World::start();
    let challenge = format!(r#"Bearer {PLACE}, scope="files:read""#);
    for client in eras(&world).await {
        let initialize = json!({"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}});
        let requests = [
            ("initialize", initialize),
            ("ping", json!({})),
            ("server/discover", json!({})),
            ("tools/list", json!({})),
            ("no/such/method", json!({})),
        ];
        for (method, params) in requests {
            let message = client.message(method, params);
            let reply = client.post(&with_token(client.headers(&message), None), message.to_string()).await;
            assert_eq!(
                (reply.status, &reply.headers["www-authenticate"]),
                (StatusCode::UNAUTHORIZED, &challenge.parse().unwrap())
            );
            // Not even the body is looked at.
            let reply = client.post(&with_token(client.headers(&message), None), "not JSON").await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
        }
    }
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    for method in [http::Method::GET, http::Method::DELETE, http::Method::PUT] {
        let response = http.request(method.clone(), format!("{}/mcp", world.server.url())).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{method}");
    }
}

#[tokio::test]
async fn a_denied_call_harms_no_other_of_its_batch() {
    let world = World::start();
    plant(&world);
    let before = world.snapshot();
    let client = McpClient::legacy(&world.server.url(), Some(&token("files")), "2025-03-26").await;
    let call = |id: u32, tool: &str, arguments: Value| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}});
    let batch = json!([
        call(1, "read_file", json!({"path": "/team-a/plan.md"})),
        call(2, "write_file", json!({"path": "/team-a/plan.md", "content": "gone", "overwrite": true})),
        call(3, "read_file", json!({"path": "/team-b/plan.md"})),
        {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "delete_file", "arguments": {"path": "/team-a/plan.md"}}},
        call(4, "get_file_info", json!({"path": "/team-a/edit.md"})),
    ]);
    let headers = client.headers(&json!({"method": "tools/call", "params": {"name": "read_file"}}));
    let reply = client.post(&with_token(headers.clone(), Some(&token("files:read:/team-a/**"))), batch.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let answers = reply.messages[0].as_array().expect("an array");
    let of = |id: u32| answers.iter().find(|answer| answer["id"] == id).expect("an answer");
    assert_eq!(answers.len(), 4, "{}", reply.text);
    assert_eq!(of(1)["result"]["content"][0]["text"], "of team a");
    let error = |message: &str, scope: &str| json!({"code": 403, "message": message, "data": {"requiredScopes": [scope]}});
    assert_eq!(of(2)["error"], error("write_file needs files:write", "files:write"));
    assert_eq!(of(3)["error"], error("files:read does not cover /team-b/plan.md", "files:read"));
    assert_eq!(of(4)["result"]["isError"], false);
    let reply = client.post(&with_token(headers, None), batch.to_string()).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert!(world.snapshot() == before);
}

#[tokio::test]
async fn no_form_of_a_call_gets_round_the_check() {
    let world = World::start();
    plant(&world);
    let before = world.snapshot();
    let client = world.caller("files:read:/team-a/**");
    // A refusal comes as an ordinary answer, also where a stream was possible.
    let params = json!({"name": "delete_file", "arguments": {"path": "/team-a/plan.md"}, "_meta": {"progressToken": 1}});
    assert_insufficient(&client.request("tools/call", params).await, "files:delete", "delete_file needs files:delete");
    // Without an id it is a notification, which runs no tool.
    let owner = world.caller("files");
    let reply = owner.notify("tools/call", json!({"name": "delete_file", "arguments": {"path": "/team-a/plan.md"}})).await;
    assert_eq!(reply.status, StatusCode::ACCEPTED);
    // What is checked is what is used: an argument or a name that stands there twice is neither.
    let raw = |arguments: &str| {
        let message = client.message("tools/call", json!({"name": "read_file", "arguments": "@"}));
        (client.headers(&message), message.to_string().replace("\"@\"", arguments))
    };
    for twice in [
        r#"{"path":"/team-a/plan.md","path":"/team-b/plan.md"}"#,
        r#"{"path":"/team-b/plan.md","path":"/team-a/plan.md"}"#,
        r#"{"path":"/team-a/plan.md","p\u0061th":"/team-b/plan.md"}"#,
        r#"{"path":["/team-a/plan.md","/team-b/plan.md"]}"#,
        r#"{"path":{"path":"/team-b/plan.md"}}"#,
        r#"["/team-b/plan.md"]"#,
    ] {
        let (headers, body) = raw(twice);
        let reply = client.post(&headers, body).await;
        assert!(reply.status.as_u16() < 500 && !reply.text.contains("of team"), "{twice}: {}", reply.text);
        assert!(reply.messages[0].get("error").is_some() || reply.is_tool_error(), "{twice}: {}", reply.text);
    }
    let (headers, body) = raw(r#"{"path":"/team-a/plan.md"},"name":"delete_file""#);
    let reply = client.post(&headers, body).await;
    assert!(reply.messages[0].get("error").is_some(), "{}", reply.text);
    for name in ["DELETE_FILE", "delete_file ", "delete_file\0", "../delete_file", ""] {
        let message = client.message("tools/call", json!({"name": name, "arguments": {"path": "/team-a/plan.md"}}));
        let mut headers = client.headers(&client.message("tools/call", json!({"name": "x"})));
        let sentinel = format!("=?base64?{}?=", base64::Engine::encode(&base64::prelude::BASE64_STANDARD, name));
        headers.insert("mcp-name", sentinel.parse().expect("a header"));
        assert_eq!(client.post(&headers, message.to_string()).await.error_code(), -32602, "{name:?}");
    }
    assert!(world.snapshot() == before);
}
