//! What the functions on the path of a call cost on their own: `cargo bench`. Compare runs on one machine; `benches/run`
//! measures whole calls, beside other servers.

#[path = "../tests/support/tokens.rs"]
#[expect(dead_code, unreachable_pub, reason = "written for the tests, which use more of it")]
mod tokens;

use std::sync::LazyLock;

use axum::body::Body;
use divan::{Bencher, black_box};
use http::Request;
use pressmark::app::{App, BoundApp};
use pressmark::auth::{AuthConfig, Authenticator, JwtConfig, KeySource, Permission, RefreshPolicy, ScopeSet};
use pressmark::call::Content;
use pressmark::config::Settings;
use pressmark::mcp::{McpResult, Message, Object, Params, ProtocolVersion, RequestId, ResultWriter, ServerInfo};
use pressmark::path::TreePath;
use pressmark::tools::ToolResult;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokens::{P256, jwks, now};
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

const VERSION: &str = "2026-07-28";
const TOKEN: &str = "a-token-for-benchmarks";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

fn main() {
    divan::main();
}

fn message(tool: &str, arguments: &Value) -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string()
}

/// The envelope and the parameters of a call.
#[divan::bench]
fn read_a_message(bencher: Bencher<'_, '_>) {
    let text = message("read_file", &json!({"path": "/docs/a.txt"}));
    bencher.bench(|| Message::<'_, Object<Params<'_>>>::parse(black_box(&text)).is_ok());
}

/// A whole answer with 64 KiB of text.
#[divan::bench]
fn write_a_page(bencher: Bencher<'_, '_>) {
    let writer = ResultWriter::new(ServerInfo {
        name: "bench".to_owned(),
        title: "Bench".to_owned(),
        version: "1".to_owned(),
        instructions: String::new(),
        prompts: false,
        resources: false,
        tasks: false,
    });
    let id = RequestId::parse(&RawValue::from_string("1".to_owned()).expect("JSON")).expect("an id");
    let text = "a line of \"text\" with a\ttab in it\n".repeat(1_900);
    let answer = || McpResult::CallTool(ToolResult { content: vec![Content::text(text.clone())], structured: None, error: None });
    let version = ProtocolVersion::parse(VERSION).expect("a revision");
    bencher.with_inputs(answer).bench_values(|result| writer.write(&id, version, black_box(result)));
}

/// A signed token that was checked a moment ago.
#[divan::bench]
fn recognise_a_token(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("keys.json");
    std::fs::write(&file, jwks(&[&P256]).to_string()).expect("a file");
    let (issuer, audience) = ("https://issuer.example.com", "https://files.example.com/mcp");
    let jwt = JwtConfig { issuer: Some(issuer.to_owned()), keys: KeySource::File(file), audiences: vec![audience.to_owned()] };
    let config =
        AuthConfig { jwt: Some(jwt), api_keys: None, dev_token: None, no_auth: false, refresh: RefreshPolicy::default() };
    let authenticator = RUNTIME.block_on(Authenticator::start(config)).expect("keys");
    let claims = json!({"iss": issuer, "aud": audience, "sub": "bench", "exp": now() + 3_600, "scope": "files:read"});
    let header = format!("Bearer {}", P256.sign(&claims));
    RUNTIME.block_on(authenticator.authenticate(Some(&header))).expect("a good token");
    bencher.bench(|| authenticator.recognise(Some(black_box(&header))).is_some_and(|caller| caller.is_ok()));
}

/// May a caller with scopes on parts of the tree read this file?
#[divan::bench]
fn admit_a_path(bencher: Bencher<'_, '_>) {
    let scopes = ScopeSet::parse(["files:read:/reports/**", "files:write:/reports/2026/**", "files:read:/docs/**"]);
    let path = TreePath::parse("/docs/guides/operators/first.md").expect("a path");
    bencher.bench(|| scopes.admits(black_box(Permission::Read), black_box(&path)));
}

#[divan::bench]
fn parse_a_path(bencher: Bencher<'_, '_>) {
    bencher.bench(|| TreePath::parse(black_box("/docs/guides/operators/first.md")));
}

/// A server over a folder of 100 files and a page of text.
struct World {
    app: BoundApp,
    _folder: TempDir,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("many")).expect("a folder");
    for number in 0..100 {
        std::fs::write(folder.path().join(format!("many/{number}.txt")), "some text\n").expect("a file");
    }
    std::fs::write(folder.path().join("page.txt"), "a line of text of a usual length\n".repeat(1_900)).expect("a file");
    let settings = Settings {
        path: Some(folder.path().to_str().expect("UTF-8").to_owned()),
        listen: Some("127.0.0.1:0".parse().expect("an address")),
        dev_token: Some(TOKEN.to_owned()),
        max_result_bytes: Some(131_072),
        ..Settings::default()
    };
    let app = RUNTIME.block_on(async { App::new(settings.resolve().expect("settings")).await?.bind().await }).expect("a server");
    World { app, _folder: folder }
});

/// A whole call, from the request to its answer, without a socket.
#[divan::bench(args = [("get_file_info", "/page.txt"), ("read_file", "/page.txt"), ("list_directory", "/many")])]
fn call(bencher: Bencher<'_, '_>, (tool, path): (&str, &str)) {
    let body = message(tool, &json!({"path": path}));
    let server = WORLD.app.server();
    let request = || {
        Request::post("http://localhost/mcp")
            .header("host", "localhost")
            .header("authorization", format!("Bearer {TOKEN}"))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", VERSION)
            .header("mcp-method", "tools/call")
            .header("mcp-name", tool)
            .body(Body::from(body.clone()))
            .expect("a request")
    };
    let answered = RUNTIME.block_on(server.clone().oneshot(request())).expect("an answer");
    assert_eq!(answered.status(), 200);
    bencher.with_inputs(request).bench_values(|request| RUNTIME.block_on(server.clone().oneshot(request)).map(|_| ()));
}
