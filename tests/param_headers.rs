//! Arguments that clients repeat in headers: a call whose headers say something else than its arguments does not run.

mod support;

use http::HeaderValue;
use pressmark::call::{CallContext, Interrupted};
use pressmark::config::Settings;
use pressmark::tools::{Effect, Tool, ToolOutput, ToolSpec};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use support::client::{McpClient, Reply};
use support::in_process::{Server, TOKEN};

/// Takes arguments of each type that may be repeated, one of them in another.
struct Query;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueryArgs {
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: Option<String>,
    #[schemars(extend("x-mcp-header" = "Limit"))]
    limit: Option<i64>,
    #[schemars(extend("x-mcp-header" = "Urgent"))]
    urgent: Option<bool>,
    place: Option<Place>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Place {
    #[schemars(extend("x-mcp-header" = "Floor"))]
    floor: i32,
}

impl Tool for Query {
    const SPEC: ToolSpec =
        ToolSpec { name: "query", title: "Query", description: "For a test.", effect: Effect::ReadOnly, ..ToolSpec::DEFAULT };
    type Args = QueryArgs;
    type Output = ();

    async fn call(&self, _: &CallContext, args: QueryArgs) -> Result<ToolOutput<()>, Interrupted> {
        let floor = args.place.map(|place| place.floor);
        Ok(ToolOutput::text(format!("{:?} {:?} {:?} {floor:?}", args.region, args.limit, args.urgent), ()))
    }
}

async fn call(client: &McpClient, arguments: Value, params: &[(&'static str, &[u8])]) -> Reply {
    let message = client.message("tools/call", json!({"name": "query", "arguments": arguments}));
    let mut headers = client.headers(&message);
    for (name, value) in params {
        headers.append(*name, HeaderValue::from_bytes(value).expect("a header value"));
    }
    client.post(&headers, message.to_string()).await
}

#[tokio::test]
async fn headers_say_what_the_arguments_say() {
    let server = Server::start(Settings::default(), |app| app.with(Query)).await;
    let client = server.client();
    type Case = (Value, &'static [(&'static str, &'static [u8])]);
    let agreeing: [Case; 14] = [
        (json!({}), &[]),
        (json!({"region": null, "limit": null, "urgent": null}), &[]),
        (json!({"region": "us-west1"}), &[("mcp-param-region", b"us-west1")]),
        (json!({"region": "us west"}), &[("mcp-param-region", b"  us west\t")]),
        (json!({"region": "Hello, 世界"}), &[("mcp-param-region", b"=?base64?SGVsbG8sIOS4lueVjA==?=")]),
        (json!({"region": " padded "}), &[("mcp-param-region", b"=?base64?IHBhZGRlZCA=?=")]),
        (json!({"region": "SGVsbG8="}), &[("mcp-param-region", b"SGVsbG8=")]),
        (json!({"region": "=?base64?SGVsbG8="}), &[("mcp-param-region", b"=?base64?SGVsbG8=")]),
        (json!({"region": "=?BASE64?SGVsbG8=?="}), &[("mcp-param-region", b"=?BASE64?SGVsbG8=?=")]),
        (json!({"limit": 42}), &[("mcp-param-limit", b"42.0")]),
        (json!({"limit": -7, "urgent": false}), &[("mcp-param-limit", b"-7"), ("mcp-param-urgent", b"false")]),
        (json!({"limit": 5}), &[("mcp-param-limit", b"=?base64?NQ==?=")]),
        (json!({"place": {"floor": 3}}), &[("mcp-param-floor", b"3")]),
        (json!({"urgent": true}), &[("mcp-param-urgent", b"true"), ("mcp-param-unknown", b"anything")]),
    ];
    for (arguments, params) in agreeing {
        let reply = call(&client, arguments.clone(), params).await;
        assert!(reply.status == 200 && !reply.is_tool_error(), "{arguments} {params:?}: {}", reply.text);
    }
    let differing: [Case; 16] = [
        (json!({"region": "us-west1"}), &[]),
        (json!({"region": ""}), &[]),
        (json!({}), &[("mcp-param-region", b"us-west1")]),
        (json!({"region": null}), &[("mcp-param-region", b"null")]),
        (json!({"region": "us-west1"}), &[("mcp-param-region", b"US-WEST1")]),
        (json!({"region": "a"}), &[("mcp-param-region", b"a"), ("mcp-param-region", b"a")]),
        (json!({"region": "Hello"}), &[("mcp-param-region", b"=?base64?SGVsbG8?=")]),
        (json!({"region": "Hello"}), &[("mcp-param-region", b"=?base64?SGVs!!!bG8=?=")]),
        (json!({"region": "Hello"}), &[("mcp-param-region", b"=?base64?SGVsbG8gd29ybGQ=?=")]),
        (json!({"region": "é"}), &[("mcp-param-region", b"\xc3\xa9")]),
        (json!({"limit": 42}), &[("mcp-param-limit", b"43")]),
        (json!({"limit": 42}), &[("mcp-param-limit", b"forty-two")]),
        (json!({"limit": 9_007_199_254_740_993_i64}), &[("mcp-param-limit", b"9007199254740992")]),
        (json!({"urgent": true}), &[("mcp-param-urgent", b"1")]),
        (json!({"place": {"floor": 3}}), &[("mcp-param-floor", b"4")]),
        (json!({"region": ["us-west1"]}), &[("mcp-param-region", b"us-west1")]),
    ];
    for (arguments, params) in differing {
        let reply = call(&client, arguments.clone(), params).await;
        assert_eq!((reply.status.as_u16(), reply.error_code()), (400, -32020), "{arguments} {params:?}: {}", reply.text);
    }
    server.stop().await;
}

/// Older revisions have no such headers, and other tools none of these.
#[tokio::test]
async fn nobody_else_needs_them() {
    let server = Server::start(Settings::default(), |app| app.with(Query)).await;
    for revision in ["2025-11-25", "2025-06-18", "2025-03-26"] {
        let client = McpClient::legacy(&server.url, Some(TOKEN), revision).await;
        let reply = call(&client, json!({"region": "us-west1"}), &[("mcp-param-region", b"elsewhere")]).await;
        assert_eq!(reply.content(0), "Some(\"us-west1\") None None None", "{revision}");
    }
    let reply = server.client().call_tool("list_directory", json!({"path": "/"})).await;
    assert!(!reply.is_tool_error(), "{}", reply.text);
    server.stop().await;
}

struct Wrong;

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct WrongArgs {
    #[schemars(extend("x-mcp-header" = "My Region"))]
    region: String,
}

impl Tool for Wrong {
    const SPEC: ToolSpec = ToolSpec { name: "wrong", ..Query::SPEC };
    type Args = WrongArgs;
    type Output = ();

    async fn call(&self, _: &CallContext, _: WrongArgs) -> Result<ToolOutput<()>, Interrupted> {
        Ok(ToolOutput::text("", ()))
    }
}

#[tokio::test]
#[should_panic(expected = "the tool wrong: x-mcp-header \"My Region\": not a token")]
async fn a_header_that_clients_would_refuse_is_found_at_the_start() {
    Server::start(Settings::default(), |app| app.with(Wrong)).await;
}

/// A browser must be allowed to send them.
#[tokio::test]
async fn pages_of_allowed_origins_may_send_them() {
    let server = Server::start(Settings::default(), |app| app.with(Query)).await;
    let preflight = reqwest::Client::new()
        .request(http::Method::OPTIONS, format!("{}/mcp", server.url))
        .header("origin", &server.url)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "mcp-param-region")
        .send()
        .await
        .expect("an answer");
    let allowed = preflight.headers()["access-control-allow-headers"].to_str().expect("ASCII").to_owned();
    for name in ["mcp-param-region", "mcp-param-limit", "mcp-param-urgent", "mcp-param-floor", "mcp-name"] {
        assert!(allowed.split(',').any(|header| header.trim() == name), "{name}: {allowed}");
    }
    server.stop().await;
}
