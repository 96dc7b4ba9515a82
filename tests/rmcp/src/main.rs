//! rmcp, the Rust client: `rmcp-client URL TOKEN MODE`, where MODE is "legacy" or "auto".

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rmcp::model::{CallToolRequestParams, CallToolResult, ProgressNotificationParam, ProtocolVersion};
use rmcp::service::{NotificationContext, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt as _, RoleClient};
use serde_json::{Value, json};

type Client = RunningService<RoleClient, Progress>;
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Counts the reports of progress.
#[derive(Clone, Default)]
struct Progress(Arc<AtomicUsize>);

impl ClientHandler for Progress {
    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, token, mode] = arguments.as_slice() else { return Err("usage: rmcp-client URL TOKEN MODE".into()) };

    let refused = connect(url, "not-the-token", mode).await.map_or_else(|error| describe(&*error), |_| "connected".to_owned());
    let client = connect(url, token, mode).await?;
    let version = client.peer_info().map(|info| info.protocol_version.to_string());

    let tools: Vec<_> = client.list_all_tools().await?.into_iter().map(|tool| tool.name).collect();

    let mut page = call(&client, "read_file", json!({"path": "/long.txt"})).await?;
    let mut pages = vec![text(&page)];
    while let Some(cursor) = next_cursor(&page) {
        page = call(&client, "read_file", json!({"cursor": cursor})).await?;
        pages.push(text(&page));
    }

    let mut search = call(&client, "search_text", json!({"pattern": "needle", "literal": true, "limit": 2})).await?;
    let mut found = paths(&search);
    while let Some(cursor) = next_cursor(&search) {
        search = call(&client, "search_text", json!({"cursor": cursor})).await?;
        found.extend(paths(&search));
    }

    let before = progress(&client);
    call(&client, "search_text", json!({"pattern": r"\b(\w+\W+){1,30}[0-9]\b", "path": "/slow"})).await?;
    let progress = progress(&client) - before;

    let edits = json!([{"old_text": "- [ ] sew", "new_text": "- [x] sew"}]);
    let edited = call(&client, "edit_file", json!({"path": "/list.md", "edits": edits})).await?;

    let missing = call(&client, "read_file", json!({"path": "/missing.txt"})).await?;
    let error = missing.is_error.unwrap_or_default().then(|| text(&missing));

    client.cancel().await?;
    let report = json!({
        "refused": refused, "version": version, "tools": tools, "pages": pages, "found": found, "progress": progress,
        "diff": text(&edited), "error": error,
    });
    println!("{report}");
    Ok(())
}

async fn connect(url: &str, token: &str, mode: &str) -> Result<Client> {
    let config = StreamableHttpClientTransportConfig::with_uri(url).auth_header(token);
    let transport = StreamableHttpClientTransport::from_config(config);
    let lifecycle = match mode {
        "legacy" => ClientLifecycleMode::Initialize,
        _ => ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::LATEST], legacy_version: None },
    };
    Ok(Progress::default().serve_with_lifecycle(transport, lifecycle).await?)
}

async fn call(client: &Client, tool: &'static str, arguments: Value) -> Result<CallToolResult> {
    let Value::Object(arguments) = arguments else { return Err("arguments are an object".into()) };
    Ok(client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await?)
}

fn progress(client: &Client) -> usize {
    client.service().0.load(Ordering::Relaxed)
}

fn text(result: &CallToolResult) -> String {
    result.content.first().and_then(|block| block.as_text()).map(|block| block.text.clone()).unwrap_or_default()
}

fn next_cursor(result: &CallToolResult) -> Option<String> {
    result.structured_content.as_ref()?["next_cursor"].as_str().map(str::to_owned)
}

fn paths(result: &CallToolResult) -> Vec<String> {
    let files = result.structured_content.as_ref().and_then(|structured| structured["files"].as_array());
    files.into_iter().flatten().filter_map(|file| file["path"].as_str().map(str::to_owned)).collect()
}

/// The error and what caused it.
fn describe(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", describe(cause))).unwrap_or_default();
    format!("{error}{cause}")
}
