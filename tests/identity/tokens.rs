//! Tokens by client credentials, for the server and for others.

use reqwest::StatusCode;
use serde_json::json;

use crate::provider::Provider;
use crate::support::client::McpClient;
use crate::{RESOURCE, challenge, folder, list, serve};

const OTHER_RESOURCE: &str = "https://mail.example.com/mcp";

#[tokio::test]
async fn a_token_is_for_one_resource() {
    let provider = Provider::start_for(&format!("{RESOURCE} {OTHER_RESOURCE}"));
    let folder = folder();
    let server = serve(&folder, provider.issuer());

    let reply = list(&server.url(), &provider.token("files:read").await).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);

    // As good a token in every other respect.
    let reply = list(&server.url(), &provider.token_of("agent", "files:read", OTHER_RESOURCE).await).await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{}", reply.text);
    let said = challenge(&reply);
    for part in ["error=\"invalid_token\"", "error_description=\"the token is for another audience\"", "resource_metadata="] {
        assert!(said.contains(part), "{said}");
    }
    assert!(reply.text.contains("the token is for another audience"), "{}", reply.text);

    // The provider has no tokens for a resource that it does not know.
    let answer = provider.ask_for_token("agent", "files:read", "https://unknown.example.com/mcp").await;
    assert_eq!(answer["error"], "invalid_target", "{answer}");
}

#[tokio::test]
async fn a_token_without_the_scope_is_told_which_it_lacks() {
    let provider = Provider::start();
    let folder = folder();
    let server = serve(&folder, provider.issuer());

    // The provider leaves out what the client may not have, and says so in its answer only.
    let answer = provider.ask_for_token("reader", "files:write", RESOURCE).await;
    assert_eq!(answer.get("scope"), None, "{answer}");
    let reply = list(&server.url(), answer["access_token"].as_str().expect("a token all the same")).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    let said = challenge(&reply);
    for part in ["error=\"insufficient_scope\"", "scope=\"files:read\"", "resource_metadata="] {
        assert!(said.contains(part), "{said}");
    }

    let token = provider.token_of("reader", "files:read files:write", RESOURCE).await;
    let reply = list(&server.url(), &token).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    let writing = json!({"path": "/new.txt", "content": "x"});
    let reply = McpClient::modern(&server.url(), Some(&token)).call_tool("write_file", writing.clone()).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "{}", reply.text);
    let said = challenge(&reply);
    for part in ["error=\"insufficient_scope\"", "scope=\"files:write\"", "error_description=\"write_file needs files:write\""] {
        assert!(said.contains(part), "{said}");
    }
    assert!(!folder.path().join("new.txt").exists());

    let token = provider.token("files:write").await;
    let reply = McpClient::modern(&server.url(), Some(&token)).call_tool("write_file", writing).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
    assert!(folder.path().join("new.txt").exists());
}
